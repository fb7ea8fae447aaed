package queryextension

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// jaegerTraces is an answer as grafana/grafana pkg/tsdb/jaeger/types/types.go
// decodes it.
type jaegerTraces struct {
	Data []struct {
		TraceID   string
		Processes map[string]struct{ ServiceName string }
		Spans     []struct {
			TraceID, SpanID, ProcessID, OperationName string
			StartTime, Duration                       int64
			References                                []struct{ RefType, TraceID, SpanID string }
			Tags                                      []struct {
				Key, Type string
				Value     any
			}
		}
	}
	Errors []struct {
		Code         int
		Msg, TraceID string
	}
}

// ids lists the traces.
func (j jaegerTraces) ids() []string {
	ids := []string{}
	for _, trace := range j.Data {
		ids = append(ids, trace.TraceID)
	}
	return ids
}

// names lists the services.
type names struct {
	Data  []string
	Total int
}

func TestJaegerNames(t *testing.T) {
	c := storedShop(t)
	// grafana/grafana pkg/tsdb/jaeger/client.go: Services, Operations
	for _, base := range []string{"", "/jaeger"} {
		var got names
		c.ok(t, base+"/api/services", &got)
		require.Equal(t, names{[]string{"mail", "pay", "web"}, 3}, got)
		c.ok(t, base+"/api/services/web/operations", &got)
		require.Equal(t, names{[]string{"checkout", "publish"}, 2}, got)
	}
	c.ok(t, "/api/services/none/operations", &names{})
	// jaegertracing/jaeger-ui packages/jaeger-ui/src/api/jaeger.ts: fetchServiceServerOps
	var operations struct {
		Data []struct{ Name, SpanKind string }
	}
	c.ok(t, "/api/operations?service=web&spanKind=server", &operations)
	require.Equal(t, []struct{ Name, SpanKind string }{{"checkout", "server"}}, operations.Data)
	// packages/jaeger-ui/src/api/v3/client.ts: fetchServices, fetchSpanNames
	var services struct{ Services []string }
	c.ok(t, "/api/v3/services", &services)
	require.Equal(t, []string{"mail", "pay", "web"}, services.Services)
	var spans struct {
		Operations []struct{ Name, SpanKind string }
	}
	c.ok(t, "/api/v3/operations?service=web", &spans)
	require.Equal(t, []struct{ Name, SpanKind string }{{"checkout", "server"}, {"publish", "producer"}}, spans.Operations)
}

func TestJaegerDependencies(t *testing.T) {
	c := storedShop(t)
	// Another kind of edge between the same services, and one within a service.
	write(t, c.extension.store, native("mail", "n1", "retry", func(span ptrace.Span) {
		span.SetTraceID(storetest.TraceID(4))
		linkOn(span, 2, 3, causal.LinkRoleCause)
		span.Links().At(0).Attributes().PutStr(causal.AttrLinkType, string(causal.ErrorPropagation))
		linkOn(span, 3, 4, causal.LinkRoleCause)
	}))
	// jaegertracing/jaeger-ui packages/jaeger-ui/src/api/jaeger.ts: fetchDependencies
	type dependency struct {
		Parent, Child string
		CallCount     int
	}
	var got struct{ Data []dependency }
	c.ok(t, "/api/dependencies?endTs=1700000000000&lookback=604800000", &got)
	require.Equal(t, []dependency{{"pay", "mail", 2}, {"web", "pay", 1}}, got.Data)
	c.ok(t, "/jaeger/api/dependencies?service=web", &got)
	require.Equal(t, []dependency{{"web", "pay", 1}}, got.Data)
	// jaegertracing/jaeger-idl api_v3: GetDependencies
	var v3 struct{ Dependencies []map[string]string }
	c.ok(t, "/api/v3/dependencies?startTime=2023-11-14T22:13:20Z", &v3)
	require.Equal(t, []map[string]string{{"parent": "pay", "child": "mail", "callCount": "2"}, {"parent": "web", "child": "pay", "callCount": "1"}}, v3.Dependencies)
}

func TestJaegerSearch(t *testing.T) {
	c := serving(t, toolShop(t))
	for request, want := range map[string][]string{
		// grafana/grafana pkg/tsdb/jaeger/client.go: Search
		"end=1700003600000000&limit=20&operation=charge&service=pay&start=1700000000000000&tags=%7B%22error%22%3A%22true%22%7D": {hexTrace(2)},
		// jaegertracing/jaeger-ui v1 packages/jaeger-ui/src/api/jaeger.js: searchTraces
		"end=1700003600000000&limit=20&lookback=1h&maxDuration&minDuration&service=web&start=1700000000000000": {hexTrace(1)},
		"service=web&tag=span.kind:server&tag=http.status_code:200":                                            {hexTrace(1)},
		"service=web&minDuration=4ms":              {},
		"service=web&end=1700000000000000&start=1": {},
		"":        {hexTrace(3), hexTrace(2), hexTrace(1)}, // the latest first
		"limit=2": {hexTrace(3), hexTrace(2)},
		"traceID=" + hexTrace(3) + "&traceID=" + hexTrace(1): {hexTrace(3), hexTrace(1)},
	} {
		var got jaegerTraces
		c.ok(t, "/api/traces?"+request, &got)
		require.Equal(t, want, got.ids(), request)
		require.Empty(t, got.Errors)
	}
	var got jaegerTraces
	c.ok(t, "/api/traces?traceID="+hexTrace(1)+"&traceID=9", &got)
	require.Equal(t, []string{hexTrace(1)}, got.ids())
	require.Len(t, got.Errors, 1)
	require.Equal(t, "trace not found", got.Errors[0].Msg)
	require.Equal(t, fmt.Sprintf("%032d", 9), got.Errors[0].TraceID)
}

// TestJaegerReferences leads from each span to its causes and its effects in
// other traces, whichever carries the link, in a trace and in a search.
func TestJaegerReferences(t *testing.T) {
	c := serving(t, toolShop(t))
	var found jaegerTraces
	c.ok(t, "/api/traces", &found)
	for i, want := range []string{ // the latest trace first
		"mail notify: FOLLOWS_FROM 2.3",
		"pay charge: FOLLOWS_FROM 1.2 FOLLOWS_FROM 3.4",
		"web checkout:, web publish: CHILD_OF 1.1 FOLLOWS_FROM 2.3",
	} {
		var one jaegerTraces
		c.ok(t, "/jaeger/api/traces/"+found.Data[i].TraceID, &one)
		for _, got := range []jaegerTraces{one, {Data: found.Data[i : i+1]}} {
			text := ""
			for n, span := range got.Data[0].Spans {
				if n > 0 {
					text += ", "
				}
				text += got.Data[0].Processes[span.ProcessID].ServiceName + " " + span.OperationName + ":"
				for _, r := range span.References {
					text += fmt.Sprintf(" %s %c.%c", r.RefType, r.TraceID[31], r.SpanID[15])
				}
			}
			require.Equal(t, want, text)
		}
	}
}

func TestJaegerV3(t *testing.T) {
	c := serving(t, toolShop(t))
	// grafana/grafana pkg/tsdb/jaeger/grpc_client.go: GrpcTrace
	got := c.get(t, "/api/v3/traces/"+hexTrace(2)+"?start_time=2023-11-14T22:13:20Z&end_time=2023-11-15T00:13:20Z")
	var one struct{ Result any }
	got.into(t, &one)
	requireLinks(t, got.body, "result", "cause 1.2", "effect 3.4")

	// jaegertracing/jaeger-ui packages/jaeger-ui/src/api/v3/client.ts: fetchTraceSummaries
	var summaries struct{ Summaries []map[string]any }
	c.ok(t, "/api/v3/trace-summaries?query.serviceName=web&query.startTimeMin=2023-11-14T22%3A13%3A20.000Z&query.startTimeMax=2023-11-14T23%3A13%3A20.000Z&query.searchDepth=20", &summaries)
	require.Equal(t, []map[string]any{{
		"traceId": hexTrace(1), "rootServiceName": "web", "rootOperationName": "checkout",
		"minStartTimeUnixNano": "1700000000001000000", "maxEndTimeUnixNano": "1700000000005000000",
		"spanCount": 2.0, "errorSpanCount": 0.0, "orphanSpanCount": 0.0,
		"services": []any{map[string]any{"name": "web", "spanCount": 2.0, "errorSpanCount": 0.0}},
	}}, summaries.Summaries)
	c.ok(t, "/api/v3/trace-summaries?query.serviceName=none", &summaries)
	require.Empty(t, summaries.Summaries)

	// grafana/grafana pkg/tsdb/jaeger/grpc_client.go: GrpcSearch
	got = c.get(t, "/api/v3/traces?query.service_name=pay&query.start_time_min=2023-11-14T23:13:20+01:00&query.start_time_max=2023-11-15T00:13:20+01:00")
	got.into(t, &one)
	requireLinks(t, got.body, "result", "cause 1.2", "effect 3.4")
}

func TestOrphansAreCounted(t *testing.T) {
	s := newFaulty()
	write(t, s, native("web", "", "a", func(span ptrace.Span) {
		span.SetParentSpanID([8]byte{1})
		span.Status().SetCode(ptrace.StatusCodeError)
	}))
	var got struct {
		Summaries []struct{ OrphanSpanCount, ErrorSpanCount int }
	}
	serving(t, s).ok(t, "/api/v3/trace-summaries", &got)
	require.Equal(t, 1, got.Summaries[0].OrphanSpanCount)
	require.Equal(t, 1, got.Summaries[0].ErrorSpanCount)
}
