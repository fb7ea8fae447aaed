package queryextension

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/traceql"
)

func searchPath(q string, more ...string) string {
	return "/api/v1/search?" + strings.Join(append([]string{"q=" + url.QueryEscape(q)}, more...), "&")
}

// found is what a search answers, without what differs from span to span.
type foundJSON struct {
	Spansets []struct {
		Spans []struct {
			EventID  string      `json:"event_id"`
			Selected []fieldJSON `json:"selected"`
		} `json:"spans"`
		Matched   int          `json:"matched"`
		By        []fieldJSON  `json:"by"`
		Figures   []figureJSON `json:"figures"`
		Path      []spanJSON   `json:"path"`
		PathEdges []edgeJSON   `json:"path_edges"`
	} `json:"spansets"`
	Truncated bool        `json:"truncated"`
	Cursor    string      `json:"cursor"`
	Plan      *query.Plan `json:"plan"`
}

// brief has a line for each spanset: its spans' events, what they have in
// common, and the path.
func (f foundJSON) brief() string {
	var sets []string
	for _, set := range f.Spansets {
		var texts []string
		for _, s := range set.Spans {
			text := s.EventID
			for _, v := range s.Selected {
				text += fmt.Sprintf(" %s=%v", v.Field, v.Value)
			}
			texts = append(texts, text)
		}
		for _, v := range set.By {
			texts = append(texts, fmt.Sprintf("by %s=%v", v.Field, v.Value))
		}
		for _, v := range set.Figures {
			texts = append(texts, fmt.Sprintf("%s=%v", v.Aggregate, v.Value))
		}
		if nodes, edges := (graphJSON{Nodes: set.Path, Edges: set.PathEdges}).brief(); nodes+edges != "" {
			texts = append(texts, "path "+nodes+": "+edges)
		}
		if set.Matched != len(set.Spans) {
			texts = append(texts, fmt.Sprint("of ", set.Matched))
		}
		sets = append(sets, strings.Join(texts, ", "))
	}
	return strings.Join(sets, "\n")
}

func TestSearch(t *testing.T) {
	c := serving(t, shop(t))
	for q, want := range map[string]string{
		`{ name = "charge" }`:       "charge",
		`{ }`:                       "hear, retry\norder, send\ncharge",
		`{ .nothing = 1 }`:          "",
		`{ name = "order" } >> { }`: "send",
		`{ status = error } -> { }`: "hear",
		`{ name = "order" } ->> { span.scope.event.id = "retry" }`:                     "retry",
		`{ name = "retry" } <<- { name = "charge" }`:                                   "charge",
		`{ name = "order" } ->> { name = "charge" } | select(path)`:                    "charge, path order send charge: order>send send>charge",
		`{ } | by(resource.service.name) | count() > 1`:                                "hear, retry, by resource.service.name=shop, count()=2\norder, send, by resource.service.name=shop, count()=2",
		`{ status = error } | select(status, kind, duration, span.x, event:name)`:      "charge status=error kind=producer duration=1 span.x=<nil> event:name=<nil>",
		`{ status = error } | by(name, name) | select(kind, span:kind) | select(kind)`: "charge kind=producer, by name=charge",
		`{ status = error } | max(duration) >= 1ns`:                                    "charge, max(duration)=1",
		`{ } ->[state_transition] { }`:                                                 "retry",
		`{ name = "order" } ->> { name = "retry" } within 210ns`:                       "retry",
		`{ name = "order" } ->> { name = "retry" } within 209ns`:                       "",
		`{ resource.service.name =~ "s.*" && span.scope.process.id = "<0.83.0>" } `:    "hear, retry\norder, send\ncharge",
	} {
		var got foundJSON
		c.get(t, searchPath(q)).into(t, &got)
		require.Equal(t, want, got.brief(), q)
		require.False(t, got.Truncated)
		require.Nil(t, got.Plan)
		require.NotNil(t, got.Spansets)
	}
	for more, want := range map[string]string{
		"start=300":                 "hear, retry",
		"start=1&end=100":           "charge",
		"spans_per_spanset=1":       "hear, of 2\norder, of 2\ncharge",
		"limit=1000&min_confidence": "hear, retry\norder, send\ncharge",
	} {
		var got foundJSON
		c.get(t, searchPath("{ }", more)).into(t, &got)
		require.Equal(t, want, got.brief(), more)
	}
	var got foundJSON
	c.get(t, searchPath(`{ name = "order" } ->> { }`, "types=parent_child")).into(t, &got)
	require.Equal(t, "send", got.brief())
	c.get(t, searchPath(`{ name = "order" } ->> { }`, "min_confidence=0.95")).into(t, &got)
	require.Equal(t, "send", got.brief())
}

func TestSearchGoesOn(t *testing.T) {
	c := serving(t, shop(t))
	var pages []string
	for cursor := ""; ; {
		var got foundJSON
		c.get(t, searchPath("{ }", "limit=1", "cursor="+cursor)).into(t, &got)
		pages = append(pages, got.brief())
		require.Equal(t, got.Cursor != "", got.Truncated)
		if cursor = got.Cursor; cursor == "" {
			break
		}
	}
	require.Equal(t, []string{"hear, retry", "order, send", "charge"}, pages)
}

func TestSearchExplains(t *testing.T) {
	c := serving(t, shop(t))
	var got foundJSON
	c.get(t, searchPath(`{ status = error } ->> { }`, "explain=true")).into(t, &got)
	require.NotEmpty(t, got.Plan.Steps)
	require.Positive(t, got.Plan.Visited)
}

func TestSearchProblems(t *testing.T) {
	c := serving(t, shop(t), func(cfg *Config) { cfg.Query.MaxVisited = 1; cfg.Query.MaxBytes = 100 })
	for path, want := range map[string]struct {
		status            int
		parameter, detail string
		column            int
	}{
		"/api/v1/search":                                   {400, "q", "q is required: a TraceQL query such as { status = error }", 0},
		searchPath(`{ name = }`):                           {400, "q", "column 10: ", 10},
		searchPath(`{ } -> `):                              {400, "q", "column 8: ", 8},
		searchPath(`{ } | count() > 1 | `, "limit=1"):      {400, "q", "column", 21},
		searchPath(`{ } ->[magic] { }`):                    {400, "q", "magic", 8},
		searchPath(strings.Repeat(" ", 10_000)):            {400, "q", "", 1},
		searchPath(strings.Repeat("(", 1000) + "{ }"):      {400, "q", "", 65},
		searchPath(`{ }`, "limit=0"):                       {400, "limit", `"0" is not allowed: must be a number from 1 to 1000`, 0},
		searchPath(`{ }`, "spans_per_spanset=1001"):        {400, "spans_per_spanset", `"1001" is not allowed`, 0},
		searchPath(`{ }`, "explain=yes"):                   {400, "explain", `"yes" is not allowed: must be true or false`, 0},
		searchPath(`{ }`, "start=today"):                   {400, "start", `"today" is no time`, 0},
		searchPath(`{ }`, "types=magic"):                   {400, "types", `"magic" is no type of edges`, 0},
		searchPath(`{ }`, "cursor=x"):                      {400, "cursor", `cursor "x" is not one that a search gave`, 0},
		searchPath(`{ }`):                                  {422, "", "query::max_bytes", 0},
		searchPath(`{ name = "send" } ->> { } | by(name)`): {422, "", "query::m", 0},
	} {
		p := c.get(t, path).problem(t, want.status)
		require.Equal(t, want.parameter, p.Parameter, path)
		require.Contains(t, p.Detail, want.detail, path)
		require.Equal(t, want.column, p.Column, path)
	}
}

// TestUnsupportedQueries: what is TraceQL and not here is no empty answer.
func TestUnsupportedQueries(t *testing.T) {
	c := serving(t, shop(t))
	for q, named := range map[string]string{
		`{ } | rate()`:   "rate",
		`{ } !>> { }`:    "!>>",
		`{ .a + 1 = 2 }`: "+",
	} {
		got := c.get(t, searchPath(q))
		require.Equal(t, http.StatusBadRequest, got.status, q)
		var p problem
		require.NoError(t, json.Unmarshal(got.body, &p))
		require.Equal(t, unsupportedType, p.Type, q)
		require.Equal(t, unsupportedTitle, p.Title)
		require.Equal(t, "q", p.Parameter)
		require.Contains(t, p.Detail, named)
	}
}

func TestSearchGraph(t *testing.T) {
	c := serving(t, shop(t))
	path := func(q string, more ...string) string {
		return strings.Replace(searchPath(q, more...), "/search", "/graph", 1)
	}
	for _, example := range []struct{ path, matches, nodes, edges string }{
		{path(`{ name = "order" } ->> { status = error }`), "charge", "order send charge", "order>send send>charge"},
		{path(`{ name = "order" || name = "send" }`), "order send", "order send", "order>send"},
		{path(`{ }`), "order send charge hear retry", "order send charge hear retry", "order>send send>charge charge>hear hear>retry"},
		{path(`{ }`, "min_confidence=0.95"), "order send charge hear retry", "charge order send hear retry", "order>send charge>hear hear>retry"},
		{path(`{ }`, "limit=3"), "order hear retry", "order hear retry", "hear>retry"},
		{path(`{ name = "none" }`), "", "", ""},
	} {
		var got searchGraphJSON
		c.get(t, example.path).into(t, &got)
		nodes, edges := got.brief()
		var matches []string
		for _, m := range got.Matches {
			matches = append(matches, m.brief())
		}
		require.Equal(t, example.edges, edges, example.path)
		require.Len(t, strings.Fields(nodes), len(strings.Fields(example.nodes)))
		require.ElementsMatch(t, strings.Fields(example.matches), matches, example.path)
		require.Equal(t, strings.Contains(example.path, "limit="), got.Truncated)
	}
	for format, want := range map[string]string{"dot": "digraph", "mermaid": "flowchart", "svg": "<svg"} {
		got := c.get(t, path(`{ name = "order" } ->> { status = error }`, "format="+format))
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, formats[format].contentType, got.header.Get("Content-Type"))
		require.Contains(t, string(got.body), want)
		require.Contains(t, string(got.body), "charge")
	}
	for wrong, parameter := range map[string]string{
		path(`{ }`, "event=e"):                 "event",
		path(`{ }`, "direction=causes"):        "direction",
		path(`{ }`, "depth=1"):                 "depth",
		path(`{`):                              "q",
		path(`{ }`, "limit=0"):                 "limit",
		path(`{ }`, "format=png"):              "format",
		"/api/v1/graph?q=":                     "q",
		"/api/v1/graph?event=order&start=17":   "start",
		"/api/v1/graph?event=order&end=17":     "end",
		"/api/v1/graph?event=order&explain=17": "explain",
	} {
		require.Equal(t, parameter, c.get(t, wrong).problem(t, http.StatusBadRequest).Parameter, wrong)
	}
}

// TestPathsHaveGaps: what lies between need not be stored.
func TestPathsHaveGaps(t *testing.T) {
	s := newFaulty()
	write(t, s,
		step{trace: 1, span: 1, event: "a", start: 1, links: []linked{{1, 2, causal.MessageFlow, 1, true}}}.traces(),
		step{trace: 1, span: 3, parent: 2, event: "c", start: 3}.traces(),
	)
	var got foundJSON
	serving(t, s).get(t, searchPath(`{ name = "a" } ->> { name = "c" } | select(path)`)).into(t, &got)
	require.Equal(t, "c, path a c: a>? ?>c", got.brief())
	require.Equal(t, storetest.SpanID(2).String(), got.Spansets[0].PathEdges[0].Effect.SpanID)
}

// TestSearchesTakeTurns: more than max_concurrent wait, and are told when they
// wait too long.
func TestSearchesTakeTurns(t *testing.T) {
	s := shop(t)
	began, end := make(chan struct{}, 10), make(chan struct{})
	s.selected = func(ctx context.Context, sel store.Selection) iter.Seq2[store.Span, error] {
		return func(yield func(store.Span, error) bool) {
			began <- struct{}{}
			<-end
			for span, err := range s.Model.Select(ctx, sel) {
				if !yield(span, err) {
					return
				}
			}
		}
	}
	c := serving(t, s, func(cfg *Config) { cfg.Query.MaxConcurrent = 1; cfg.Query.Timeout = 50 * time.Millisecond })
	first := make(chan answer)
	go func() { first <- c.get(t, searchPath("{ }")) }()
	<-began
	for _, path := range []string{searchPath("{ }"), "/api/v1/graph?q={}", "/api/v1/processes/p/timeline", "/api/v1/state/e"} {
		got := c.get(t, path)
		p := got.problem(t, http.StatusServiceUnavailable)
		require.Contains(t, p.Detail, "1 run at once (query::max_concurrent of the extension)")
		require.Equal(t, "1", got.header.Get("Retry-After"))
	}
	require.Equal(t, http.StatusOK, c.get(t, pathOf(3, 4)).status, "what is cheap does not wait")
	close(end)
	(<-first).problem(t, http.StatusGatewayTimeout)

	s.selected = nil
	require.Equal(t, http.StatusOK, c.get(t, searchPath("{ }")).status)
}

func TestGate(t *testing.T) {
	g := newGate(1)
	leave, err := g.enter(t.Context())
	require.NoError(t, err)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = g.enter(gone)
	require.ErrorIs(t, err, context.Canceled)

	entered := make(chan func())
	go func() {
		next, err := g.enter(t.Context())
		if err != nil {
			panic(err)
		}
		entered <- next
	}()
	leave()
	(<-entered)()
	leave, err = g.enter(gone)
	require.NoError(t, err, "there is a place")
	leave()
}

// TestRepetitionIsBounded: a small part of what is stored may be on the way to
// much.
func TestRepetitionIsBounded(t *testing.T) {
	s := shop(t)
	spans, err := s.Trace(t.Context(), storetest.TraceID(1))
	require.NoError(t, err)
	path := query.Graph{Nodes: []query.Node{{Spans: spans}}}
	a := &api{cfg: testConfig()}
	a.cfg.Query.MaxBytes = 2000
	_, err = a.newSearchJSON(query.Answer{Spansets: []query.Spanset{{Path: path, Spans: spans}}})
	require.NoError(t, err)
	_, err = a.newSearchJSON(query.Answer{Spansets: slices.Repeat([]query.Spanset{{Path: path}}, 10)})
	var large *query.SizeError
	require.ErrorAs(t, err, &large)
	require.Equal(t, 20, large.Spans)
}

func TestBrokenSpansAreNoAnswer(t *testing.T) {
	a := &api{cfg: testConfig()}
	broken := store.Span{Bytes: []byte{0xff}}
	for name, set := range map[string]query.Spanset{
		"spans":    {Spans: []store.Span{broken}},
		"path":     {Path: query.Graph{Nodes: []query.Node{{Spans: []store.Span{broken}}}}},
		"selected": {Spans: []store.Span{{Origin: []byte{0xff}}}, Fields: []traceql.FieldExpr{traceql.Name}},
	} {
		_, err := a.newSearchJSON(query.Answer{Spansets: []query.Spanset{set}})
		require.Error(t, err, name)
	}
	_, err := selected(broken, []traceql.FieldExpr{traceql.Name}, &query.Reader{})
	require.Error(t, err)
	_, err = newStateJSON("e", query.State{Span: &broken})
	require.Error(t, err)
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{nil, "null"},
		{"a", `"a"`},
		{int64(math.MinInt64), "-9223372036854775808"},
		{0.5, "0.5"},
		{math.Inf(1), `"Infinity"`},
		{math.Inf(-1), `"-Infinity"`},
		{math.NaN(), `"NaN"`},
		{true, "true"},
		{2 * time.Second, "2000000000"},
		{traceql.StatusError, `"error"`},
		{traceql.KindConsumer, `"consumer"`},
	} {
		got, err := json.Marshal(plainJSON(c.value))
		require.NoError(t, err)
		require.Equal(t, c.want, string(got))
	}
}
