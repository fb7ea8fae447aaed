package store

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"
)

// Select implements Store.
func (e *engine) Select(ctx context.Context, sel Selection) iter.Seq2[Span, error] {
	return func(yield func(Span, error) bool) {
		var m merger
		match := func(Span) (bool, error) { return true, nil }
		if sel.NewMatcher != nil {
			match = sel.NewMatcher()
		}
		for s, err := range e.Scan(ctx, ScanOptions{}) {
			if err == nil {
				err = m.add(s)
			}
			if err != nil {
				yield(Span{}, err)
				return
			}
		}
		slices.SortStableFunc(m.spans, func(a, b merged) int {
			return cmp.Or(cmp.Compare(b.start, a.start), bytes.Compare(a.id.Trace[:], b.id.Trace[:]), bytes.Compare(a.id.Span[:], b.id.Span[:]), cmp.Compare(a.id.Kind, b.id.Kind))
		})
		for _, s := range m.spans {
			if s.start < sel.Start || sel.End != 0 && s.start >= sel.End {
				continue
			}
			ok, err := match(s.Span)
			if err != nil {
				yield(Span{}, err)
				return
			}
			if ok && !yield(s.Span, nil) {
				return
			}
		}
	}
}

// Estimate implements Store.
func (e *engine) Estimate(context.Context, Selection) (int64, error) { return e.Stats().Spans, nil }

// Fields implements Store.
func (e *engine) Fields(context.Context, uint64, uint64) ([]Field, error) { return nil, nil }

// Values implements Store.
func (e *engine) Values(context.Context, Field, uint64, uint64, int) (Values, error) {
	return Values{}, nil
}
