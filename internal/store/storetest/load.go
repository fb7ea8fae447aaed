package storetest

import (
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Request returns a request of n spans as an instrumented web service sends
// them: traces of five spans, ten attributes each, about 380 bytes a span. The
// same seed gives the same request, different seeds different ids.
func Request(seed uint64, n int) ptrace.Traces {
	random := rand.New(rand.NewPCG(seed, 7))
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	resource := rs.Resource().Attributes()
	resource.PutStr("service.name", services[seed%uint64(len(services))])
	resource.PutStr("service.instance.id", "627cc493-f310-47de-96bd-71410b7dec09")
	resource.PutStr("deployment.environment.name", "production")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp")
	ss.Scope().SetVersion("0.70.0")
	spans := ss.Spans()
	spans.EnsureCapacity(n)
	var trace pcommon.TraceID
	var parent pcommon.SpanID
	start := uint64(1_700_000_000_000_000_000) + seed*1_000_000
	for i := range n {
		if i%5 == 0 {
			binary.BigEndian.PutUint64(trace[:], random.Uint64())
			binary.BigEndian.PutUint64(trace[8:], random.Uint64())
			parent = pcommon.SpanID{}
		}
		span := spans.AppendEmpty()
		span.SetTraceID(trace)
		span.SetParentSpanID(parent)
		binary.BigEndian.PutUint64(parent[:], random.Uint64())
		span.SetSpanID(parent)
		span.SetKind(ptrace.SpanKind(1 + i%5))
		span.SetName(routes[i%len(routes)])
		span.SetStartTimestamp(pcommon.Timestamp(start + uint64(i)*1000))
		span.SetEndTimestamp(pcommon.Timestamp(start + uint64(i)*1000 + random.Uint64N(5_000_000)))
		fillAttributes(span.Attributes(), random, i)
	}
	return td
}

var (
	services = []string{"cart", "checkout", "frontend", "payment"}
	routes   = []string{"GET /cart/{id}", "POST /checkout", "GET /", "SELECT orders", "publish orders"}
)

func fillAttributes(a pcommon.Map, random *rand.Rand, i int) {
	a.EnsureCapacity(10)
	a.PutStr("http.request.method", "GET")
	a.PutStr("url.path", "/cart/4711/items")
	a.PutStr("http.route", routes[i%len(routes)])
	a.PutInt("http.response.status_code", 200)
	a.PutStr("server.address", "frontend.example.internal")
	a.PutInt("server.port", 8080)
	a.PutStr("network.protocol.version", "1.1")
	a.PutStr("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64)")
	a.PutStr("client.address", "10.1.2.3")
	a.PutInt("http.response.body.size", int64(random.IntN(10000)))
}
