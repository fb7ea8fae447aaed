package head_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/store/head"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

const benchSpans = 500

func payloads(b *testing.B, n int) [][]byte {
	var m ptrace.ProtoMarshaler
	out := make([][]byte, n)
	for i := range out {
		var err error
		out[i], err = m.MarshalTraces(storetest.Request(uint64(i), benchSpans))
		require.NoError(b, err)
	}
	return out
}

func perSpan(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchSpans), "ns/span")
}

func BenchmarkParse(b *testing.B) {
	payload := payloads(b, 1)[0]
	b.ReportAllocs()
	for b.Loop() {
		_, err := head.Parse(payload, benchSpans)
		require.NoError(b, err)
	}
	perSpan(b)
}

// BenchmarkInsert fills heads of 200,000 spans, one after the other.
func BenchmarkInsert(b *testing.B) {
	const heads = 400
	all := payloads(b, heads)
	b.ReportAllocs()
	b.ResetTimer()
	var h *head.Head
	for i := range b.N {
		if i%heads == 0 {
			h = head.New(heads * benchSpans)
		}
		b.StopTimer()
		batch, err := head.Parse(all[i%heads], benchSpans)
		require.NoError(b, err)
		b.StartTimer()
		h.Insert(batch, 1)
	}
	perSpan(b)
}
