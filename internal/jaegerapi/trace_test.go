package jaegerapi

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fromUI is the trace that the next test makes, in the shape that
// jaegertracing/jaeger internal/uimodel/model.go and grafana/grafana
// pkg/tsdb/jaeger/types/types.go declare.
const fromUI = `[{
	"traceID": "0a000000000000000000000000000007",
	"processes": {"p1": {"serviceName": "pay", "tags": [{"key": "service.instance.id", "type": "string", "value": "n1"}]}},
	"warnings": null,
	"spans": [{
		"traceID": "0a000000000000000000000000000007", "spanID": "0000000000000002", "processID": "p1", "flags": 1,
		"operationName": "charge", "startTime": 1700000000000000, "duration": 2500,
		"references": [
			{"refType": "CHILD_OF", "traceID": "0a000000000000000000000000000007", "spanID": "0000000000000001"},
			{"refType": "FOLLOWS_FROM", "traceID": "0a000000000000000000000000000007", "spanID": "0000000000000003"},
			{"refType": "FOLLOWS_FROM", "traceID": "0a000000000000000000000000000008", "spanID": "0000000000000004"},
			{"refType": "FOLLOWS_FROM", "traceID": "0a000000000000000000000000000009", "spanID": "0000000000000005"}
		],
		"tags": [
			{"key": "text", "type": "string", "value": "a"},
			{"key": "yes", "type": "bool", "value": true},
			{"key": "small", "type": "int64", "value": 42},
			{"key": "large", "type": "int64", "value": "9007199254740993"},
			{"key": "half", "type": "float64", "value": 0.5},
			{"key": "nan", "type": "string", "value": "NaN"},
			{"key": "bytes", "type": "binary", "value": "aGk="},
			{"key": "list", "type": "string", "value": "[1]"},
			{"key": "scope.call.state", "type": "string", "value": "open"},
			{"key": "span.kind", "type": "string", "value": "consumer"},
			{"key": "otel.status_code", "type": "string", "value": "ERROR"},
			{"key": "error", "type": "bool", "value": true},
			{"key": "otel.status_description", "type": "string", "value": "declined"},
			{"key": "otel.scope.name", "type": "string", "value": "lib"},
			{"key": "otel.scope.version", "type": "string", "value": "1.0"},
			{"key": "w3c.tracestate", "type": "string", "value": "a=b"},
			{"key": "scope.causes", "type": "string", "value": "[{\"type\":\"message_flow\",\"confidence\":0.9,\"rule\":\"kafka\",\"trace_id\":\"0a000000000000000000000000000008\",\"span_id\":\"0000000000000004\"},{\"trace_id\":\"0a000000000000000000000000000007\",\"span_id\":\"0000000000000003\"},{\"trace_id\":\"0a000000000000000000000000000007\",\"span_id\":\"0000000000000001\"}]"},
			{"key": "scope.effects", "type": "string", "value": "[{\"type\":\"process_spawn\",\"trace_id\":\"0a000000000000000000000000000009\",\"span_id\":\"0000000000000005\"}]"}
		],
		"logs": [{"timestamp": 1700000000000001, "fields": [
			{"key": "event", "type": "string", "value": "retry"}, {"key": "n", "type": "int64", "value": 1}]}],
		"warnings": ["the call has not returned yet"]
	}]
}]`

func TestTraceIsWhatTheUIReads(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "pay")
	rs.Resource().Attributes().PutStr("service.instance.id", "n1")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("lib")
	ss.Scope().SetVersion("1.0")
	span := ss.Spans().AppendEmpty()
	span.SetTraceID(storetest.TraceID(7))
	span.SetSpanID(storetest.SpanID(2))
	span.SetParentSpanID(storetest.SpanID(1))
	span.SetName("charge")
	span.SetKind(ptrace.SpanKindConsumer)
	span.SetStartTimestamp(1_700_000_000_000_000_000)
	span.SetEndTimestamp(1_700_000_000_002_500_000)
	span.Status().SetCode(ptrace.StatusCodeError)
	span.Status().SetMessage("declined")
	span.TraceState().FromRaw("a=b")
	attrs := span.Attributes()
	attrs.PutStr("text", "a")
	attrs.PutBool("yes", true)
	attrs.PutInt("small", 42)
	attrs.PutInt("large", 1<<53+1)
	attrs.PutDouble("half", 0.5)
	attrs.PutDouble("nan", math.NaN())
	attrs.PutEmptyBytes("bytes").FromRaw([]byte("hi"))
	attrs.PutEmptySlice("list").AppendEmpty().SetInt(1)
	attrs.PutStr(causal.AttrCallState, causal.CallOpen)
	event := span.Events().AppendEmpty()
	event.SetName("retry")
	event.SetTimestamp(1_700_000_000_000_001_000)
	event.Attributes().PutInt("n", 1)
	linkTo(span, 8, 4, "", "message_flow").PutDouble(causal.AttrLinkConfidence, 0.9)
	span.Links().At(0).Attributes().PutStr(causal.AttrLinkRule, "kafka")
	linkTo(span, 9, 5, causal.LinkRoleEffect, "process_spawn")
	linkTo(span, 7, 3, "", "")
	linkTo(span, 7, 1, "", "") // its parent
	linkTo(span, 0, 1, "", "") // nowhere

	encoded, err := json.Marshal(NewTraces(td))
	require.NoError(t, err)
	require.JSONEq(t, fromUI, string(encoded))
}

func linkTo(span ptrace.Span, trace, id uint64, role, kind string) pcommon.Map {
	l := span.Links().AppendEmpty()
	l.SetTraceID(storetest.TraceID(trace))
	l.SetSpanID(storetest.SpanID(id))
	if trace == 0 {
		l.SetTraceID(pcommon.TraceID{})
	}
	if role != "" {
		l.Attributes().PutStr(causal.AttrLinkRole, role)
	}
	if kind != "" {
		l.Attributes().PutStr(causal.AttrLinkType, kind)
	}
	return l.Attributes()
}

func TestOddSpans(t *testing.T) {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetStartTimestamp(5000)
	span.SetEndTimestamp(1000)
	span.Status().SetCode(ptrace.StatusCodeOk)
	got := NewTraces(td)
	require.Len(t, got, 1)
	s := got[0].Spans[0]
	require.Equal(t, "00000000000000000000000000000000", got[0].TraceID)
	require.Equal(t, "0000000000000000", s.SpanID)
	require.EqualValues(t, 5, s.Start)
	require.Zero(t, s.Duration, "its clock ran backwards")
	require.Equal(t, []KeyValue{{"otel.status_code", "string", "OK"}}, s.Tags)
	require.Equal(t, "unknown_service", got[0].Processes[s.ProcessID].Service)
	require.NotNil(t, s.References, "the UI reads a list")
	require.NotNil(t, s.Logs)

	require.Equal(t, []Trace{}, NewTraces(ptrace.NewTraces()))
}

func TestSeveralTraces(t *testing.T) {
	td := storetest.Traces(
		storetest.Spec{Service: "a", Trace: 1, Span: 1},
		storetest.Spec{Service: "b", Trace: 2, Span: 2},
		storetest.Spec{Service: "b", Trace: 1, Span: 3},
	)
	got := NewTraces(td)
	require.Len(t, got, 2)
	require.Len(t, got[0].Spans, 2)
	require.Len(t, got[0].Processes, 2)
	require.Len(t, got[1].Processes, 1, "only its own")
}

// hung returns how many spans the UI shows: it hangs each under the first of
// its references that is there, and shows what hangs under a root
// (jaegertracing/jaeger-ui packages/jaeger-ui/src/model/transform-trace-data.ts).
func hung(spans []Span) int {
	byID := map[string]int{}
	for i, s := range spans {
		if _, ok := byID[s.SpanID]; !ok {
			byID[s.SpanID] = i
		}
	}
	children, roots := map[int][]int{}, []int{}
	for i, s := range spans {
		root := true
		for _, r := range s.References {
			if parent, ok := byID[r.SpanID]; ok {
				children[parent] = append(children[parent], i)
				root = false
				break
			}
		}
		if root {
			roots = append(roots, i)
		}
	}
	shown := 0
	for todo := roots; len(todo) > 0; shown++ {
		at := todo[len(todo)-1]
		todo = append(todo[:len(todo)-1], children[at]...)
	}
	return shown
}

// TestTheUIShowsEverySpan has links in circles, and parents that are not
// there or are not earlier.
func TestTheUIShowsEverySpan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		td := ptrace.NewTraces()
		spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
		n := rapid.Uint64Range(1, 7).Draw(t, "spans")
		for i := range n {
			span := spans.AppendEmpty()
			span.SetTraceID(storetest.TraceID(1))
			span.SetSpanID(storetest.SpanID(i + 1))
			if parent := rapid.Uint64Range(0, n+1).Draw(t, "parent"); parent > 0 {
				span.SetParentSpanID(storetest.SpanID(parent))
			}
			for range rapid.IntRange(0, 3).Draw(t, "links") {
				role := rapid.SampledFrom([]string{"", causal.LinkRoleEffect}).Draw(t, "role")
				linkTo(span, rapid.Uint64Range(1, 2).Draw(t, "trace"), rapid.Uint64Range(1, n+1).Draw(t, "to"), role, "")
			}
		}
		got := NewTraces(td)[0].Spans
		require.EqualValues(t, n, hung(got))
	})
}

func TestReferencesInOrder(t *testing.T) {
	span := ptrace.NewSpan()
	span.SetTraceID(storetest.TraceID(1))
	span.SetSpanID(storetest.SpanID(1))
	linkTo(span, 2, 1, causal.LinkRoleEffect, "")
	linkTo(span, 3, 1, "", "")
	linkTo(span, 3, 1, "", "message_flow") // the same span again
	linkTo(span, 1, 2, causal.LinkRoleCause, "")
	require.Equal(t, []Reference{
		{"FOLLOWS_FROM", traceID(storetest.TraceID(1)), spanID(storetest.SpanID(2))},
		{"FOLLOWS_FROM", traceID(storetest.TraceID(3)), spanID(storetest.SpanID(1))},
		{"FOLLOWS_FROM", traceID(storetest.TraceID(2)), spanID(storetest.SpanID(1))},
	}, references(span))
}
