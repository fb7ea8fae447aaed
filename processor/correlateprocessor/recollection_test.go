package correlateprocessor

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/correlate"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// Whatever origins and times spans have, and however they are cut into groups:
// the newest are kept, each with its own time, in the order of times,
// beginnings and reading.
func TestRecollectionKeepsTheNewestInOrder(t *testing.T) {
	p := create(t, ruled(), consumertest.NewNop())
	w := p.works.Get().(*work)
	type read struct {
		span            uint64
		received, start int64
		correlation     string
	}
	rapid.Check(t, func(t *rapid.T) {
		var spans []store.Span
		var all []read
		for n := range uint64(rapid.IntRange(0, 25).Draw(t, "spans")) {
			s := read{
				span: n + 1, received: rapid.Int64Range(1, 5).Draw(t, "received"), start: rapid.Int64Range(1, 5).Draw(t, "start"),
				correlation: strings.Repeat("x", rapid.SampledFrom([]int{0, 1, 40, pageBytes / 3, pageBytes / 2, pageBytes + 1}).Draw(t, "length")),
			}
			td := ptrace.NewTraces()
			resource := td.ResourceSpans().AppendEmpty()
			resource.Resource().Attributes().PutStr("service.name", rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "origin"))
			span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			var id pcommon.SpanID
			binary.BigEndian.PutUint64(id[:], s.span)
			span.SetTraceID(pcommon.TraceID{1})
			span.SetSpanID(id)
			span.SetStartTimestamp(pcommon.Timestamp(s.start))
			if s.correlation != "" {
				span.Attributes().PutStr("scope.correlation.id", s.correlation)
			}
			all = append(all, s)
			spans = append(spans, storetest.Split(td)[0].Encode(s.received))
		}
		r := recollection{
			maxEntries: rapid.IntRange(1, 30).Draw(t, "max entries"),
			maxBytes:   rapid.IntRange(1, 5<<20).Draw(t, "max bytes"),
		}
		for rest := spans; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "group")
			require.NoError(t, r.take(w.extractor, rest[:n]))
			rest = rest[n:]
			require.LessOrEqual(t, r.bytes, r.maxBytes)
			require.LessOrEqual(t, r.entries, r.maxEntries*5/4)
			held := 0
			for _, page := range r.pages {
				held += len(page)
			}
			size := 0
			for _, k := range r.kept {
				size += int(k.length)
			}
			require.GreaterOrEqual(t, held, size)
			require.Equal(t, r.bytes, size+recalledBytes*len(r.kept))
		}
		r.sort()
		var got []read
		for _, k := range r.kept {
			batch, at, rest, err := correlate.ReadBatch(r.at(k), len(p.rules))
			require.NoError(t, err)
			require.Empty(t, rest)
			require.Len(t, batch, 1)
			require.Equal(t, k.received, at)
			got = append(got, read{binary.BigEndian.Uint64(batch[0].Span.SpanID[:]), k.received, k.start, batch[0].Correlation})
		}
		slices.SortFunc(all, func(a, b read) int {
			return cmp.Or(cmp.Compare(a.received, b.received), cmp.Compare(a.start, b.start), cmp.Compare(a.span, b.span))
		})
		require.Equal(t, len(all), len(got)+r.dropped)
		if len(all) > 0 && r.maxBytes > 2<<20 {
			require.NotEmpty(t, got)
		}
		// Of equal times only some may be kept.
		newest := all[len(all)-len(got):]
		for i := range got {
			require.Equal(t, newest[i].received, got[i].received)
			require.Equal(t, newest[i].start, got[i].start)
		}
		if r.dropped == 0 {
			require.Equal(t, all, got)
		}
	})
	require.NoError(t, p.Shutdown(t.Context()))
}
