package store_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

const (
	edgeRequests = 2000 // of benchSpans spans: a million
	chainNodes   = 1000
)

// BenchmarkEdges asks a store of a million spans in several blocks, from the
// page cache. A chain of 1,000 spans, each in a trace of its own and linked to
// the one before, is spread over all of it.
func BenchmarkEdges(b *testing.B) {
	s, refs := chained(b)
	b.Logf("%+v", s.Stats())
	random := rand.New(rand.NewPCG(1, 2))
	ctx := context.Background()
	b.Run("spans of one ref", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			got, err := s.Spans(ctx, []causal.SpanRef{refs[random.IntN(len(refs))]})
			if err != nil || len(got) != 1 {
				b.Fatal(len(got), err)
			}
		}
	})
	b.Run("referring to one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			got, _, err := s.Referring(ctx, []causal.SpanRef{refs[random.IntN(len(refs)-1)]}, 100)
			if err != nil || len(got) != 1 {
				b.Fatal(len(got), err)
			}
		}
	})
	b.Run("referring to 300", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			got, _, err := s.Referring(ctx, refs[100:400], 1000)
			if err != nil || len(got) != 300 {
				b.Fatal(len(got), err)
			}
		}
	})
	b.Run("chain of 1000, node by node", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for i := range chainNodes - 1 {
				got, _, err := s.Referring(ctx, refs[i:i+1], 100)
				if err != nil || len(got) != 1 {
					b.Fatal(i, len(got), err)
				}
			}
		}
	})
	b.Run("group of 1000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			got, more, err := s.Correlation(ctx, "chain", chainNodes)
			if err != nil || len(got) != chainNodes || more {
				b.Fatal(len(got), more, err)
			}
		}
	})
	require.NoError(b, s.Close(ctx))
}

// chained fills a store and returns the chain, its first cause first.
func chained(b *testing.B) (store.Store, []causal.SpanRef) {
	s, err := store.Open(store.Config{Directory: b.TempDir()})
	require.NoError(b, err)
	var refs []causal.SpanRef
	td := storetest.Request(1, benchSpans)
	for i := range edgeRequests {
		newIDs(td, uint64(i+1))
		copied := ptrace.NewTraces()
		td.CopyTo(copied)
		if i%(edgeRequests/chainNodes) == 0 {
			span := copied.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(i % benchSpans)
			if len(refs) > 0 {
				link := span.Links().AppendEmpty()
				link.SetTraceID(refs[len(refs)-1].TraceID)
				link.SetSpanID(refs[len(refs)-1].SpanID)
			}
			span.Attributes().PutStr(causal.AttrCorrelationID, "chain")
			refs = append(refs, causal.SpanRef{TraceID: span.TraceID(), SpanID: span.SpanID()})
		}
		require.NoError(b, s.Write(context.Background(), copied))
		if i%200 == 199 {
			require.NoError(b, store.Cut(s))
		}
	}
	return s, refs
}
