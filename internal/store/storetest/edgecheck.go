package storetest

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// CheckEdges asks s for all the spans that all names, are, and belong to
// together, and compares the answers with a search of all, which is everything
// that s holds, each identity once.
func CheckEdges(ctx context.Context, s store.Store, all []Plain) error {
	refs, groups := endsOf(all)
	questions := [][]causal.SpanRef{nil, {{}}, refs, slices.Concat(refs, refs)}
	for _, r := range refs {
		questions = append(questions, []causal.SpanRef{r})
	}
	for _, q := range questions {
		spans, err := s.Spans(ctx, q)
		if err := sameAs(matching(all, func(p Plain) bool { return p.is(q) }), spans, err); err != nil {
			return fmt.Errorf("spans of %v: %w", q, err)
		}
		want := matching(all, func(p Plain) bool { return p.names(q) })
		spans, more, err := s.Referring(ctx, q, len(want)+1)
		if err := sameAs(want, spans, err); err != nil || more {
			return fmt.Errorf("referring to %v: more=%v, %w", q, more, err)
		}
		want = matching(all, func(p Plain) bool { return p.links(q, "") })
		spans, more, err = s.Linking(ctx, q, len(want)+1)
		if err := sameAs(want, spans, err); err != nil || more {
			return fmt.Errorf("linking to %v: more=%v, %w", q, more, err)
		}
		want = matching(all, func(p Plain) bool { return p.links(q, causal.LinkRoleEffect) })
		spans, more, err = s.Causing(ctx, q, len(want)+1)
		if err := sameAs(want, spans, err); err != nil || more {
			return fmt.Errorf("causing %v: more=%v, %w", q, more, err)
		}
	}
	for _, g := range groups {
		want := matching(all, func(p Plain) bool { return g != "" && p.Group() == g })
		spans, more, err := s.Correlation(ctx, g, len(want)+1)
		if err := sameAs(want, spans, err); err != nil || more {
			return fmt.Errorf("correlation %q: more=%v, %w", g, more, err)
		}
		if !slices.IsSortedFunc(decoded(spans), byStart) {
			return fmt.Errorf("correlation %q: not by start", g)
		}
	}
	for _, most := range []int{1, 3, math.MaxInt} {
		if err := checkTraces(ctx, s, all, refs, most); err != nil {
			return fmt.Errorf("traces of at most %d rows: %w", most, err)
		}
	}
	return checkLimits(ctx, s, all, refs)
}

// checkTraces asks for all traces at once. What has several versions in a store
// may have more rows than spans.
func checkTraces(ctx context.Context, s store.Store, all []Plain, refs []causal.SpanRef, most int) error {
	var ids []pcommon.TraceID
	for _, r := range refs {
		ids = append(ids, r.TraceID) // some several times
	}
	spans, large, err := s.Traces(ctx, ids, most)
	tooLarge := func(p Plain) bool { return slices.Contains(large, pcommon.TraceID(p.Span().TraceID())) }
	if err := sameAs(matching(all, func(p Plain) bool { return slices.Contains(ids, p.Span().TraceID()) && !tooLarge(p) }), spans, err); err != nil {
		return err
	}
	rows := map[pcommon.TraceID]int{}
	for _, p := range all {
		rows[p.Span().TraceID()]++
	}
	for _, id := range ids {
		if rows[id] > most && !slices.Contains(large, id) {
			return fmt.Errorf("%s is not said to be large", id)
		}
	}
	for _, id := range large {
		if rows[id] == 0 || most == math.MaxInt {
			return fmt.Errorf("%s is said to be large", id)
		}
	}
	return nil
}

func byStart(a, b Plain) int {
	return cmp.Compare(a.Span().StartTimestamp(), b.Span().StartTimestamp())
}

// checkLimits asks for less than there is.
func checkLimits(ctx context.Context, s store.Store, all []Plain, refs []causal.SpanRef) error {
	total := len(matching(all, func(p Plain) bool { return p.names(refs) }))
	for _, limit := range []int{1, total / 2, total - 1, total} {
		if limit < 1 {
			continue
		}
		spans, more, err := s.Referring(ctx, refs, limit)
		if err != nil || more != (total > limit) || len(spans) != min(limit, total) {
			return fmt.Errorf("referring: limit %d: %d spans of %d, more=%v, %w", limit, len(spans), total, more, err)
		}
		for _, p := range decoded(spans) {
			if !slices.ContainsFunc(all, p.Equal) {
				return fmt.Errorf("referring: limit %d: not as it is stored: %s", limit, p)
			}
		}
	}
	return nil
}

// endsOf returns the spans that all are or name, and one that nobody is; the
// groups, one that nobody is in, and "".
func endsOf(all []Plain) (refs []causal.SpanRef, groups []string) {
	seen, seenGroup := map[causal.SpanRef]bool{{}: true}, map[string]bool{}
	for _, p := range all {
		for _, r := range append(p.Names(), p.Ref()) {
			if !r.IsZero() && !seen[r] {
				seen[r] = true
				refs = append(refs, r)
			}
		}
		if !seenGroup[p.Group()] {
			seenGroup[p.Group()] = true
			groups = append(groups, p.Group())
		}
	}
	return append(refs, Ref(1, 1<<40)), append(groups, "nobody is in this", "")
}

func matching(all []Plain, match func(Plain) bool) (found []Plain) {
	for _, p := range all {
		if match(p) {
			found = append(found, p)
		}
	}
	return found
}

// decoded panics on what is no span: sameAs saw it.
func decoded(spans []store.Span) (out []Plain) {
	for _, s := range spans {
		p, err := Decode(s)
		if err != nil {
			panic(err)
		}
		out = append(out, p)
	}
	return out
}

func sameAs(want []Plain, spans []store.Span, err error) error {
	if err != nil {
		return err
	}
	got := make([]Plain, 0, len(spans))
	for _, s := range spans {
		p, err := Decode(s)
		if err != nil {
			return err
		}
		got = append(got, p)
	}
	want, got = sorted(want), sorted(got)
	if !slices.EqualFunc(want, got, Plain.Equal) {
		return fmt.Errorf("want\n%s\ngot\n%s", Describe(want), Describe(got))
	}
	return nil
}

func edges(t *testing.T, h Harness) {
	write := func(specs ...Spec) { require.NoError(t, h.Store().Write(t.Context(), Traces(specs...))) }
	ends := func() (found []string) {
		spans, more, err := h.Store().Referring(t.Context(), []causal.SpanRef{Ref(1, 1)}, 10)
		require.NoError(t, err)
		require.False(t, more)
		for _, p := range decodeAll(t, spans) {
			found = append(found, p.Span().Name())
		}
		slices.Sort(found)
		return found
	}
	write(Spec{Trace: 1, Span: 2, Parent: 1, Name: "child"}, Spec{Trace: 2, Span: 1, Parent: 1, Name: "other trace"})
	require.Equal(t, []string{"child"}, ends())
	h.Cut(t)
	write(Spec{Trace: 1, Span: 1, Name: "parent"}, Spec{Trace: 2, Span: 2, Links: []uint64{1, 3}, Name: "effect"})
	require.Equal(t, []string{"child", "effect"}, ends())
	h.Cut(t)
	// A link that comes with a later version.
	write(Spec{Trace: 2, Span: 1, Parent: 1, Links: []uint64{1}, Name: "other trace"})
	require.Equal(t, []string{"child", "effect", "other trace"}, ends())
	h.Reopen(t)
	require.Equal(t, []string{"child", "effect", "other trace"}, ends())
	spans, err := h.Store().Spans(t.Context(), []causal.SpanRef{Ref(1, 1), Ref(2, 1), Ref(2, 1), Ref(3, 1)})
	require.NoError(t, err)
	require.Len(t, spans, 2)
}

func losersNameNobody(t *testing.T, h Harness) {
	count := func() (referring, group int) {
		spans, _, err := h.Store().Referring(t.Context(), []causal.SpanRef{Ref(1, 7)}, 10)
		require.NoError(t, err)
		members, _, err := h.Store().Correlation(t.Context(), "g", 10)
		require.NoError(t, err)
		return len(spans), len(members)
	}
	for span := range uint64(40) {
		require.NoError(t, h.Store().Write(t.Context(), Traces(Spec{Trace: 1, Span: 10 + span, Parent: 7, State: causal.CallOpen, Group: "g"})))
	}
	referring, group := count()
	require.Equal(t, []int{10, 10}, []int{referring, group})
	for span := range uint64(40) {
		h.Cut(t)
		require.NoError(t, h.Store().Write(t.Context(), Traces(Spec{Trace: 1, Span: 10 + span, Parent: 8, State: causal.CallReturned, Group: "h"})))
		referring, group = count()
		require.Equal(t, []int{min(10, 39-int(span)), min(10, 39-int(span))}, []int{referring, group})
	}
}

func limits(t *testing.T, h Harness) {
	const children = 100
	for i := range uint64(children) {
		require.NoError(t, h.Store().Write(t.Context(), Traces(Spec{Trace: 1, Span: 2 + i, Parent: 1, Start: i, Group: "g", Links: []uint64{1}})))
		if i%30 == 0 {
			h.Cut(t)
		}
	}
	require.NoError(t, h.Store().Write(t.Context(), Traces(Spec{Trace: 1, Span: 2, Parent: 1, Group: "g", Links: []uint64{5}})))
	for _, limit := range []int{1, 2, 50, children - 1, children, children + 1} {
		spans, more, err := h.Store().Referring(t.Context(), []causal.SpanRef{Ref(1, 1), Ref(1, 3)}, limit)
		require.NoError(t, err)
		require.Len(t, spans, min(limit, children))
		require.Equal(t, limit < children, more)
		spans, more, err = h.Store().Correlation(t.Context(), "g", limit)
		require.NoError(t, err)
		require.Len(t, spans, min(limit, children))
		require.Equal(t, limit < children, more)
		require.True(t, slices.IsSortedFunc(decodeAll(t, spans), byStart))
	}
}
