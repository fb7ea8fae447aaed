package queryextension

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
	"github.com/otelscope/otelscope/internal/views"
)

// BenchmarkViews is what views cost the follower's goroutine for a span, from
// its bytes on; ends that are not known are looked up in vain.
func BenchmarkViews(b *testing.B) {
	s, err := store.Open(store.Config{Directory: "/data", FS: memfs.New(), ReserveBytes: -1, CutBytes: 1 << 30, CutSpans: 1 << 20})
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close(context.Background())) }()
	const each, requests = 100, 2000
	for seed := range uint64(requests) {
		require.NoError(b, s.Write(context.Background(), storetest.Request(seed, each)))
	}
	var spans []store.Span
	for span, err := range s.Scan(context.Background(), store.ScanOptions{}) {
		require.NoError(b, err)
		spans = append(spans, span)
	}
	slices.Reverse(spans) // children before their parents, as they come
	b.ReportAllocs()
	begun := cpuTime()
	for b.Loop() {
		v := newViewSums(zap.NewNop())
		for some := range slices.Chunk(spans, addAtOnce) {
			if v.addSome(some) >= unsureAtMost {
				v.live.Found(v.live.Unknown(unsureAtMost, unsureAtMost/2), nil)
			}
		}
	}
	b.ReportMetric(float64((cpuTime()-begun).Nanoseconds())/float64(b.N*len(spans)), "cpu-ns/span")
}

// BenchmarkFullView is an answer from tables that are as full as they get.
func BenchmarkFullView(b *testing.B) {
	f := newFollower(zap.NewNop())
	for i := range 30_000 {
		text := fmt.Sprint("some/longer/text/", i%11_000)
		f.views.live.Add(&views.Span{Service: "service", Node: "node", Process: text, Name: text, Failed: true, Error: text, Start: uint64(i), End: uint64(i * i)})
	}
	done := f.views.live.Rotate()
	sum := views.NewSummary()
	sum.Add(done)
	f.views.blocks, f.views.parts = sum, []*views.Summary{done}
	for _, v := range viewHandlers {
		b.Run(v.name, func(b *testing.B) {
			for b.Loop() {
				f.views.with(func(of []*views.Summary) {
					_, err := v.answer(of, viewQuery{limit: defaultLimit})
					require.NoError(b, err)
				})
			}
		})
	}
}
