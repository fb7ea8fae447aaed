package query

import (
	"context"
	"iter"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/traceql"
)

// searcher is one search under way.
type searcher struct {
	ctx       context.Context
	src       SearchSource
	opts      *SearchOptions
	reader    Reader
	plan      Plan
	held      int // bytes of stored OTLP
	visited   int // nodes of causal operators
	loaded    trace
	estimates map[*filter]int64
	found     map[operand][]spanKey // what operands stand for, as far as it was found out
}

// run gives the spansets of a pipeline that are wanted.
func (s *searcher) run(p *pipe, want *wanted) error {
	want.release = func(f *result) { s.held -= f.bytes }
	if c, ok := p.source.(*caused); ok {
		return s.runCaused(p, c, want)
	}
	if err := s.know(p.source); err != nil {
		return err
	}
	return s.runTraces(p, want)
}

// know finds the spans of an operand's causal parts, so that what remains is
// about single traces.
func (s *searcher) know(o operand) (err error) {
	switch o := o.(type) {
	case *join:
		if err := s.know(o.left); err != nil {
			return err
		}
		return s.know(o.right)
	case *caused:
		if o.known == nil {
			o.known, err = s.setOf(&pipe{source: o}, o)
		}
	case *nested:
		if c, ok := o.pipe.source.(*caused); ok {
			if o.known == nil {
				o.known, err = s.setOf(o.pipe, c)
			}
			return err
		}
		return s.know(o.pipe.source)
	}
	return err
}

// leaves are operands without which a spanset expression comes to nothing.
type leaves struct {
	operands []operand // each a *filter or known
	estimate int64     // of spans to look at
}

func (s *searcher) leaf(o operand) (leaves, bool, error) {
	switch o := o.(type) {
	case *filter:
		n, err := s.estimate(o)
		return leaves{[]operand{o}, n}, true, err
	case *caused:
		return leaves{[]operand{o}, int64(len(o.known))}, true, nil
	case *nested:
		if o.known != nil {
			return leaves{[]operand{o}, int64(len(o.known))}, true, nil
		}
	}
	return leaves{}, false, nil
}

// needed returns leaves of which each trace that an operand has spans in has
// one of: the fewest.
func (s *searcher) needed(o operand) (leaves, error) {
	if l, ok, err := s.leaf(o); ok {
		return l, err
	}
	j, ok := o.(*join)
	if !ok {
		return s.needed(o.(*nested).pipe.source)
	}
	left, err := s.needed(j.left)
	if err != nil {
		return leaves{}, err
	}
	right, err := s.needed(j.right)
	switch {
	case err != nil:
		return leaves{}, err
	case j.source.Op == traceql.OpOr:
		return both(left, right), nil
	case left.estimate < right.estimate:
		return left, nil
	}
	return right, nil
}

// listed returns leaves of which each span that an operand stands for is one.
func (s *searcher) listed(o operand) (leaves, error) {
	if l, ok, err := s.leaf(o); ok {
		return l, err
	}
	j, ok := o.(*join)
	if !ok {
		return s.listed(o.(*nested).pipe.source)
	}
	right, err := s.listed(j.right)
	if err != nil || structural(j.source.Op) {
		return right, err
	}
	left, err := s.listed(j.left)
	return both(left, right), err
}

func both(a, b leaves) leaves {
	return leaves{slices.Concat(a.operands, b.operands), a.estimate + b.estimate}
}

// estimate returns how many spans may have to be looked at for a filter.
func (s *searcher) estimate(f *filter) (int64, error) {
	if f.oneOf {
		return int64(len(f.traces)), nil
	}
	if n, known := s.estimates[f]; known {
		return n, nil
	}
	n, err := s.src.Estimate(s.ctx, store.Selection{Start: s.opts.Range.Start, End: s.opts.Range.End, Where: f.where})
	if err != nil {
		return 0, err
	}
	if s.estimates == nil {
		s.estimates = map[*filter]int64{}
	}
	s.estimates[f] = n
	return n, nil
}

// selection asks for the spans that may be of one of some filters, from a key
// on.
func (s *searcher) selection(filters []*filter, from *spanKey) store.Selection {
	sel := store.Selection{Start: s.opts.Range.Start, End: s.opts.Range.End, Reading: &s.plan.Reading}
	if from != nil && (sel.End == 0 || from.start < sel.End) {
		sel.End = from.start + 1
	}
	var where store.Any
	for _, f := range filters {
		if f.where == nil {
			where = nil
			break
		}
		where = append(where, f.where)
	}
	sel.Where = one(where)
	sel.IgnoresLinks = !slices.ContainsFunc(filters, func(f *filter) bool { return asksLinks(f.source.Expr) })
	sel.NewMatcher = func() func(store.Span) (bool, error) {
		reader := new(Reader)
		return func(span store.Span) (bool, error) {
			r, err := reader.Read(span)
			if err != nil || r.Ref.IsZero() {
				return false, err
			}
			return slices.ContainsFunc(filters, func(f *filter) bool { return f.loose.holds(r) }), nil
		}
	}
	return sel
}

// keys yields the spans that may be of one of some leaves, from a key on, the
// latest first.
func (s *searcher) keys(of leaves, from *spanKey) iter.Seq2[spanKey, error] {
	return func(yield func(spanKey, error) bool) {
		filters, apart, err := s.apart(of)
		if err != nil {
			yield(spanKey{}, err)
			return
		}
		before := func(key spanKey) bool { // what is known comes in between
			for len(apart) > 0 && apart[0].latestFirst(key) < 0 {
				if !yield(apart[0], nil) {
					return false
				}
				apart = apart[1:]
			}
			return true
		}
		if len(filters) > 0 {
			for span, err := range s.src.Select(s.ctx, s.selection(filters, from)) {
				var key spanKey
				if err == nil {
					key, err = s.keyOf(span)
				}
				if err != nil {
					yield(key, err)
					return
				}
				if !before(key) || !yield(key, nil) {
					return
				}
			}
		}
		for _, key := range apart {
			if !yield(key, nil) {
				return
			}
		}
	}
}

// apart takes the leaves whose spans are known, or in known traces, from those
// that have to be selected.
func (s *searcher) apart(of leaves) (filters []*filter, keys []spanKey, err error) {
	for _, o := range of.operands {
		switch o := o.(type) {
		case *filter:
			if !o.oneOf {
				filters = append(filters, o)
				continue
			}
			for _, id := range o.traces {
				t, err := s.load(id)
				if err != nil {
					return nil, nil, err
				}
				for i, is := range s.spansOf(o, t) {
					if is {
						keys = append(keys, t.records[i].key())
					}
				}
			}
		case *caused:
			keys = append(keys, o.known.keys()...)
		case *nested:
			keys = append(keys, o.known.keys()...)
		}
	}
	slices.SortFunc(keys, spanKey.latestFirst)
	return filters, slices.Compact(keys), nil
}

func (s *searcher) keyOf(span store.Span) (spanKey, error) {
	r, err := s.reader.Read(span)
	if err != nil {
		return spanKey{}, err
	}
	return r.key(), nil
}

type traceIDs map[pcommon.TraceID]struct{}

func (t traceIDs) has(id pcommon.TraceID) bool {
	_, has := t[id]
	return has
}

func (t traceIDs) add(id pcommon.TraceID) (fresh bool) {
	_, seen := t[id]
	t[id] = struct{}{}
	return !seen
}
