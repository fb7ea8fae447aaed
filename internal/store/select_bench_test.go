package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// selectBlocks is how many full blocks BenchmarkSelect has, beside a full head.
const selectBlocks = 4

// BenchmarkSelect searches a store of blocks and a head of 250,000 spans each,
// from the page cache.
func BenchmarkSelect(b *testing.B) {
	s, err := store.Open(store.Config{Directory: b.TempDir(), CutBytes: 200 << 20, CutSpans: 400_000, CutAge: time.Hour})
	require.NoError(b, err)
	for i := range selectBlocks + 1 {
		if i > 0 {
			require.NoError(b, store.Cut(s))
		}
		fillForSelect(b, s, i)
	}
	b.Logf("%+v", s.Stats())
	field := func(key string) store.Field { return store.Field{Key: key} }
	service := store.Has{Field: store.Field{Of: store.OfResource, Key: "service.name"}, Value: "checkout"}
	name := store.Has{Field: store.Field{Of: store.OfName}, Value: "POST /checkout"}
	failed := store.Has{Field: store.Field{Of: store.OfStatus}, Value: int64(2)}
	for _, c := range []struct {
		name  string
		where store.Condition
		limit int
	}{
		{"needle in a block", store.Has{Field: field("order.id"), Value: "order-1-77777"}, 20},
		{"needle in the head", store.Has{Field: field("order.id"), Value: fmt.Sprintf("order-%d-77777", selectBlocks)}, 20},
		{"needle that nobody has", store.Has{Field: field("order.id"), Value: "order"}, 20},
		{"number", store.All{service, store.Has{Field: field("http.response.body.size"), Value: int64(4711)}}, 20},
		{"service, name and failure", store.All{service, name, failed}, 20},
		{"service, name and failure, all", store.All{service, name, failed}, 1 << 30},
		{"everything", nil, 20},
		{"long", store.Lasted{Min: 4_999_000, Max: 1 << 60}, 1 << 30},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var reading store.Reading
			n := 0
			for b.Loop() {
				reading, n = store.Reading{}, 0
				for _, err := range s.Select(context.Background(), store.Selection{Where: c.where, Reading: &reading}) {
					if err != nil {
						b.Fatal(err)
					}
					if n++; n == c.limit {
						break
					}
				}
			}
			b.Logf("%d spans: %+v", n, reading)
		})
	}
	require.NoError(b, s.Close(context.Background()))
}

// fillForSelect writes 250,000 spans, of which one of a hundred failed.
func fillForSelect(b *testing.B, s store.Store, part int) {
	for i := range 500 {
		td := storetest.Request(uint64(part*500+i), benchSpans)
		newIDs(td, uint64(part*500+i+1))
		spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
		for n := range spans.Len() {
			span := spans.At(n)
			span.Attributes().PutStr("order.id", fmt.Sprintf("order-%d-%d", part, i*benchSpans+n))
			if (i*benchSpans+n)%100 == i%5 {
				span.Status().SetCode(ptrace.StatusCodeError)
			}
			span.SetStartTimestamp(span.StartTimestamp() + pcommon.Timestamp(n%7))
		}
		require.NoError(b, s.Write(context.Background(), td))
	}
}

// BenchmarkSieve looks at the same spans again and again.
func BenchmarkSieve(b *testing.B) {
	var spans []store.Span
	td := storetest.Request(1, benchSpans)
	for _, p := range storetest.Split(td) {
		p.Span().Attributes().PutStr("order.id", fmt.Sprintf("order-%d", len(spans)))
		spans = append(spans, p.Encode(1))
	}
	for name, c := range map[string]store.Condition{
		"text": is("order.id", "order-77777"), "number": is("http.response.body.size", int64(-1)), "nobody has it": is("nobody", "x"),
		"name": store.Has{Field: named, Value: "x"}, "duration": store.Lasted{Min: 1 << 60, Max: 1 << 61},
	} {
		b.Run(name, func(b *testing.B) {
			passes := store.Sieve(store.Selection{Where: c})
			for b.Loop() {
				for i := range spans {
					if ok, err := passes(&spans[i]); ok || err != nil {
						b.Fatal(ok, err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(spans)), "ns/span")
		})
	}
}
