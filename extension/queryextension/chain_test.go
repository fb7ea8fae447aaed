package queryextension

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// step is a span of a test, named trace.span, with what the correlation rules
// linked to it.
type step struct {
	trace, span uint64
	parent      uint64
	event       string
	start       uint64
	group       string
	failed      bool
	links       []linked
}

type linked struct {
	trace, span uint64
	linkType    causal.Type
	confidence  float64
	effect      bool
}

func (s step) traces() ptrace.Traces {
	return native("shop", "n1", s.event, func(span ptrace.Span) {
		span.SetTraceID(storetest.TraceID(s.trace))
		span.SetSpanID(storetest.SpanID(s.span))
		span.SetName(s.event)
		if s.parent != 0 {
			span.SetParentSpanID(storetest.SpanID(s.parent))
		}
		span.SetStartTimestamp(pcommon.Timestamp(s.start))
		span.SetEndTimestamp(pcommon.Timestamp(s.start + 1))
		if s.group != "" {
			span.Attributes().PutStr(causal.AttrCorrelationID, s.group)
		}
		if s.failed {
			span.Status().SetCode(ptrace.StatusCodeError)
			span.Status().SetMessage("card declined")
		}
		for _, l := range s.links {
			link := span.Links().AppendEmpty()
			link.SetTraceID(storetest.TraceID(l.trace))
			link.SetSpanID(storetest.SpanID(l.span))
			link.Attributes().PutStr(causal.AttrLinkType, string(l.linkType))
			link.Attributes().PutDouble(causal.AttrLinkConfidence, l.confidence)
			link.Attributes().PutStr(causal.AttrLinkRule, "rule")
			if l.effect {
				link.Attributes().PutStr(causal.AttrLinkRole, causal.LinkRoleEffect)
			}
		}
	})
}

// shop is an order that fails: its message is taken by a call, whose failure
// a supervisor hears of. The call's clock is behind. The call's parent is not
// stored.
func shop(t *testing.T) *faulty {
	s := newFaulty()
	for _, step := range []step{
		{trace: 1, span: 1, event: "order", start: 100, group: "basket/3"},
		{trace: 1, span: 2, parent: 1, event: "send", start: 110},
		{trace: 2, span: 3, parent: 77, event: "charge", start: 50, failed: true, links: []linked{
			{trace: 1, span: 2, linkType: causal.MessageFlow, confidence: 0.9},
			{trace: 3, span: 4, linkType: causal.ErrorPropagation, confidence: 1, effect: true},
		}},
		{trace: 3, span: 4, event: "hear", start: 300},
		{trace: 3, span: 5, event: "retry", start: 310, links: []linked{
			{trace: 3, span: 4, linkType: causal.StateTransition, confidence: 1},
		}},
	} {
		write(t, s, step.traces())
	}
	return s
}

func pathOf(trace, span uint64) string {
	return "/api/v1/traces/" + storetest.TraceID(trace).String() + "/spans/" + storetest.SpanID(span).String() + "/chain"
}

// brief lists nodes by their events, and edges as cause>effect.
func (g graphJSON) brief() (nodes, edges string) {
	events := map[string]string{}
	var names, ways []string
	for _, n := range g.Nodes {
		names = append(names, n.EventID)
		events[n.SpanID] = n.EventID
	}
	for _, e := range g.Edges {
		ways = append(ways, e.Cause.brief()+">"+e.Effect.brief())
	}
	return strings.Join(names, " "), strings.Join(ways, " ")
}

func (e endJSON) brief() string {
	if e.EventID == nil {
		return "?"
	}
	return *e.EventID
}

func TestChainOfAnEvent(t *testing.T) {
	c := serving(t, shop(t))
	for query, want := range map[string]struct {
		nodes, edges string
		truncated    bool
	}{
		"":                               {"order send charge hear retry", "?>charge order>send send>charge charge>hear hear>retry", false},
		"?direction=causes":              {"order send charge", "?>charge order>send send>charge", false},
		"?direction=causes&depth=1":      {"send charge", "?>charge send>charge", true},
		"?direction=effects":             {"charge hear retry", "charge>hear hear>retry", false},
		"?limit=1":                       {"charge", "", true},
		"?types=error_propagation":       {"charge hear", "charge>hear", false},
		"?types=other,message_flow":      {"send charge", "send>charge", false},
		"?min_confidence=0.95&depth=1":   {"charge hear", "?>charge charge>hear", true},
		"?service=shop&node=n1&depth=10": {"order send charge hear retry", "?>charge order>send send>charge charge>hear hear>retry", false},
	} {
		var got chainJSON
		c.get(t, "/api/v1/events/charge/chain"+query).into(t, &got)
		nodes, edges := got.brief()
		require.Equal(t, want.nodes, nodes, query)
		require.Equal(t, want.edges, edges, query)
		require.Equal(t, want.truncated, got.Truncated, query)
		require.Equal(t, "charge", got.Root.brief())

		var bySpan, byGraph chainJSON
		if !strings.Contains(query, "service") {
			c.get(t, pathOf(2, 3)+query).into(t, &bySpan)
			require.Equal(t, got, bySpan, query)
		}
		c.get(t, "/api/v1/graph?event=charge&"+strings.TrimPrefix(query, "?")).into(t, &byGraph)
		require.Equal(t, got, byGraph, query)
	}
}

func TestChainSaysAllOfSpansAndEdges(t *testing.T) {
	c := serving(t, shop(t))
	got := c.get(t, "/api/v1/events/charge/chain?direction=causes&depth=1")
	require.Contains(t, string(got.body), `"edges":[`+
		`{"type":"parent_child","confidence":1,"rule":"parent",`+
		`"cause":{"trace_id":"`+storetest.TraceID(2).String()+`","span_id":"000000000000004d","missing":true},`+
		`"effect":{"trace_id":"`+storetest.TraceID(2).String()+`","span_id":"0000000000000003","event_id":"charge"}},`+
		`{"type":"message_flow","confidence":0.9,"rule":"rule",`+
		`"cause":{"trace_id":"`+storetest.TraceID(1).String()+`","span_id":"0000000000000002","event_id":"send"},`+
		`"effect":{"trace_id":"`+storetest.TraceID(2).String()+`","span_id":"0000000000000003","event_id":"charge"}}],"truncated":true}`)
	var answer chainJSON
	got.into(t, &answer)
	var span eventJSON
	c.get(t, "/api/v1/events/charge").into(t, &span)
	require.Equal(t, span.spanJSON, answer.Nodes[1])
	require.Equal(t, "card declined", answer.Nodes[1].StatusMessage)
}

func TestBadChains(t *testing.T) {
	c := serving(t, shop(t))
	trace, span := storetest.TraceID(2).String(), storetest.SpanID(3).String()
	shared := map[string][2]string{
		"direction=up":         {"direction", `"up" is not allowed: must be both, causes or effects`},
		"types=magic":          {"types", `"magic" is no type of edges: must be parent_child, message_flow, state_transition, error_propagation, process_spawn or other, several with commas between`},
		"types=other,":         {"types", `"" is no type of edges: must be`},
		"min_confidence=1.5":   {"min_confidence", `"1.5" is not allowed: must be a number from 0 to 1`},
		"min_confidence=-0.1":  {"min_confidence", `must be a number from 0 to 1`},
		"min_confidence=NaN":   {"min_confidence", `must be a number from 0 to 1`},
		"min_confidence=high":  {"min_confidence", `must be a number from 0 to 1`},
		"depth=0":              {"depth", `"0" is not allowed: must be a number from 1 to 1000`},
		"depth=deep":           {"depth", `must be a number from 1 to 1000`},
		"limit=1001":           {"limit", `"1001" is not allowed: must be a number from 1 to 1000`},
		"depht=1":              {"depht", `unknown parameter "depht": allowed are `},
		"direction=&direction": {"direction", `parameter "direction" is given 2 times: once is allowed`},
	}
	for _, path := range []string{pathOf(2, 3) + "?", "/api/v1/events/charge/chain?", "/api/v1/graph?event=charge&"} {
		for query, want := range shared {
			p := c.get(t, path+query).problem(t, http.StatusBadRequest)
			require.Equal(t, want[0], p.Parameter, path+query)
			require.Contains(t, p.Detail, want[1], path+query)
		}
	}
	for path, want := range map[string][2]string{
		"/api/v1/traces/xyz/spans/" + span + "/chain":                              {"trace_id", `"xyz" is no trace id: must be 32 hex digits, not all zero`},
		"/api/v1/traces/" + trace + "/spans/" + span + "0/chain":                   {"span_id", `is no span id: must be 16 hex digits, not all zero`},
		"/api/v1/traces/" + trace + "/spans/" + strings.Repeat("0", 16) + "/chain": {"span_id", `is no span id`},
		"/api/v1/graph":                                                              {"event", "a graph is asked for by event, or by trace and span: none is given, and no search by q"},
		"/api/v1/graph?event=e&span=" + span:                                         {"event", "not by both"},
		"/api/v1/graph?event=e&trace=" + trace:                                       {"event", "not by both"},
		"/api/v1/graph?trace=" + trace:                                               {"span", `"" is no span id`},
		"/api/v1/graph?span=" + span:                                                 {"trace", `"" is no trace id`},
		"/api/v1/graph?trace=" + trace + "&span=" + span + "&node=n1":                {"node", "node narrows an event: with trace and span there is nothing to narrow"},
		"/api/v1/graph?event=e&format=png":                                           {"format", `"png" is not allowed: must be json, dot, mermaid or svg`},
		"/api/v1/events/charge/chain?format=svg":                                     {"format", `unknown parameter "format"`},
		"/api/v1/traces/" + trace + "/spans/" + span + "/chain?service=" + "unknown": {"service", `unknown parameter "service"`},
	} {
		p := c.get(t, path).problem(t, http.StatusBadRequest)
		require.Equal(t, want[0], p.Parameter, path)
		require.Contains(t, p.Detail, want[1], path)
	}
}

func TestChainsOfNothing(t *testing.T) {
	s := shop(t)
	write(t, s, native("shop", "n1", "nameless", func(span ptrace.Span) { span.SetSpanID(pcommon.SpanID{}) }))
	c := serving(t, s)
	missing := storetest.SpanID(77).String() // an end of an edge
	for path, want := range map[string][2]string{
		pathOf(2, 77): {"span_id", "span " + missing + " of trace " + storetest.TraceID(2).String() + " is not stored"},
		"/api/v1/graph?trace=" + storetest.TraceID(2).String() + "&span=" + missing: {"span", "is not stored"},
		"/api/v1/events/nothing/chain":                                              {"event_id", `event "nothing" is not stored`},
		"/api/v1/events/charge/chain?service=pay":                                   {"event_id", `event "charge" is not stored for this service`},
		"/api/v1/graph?event=charge&node=n2&format=svg":                             {"event", `event "charge" is not stored for this node`},
		"/api/v1/events/nameless/chain":                                             {"event_id", `the span of event "nameless" has no trace id or no span id: nothing can name it`},
		"/api/v1/correlations/" + url.PathEscape("<nothing>"):                       {"correlation_id", `no span with the correlation id "<nothing>" is stored`},
	} {
		p := c.get(t, path).problem(t, http.StatusNotFound)
		require.Equal(t, want[0], p.Parameter, path)
		require.Contains(t, p.Detail, want[1], path)
	}
}

func TestCorrelation(t *testing.T) {
	c := serving(t, shop(t))
	var got groupJSON
	c.get(t, "/api/v1/correlations/basket%2F3").into(t, &got)
	nodes, edges := graphJSON{Nodes: got.Spans, Edges: got.Edges}.brief()
	require.Equal(t, "order send", nodes)
	require.Equal(t, "order>send", edges)
	require.False(t, got.Truncated)

	c.get(t, "/api/v1/correlations/basket%2F3?limit=1").into(t, &got)
	require.Len(t, got.Spans, 1)
	require.Empty(t, got.Edges)
	require.True(t, got.Truncated)
}

func TestChainOfWhatCannotBeDecoded(t *testing.T) {
	_, err := newGraphJSON(brokenGraph())
	require.Error(t, err)
	_, err = newChainJSON(causal.SpanRef{}, brokenGraph())
	require.Error(t, err)
	_, err = newDiagram(brokenGraph(), nil)
	require.Error(t, err)

	s := shop(t)
	s.spans = func(ctx context.Context, refs []causal.SpanRef) ([]store.Span, error) {
		spans, err := s.Model.Spans(ctx, refs)
		for i := range spans {
			spans[i].Origin = []byte{1}
		}
		return spans, err
	}
	s.group = func(ctx context.Context, id string, limit int) ([]store.Span, bool, error) {
		spans, more, err := s.Model.Correlation(ctx, id, limit)
		for i := range spans {
			spans[i].Origin = []byte{1}
		}
		return spans, more, err
	}
	c := serving(t, s)
	for _, path := range []string{pathOf(2, 3), spanGraphOf(2, 3) + "&format=dot", "/api/v1/correlations/basket%2F3"} {
		require.Contains(t, c.get(t, path).problem(t, http.StatusInternalServerError).Detail, "stored span", path)
	}
}

func spanGraphOf(trace, span uint64) string {
	return "/api/v1/graph?trace=" + storetest.TraceID(trace).String() + "&span=" + storetest.SpanID(span).String()
}

func brokenGraph() query.Graph {
	return query.Graph{Nodes: []query.Node{{Spans: []store.Span{{Origin: []byte{1}}}}}}
}
