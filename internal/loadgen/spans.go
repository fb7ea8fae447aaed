package loadgen

import (
	"fmt"
	"math"
	"math/rand/v2"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// Cardinalities of the spans, over all variants.
const (
	services        = 20
	namesPerService = 10
	perRequest      = 5 // services in one request, as an agent's batch has them
)

// Spans returns a template of an encoded ExportTraceServiceRequest with n
// spans of about 300 bytes and 10 attributes, in traces of 5 to 10 spans whose
// parents lie in the same request. variant chooses services and span names
// (20 and 200 over all variants); ids, urls and user ids differ in each
// request. Traces are numbered 0 to TraceCount-1, spans 0 to n-1. One span in
// ten is half of a message: a PRODUCER, and a CONSUMER in a trace of its own.
func Spans(seed uint64, variant, n int) *SpanTemplate {
	b := &spanBuilder{rand: rand.New(rand.NewPCG(seed, uint64(variant))), td: ptrace.NewTraces()}
	for i := range perRequest {
		b.scopes = append(b.scopes, b.resource((variant*perRequest+i)%services))
	}
	for b.spans < n {
		b.trace(min(5+b.rand.IntN(6), n-b.spans))
	}
	body, err := ptraceotlp.NewExportRequestFromTraces(b.td).MarshalProto()
	if err != nil {
		panic(fmt.Sprintf("loadgen: its own spans do not encode: %v", err))
	}
	return &SpanTemplate{Template: compile(seed, n, body), TraceCount: len(b.sizes), sizes: b.sizes}
}

// SpanTemplate is a Template of spans.
type SpanTemplate struct {
	*Template
	TraceCount int
	sizes      []int
}

// TraceSize is how many spans trace n has.
func (t *SpanTemplate) TraceSize(n int) int { return t.sizes[n] }

// Clone returns a template of the same content with a body of its own.
func (t *SpanTemplate) Clone() *SpanTemplate {
	return &SpanTemplate{Template: t.Template.Clone(), TraceCount: t.TraceCount, sizes: t.sizes}
}

type spanBuilder struct {
	rand   *rand.Rand
	td     ptrace.Traces
	scopes []scope
	spans  int
	sizes  []int
	sent   []int // messages without a consumer yet
}

type scope struct {
	service int
	spans   ptrace.SpanSlice
}

func (b *spanBuilder) resource(service int) scope {
	rs := b.td.ResourceSpans().AppendEmpty()
	attrs := rs.Resource().Attributes()
	attrs.PutStr("service.name", fmt.Sprintf("%s-service", serviceNames[service]))
	attrs.PutStr("service.instance.id", fmt.Sprintf("%s-7d9f8c6b5-%05d", serviceNames[service], b.rand.IntN(3)))
	attrs.PutStr("deployment.environment.name", "production")
	attrs.PutStr("telemetry.sdk.language", []string{"go", "java", "nodejs"}[service%3])
	attrs.PutStr("k8s.namespace.name", "shop")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("io.opentelemetry." + serviceNames[service])
	ss.Scope().SetVersion("2.1.0")
	return scope{service, ss.Spans()}
}

// trace adds one trace: each span's parent is one of the spans before it.
func (b *spanBuilder) trace(size int) {
	trace := len(b.sizes)
	b.sizes = append(b.sizes, size)
	first := b.spans
	const span = 9000 // microseconds that the whole trace took
	for i := range size {
		sc := b.scopes[b.rand.IntN(len(b.scopes))]
		s := sc.spans.AppendEmpty()
		s.SetTraceID(pcommon.TraceID([]byte(traceMark(trace))))
		s.SetSpanID(pcommon.SpanID([]byte(spanMark(b.spans))))
		if i > 0 {
			s.SetParentSpanID(pcommon.SpanID([]byte(spanMark(first + b.rand.IntN(i)))))
		}
		start := span - i*span/size
		s.SetStartTimestamp(pcommon.Timestamp(nanosMark(start)))
		s.SetEndTimestamp(pcommon.Timestamp(nanosMark(start / 3)))
		s.SetFlags(0x101)
		b.content(s, sc.service, i == 0)
		b.spans++
	}
}

func (b *spanBuilder) content(s ptrace.Span, service int, root bool) {
	operation := b.rand.IntN(namesPerService)
	name := fmt.Sprintf("%s.%s", serviceNames[service], operations[operation])
	s.SetName(name)
	s.SetKind(ptrace.SpanKindInternal)
	attrs := s.Attributes()
	attrs.PutStr("user.id", hexMark(900_000+b.spans))
	attrs.PutInt("thread.id", int64(b.rand.IntN(64)))
	attrs.PutInt("server.port", 8080)
	attrs.PutInt("app.shard", int64(b.rand.IntN(256)))
	attrs.PutStr("app.tier", []string{"web", "batch"}[service%2])
	switch {
	case root && len(b.sent) > 0 && b.rand.IntN(3) > 0:
		b.message(s, ptrace.SpanKindConsumer, "process", b.sent[0])
		b.sent = b.sent[1:]
	case !root && b.rand.IntN(12) == 0:
		b.sent = append(b.sent, b.spans)
		b.message(s, ptrace.SpanKindProducer, "send", b.spans)
	case root || b.rand.IntN(3) == 0:
		b.http(s, name, root)
	default:
		b.database(s, service)
	}
	if b.rand.IntN(50) == 0 {
		s.Status().SetCode(ptrace.StatusCodeError)
		s.Status().SetMessage("upstream request timeout")
	}
}

func (b *spanBuilder) message(s ptrace.Span, kind ptrace.SpanKind, operation string, id int) {
	s.SetKind(kind)
	attrs := s.Attributes()
	attrs.PutStr("messaging.system", "rabbitmq")
	attrs.PutStr("messaging.operation.type", operation)
	attrs.PutStr("messaging.destination.name", "orders")
	attrs.PutStr("messaging.message.id", hexMark(800_000+id))
	attrs.PutInt("messaging.message.body.size", int64(100+b.rand.IntN(4000)))
}

func (b *spanBuilder) http(s ptrace.Span, name string, root bool) {
	s.SetKind(ptrace.SpanKindClient)
	if root {
		s.SetKind(ptrace.SpanKindServer)
	}
	attrs := s.Attributes()
	attrs.PutStr("http.request.method", []string{"GET", "GET", "GET", "POST"}[b.rand.IntN(4)])
	attrs.PutStr("http.route", "/"+name+"/{id}")
	attrs.PutStr("url.path", "/"+hexMark(700_000+b.spans))
	attrs.PutInt("http.response.status_code", []int64{200, 200, 200, 201, 404}[b.rand.IntN(5)])
	attrs.PutInt("client.port", int64(20000+b.rand.IntN(40000)))
}

func (b *spanBuilder) database(s ptrace.Span, service int) {
	s.SetKind(ptrace.SpanKindClient)
	attrs := s.Attributes()
	attrs.PutStr("db.system.name", "mysql")
	attrs.PutStr("db.namespace", serviceNames[service])
	attrs.PutStr("db.query.summary", "SELECT "+operations[b.rand.IntN(len(operations))])
	attrs.PutInt("db.response.returned_rows", int64(math.Exp(b.rand.Float64()*6)))
	attrs.PutStr("db.operation.id", hexMark(700_000+b.spans))
}

var serviceNames = [services]string{
	"gateway", "orders", "payments", "stock", "shipping", "mailer", "catalog", "search", "basket", "users",
	"sessions", "pricing", "reviews", "fraud", "invoices", "returns", "loyalty", "images", "audit", "reports",
}

var operations = [namesPerService]string{
	"list", "get", "create", "update", "remove", "validate", "reserve", "confirm", "publish", "expire",
}
