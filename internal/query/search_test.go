package query

import (
	"context"
	"encoding/base64"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/traceql"
)

func searchOptions(change func(*SearchOptions)) SearchOptions {
	opts := SearchOptions{Limit: 100, MaxSpans: 100, MaxBytes: math.MaxInt, MaxVisited: 1000}
	if change != nil {
		change(&opts)
	}
	return opts
}

// shorts returns the spansets of an answer, their spans in short.
func shorts(t *testing.T, a Answer) []string {
	out := []string{}
	for _, s := range a.Spansets {
		text, _, _ := strings.Cut(spansetText(t, s), " of ")
		out = append(out, text)
	}
	return out
}

func TestSearch(t *testing.T) {
	src := newSource(t, order()...)
	for text, want := range map[string][]string{
		`{ kind = consumer }`:              {"2.1/5"},
		`{ } | count() > 2`:                {"1.1/0 1.2/4 1.3/0"},
		`{ } | by(kind)`:                   {"3.1/0 3.2/0", "1.1/0 1.3/0", "1.2/4", "2.2/0", "2.1/5"},
		`{ kind = producer } ->> { }`:      {"2.1/5 2.2/0 3.1/0 3.2/0"},
		`{ kind = producer } -> { }`:       {"2.1/5"},
		`{ kind = consumer } <- { }`:       {"1.2/4"},
		`{ kind = consumer } <<- { }`:      {"1.1/0 1.2/4"},
		`{ .scope.event.id = "ask" } > {}`: {"1.2/4 1.3/0"},
		`({ } ->[error_propagation] { }) && { span:id = "0000000000000002" }`:             {"3.1/0 3.2/0"},
		`{ kind = consumer } ->>[parent_child,error_propagation] { span:id != ".*" }`:     {"2.2/0 3.1/0"},
		`{ } ->> { } within 1ns | { trace:id = "0a000000000000000000000000000002" }`:      {"2.1/5 2.2/0"},
		`{ trace:id = "0A000000000000000000000000000002" }`:                               {},
		`{ trace:id = "2" } || { trace:id = "zz000000000000000000000000000002" }`:         {},
		`{ span:parentID = nil && trace:id = "0a000000000000000000000000000002" } >> { }`: {"2.2/0"},
	} {
		a, err := Search(t.Context(), src, parsed(t, text), searchOptions(nil))
		require.NoError(t, err, text)
		require.Equal(t, want, shorts(t, a), text)
		require.False(t, a.Truncated)
		require.Empty(t, a.Cursor)
		require.Nil(t, a.Plan)
	}
}

// TestPath has the way from the purchase's first span to what heard of its
// failure.
func TestPath(t *testing.T) {
	src := newSource(t, order()...)
	a, err := Search(t.Context(), src, parsed(t,
		`{ .scope.event.id = "ask" } ->> { span:parentID = "0000000000000007" } | select(path, name)`), searchOptions(nil))
	require.NoError(t, err)
	require.Len(t, a.Spansets, 1)
	require.Equal(t, "1.1 1.3 3.1\nparent_child 1.1->1.3 parent 1\nerror_propagation 1.3->3.1 rule 1", a.Spansets[0].Path.text())
	require.Equal(t, []traceql.FieldExpr{traceql.Name}, a.Spansets[0].Fields)
}

func TestPathOverWhatIsMissing(t *testing.T) {
	src := newSource(t,
		spec{ref: ref(1, 1), start: 1, kind: ptrace.SpanKindProducer, links: []link{found(ref(2, 9), causal.MessageFlow).led()}},
		spec{ref: ref(2, 1), start: 2, parent: 9})
	a, err := Search(t.Context(), src, parsed(t, `{ kind = producer } ->> { trace:id = "0a000000000000000000000000000002" } | select(path)`), searchOptions(nil))
	require.NoError(t, err)
	require.Len(t, a.Spansets, 1)
	require.Equal(t, "1.1 (2.9) 2.1\nmessage_flow 1.1->2.9 rule 1\nparent_child 2.9->2.1 parent 1", a.Spansets[0].Path.text())
}

func TestCallersTypesNarrow(t *testing.T) {
	src := newSource(t, order()...)
	for _, c := range []struct {
		types []causal.Type
		query string
		want  []string
	}{
		{[]causal.Type{causal.MessageFlow}, `{ kind = producer } ->> { }`, []string{"2.1/5"}},
		{[]causal.Type{causal.MessageFlow, causal.ParentChild}, `{ kind = producer } ->>[message_flow,other] { }`, []string{"2.1/5"}},
		{[]causal.Type{causal.ParentChild}, `{ kind = producer } ->[message_flow] { }`, []string{}},
	} {
		a, err := Search(t.Context(), src, parsed(t, c.query), searchOptions(func(o *SearchOptions) { o.Types = c.types }))
		require.NoError(t, err)
		require.Equal(t, c.want, shorts(t, a), c.query)
	}
}

func TestExplain(t *testing.T) {
	src := newSource(t, order()...)
	opts := searchOptions(func(o *SearchOptions) { o.Explain = true })
	a, err := Search(t.Context(), src, parsed(t, `{ kind = consumer }`), opts)
	require.NoError(t, err)
	require.Equal(t, 1, a.Plan.Traces)
	require.Zero(t, a.Plan.Visited)
	require.Equal(t, []*Step{
		{Operator: "select", Detail: "{ kind = consumer }", Estimate: 7, Spans: 1},
		{Operator: "trace", Detail: "{ kind = consumer }", Spans: 1},
	}, a.Plan.Steps)
	a, err = Search(t.Context(), src, parsed(t, `{ trace:id = "0a000000000000000000000000000003" } <<- { trace:id = "0a000000000000000000000000000001" }`), opts)
	require.NoError(t, err)
	require.Equal(t, []string{"select", "effects", "causes"}, operators(a.Plan))
	require.Equal(t, 7, a.Plan.Visited)
}

func operators(p *Plan) (out []string) {
	for _, s := range p.Steps {
		out = append(out, s.Operator)
	}
	return out
}

func TestCursors(t *testing.T) {
	src := newSource(t, order()...)
	q := parsed(t, `{ }`)
	opts := searchOptions(func(o *SearchOptions) { o.Limit = 1 })
	a, err := Search(t.Context(), src, q, opts)
	require.NoError(t, err)
	require.True(t, a.Truncated)
	opts.Cursor = a.Cursor
	_, err = Search(t.Context(), src, q, opts)
	require.NoError(t, err)
	opts.Limit, opts.MaxSpans = 2, 1 // another page size is no other search
	_, err = Search(t.Context(), src, q, opts)
	require.NoError(t, err)

	var bad *CursorError
	for name, change := range map[string]func(*SearchOptions){
		"range":      func(o *SearchOptions) { o.Range.Start = 1 },
		"types":      func(o *SearchOptions) { o.Types = []causal.Type{causal.Other} },
		"confidence": func(o *SearchOptions) { o.MinConfidence = 0.5 },
	} {
		other := opts
		change(&other)
		_, err = Search(t.Context(), src, q, other)
		require.ErrorAs(t, err, &bad, name)
		require.EqualError(t, err, "the cursor belongs to a search with another query, time range or filter of edges")
	}
	_, err = Search(t.Context(), src, parsed(t, `{ kind = server }`), opts)
	require.ErrorAs(t, err, &bad)
	for _, cursor := range []string{"x", "====", base64.RawURLEncoding.EncodeToString(make([]byte, cursorBytes+1)), a.Cursor + "A"} {
		opts.Cursor = cursor
		_, err = Search(t.Context(), src, q, opts)
		require.ErrorAs(t, err, &bad)
		require.EqualError(t, err, `cursor "`+cursor+`" is not one that a search gave`)
	}
}

func TestUnsupported(t *testing.T) {
	bad := &traceql.Comparison{Op: traceql.RegexMatch, Left: traceql.Name, Right: traceql.Literal{Kind: traceql.LiteralString, Text: "("}}
	filter := func(e traceql.FieldExpr) *traceql.Filter { return &traceql.Filter{Expr: e} }
	ok := filter(nil)
	for name, p := range map[string]traceql.Pipeline{
		"no source":    {},
		"expression":   {Source: filter(bad)},
		"not":          {Source: filter(&traceql.Not{X: bad})},
		"left":         {Source: filter(&traceql.Logic{Left: bad, Right: traceql.Name})},
		"right":        {Source: filter(&traceql.Logic{Left: traceql.Name, Right: bad})},
		"stage":        {Source: ok, Stages: []traceql.Stage{filter(bad)}},
		"left source":  {Source: &traceql.SpansetOperation{Left: filter(bad), Right: ok}},
		"right source": {Source: &traceql.SpansetOperation{Left: ok, Right: filter(bad)}},
		"nested":       {Source: &traceql.Nested{Pipeline: traceql.Pipeline{Source: filter(bad)}}},
		"operand": {Source: &traceql.SpansetOperation{Left: ok, Right: &traceql.Nested{
			Pipeline: traceql.Pipeline{Source: filter(bad)}}}},
		"type": {Source: &traceql.SpansetOperation{Op: traceql.OpLedTo, Left: ok, Right: ok, Types: []string{"magic"}}},
	} {
		_, err := Search(t.Context(), newSource(t), &traceql.Query{Pipeline: p}, searchOptions(nil))
		var unsupported *UnsupportedError
		require.ErrorAs(t, err, &unsupported, name)
		require.NotEmpty(t, err.Error())
	}
}

// dense are n spans that each name all others as causes.
func dense(n int) []spec {
	var specs []spec
	for i := range n {
		s := spec{ref: ref(uint64(i%7)+1, uint64(i+1)), start: uint64(i)}
		for j := range n {
			s.links = append(s.links, found(ref(uint64(j%7)+1, uint64(j+1)), causal.StateTransition))
		}
		specs = append(specs, s)
	}
	return specs
}

func TestBounds(t *testing.T) {
	src := newSource(t, dense(60)...)
	size := 0
	for _, s := range dense(60) {
		size += len(s.encoded().Bytes) + len(s.encoded().Origin)
	}
	all := func(o *SearchOptions) {}
	for _, c := range []struct {
		query  string
		change func(*SearchOptions)
		want   string // of the error; "" for an answer
	}{
		{`{ } ->> { }`, all, ""},
		{`{ } ->> { }`, func(o *SearchOptions) { o.MaxVisited = 40 }, "go over more than 40 spans (query::max_visited)"},
		{`{ } -> { }`, func(o *SearchOptions) { o.MaxVisited = 40 }, "query::max_visited"},
		{`{ } <<- { }`, func(o *SearchOptions) { o.MaxVisited = 59 }, "query::max_visited"},
		{`{ } ->> { }`, func(o *SearchOptions) { o.MaxVisited = 100 }, "go along more than 1600 edges (16 for each of query::max_visited spans)"},
		{`{ } ->> { } within 1ns`, func(o *SearchOptions) { o.MaxVisited = 1000 }, "within would look at more than 100000 pairs"},
		{`{ }`, func(o *SearchOptions) { o.MaxBytes = size / 20 }, "hold more than"},
		{`{ } ->> { }`, func(o *SearchOptions) { o.MaxBytes = size / 20 }, "query::max_bytes"},
		{`{ } ->> { } | { true }`, func(o *SearchOptions) { o.MaxBytes = size / 2 }, "query::max_bytes"},
		{`{ } <<- { }`, func(o *SearchOptions) { o.MaxBytes = size + 400*edgeBytes }, "query::max_bytes"},
		{`{ } ->> { } | select(path)`, func(o *SearchOptions) { o.MaxBytes = size + 20_000*edgeBytes }, ""},
	} {
		a, err := Search(t.Context(), src, parsed(t, c.query), searchOptions(c.change))
		if c.want == "" {
			require.NoError(t, err, c.query)
			require.Len(t, a.Spansets, 1)
			require.Equal(t, 60, a.Spansets[0].Matched)
			continue
		}
		var bound *BoundError
		require.ErrorAs(t, err, &bound, c.query)
		require.ErrorContains(t, err, c.want, c.query)
	}
}

// TestPageUpToABound answers with what was found before a bound, and goes on
// from there.
func TestPageUpToABound(t *testing.T) {
	var specs []spec
	for i := range uint64(40) {
		specs = append(specs, spec{ref: ref(2*i+1, 1), start: i, kind: ptrace.SpanKindProducer},
			spec{ref: ref(2*i+2, 1), start: i, kind: ptrace.SpanKindConsumer, links: []link{{to: ref(2*i+1, 1)}}})
	}
	src := newSource(t, specs...)
	opts := searchOptions(func(o *SearchOptions) { o.MaxVisited, o.batch = 30, 2 })
	q := parsed(t, `{ kind = producer } -> { kind = consumer }`)
	found, searches := 0, 0
	for {
		a, err := Search(t.Context(), src, q, opts)
		require.NoError(t, err)
		found += len(a.Spansets)
		searches++
		if opts.Cursor = a.Cursor; !a.Truncated {
			break
		}
	}
	require.Equal(t, 40, found)
	require.Greater(t, searches, 2)
}

func TestSearchIsCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, text := range []string{`{ }`, `{ } ->> { }`, `{ } >> { }`} {
		_, err := Search(ctx, newSource(t, order()...), parsed(t, text), searchOptions(nil))
		require.ErrorIs(t, err, context.Canceled)
	}
}

// TestManyReferringOnes has more effects than are asked for at once, and more
// than may be gone over.
func TestManyReferringOnes(t *testing.T) {
	specs := []spec{{ref: ref(1, 1), kind: ptrace.SpanKindServer}}
	for i := range uint64(3 * atOnce) {
		specs = append(specs, spec{ref: ref(2, i+1), start: i, links: []link{found(ref(1, 1), causal.MessageFlow)}})
	}
	src := newSource(t, specs...)
	q := parsed(t, `{ kind = server } -> { kind = unspecified }`)
	opts := searchOptions(func(o *SearchOptions) { o.MaxVisited = 10_000 })
	a, err := Search(t.Context(), src, q, opts)
	require.NoError(t, err)
	require.Equal(t, 3*atOnce, a.Spansets[0].Matched)
	require.Len(t, a.Spansets[0].Spans, 100)
	require.Equal(t, "2.1/0", shorts(t, a)[0][:5], "the earliest are shown")

	var bound *BoundError
	effects := parsed(t, `{ kind = unspecified } <<- { kind = server }`)
	opts.MaxVisited = 3*atOnce - 1
	_, err = Search(t.Context(), src, effects, opts)
	require.ErrorAs(t, err, &bound)
	require.ErrorContains(t, err, "query::max_visited")
	opts.MaxVisited, opts.MaxBytes = 10_000, 50_000
	_, err = Search(t.Context(), src, effects, opts)
	require.ErrorAs(t, err, &bound)
	require.ErrorContains(t, err, "query::max_bytes")
}

// many says that there is much to look at, so that no plan is for little.
type many struct{ SearchSource }

func (many) Estimate(context.Context, store.Selection) (int64, error) { return 1 << 20, nil }

// TestSpansetsAreWhole finds spansets from the right, one span at a time, that
// are interleaved, and that are found before their turn.
func TestSpansetsAreWhole(t *testing.T) {
	producer := func(trace, span, start uint64) spec {
		return spec{ref: ref(trace, span), start: start, kind: ptrace.SpanKindProducer}
	}
	consumer := func(span, start uint64, of ...causal.SpanRef) spec {
		s := spec{ref: ref(9, span), start: start, kind: ptrace.SpanKindConsumer}
		for _, r := range of {
			s.links = append(s.links, link{to: r})
		}
		return s
	}
	for name, c := range map[string]struct {
		query string
		specs []spec
		want  []string
	}{
		"interleaved": {
			`{ kind = producer } -> { kind = consumer }`,
			[]spec{
				producer(1, 1, 1), producer(2, 1, 1), producer(3, 1, 1),
				consumer(1, 100, ref(1, 1)), consumer(2, 90, ref(2, 1)), consumer(3, 80, ref(3, 1)), consumer(4, 10, ref(1, 1)),
			},
			[]string{"9.4/5 9.1/5", "9.2/5", "9.3/5"},
		},
		"before its turn": {
			`{ kind = producer } -> { kind = consumer } within 5ns`,
			[]spec{
				producer(1, 1, 100), producer(2, 1, 10), producer(2, 2, 20), producer(3, 1, 58),
				consumer(1, 102, ref(1, 1), ref(2, 1)), consumer(2, 60, ref(3, 1)), consumer(3, 22, ref(2, 2)),
			},
			[]string{"9.1/5", "9.2/5", "9.3/5"},
		},
	} {
		for limit := 1; limit <= 4; limit++ {
			opts := searchOptions(func(o *SearchOptions) { o.Limit, o.batch = limit, 1 })
			got := []string{}
			for {
				a, err := Search(t.Context(), many{newSource(t, c.specs...)}, parsed(t, c.query), opts)
				require.NoError(t, err)
				got = append(got, shorts(t, a)...)
				if opts.Cursor = a.Cursor; !a.Truncated {
					break
				}
			}
			require.Equal(t, c.want, got, "%s, %d at once", name, limit)
		}
	}
}

// TestFromTheRightAfterAll has a span on the left that led to more than may be
// gone over.
func TestFromTheRightAfterAll(t *testing.T) {
	specs := []spec{{ref: ref(1, 1), kind: ptrace.SpanKindServer}}
	for i := range uint64(100) {
		specs = append(specs, spec{ref: ref(1, i+2), start: i, parent: 1})
	}
	src := newSource(t, specs...)
	for _, text := range []string{
		`{ trace:id = "0a000000000000000000000000000001" && kind = server } ->> { span:id = "0000000000000003" }`,
		`{ trace:id = "0a000000000000000000000000000001" && kind = server } ->> { span:id = "0000000000000003" } | select(path)`,
	} {
		a, err := Search(t.Context(), src, parsed(t, text), searchOptions(func(o *SearchOptions) { o.MaxVisited = 50 }))
		require.NoError(t, err)
		require.Equal(t, []string{"1.3/0"}, shorts(t, a))
	}
	_, err := Search(t.Context(), src, parsed(t, `{ trace:id = "0a000000000000000000000000000001" && kind = server } ->> { }`),
		searchOptions(func(o *SearchOptions) { o.MaxVisited = 50 }))
	var bound *BoundError
	require.ErrorAs(t, err, &bound)
}

// promising is a source that promises so many spans for one filter after the
// other.
type promising struct {
	SearchSource
	estimates []int64
}

func (p *promising) Estimate(context.Context, store.Selection) (int64, error) {
	first := p.estimates[0]
	p.estimates = p.estimates[1:]
	return first, nil
}

// TestTurningToTheLeft: what was given from the right does not come again, and
// what was not still comes.
func TestTurningToTheLeft(t *testing.T) {
	var specs []spec
	for trace := range uint64(24) {
		kind := ptrace.SpanKindServer
		if trace < 4 || trace >= 20 {
			kind = ptrace.SpanKindProducer
		}
		specs = append(specs,
			spec{ref: ref(trace+1, 1), kind: kind, start: 10 * trace},
			spec{ref: ref(trace+1, 2), parent: 1, kind: ptrace.SpanKindConsumer, start: 10*trace + 1})
	}
	src := newSource(t, specs...)
	search := func(patience int) Answer {
		opts := searchOptions(func(o *SearchOptions) { o.Explain, o.batch, o.patience = true, 1, patience })
		a, err := Search(t.Context(), &promising{src, []int64{100_000, 150_000}}, parsed(t, `{ kind = producer } ->> { kind = consumer }`), opts)
		require.NoError(t, err)
		return a
	}
	straight, turning := search(1_000), search(1)
	require.Equal(t, []string{"select", "causes", "effects"}, operators(straight.Plan))
	require.Equal(t, []string{"select", "causes", "effects", "select", "effects"}, operators(turning.Plan))
	require.Len(t, turning.Spansets, 8)
	require.Equal(t, shorts(t, straight), shorts(t, turning))
}
