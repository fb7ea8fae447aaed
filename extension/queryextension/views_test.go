package queryextension

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/otelscope/otelscope/extension/queryextension/internal/metadata"
	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
	"github.com/otelscope/otelscope/internal/views"
)

// storing is the extension over the real store on a file system in memory,
// that cuts a block every so many spans.
type storing struct {
	*client
	t        *testing.T
	fs       *memfs.FS
	cutSpans int
	change   func(*store.Config)
}

func newStoring(t *testing.T, cutSpans int) *storing {
	s := &storing{t: t, fs: memfs.New(), cutSpans: cutSpans}
	s.start()
	t.Cleanup(s.stop)
	return s
}

func (s *storing) start() {
	e := newExtension(testConfig(), extensiontest.NewNopSettings(metadata.Type), func(_ StorageConfig, f store.Follower, _ *zap.Logger) (store.Store, error) {
		cfg := store.Config{Directory: "/data", FS: s.fs, CutSpans: s.cutSpans, ReserveBytes: -1, Follower: f}
		if s.change != nil {
			s.change(&cfg)
		}
		return store.Open(cfg)
	})
	require.NoError(s.t, e.Start(s.t.Context(), componenttest.NewNopHost()))
	s.client = &client{extension: e, url: "http://" + e.listener.Addr().String()}
	s.client.http.Transport = &http.Transport{DisableKeepAlives: true}
}

func (s *storing) stop() { require.NoError(s.t, s.extension.Shutdown(context.Background())) }

func (s *storing) restart() {
	s.stop()
	s.start()
}

// crash goes on with what a power cut leaves.
func (s *storing) crash(random *rand.Rand) {
	after := s.fs.Crash(random)
	s.stop()
	s.fs = after
	s.start()
}

// randomSpan makes span n of a web of activities in three services.
func randomSpan(random *rand.Rand, n uint64, state string) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	if service := random.IntN(4); service > 0 {
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprint("s", service))
		rs.Resource().Attributes().PutStr("service.instance.id", fmt.Sprint("n", random.IntN(2)))
	}
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(storetest.TraceID(1 + n%7))
	span.SetSpanID(storetest.SpanID(n))
	if random.IntN(3) > 0 {
		span.SetParentSpanID(storetest.SpanID(n - n%7 + random.Uint64N(70)))
	}
	span.SetName(fmt.Sprint("op ", random.IntN(5)))
	span.SetKind(ptrace.SpanKind(1 + n%5))
	span.SetStartTimestamp(pcommon.Timestamp(1_000 + random.Uint64N(1_000_000)))
	span.SetEndTimestamp(span.StartTimestamp() + pcommon.Timestamp(random.Uint64N(1_000_000)))
	if random.IntN(4) == 0 {
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage(fmt.Sprint("failure ", random.IntN(2)))
		if random.IntN(2) == 0 {
			span.Attributes().PutStr("error.type", "timeout")
		}
	}
	if random.IntN(2) == 0 {
		span.Attributes().PutStr(causal.AttrProcessID, fmt.Sprint("p", random.IntN(9)))
		if random.IntN(9) == 0 {
			span.Attributes().PutStr(causal.AttrEventKind, "exit")
		}
	}
	if state != "" {
		span.Attributes().PutStr(causal.AttrCallState, state)
	}
	for range random.IntN(3) {
		other := 1 + random.Uint64N(n+20)
		link := span.Links().AppendEmpty()
		link.SetTraceID(storetest.TraceID(1 + other%7))
		link.SetSpanID(storetest.SpanID(other))
		if random.IntN(3) > 0 {
			link.Attributes().PutStr(causal.AttrLinkType, string(causal.Types[random.IntN(len(causal.Types))]))
			link.Attributes().PutStr(causal.AttrLinkRule, "r")
		}
		if random.IntN(3) == 0 {
			link.Attributes().PutStr(causal.AttrLinkRole, causal.LinkRoleEffect)
		}
	}
	return td
}

// computed is what a full computation says, by the answers' keys.
type computed map[string]string

// compute goes over all spans and edges that are stored.
func compute(t *testing.T, s store.Store) computed {
	all := map[causal.SpanRef]spanJSON{}
	counts := map[string]int{}
	for stored, err := range s.Scan(t.Context(), store.ScanOptions{}) {
		require.NoError(t, err)
		p, err := storetest.Decode(stored)
		require.NoError(t, err)
		span := newSpanJSON(p.Traces.ResourceSpans().At(0).Resource(), p.Span())
		ref := causal.SpanRef{TraceID: p.Span().TraceID(), SpanID: p.Span().SpanID()}
		if _, again := all[ref]; again {
			continue
		}
		all[ref] = span
		failed := span.Status == "error"
		count(counts, failed, "service", span.Service)
		count(counts, failed, "operation", span.Service, span.Name, span.Kind)
		if failed {
			counts[fmt.Sprint("failure", []string{span.Service, span.Name, failureOf(span)})]++
		}
		if span.Process != "" {
			count(counts, failed, "process", span.Service, span.Node, span.Process)
		}
	}
	for edges, err := range query.Edges(t.Context(), s, query.Filter{}, query.Range{}) {
		require.NoError(t, err)
		for _, e := range edges {
			cause, known := all[e.Cause.Ref]
			effect, also := all[e.Effect.Ref]
			if !known || !also {
				continue
			}
			failed := effect.Status == "error"
			count(counts, failed, "edge", cause.Service, effect.Service, string(e.Type))
			if e.Type == causal.ErrorPropagation && cause.Status == "error" {
				count(counts, !failed, "lead", cause.Service, cause.Name, failureOf(cause), effect.Service, effect.Name)
			}
		}
	}
	found := computed{}
	for key, n := range counts {
		found[key] = strconv.Itoa(n)
	}
	return found
}

// count counts what has a key, and what of it is special.
func count(counts map[string]int, special bool, kind string, key ...string) {
	counts[fmt.Sprint(kind, key)]++
	counts[fmt.Sprint(kind, key, " special")] += 0
	if special {
		counts[fmt.Sprint(kind, key, " special")]++
	}
}

func failureOf(span spanJSON) string {
	if kind, ok := span.Attributes["error.type"]; ok {
		return kind.(string)
	}
	return span.StatusMessage
}

// answered is what the views say.
func (s *storing) answered() computed {
	found := computed{}
	note := func(n, special uint64, kind string, key ...string) {
		found[fmt.Sprint(kind, key)] = strconv.FormatUint(n, 10)
		found[fmt.Sprint(kind, key, " special")] = strconv.FormatUint(special, 10)
	}
	var graph serviceGraphJSON
	s.get(s.t, "/api/v1/views/service_graph?limit=1000").into(s.t, &graph)
	for _, v := range graph.Services {
		note(v.Spans, v.Errors, "service", v.Service)
	}
	for _, e := range graph.Edges {
		note(e.Count, e.Errors, "edge", e.Cause, e.Effect, string(e.Type))
	}
	var ops operationsJSON
	s.get(s.t, "/api/v1/views/operations?limit=1000").into(s.t, &ops)
	for _, o := range ops.Operations {
		note(o.Count, o.Errors, "operation", o.Service, o.Name, o.Kind)
	}
	var errs failuresJSON
	s.get(s.t, "/api/v1/views/errors?limit=1000").into(s.t, &errs)
	for _, f := range errs.Errors {
		found[fmt.Sprint("failure", []string{f.Service, f.Name, f.Error})] = strconv.FormatUint(f.Count, 10)
		for _, l := range f.LeadsTo {
			note(l.Count, l.Recovered, "lead", f.Service, f.Name, f.Error, l.Service, l.Name)
		}
	}
	var tree processesJSON
	s.get(s.t, "/api/v1/processes?limit=1000").into(s.t, &tree)
	for _, p := range tree.Processes {
		if p.Spans > 0 {
			note(p.Spans, p.Errors, "process", p.Service, p.Node, p.Process)
		}
	}
	return found
}

// TestViewsEqualAFullComputation writes a web of spans, some several times and
// some as open calls first, through cuts, restarts and power cuts.
func TestViewsEqualAFullComputation(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 5))
			s := newStoring(t, 20+random.IntN(60))
			var sent []ptrace.Traces
			for n := range uint64(300) {
				fill := random.Uint64()
				if random.IntN(8) == 0 {
					open := randomSpan(rand.New(rand.NewPCG(fill, 0)), 1+n, causal.CallOpen)
					write(t, s.extension.store, open)
					sent = append(sent, open)
				}
				td := randomSpan(rand.New(rand.NewPCG(fill, 0)), 1+n, "")
				sent = append(sent, td)
				write(t, s.extension.store, td, sent[random.IntN(len(sent))])
				switch random.IntN(60) {
				case 0:
					s.restart()
				case 1:
					s.crash(random)
				case 2:
					s.answered() // looks ends up
				}
			}
			require.Equal(t, compute(t, s.extension.store), s.answered())
			require.Positive(t, s.extension.store.Stats().Blocks)
			s.restart()
			require.Equal(t, compute(t, s.extension.store), s.answered())
		})
	}
}

// TestViewsAreUpToDate asks after each write, for the edge that it makes.
func TestViewsAreUpToDate(t *testing.T) {
	s := newStoring(t, 1000)
	for n := range uint64(50) {
		write(t, s.extension.store, storetest.Traces(storetest.Spec{Service: "a", Trace: 1, Span: 1 + n, Parent: n, Name: "op", Start: 5 * n}))
		var graph serviceGraphJSON
		s.get(t, "/api/v1/views/service_graph").into(t, &graph)
		require.Equal(t, []serviceJSON{{"a", 1 + n, 0}}, graph.Services)
		if n > 0 {
			require.Equal(t, n, graph.Edges[0].Count)
		}
	}
}

func TestViewsOfTheExample(t *testing.T) {
	s := newStoring(t, 1000)
	spawn := func(span ptrace.Span) {
		span.SetSpanID(storetest.SpanID(20))
		span.Attributes().PutStr(causal.AttrProcessID, "<0.90.0>")
		link := span.Links().AppendEmpty()
		link.SetTraceID(storetest.TraceID(7))
		link.SetSpanID(storetest.SpanID(9))
		link.Attributes().PutStr(causal.AttrLinkType, string(causal.ProcessSpawn))
	}
	exit := func(span ptrace.Span) {
		span.SetSpanID(storetest.SpanID(21))
		span.SetStartTimestamp(span.StartTimestamp() + 1e9)
		span.SetEndTimestamp(span.StartTimestamp() + 500)
		span.Attributes().PutStr(causal.AttrProcessID, "<0.90.0>")
		span.Attributes().PutStr(causal.AttrEventKind, "exit")
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage("killed")
	}
	write(t, s.extension.store, native("pay", "n1", "a"), native("pay", "n1", "b", spawn), native("pay", "n1", "c", exit))

	var tree processesJSON
	s.get(t, "/api/v1/views/processes?service=pay").into(t, &tree)
	require.Equal(t, []processJSON{
		{processKeyJSON: processKeyJSON{"pay", "n1", "<0.83.0>"}, FirstName: "send order", Spans: 1, First: "1700000000000000001", Last: "1700000000000000001"},
		{
			processKeyJSON: processKeyJSON{"pay", "n1", "<0.90.0>"}, FirstName: "send order", Spans: 2, Errors: 1,
			Parent: &processKeyJSON{"pay", "n1", "<0.83.0>"}, First: "1700000000000000001", Last: "1700000001000000001", Exited: true,
		},
	}, tree.Processes)
	var ops operationsJSON
	s.get(t, "/api/v1/views/operations").into(t, &ops)
	require.Equal(t, []operationJSON{{
		Service: "pay", Name: "send order", Kind: "producer", Count: 3, Errors: 1, Rate: 2,
		First: "1700000000000000001", Last: "1700000001000000001",
		Duration: durationsJSON{quantilesJSON{1, 500, 500}, 500},
	}}, ops.Operations)
	var errs failuresJSON
	s.get(t, "/api/v1/views/errors?service=pay").into(t, &errs)
	require.Equal(t, []failureJSON{{
		Service: "pay", Name: "send order", Error: "killed", Count: 1, First: "1700000001000000001", Last: "1700000001000000001",
		Example: exampleJSON{storetest.TraceID(7).String(), storetest.SpanID(21).String()}, LeadsTo: []leadJSON{},
	}}, errs.Errors)
	for path, rows := range map[string]string{
		"/api/v1/views/errors?service=cart": `"errors":[]`, "/api/v1/processes?service=cart": `"processes":[]`,
		"/api/v1/processes?node=n2": `"processes":[]`, "/api/v1/views/service_graph?service=cart": `"edges":[]`,
		"/api/v1/views/operations?service=cart": `"operations":[]`,
	} {
		require.Contains(t, string(s.get(t, path).body), rows)
	}
	var list viewsJSON
	s.get(t, "/api/v1/views").into(t, &list)
	require.Len(t, list.Views, 4)
	require.Equal(t, 2, list.Views[3].Rows)
	require.Zero(t, list.MissingParts)
}

func TestViewsComeInPages(t *testing.T) {
	s := newStoring(t, 1000)
	for n := range uint64(7) {
		write(t, s.extension.store, storetest.Traces(storetest.Spec{Service: "a", Trace: 1, Span: 1 + n, Name: fmt.Sprint(n)}))
	}
	var names []string
	for cursor := ""; ; {
		var page operationsJSON
		s.get(t, "/api/v1/views/operations?limit=3&cursor="+cursor).into(t, &page)
		for _, o := range page.Operations {
			names = append(names, o.Name)
		}
		require.Equal(t, page.Truncated, page.Cursor != "")
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	require.Equal(t, []string{"0", "1", "2", "3", "4", "5", "6"}, names)
}

func TestUnknownView(t *testing.T) {
	c := serving(t, newFaulty())
	p := c.get(t, "/api/v1/views/everything").problem(t, 404)
	require.Equal(t, "name", p.Parameter)
	for _, name := range []string{views.ServiceGraph, views.OperationsView, views.ErrorsView, views.ProcessesView} {
		require.Contains(t, p.Detail, name)
	}
	require.Equal(t, "cursor", c.get(t, "/api/v1/views/errors?cursor=bm8").problem(t, 400).Parameter)
}

// TestBlocksWithoutASummary: a store from before there were views says that
// they do not know all.
func TestBlocksWithoutASummary(t *testing.T) {
	s := newStoring(t, 10)
	s.stop()
	s.change = func(cfg *store.Config) { cfg.Follower = nil }
	s.start()
	for n := range uint64(25) {
		write(t, s.extension.store, storetest.Traces(storetest.Spec{Service: "old", Trace: 1, Span: 1 + n}))
	}
	s.change = nil
	require.Eventually(t, func() bool { return s.extension.store.Stats().Blocks > 0 }, waitFor, tick)
	s.restart()
	var ops operationsJSON
	s.get(t, "/api/v1/views/operations").into(t, &ops)
	require.Positive(t, ops.MissingParts)
	require.True(t, len(ops.Operations) == 0 || strings.HasPrefix(ops.Operations[0].Service, "old"))
}

// TestDocsOfViewsAreRight makes the call in docs/views.md.
func TestDocsOfViewsAreRight(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	order, err := os.ReadFile(filepath.Join(docs, "api-examples", "order.json"))
	require.NoError(t, err)
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(order)
	require.NoError(t, err)
	s := newStoring(t, 1000)
	write(t, s.extension.store, td)
	text, err := os.ReadFile(filepath.Join(docs, "views.md"))
	require.NoError(t, err)
	examples := docExample.FindAllStringSubmatch(string(text), -1)
	require.Len(t, examples, 1)
	require.JSONEq(t, examples[0][4], string(s.get(t, docPath(examples[0][1], examples[0][2])).body))
}

// TestEdgesToOpenCallsWait until the call is complete, and says how it ended.
func TestEdgesToOpenCallsWait(t *testing.T) {
	s := newStoring(t, 1000)
	call := native("a", "", "call", func(span ptrace.Span) { span.Attributes().PutStr(causal.AttrCallState, causal.CallOpen) })
	inner := native("a", "", "inner", func(span ptrace.Span) {
		span.SetSpanID(storetest.SpanID(10))
		span.SetParentSpanID(storetest.SpanID(9))
		link := span.Links().AppendEmpty()
		link.SetTraceID(span.TraceID())
		link.SetSpanID(storetest.SpanID(9))
		link.Attributes().PutStr(causal.AttrLinkRole, causal.LinkRoleEffect)
		link.Attributes().PutStr(causal.AttrLinkType, string(causal.ErrorPropagation))
	})
	write(t, s.extension.store, call, inner)
	var graph serviceGraphJSON
	s.get(t, "/api/v1/views/service_graph").into(t, &graph)
	require.Empty(t, graph.Edges)
	require.Equal(t, []serviceJSON{{"a", 1, 0}}, graph.Services)
	write(t, s.extension.store, native("a", "", "call", func(span ptrace.Span) { span.Status().SetCode(ptrace.StatusCodeError) }))
	s.get(t, "/api/v1/views/service_graph").into(t, &graph)
	require.Len(t, graph.Edges, 2)
	require.Equal(t, causal.ErrorPropagation, graph.Edges[0].Type)
	require.EqualValues(t, 1, graph.Edges[0].Errors)
	require.EqualValues(t, 0, graph.Edges[1].Errors)
}

// TestViewsOutliveMerges lets small blocks be merged.
func TestViewsOutliveMerges(t *testing.T) {
	s := newStoring(t, 1000)
	s.stop()
	s.change = func(cfg *store.Config) { cfg.CutAge = tick }
	s.start()
	random := rand.New(rand.NewPCG(1, 5))
	for n := uint64(0); s.extension.store.Stats().Compactions == 0; n++ {
		write(t, s.extension.store, randomSpan(random, 1+n, ""))
		time.Sleep(tick) // for blocks of a few spans
	}
	require.Equal(t, compute(t, s.extension.store), s.answered())
	s.restart()
	require.Equal(t, compute(t, s.extension.store), s.answered())
}
