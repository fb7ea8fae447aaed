package storetest

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"math"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// Causing implements store.Store.
func (m *Model) Causing(ctx context.Context, refs []causal.SpanRef, limit int) ([]store.Span, bool, error) {
	found, err := m.find(ctx, func(p Plain) bool { return p.links(refs, causal.LinkRoleEffect) })
	return limited(found, limit, err)
}

// Select implements store.Store.
func (m *Model) Select(ctx context.Context, sel store.Selection) iter.Seq2[store.Span, error] {
	return func(yield func(store.Span, error) bool) {
		found, err := m.find(ctx, func(p Plain) bool {
			at := uint64(p.Span().StartTimestamp())
			return at >= sel.Start && (sel.End == 0 || at < sel.End)
		})
		if err != nil {
			yield(store.Span{}, err)
			return
		}
		slices.SortStableFunc(found, latestFirst)
		match := func(store.Span) (bool, error) { return true, nil }
		if sel.NewMatcher != nil {
			match = sel.NewMatcher()
		}
		reading := sel.Reading
		if reading == nil {
			reading = &store.Reading{}
		}
		for _, e := range found {
			reading.Spans++
			err := ctx.Err()
			span := e.plain.Encode(e.received)
			matches := false
			if err == nil {
				matches, err = match(span)
			}
			if err != nil {
				yield(store.Span{}, err)
				return
			}
			if !matches {
				continue
			}
			reading.Matched++
			if !yield(span, nil) {
				return
			}
		}
	}
}

func latestFirst(a, b *entry) int {
	x, y := a.plain.Span(), b.plain.Span()
	xt, yt, xs, ys := x.TraceID(), y.TraceID(), x.SpanID(), y.SpanID()
	return cmp.Or(cmp.Compare(y.StartTimestamp(), x.StartTimestamp()),
		bytes.Compare(xt[:], yt[:]), bytes.Compare(xs[:], ys[:]), cmp.Compare(x.Kind(), y.Kind()))
}

// Estimate implements store.Store: it says how many spans there are.
func (m *Model) Estimate(ctx context.Context, _ store.Selection) (int64, error) {
	found, err := m.find(ctx, func(Plain) bool { return true })
	return int64(len(found)), err
}

// Fields implements store.Store.
func (m *Model) Fields(ctx context.Context, _, _ uint64) ([]store.Field, error) {
	seen := map[store.Field]bool{}
	_, err := m.find(ctx, func(p Plain) bool {
		eachField(p, func(f store.Field, _ any) {
			if f.Key != "" {
				seen[f] = true
			}
		})
		return false
	})
	var fields []store.Field
	for f := range seen {
		fields = append(fields, f)
	}
	slices.SortFunc(fields, func(a, b store.Field) int { return cmp.Or(cmp.Compare(a.Of, b.Of), cmp.Compare(a.Key, b.Key)) })
	return fields, err
}

// Values implements store.Store.
func (m *Model) Values(ctx context.Context, field store.Field, _, _ uint64, limit int) (store.Values, error) {
	seen := map[any]bool{}
	_, err := m.find(ctx, func(p Plain) bool {
		eachField(p, func(f store.Field, value any) {
			if f == field {
				seen[value] = true
			}
		})
		return false
	})
	var values []any
	for v := range seen {
		values = append(values, v)
	}
	slices.SortFunc(values, compareValues)
	return store.Values{Values: values[:min(limit, len(values))], Complete: len(values) <= limit}, err
}

func compareValues(a, b any) int {
	rank := func(v any) int {
		switch v.(type) {
		case string:
			return 0
		case int64:
			return 1
		case float64:
			return 2
		}
		return 3
	}
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	switch x := a.(type) {
	case string:
		return cmp.Compare(x, b.(string))
	case int64:
		return cmp.Compare(x, b.(int64))
	case float64:
		return cmp.Compare(x, b.(float64))
	case bool:
		if x == b.(bool) {
			return 0
		} else if x {
			return 1
		}
		return -1
	}
	return 0
}

// eachField calls f for every value that a span has in a field, of the types
// that store.Has knows.
func eachField(p Plain, f func(store.Field, any)) {
	attrs := func(of store.FieldOf, m pcommon.Map) {
		for key, v := range m.All() {
			switch v.Type() {
			case pcommon.ValueTypeDouble:
				if math.IsNaN(v.Double()) {
					continue
				}
				fallthrough
			case pcommon.ValueTypeStr, pcommon.ValueTypeInt, pcommon.ValueTypeBool:
				f(store.Field{Of: of, Key: key}, v.AsRaw())
			}
		}
	}
	s := p.Span()
	attrs(store.OfSpan, s.Attributes())
	attrs(store.OfResource, p.Traces.ResourceSpans().At(0).Resource().Attributes())
	for _, e := range s.Events().All() {
		attrs(store.OfEvent, e.Attributes())
		f(store.Field{Of: store.OfEventName}, e.Name())
	}
	f(store.Field{Of: store.OfName}, s.Name())
	f(store.Field{Of: store.OfKind}, int64(s.Kind()))
	f(store.Field{Of: store.OfStatus}, int64(s.Status().Code()))
	f(store.Field{Of: store.OfStatusMessage}, s.Status().Message())
}
