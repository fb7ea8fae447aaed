package otlpwire

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// benchTraces returns n spans of about 300 bytes and 10 attributes.
func benchTraces(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "checkout")
	rs.Resource().Attributes().PutStr("host.name", "node-7")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("bench")
	for i := range n {
		s := ss.Spans().AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1, byte(i), byte(i >> 8)})
		s.SetSpanID(pcommon.SpanID{2, byte(i), byte(i >> 8)})
		s.SetParentSpanID(pcommon.SpanID{3})
		s.SetName("POST /checkout/:id")
		s.SetKind(ptrace.SpanKindServer)
		s.SetStartTimestamp(1_700_000_000_000_000_000)
		s.SetEndTimestamp(1_700_000_000_000_900_000)
		a := s.Attributes()
		for k := range 5 {
			a.PutStr(fmt.Sprintf("shop.field.%d", k), "value-17")
			a.PutInt(fmt.Sprintf("shop.count.%d", k), int64(k*100))
		}
		s.Status().SetCode(ptrace.StatusCodeOk)
	}
	return td
}

func marshal(t testing.TB, td ptrace.Traces) []byte {
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return b
}

func BenchmarkWalkAndParse(b *testing.B) {
	const spans = 1000
	data := marshal(b, benchTraces(spans))
	var s Span
	b.ReportAllocs()
	b.SetBytes(int64(len(data) / spans))
	b.ResetTimer()
	for i := 0; i < b.N; i += spans {
		if err := Walk(data, func(_ Origin, span []byte) error { return s.Parse(span) }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAttrsJSON(b *testing.B) {
	var s Span
	err := Walk(marshal(b, benchTraces(1)), func(_ Origin, span []byte) error { return s.Parse(span) })
	require.NoError(b, err)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		if buf, err = AppendAttrsJSON(buf[:0], s.Attributes); err != nil {
			b.Fatal(err)
		}
	}
}
