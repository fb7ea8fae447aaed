package storetest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// liar changes a model's answers about edges.
type liar struct {
	*storetest.Model
	spans       func([]store.Span) []store.Span
	referring   func([]store.Span, bool, int) ([]store.Span, bool)
	correlation func([]store.Span) []store.Span
	err         error
}

func (l liar) Spans(ctx context.Context, refs []causal.SpanRef) ([]store.Span, error) {
	spans, err := l.Model.Spans(ctx, refs)
	if l.spans != nil {
		spans = l.spans(spans)
	}
	return spans, errors.Join(err, l.err)
}

func (l liar) Referring(ctx context.Context, refs []causal.SpanRef, limit int) ([]store.Span, bool, error) {
	spans, more, err := l.Model.Referring(ctx, refs, limit)
	if l.referring != nil {
		spans, more = l.referring(spans, more, limit)
	}
	return spans, more, err
}

func (l liar) Correlation(ctx context.Context, id string, limit int) ([]store.Span, bool, error) {
	spans, more, err := l.Model.Correlation(ctx, id, limit)
	if l.correlation != nil {
		spans = l.correlation(spans)
	}
	return spans, more, err
}

// TestCheckEdgesFinds holds the check to notice each kind of wrong answer.
func TestCheckEdgesFinds(t *testing.T) {
	model := storetest.NewModel(time.Now)
	td := storetest.Traces(
		storetest.Spec{Trace: 1, Span: 1, Start: 1, Group: "g"},
		storetest.Spec{Trace: 1, Span: 2, Parent: 1, Start: 2, Group: "g"},
		storetest.Spec{Trace: 1, Span: 3, Parent: 1, Start: 3},
		storetest.Spec{Trace: 2, Span: 3, Start: 4, Links: []uint64{1}},
	)
	require.NoError(t, model.Write(t.Context(), td))
	all := storetest.Split(td)
	require.NoError(t, storetest.CheckEdges(t.Context(), model, all))
	fewer := func(spans []store.Span) []store.Span { return spans[:max(0, len(spans)-1)] }
	broken := func([]store.Span) []store.Span { return []store.Span{{Origin: []byte{0xff}}} }
	reversed := func(spans []store.Span) []store.Span { slices.Reverse(spans); return spans }
	stranger := oneSpan(t).Spans
	for want, l := range map[string]liar{
		"spans of [{": {spans: fewer},
		"origin":      {spans: broken},
		"the disk":    {err: errors.New("the disk says no")},
		"more=true":   {referring: func(s []store.Span, _ bool, _ int) ([]store.Span, bool) { return s, true }},
		"3 spans of 3, more=false": {referring: func(s []store.Span, more bool, limit int) ([]store.Span, bool) {
			if limit == 1 && more {
				all, _, _ := model.Referring(context.Background(), []causal.SpanRef{storetest.Ref(1, 1)}, 10)
				return all, false
			}
			return s, more
		}},
		"not as it is stored": {referring: func(s []store.Span, more bool, limit int) ([]store.Span, bool) {
			if more {
				s[0] = must(stranger(context.Background(), []causal.SpanRef{storetest.Ref(1, 9)}))[0]
			}
			return s, more
		}},
		"correlation \"g\": more=false, want": {correlation: fewer},
		"not by start":                        {correlation: reversed},
	} {
		l.Model = model
		require.ErrorContains(t, storetest.CheckEdges(t.Context(), l, all), want)
	}
}

// oneSpan has one span, that the other model has not.
func oneSpan(t *testing.T) *storetest.Model {
	m := storetest.NewModel(time.Now)
	require.NoError(t, m.Write(t.Context(), storetest.Traces(storetest.Spec{Trace: 1, Span: 9})))
	return m
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
