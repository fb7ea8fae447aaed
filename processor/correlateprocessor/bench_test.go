package correlateprocessor

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/processor/correlateprocessor/internal/metadata"
)

// BenchmarkRebuild rebuilds what is remembered from a store of 350,000 spans
// with ten attributes, of traces of five. One in five is half of a message.
func BenchmarkRebuild(b *testing.B) {
	const spans, together = 350_000, 1000
	from, err := store.Open(store.Config{Directory: b.TempDir(), NoSync: true, CutBytes: 32 << 20, CutAge: time.Hour})
	require.NoError(b, err)
	for first := 0; first < spans; first += together {
		require.NoError(b, from.Write(b.Context(), shop(first, together)))
	}
	runtime.GC()
	for b.Loop() {
		set := processortest.NewNopSettings(metadata.Type)
		set.ID = component.NewID(metadata.Type)
		p, err := NewFactory().CreateTraces(b.Context(), set, createDefaultConfig(), consumertest.NewNop())
		require.NoError(b, err)
		c := p.(*correlateProcessor)
		require.NoError(b, c.rebuild(b.Context(), from))
		b.ReportMetric(float64(c.engine.Stats().Entries), "entries")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/spans, "ns/span")
	b.ReportMetric(float64(from.Stats().Blocks), "blocks")
	require.NoError(b, from.Close(b.Context()))
}

// shop makes spans first to first+n-1.
func shop(first, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	resource := td.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", fmt.Sprint("shop", first/n%8))
	scope := resource.ScopeSpans().AppendEmpty()
	scope.Scope().SetName("shop")
	for i := first; i < first+n; i++ {
		span := scope.Spans().AppendEmpty()
		var trace pcommon.TraceID
		binary.BigEndian.PutUint64(trace[:], uint64(i/5+1)*0x9e3779b97f4a7c15)
		var id pcommon.SpanID
		binary.BigEndian.PutUint64(id[:], uint64(i+1))
		span.SetTraceID(trace)
		span.SetSpanID(id)
		if i%5 != 0 {
			binary.BigEndian.PutUint64(id[:], uint64(i/5*5+1))
			span.SetParentSpanID(id)
		}
		span.SetName("step")
		span.SetStartTimestamp(pcommon.Timestamp(time.Now().UnixNano()))
		span.SetEndTimestamp(span.StartTimestamp() + 1000)
		for key := range 7 {
			span.Attributes().PutStr(fmt.Sprint("shop.key", key), fmt.Sprint("value ", i%100))
		}
		span.SetKind(ptrace.SpanKindInternal)
		if i%5 == 0 {
			message := i / 10
			span.SetKind(ptrace.SpanKindProducer)
			if i%10 == 5 {
				span.SetKind(ptrace.SpanKindConsumer)
			}
			span.Attributes().PutStr("messaging.system", "rabbitmq")
			span.Attributes().PutStr("messaging.destination.name", "orders")
			span.Attributes().PutStr("messaging.message.id", fmt.Sprint("m", message))
		}
	}
	return td
}
