package rule

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
)

const benchSpans = 1000

// spansLike makes spans of one resource.
func spansLike(fill func(span ptrace.Span, i int)) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "checkout")
	rs.Resource().Attributes().PutStr("service.instance.id", "checkout-5d8f-7")
	rs.Resource().Attributes().PutStr("host.name", "node-17")
	rs.Resource().Attributes().PutStr("telemetry.sdk.language", "go")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	for i := range benchSpans {
		span := spans.AppendEmpty()
		span.SetTraceID(pcommon.TraceID{1, 2, 15: byte(i), 14: byte(i >> 8)})
		span.SetSpanID(pcommon.SpanID{1, 7: byte(i), 6: byte(i >> 8)})
		span.SetParentSpanID(pcommon.SpanID{1})
		fill(span, i)
	}
	return td
}

func fillHTTP(span ptrace.Span, i int) {
	span.SetKind(ptrace.SpanKindServer)
	span.SetName("GET /cart/{id}")
	m := span.Attributes()
	for _, key := range []string{
		"http.request.method", "url.scheme", "url.path", "url.query", "http.route", "server.address", "client.address",
		"network.protocol.version", "user_agent.original", "network.peer.address", "tenant", "thread.name",
	} {
		m.PutStr(key, "value of it")
	}
	m.PutInt("http.response.status_code", 200)
	m.PutInt("server.port", int64(8000+i))
}

func fillMessage(span ptrace.Span, i int) {
	span.SetKind(ptrace.SpanKindConsumer)
	span.SetName("process orders")
	m := span.Attributes()
	m.PutStr("messaging.system", "rabbitmq")
	m.PutStr("messaging.destination.name", "orders:created:billing")
	m.PutStr("messaging.operation.type", "process")
	m.PutStr("messaging.operation.name", "consume")
	m.PutStr("messaging.message.id", fmt.Sprintf("0f3c8a1e-%08d", i))
	m.PutStr("messaging.rabbitmq.destination.routing_key", "created")
	for _, key := range []string{"server.address", "network.peer.address", "network.protocol.name", "thread.name", "tenant"} {
		m.PutStr(key, "value of it")
	}
	m.PutInt("server.port", 5672)
	m.PutInt("messaging.message.body.size", 512)
}

func fillNative(span ptrace.Span, i int) {
	span.SetKind(ptrace.SpanKindConsumer)
	span.SetName("receive order")
	m := span.Attributes()
	m.PutStr(causal.AttrEventID, fmt.Sprintf("e%d", i))
	m.PutStr(causal.AttrEventKind, "receive")
	m.PutInt(causal.AttrEventSeq, int64(i))
	m.PutStr(causal.AttrProcessID, "<0.123.0>")
	m.PutStr("messaging.system", "scope")
	m.PutStr("messaging.destination.name", "<0.123.0>")
	m.PutStr("messaging.operation.type", "receive")
	m.PutStr("messaging.message.id", fmt.Sprintf("m%d", i))
	m.PutStr(causal.AttrMessagePhase, "arrived")
	m.PutStr(causal.AttrPeerID, "<0.99.0>")
	m.PutStr("order.id", "o-17")
	m.PutStr("tenant", "value of it")
}

func BenchmarkExtract(b *testing.B) {
	user := Definition{
		Name: "outbox", Type: causal.MessageFlow, Confidence: 1,
		Cause:  End{When: `attributes["db.operation.name"] == "INSERT" and attributes["db.collection.name"] == "outbox"`, Key: []string{"order.id"}},
		Effect: End{When: `kind == SPAN_KIND_CONSUMER and name == "deliver"`, Key: []string{"order.id"}},
	}
	for _, like := range []struct {
		name string
		fill func(ptrace.Span, int)
		user []Definition
	}{
		{"http", fillHTTP, nil},
		{"message", fillMessage, nil},
		{"native", fillNative, nil},
		{"http, a user's rule", fillHTTP, []Definition{user}},
	} {
		b.Run(like.name, func(b *testing.B) {
			td := spansLike(like.fill)
			x := compile(b, like.user...).NewExtractor()
			x.Extract(td)
			b.ReportAllocs()
			for b.Loop() {
				x.Extract(td)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchSpans), "ns/span")
		})
	}
}

func TestExtractAllocatesNothing(t *testing.T) {
	for name, fill := range map[string]func(ptrace.Span, int){"http": fillHTTP, "message": fillMessage, "native": fillNative} {
		td := spansLike(fill)
		x := compile(t).NewExtractor()
		x.Extract(td)
		require.Zero(t, testing.AllocsPerRun(10, func() { x.Extract(td) }), name)
	}
}
