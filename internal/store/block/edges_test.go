package block

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

// linked makes realistic spans of which each is in a group and each but the
// first has a link to an earlier one, some with the role effect.
func linked(tb testing.TB, n int) []Row {
	r := rand.New(rand.NewPCG(5, 6))
	var rows []Row
	for i := range n {
		td := realisticSpan(r, i, pcommon.TraceID{1, byte(i / 4), byte(i / 1024)})
		span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		span.Attributes().PutStr(causal.AttrCorrelationID, fmt.Sprintf("group-%d", i/3))
		if i > 0 {
			cause := headOf(rows[r.IntN(i)].Span)
			link := span.Links().AppendEmpty()
			link.SetTraceID(cause.trace)
			link.SetSpanID(cause.span)
			if i%3 == 0 {
				link.Attributes().PutStr(causal.AttrLinkRole, causal.LinkRoleEffect)
			}
		}
		rows = append(rows, rowsOf(tb, td)...)
	}
	shareOrigins(rows)
	return rows
}

// edgesOf returns the spans that a span names and its correlation id.
func edgesOf(b []byte) (refs []causal.SpanRef, group string) {
	var span otlpwire.Span
	var link otlpwire.Link
	if span.Parse(b) != nil {
		return nil, ""
	}
	refs = append(refs, causal.SpanRef{TraceID: span.TraceID, SpanID: span.ParentSpanID})
	for _, l := range span.Links {
		if link.Parse(l) == nil {
			refs = append(refs, causal.SpanRef{TraceID: link.TraceID, SpanID: link.SpanID})
		}
	}
	v, _ := otlpwire.Find(span.Attributes, causal.AttrCorrelationID)
	text, _ := v.Str()
	return refs, string(text)
}

// checkEdges compares what the block says about edges with a search of its
// rows, which stand in their order.
func checkEdges(t *testing.T, b *Block, rows []Row) {
	links, effects := make([][]causal.SpanRef, len(rows)), make([][]causal.SpanRef, len(rows))
	for i, r := range rows {
		links[i], effects[i] = linksOf(r.Span)
	}
	linking := func(refs []causal.SpanRef) {
		requireNaming(t, b, b.ids.linking.there, b.set.Linking(refs), links, refs)
		requireNaming(t, b, b.ids.leading.there, b.set.Causing(refs), effects, refs)
	}
	refs, groups := map[causal.SpanRef]bool{}, map[string]bool{"nobody is in this": true}
	for _, r := range rows {
		names, group := edgesOf(r.Span)
		h := headOf(r.Span)
		for _, ref := range append(names, causal.SpanRef{TraceID: h.trace, SpanID: h.span}) {
			refs[ref] = !ref.IsZero()
		}
		groups[group] = true
	}
	var every []causal.SpanRef
	for ref, names := range refs {
		if !names {
			continue
		}
		every = append(every, ref)
		requireRows(t, b, rows, []causal.SpanRef{ref})
		linking([]causal.SpanRef{ref})
	}
	requireRows(t, b, rows, append(every, every...))
	linking(every)
	requireTraces(t, b, rows)
	for group := range groups {
		if group == "" {
			continue
		}
		found, err := b.Find(context.Background(), b.set.Correlation(group))
		require.NoError(t, err)
		require.Equal(t, numbers(rows, func(span []byte) bool { _, g := edgesOf(span); return g == group }), found)
	}
}

func requireRows(t *testing.T, b *Block, rows []Row, refs []causal.SpanRef) {
	found, err := b.Find(context.Background(), b.set.Referring(refs))
	require.NoError(t, err)
	want := numbers(rows, func(span []byte) bool {
		names, _ := edgesOf(span)
		return slices.ContainsFunc(names, func(r causal.SpanRef) bool { return slices.Contains(refs, r) })
	})
	require.Equal(t, want, found)
	got, err := b.Rows(found)
	require.NoError(t, err)
	for i, n := range found {
		require.Equal(t, rows[n], got[i])
	}
	found, err = b.Find(context.Background(), b.set.Spans(refs))
	require.NoError(t, err)
	require.Equal(t, numbers(rows, func(span []byte) bool {
		h := headOf(span)
		return slices.Contains(refs, causal.SpanRef{TraceID: h.trace, SpanID: h.span})
	}), found)
}

// linksOf returns the spans that a span's links name, and those of them that it
// caused.
func linksOf(b []byte) (links, effects []causal.SpanRef) {
	var span otlpwire.Span
	var link otlpwire.Link
	if span.Parse(b) != nil {
		return nil, nil
	}
	for _, l := range span.Links {
		if link.Parse(l) != nil {
			continue
		}
		links = append(links, causal.SpanRef{TraceID: link.TraceID, SpanID: link.SpanID})
		role, _ := otlpwire.Find(link.Attributes, causal.AttrLinkRole)
		if text, _ := role.Str(); string(text) == causal.LinkRoleEffect {
			effects = append(effects, causal.SpanRef{TraceID: link.TraceID, SpanID: link.SpanID})
		}
	}
	return links, effects
}

// requireNaming asks for rows that name refs; named is what each row names. A
// block without a run for it may give more.
func requireNaming(t *testing.T, b *Block, exact bool, q *Question, named [][]causal.SpanRef, refs []causal.SpanRef) {
	found, err := b.Find(context.Background(), q)
	require.NoError(t, err)
	var want []uint32
	for i, names := range named {
		if slices.ContainsFunc(names, func(r causal.SpanRef) bool { return slices.Contains(refs, r) }) {
			want = append(want, uint32(i))
		}
	}
	if exact {
		require.Equal(t, want, found)
		return
	}
	for _, n := range want {
		require.Contains(t, found, n)
	}
}

// requireTraces asks for all traces, and one that is not there, at once.
func requireTraces(t *testing.T, b *Block, rows []Row) {
	want := map[pcommon.TraceID][]uint32{}
	for i, r := range rows {
		id := headOf(r.Span).trace
		want[id] = append(want[id], uint32(i))
	}
	q := b.set.Traces(append(slices.Collect(maps.Keys(want)), pcommon.TraceID{9}))
	got := map[pcommon.TraceID][]uint32{}
	require.NoError(t, b.FindTraces(q, func(place int, rows []uint32) {
		require.NotContains(t, got, q.IDs[place])
		got[q.IDs[place]] = rows
	}))
	require.Equal(t, want, got)
}

func numbers(rows []Row, is func(span []byte) bool) (found []uint32) {
	for i, r := range rows {
		if is(r.Span) {
			found = append(found, uint32(i))
		}
	}
	return found
}

func TestEdges(t *testing.T) {
	rows := linked(t, 600) // more than a granule of each run
	fsys, _ := write(t, rows)
	checkEdges(t, open(t, fsys), sorted(rows))
}

// TestEdgesWithoutRuns asks blocks that lack either run or both.
func TestEdgesWithoutRuns(t *testing.T) {
	rows := linked(t, 60)
	fsys, _ := write(t, rows)
	name := IDsName(7)
	good := contents(t, fsys, name)
	for _, missing := range [][]string{{sectionReferring}, {sectionCorrelation}, {sectionReferring, sectionCorrelation}, {sectionLeading}, {sectionLinking}, {sectionLinking, sectionReferring}, {sectionLeading, sectionReferring}} {
		overwrite(t, fsys, name, rebuilt(t, good, func(s map[string][]byte) {
			for _, m := range missing {
				delete(s, m)
				delete(s, m+suffixFirst)
				delete(s, m+suffixSums)
			}
		}))
		b := open(t, fsys)
		checkEdges(t, b, sorted(rows))
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		if slices.Contains(missing, sectionReferring) {
			_, err := b.Find(ended, b.set.Referring([]causal.SpanRef{{TraceID: pcommon.TraceID{1}, SpanID: pcommon.SpanID{1}}}))
			require.ErrorIs(t, err, context.Canceled)
		}
	}
}

// TestManyAtOnceReadEachPieceOnce counts what is read for many ids, which come
// in no order.
func TestManyAtOnceReadEachPieceOnce(t *testing.T) {
	rows := linked(t, 3000)
	fsys, _ := write(t, rows)
	b := open(t, fsys)
	var refs []causal.SpanRef
	for _, r := range rows {
		h := headOf(r.Span)
		refs = append(refs, causal.SpanRef{TraceID: h.trace, SpanID: h.span})
	}
	reads := 0
	fsys.(*memfs.FS).SetHook(func(memfs.Op, string) error { reads++; return nil })
	found, err := b.Find(context.Background(), b.set.Spans(refs))
	require.NoError(t, err)
	require.Len(t, found, len(rows))
	granules := len(b.ids.span.sums)
	require.Greater(t, granules, 4)
	require.LessOrEqual(t, reads, 2*granules, "a granule's last id may go on in the next one")

	_, err = b.Rows(found) // remembers the origins
	require.NoError(t, err)
	reads = 0
	got, err := b.Rows(found)
	require.NoError(t, err)
	require.Equal(t, sorted(rows), got)
	require.Equal(t, len(b.ids.rows.sums), reads, "the pages are in the cache")

	b.set.pages = newPageCache()
	reads = 0
	_, err = b.Rows(found)
	require.NoError(t, err)
	require.Equal(t, len(b.ids.pages)+len(b.ids.rows.sums), reads)
}
