package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// behaviour is a case that is not about answers alone.
type behaviour struct {
	name string
	run  func(t *testing.T, h Harness)
}

var behaviours = []behaviour{
	{"random requests come back whole", randomRequests},
	{"a write is seen by reads that begin after it", writersSeeTheirs},
	{"a scan sees the view it began with", scanIsSteady},
	{"a scan may end early", scanEndsEarly},
	{"received since", receivedSince},
	{"a context that ended", endedContext},
	{"closed", closed},
	{"stats", stats},
	{"an edge is found from both its ends", edges},
	{"a version that lost names nobody", losersNameNobody},
	{"limits", limits},
	{"searches", searches},
	{"a matcher that fails", matcherFails},
}

func randomRequests(t *testing.T, h Harness) {
	model := NewModel(clock())
	rapid.Check(t, func(rt *rapid.T) {
		td := Traces(rapid.SliceOfN(Specs(), 0, 20).Draw(rt, "specs")...)
		require.NoError(rt, h.Store().Write(t.Context(), td))
		require.NoError(rt, model.Write(t.Context(), td))
	})
	for _, move := range []func(){func() {}, func() { h.Cut(t) }, func() { h.Reopen(t) }} {
		move()
		for id := range uint64(4) {
			Same(t, trace(t, model, id), trace(t, h.Store(), id))
		}
		for _, id := range eventIDs {
			SameSet(t, event(t, model, id), event(t, h.Store(), id))
		}
		SameSet(t, scan(t, model, store.ScanOptions{}), merge(scan(t, h.Store(), store.ScanOptions{})))
		require.NoError(t, CheckEdges(t.Context(), h.Store(), scan(t, model, store.ScanOptions{})))
		require.NoError(t, CheckSearches(t.Context(), model, h.Store()))
	}
}

var eventIDs = []string{"", "a", "b", "c"}

// Specs generates spans from so few ids that they meet.
func Specs() *rapid.Generator[Spec] {
	return rapid.Custom(func(t *rapid.T) Spec {
		return Spec{
			Service: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "service"),
			Trace:   rapid.Uint64Range(0, 3).Draw(t, "trace"),
			Span:    rapid.Uint64Range(0, 5).Draw(t, "span"),
			Parent:  rapid.Uint64Range(0, 5).Draw(t, "parent"),
			Kind:    rapid.SampledFrom([]ptrace.SpanKind{client, server, 77}).Draw(t, "kind"),
			Name:    rapid.StringN(0, 3, -1).Draw(t, "name"),
			Start:   rapid.Uint64().Draw(t, "start"),
			State:   rapid.SampledFrom([]string{"", causal.CallOpen, causal.CallReturned}).Draw(t, "state"),
			Event:   rapid.SampledFrom(eventIDs).Draw(t, "event"),
			Return:  rapid.SampledFrom(eventIDs).Draw(t, "return"),
			Group:   rapid.SampledFrom([]string{"", "", "g", "h"}).Draw(t, "group"),
			Links:   rapid.SliceOfN(rapid.Uint64Range(1, 4), 0, 3).Draw(t, "links"),
			Effects: rapid.SliceOfN(rapid.Uint64Range(1, 4), 0, 2).Draw(t, "effects"),
		}
	})
}

func writersSeeTheirs(t *testing.T, h Harness) {
	const writers, writes = 8, 30
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for w := range writers {
		wg.Go(func() { errs <- writeAndRead(t.Context(), h.Store(), uint64(w+1), writes) })
	}
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				for _, err := range h.Store().Scan(t.Context(), store.ScanOptions{}) {
					if err != nil {
						errs <- err
						return
					}
				}
			}
		}
	})
	h.Cut(t)
	wg.Wait()
	close(stop)
	reader.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.Len(t, merge(scan(t, h.Store(), store.ScanOptions{})), writers*writes)
}

func writeAndRead(ctx context.Context, s store.Store, trace uint64, writes int) error {
	for i := range writes {
		event := fmt.Sprintf("%d-%d", trace, i)
		if err := s.Write(ctx, Traces(Spec{Trace: trace, Span: uint64(i + 1), Event: event})); err != nil {
			return err
		}
		spans, err := s.Trace(ctx, TraceID(trace))
		if err != nil || len(spans) != i+1 {
			return fmt.Errorf("trace %d: %d spans after %d writes, %w", trace, len(spans), i+1, err)
		}
		spans, err = s.Event(ctx, event)
		if err != nil || len(spans) != 1 {
			return fmt.Errorf("event %s: %d spans, %w", event, len(spans), err)
		}
	}
	return nil
}

func scanIsSteady(t *testing.T, h Harness) {
	write := func(from, to uint64) {
		var specs []Spec
		for i := from; i < to; i++ {
			specs = append(specs, Spec{Trace: i, Span: i})
		}
		require.NoError(t, h.Store().Write(t.Context(), Traces(specs...)))
	}
	write(1, 51)
	h.Cut(t)
	write(51, 101)
	seen := map[uint64]int{}
	for span, err := range h.Store().Scan(t.Context(), store.ScanOptions{}) {
		require.NoError(t, err)
		p, err := Decode(span)
		require.NoError(t, err)
		n, _ := p.Span().Attributes().Get("n")
		seen[uint64(n.Int())]++
		if len(seen) == 1 {
			write(101, 151)
			h.Cut(t)
		}
	}
	for i := uint64(1); i <= 100; i++ {
		require.Equal(t, 1, seen[i], "span %d", i)
	}
}

func scanEndsEarly(t *testing.T, h Harness) {
	require.NoError(t, h.Store().Write(t.Context(), Traces(Spec{Trace: 1, Span: 1}, Spec{Trace: 1, Span: 2})))
	h.Cut(t)
	require.NoError(t, h.Store().Write(t.Context(), Traces(Spec{Trace: 2, Span: 1}, Spec{Trace: 2, Span: 2})))
	for n := 1; n <= 4; n++ {
		seen := 0
		for _, err := range h.Store().Scan(t.Context(), store.ScanOptions{}) {
			require.NoError(t, err)
			if seen++; seen == n {
				break
			}
		}
		require.Equal(t, n, seen)
	}
}

func receivedSince(t *testing.T, h Harness) {
	require.NoError(t, h.Store().Write(t.Context(), Traces(Spec{Trace: 1, Span: 1})))
	h.Cut(t)
	spans, err := h.Store().Trace(t.Context(), TraceID(1))
	require.NoError(t, err)
	received := time.Unix(0, spans[0].Received)
	require.Len(t, scan(t, h.Store(), store.ScanOptions{ReceivedSince: received}), 1)
	require.Empty(t, scan(t, h.Store(), store.ScanOptions{ReceivedSince: received.Add(1)}))
}

func endedContext(t *testing.T, h Harness) {
	require.NoError(t, h.Store().Write(t.Context(), Traces(Spec{Trace: 1, Span: 1, Event: "e"})))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, h.Store().Write(ctx, Traces(Spec{Trace: 1, Span: 1})), context.Canceled)
	for _, err := range questions(ctx, h.Store()) {
		require.ErrorIs(t, err, context.Canceled)
	}
}

func closed(t *testing.T, h Harness) {
	s := h.Store()
	require.NoError(t, s.Write(t.Context(), Traces(Spec{Trace: 1, Span: 1, Event: "e"})))
	require.NoError(t, s.Close(t.Context()))
	require.NoError(t, s.Close(t.Context()))
	require.ErrorIs(t, s.Write(t.Context(), Traces(Spec{Trace: 1, Span: 2})), store.ErrClosed)
	for _, err := range questions(t.Context(), s) {
		require.ErrorIs(t, err, store.ErrClosed)
	}
	s.Stats()
}

// questions asks everything once and returns the errors.
func questions(ctx context.Context, s store.Store) []error {
	_, traceErr := s.Trace(ctx, TraceID(1))
	_, eventErr := s.Event(ctx, "e")
	refs := []causal.SpanRef{Ref(1, 1)}
	_, spansErr := s.Spans(ctx, refs)
	_, noneErr := s.Spans(ctx, nil)
	_, _, referringErr := s.Referring(ctx, refs, 1)
	_, _, nothingErr := s.Referring(ctx, nil, 1)
	_, _, causingErr := s.Causing(ctx, refs, 1)
	_, _, linkingErr := s.Linking(ctx, refs, 1)
	_, _, tracesErr := s.Traces(ctx, []pcommon.TraceID{TraceID(1)}, 1)
	_, _, groupErr := s.Correlation(ctx, "g", 1)
	_, _, emptyErr := s.Correlation(ctx, "", 1)
	_, fieldsErr := s.Fields(ctx, 0, 0)
	_, valuesErr := s.Values(ctx, store.Field{}, 0, 0, 1)
	_, estimateErr := s.Estimate(ctx, store.Selection{})
	selectErr := errors.New("a selection that yields nothing")
	for _, err := range s.Select(ctx, store.Selection{}) {
		selectErr = err
	}
	scanErr := errors.New("a scan that yields nothing")
	for _, err := range s.Scan(ctx, store.ScanOptions{}) {
		scanErr = err
	}
	return []error{traceErr, eventErr, scanErr, spansErr, noneErr, referringErr, nothingErr, causingErr, linkingErr, tracesErr, groupErr, emptyErr,
		fieldsErr, valuesErr, estimateErr, selectErr}
}

func stats(t *testing.T, h Harness) {
	before := time.Now().Add(-time.Hour)
	require.Zero(t, h.Store().Stats().Spans)
	require.NoError(t, h.Store().Write(t.Context(), Traces(Spec{Trace: 1, Span: 1}, Spec{Trace: 1, Span: 2, State: causal.CallOpen})))
	require.NoError(t, h.Store().Write(t.Context(), Traces(Spec{Trace: 1, Span: 1})))
	for range 2 {
		s := h.Store().Stats()
		require.EqualValues(t, 2, s.Spans)
		require.EqualValues(t, 1, s.OpenCalls)
		require.EqualValues(t, 1, s.Duplicates)
		require.Empty(t, s.Trouble)
		require.False(t, s.Oldest.IsZero())
		require.True(t, s.Oldest.After(before) || s.Oldest.Year() == 2023)
		h.Cut(t)
	}
}
