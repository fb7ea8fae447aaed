package head_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store/field"
	"github.com/otelscope/otelscope/internal/store/head"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// names returns the spans' names that the head's census lists.
func names(t *testing.T, h *head.Head) (all []string) {
	require.NoError(t, h.Census(func(c *field.Census) {
		if tally := c.Of(field.Field{Of: field.Name}); tally != nil {
			for _, v := range tally.Values() {
				all = append(all, v.Any().(string))
			}
		}
	}))
	slices.Sort(all)
	return all
}

// TestZonesHoldTheirRows: every row's start is within its zone, and a zone of
// spans that nothing replaced says no more than that.
func TestZonesHoldTheirRows(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := head.New(0)
		for range rapid.IntRange(1, 4).Draw(rt, "batches") {
			var specs []storetest.Spec
			for i := range rapid.IntRange(1, 900).Draw(rt, "spans") {
				specs = append(specs, storetest.Spec{
					Trace: 1, Span: rapid.Uint64Range(1, 3000).Draw(rt, "span"), Start: rapid.Uint64Range(0, 1000).Draw(rt, "start"),
					State: []string{"", causal.CallOpen}[i%2],
				})
			}
			h.Insert(parse(t, storetest.Traces(specs...)), 1)
		}
		zones, sizes := h.Zones(nil)
		require.Len(rt, zones, (sizes.Spans+head.ZoneRows-1)/head.ZoneRows)
		for i, s := range h.Rows(nil, 0, sizes.Spans, false) {
			info, err := head.Peek(s.Bytes)
			require.NoError(rt, err)
			z := zones[i/head.ZoneRows]
			require.True(rt, z.MinStart <= info.Start && info.Start <= z.MaxStart, "%d in %+v", info.Start, z)
		}
	})
}

func TestZonesOfSpansThatWereReplaced(t *testing.T) {
	h := head.New(0)
	h.Insert(parse(t, storetest.Traces(storetest.Spec{Trace: 1, Span: 1, Start: 50, State: causal.CallOpen})), 1)
	h.Insert(parse(t, storetest.Traces(storetest.Spec{Trace: 1, Span: 1, Start: 70}, storetest.Spec{Trace: 1, Span: 1, Start: 900})), 2)
	zones, _ := h.Zones(nil)
	require.Equal(t, []head.Zone{{MinStart: 50, MaxStart: 70}}, zones, "a version that lost does not count")
}

// TestCensusIsKeptUp, also of rows that were replaced after they were counted.
func TestCensusIsKeptUp(t *testing.T) {
	h := head.New(0)
	require.Empty(t, names(t, h))
	insert := func(specs ...storetest.Spec) { h.Insert(parse(t, storetest.Traces(specs...)), 1) }
	insert(storetest.Spec{Trace: 1, Span: 1, Name: "open", State: causal.CallOpen}, storetest.Spec{Trace: 1, Span: 2, Name: "other"})
	require.Equal(t, []string{"open", "other"}, names(t, h))
	insert(storetest.Spec{Trace: 1, Span: 1, Name: "complete"}, storetest.Spec{Trace: 1, Span: 2, Name: "lost"})
	require.Equal(t, []string{"complete", "open", "other"}, names(t, h))
	var want []string
	for i := range 700 {
		insert(storetest.Spec{Trace: 2, Span: uint64(i + 1), Name: fmt.Sprintf("many %03d", i)})
		want = append(want, fmt.Sprintf("many %03d", i))
	}
	require.Equal(t, append([]string{"complete"}, append(want, "open", "other")...), names(t, h))
	require.Equal(t, names(t, h), names(t, h))
}

func TestCensusWhileInserting(t *testing.T) {
	h := head.New(0)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 50 {
				_ = h.Census(func(c *field.Census) { c.Tallies() })
				h.Zones(nil)
			}
		})
	}
	for i := range 200 {
		h.Insert(parse(t, storetest.Traces(storetest.Spec{Trace: 1, Span: uint64(i%50 + 1), Name: fmt.Sprint(i), State: []string{causal.CallOpen, ""}[i/100]})), int64(i+1))
	}
	wg.Wait()
	require.GreaterOrEqual(t, len(names(t, h)), 50)
}
