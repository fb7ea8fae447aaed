package pressureprocessor

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

const benchSpans = 1000

// benchBatch is a batch of traces of five spans with ten attributes, half of
// whose traces have inherited their number.
func benchBatch(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	for r := range 10 {
		resource := td.ResourceSpans().AppendEmpty()
		resource.Resource().Attributes().PutStr("service.name", fmt.Sprint("shop", r))
		scope := resource.ScopeSpans().AppendEmpty()
		for i := range benchSpans / 10 {
			span := scope.Spans().AppendEmpty()
			trace := uint64(n*benchSpans+r*100+i/5+1) * 0x9e3779b97f4a7c15
			var id pcommon.TraceID
			binary.BigEndian.PutUint64(id[8:], trace)
			span.SetTraceID(id)
			span.SetSpanID(pcommon.SpanID{1, byte(i)})
			span.SetName(fmt.Sprint("step ", i%20))
			if i/5%2 == 0 {
				span.TraceState().FromRaw(fmt.Sprintf("ot=rv:%014x", trace>>8))
			}
			for key := range 10 {
				span.Attributes().PutStr(fmt.Sprint("shop.key", key), "value")
			}
		}
	}
	return td
}

func benchmark(b *testing.B, prepare func(*pressureProcessor)) {
	p := newTestProcessor(b, nil, consumertest.NewNop())
	prepare(p)
	n := 0
	for b.Loop() {
		b.StopTimer()
		td := benchBatch(n)
		n++
		b.StartTimer()
		require.NoError(b, p.ConsumeTraces(context.Background(), td))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchSpans, "ns/span")
}

func BenchmarkNormal(b *testing.B) { benchmark(b, func(*pressureProcessor) {}) }

func BenchmarkShed(b *testing.B) {
	for _, ratio := range []float64{1, 0.5, 0.1} {
		b.Run(fmt.Sprint(ratio), func(b *testing.B) {
			benchmark(b, func(p *pressureProcessor) {
				s := p.newShedding()
				s.sampler.Fix(ratio)
				p.now.Store(s)
			})
		})
	}
}
