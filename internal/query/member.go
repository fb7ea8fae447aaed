package query

import (
	"iter"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
)

// member says of single spans whether an operand stands for them.
type member interface {
	has(r *Record) (bool, error)
}

func (s *searcher) member(o operand) member {
	switch o := o.(type) {
	case *filter:
		if !o.ofTrace {
			return simple{o.predicate, s.opts.Range}
		}
	case *caused:
		if o.known == nil {
			return &led{reach: s.newReach(o), listed: spanSet{}}
		}
		return o.known
	case *nested:
		if o.known != nil {
			return o.known
		}
	}
	return &traced{s: s, operand: o, traces: map[pcommon.TraceID]spanSet{}}
}

// simple is a filter that is about a span alone.
type simple struct {
	predicate predicate
	within    Range
}

func (m simple) has(r *Record) (bool, error) {
	return m.within.holds(r.wire.Start) && m.predicate.holds(r), nil
}

func (s spanSet) has(r *Record) (bool, error) {
	_, is := s[r.key().identity()]
	return is, nil
}

// traced is what has to be found out with a whole trace, and is remembered.
type traced struct {
	s       *searcher
	operand operand
	traces  map[pcommon.TraceID]spanSet
}

func (m *traced) has(r *Record) (bool, error) {
	set, err := m.of(r.Ref.TraceID)
	if err != nil {
		return false, err
	}
	return set.has(r)
}

func (m *traced) of(id pcommon.TraceID) (spanSet, error) {
	set, known := m.traces[id]
	if known {
		return set, nil
	}
	t, err := m.s.load(id)
	if err != nil {
		return nil, err
	}
	set = spanSet{}
	for i, is := range m.s.spansOf(m.operand, t) {
		if is {
			key := t.records[i].key()
			set[key.identity()] = key.start
		}
	}
	m.traces[id] = set
	return set, nil
}

// led is a causal operator of which not all spans are known. What may be one,
// and is asked for, waits until it is decided.
type led struct {
	*reach
	waiting []spanKey
	listed  spanSet
}

// has reports whether the span may be one.
func (m *led) has(r *Record) (bool, error) {
	is, err := m.right.has(r)
	if is && err == nil {
		m.waiting = append(m.waiting, r.key())
	}
	return is, err
}

// decide finds out about the spans that wait.
func (m *led) decide() error {
	if len(m.waiting) == 0 {
		return nil
	}
	from := make([]int, len(m.waiting))
	asked := map[causal.SpanRef]bool{}
	for i, key := range m.waiting {
		var err error
		if from[i], err = m.place(key.ref); err != nil {
			return err
		}
		asked[key.ref] = true
	}
	m.waiting = m.waiting[:0]
	if err := m.explore(from, m.op.toLeft); err != nil {
		return err
	}
	parts, err := m.components(func(n *reachNode) bool { return asked[n.ref] })
	if err != nil {
		return err
	}
	for _, part := range parts {
		for _, key := range part.spans {
			m.listed[key.identity()] = key.start
		}
	}
	return nil
}

// spans yields the spans that an operand stands for, from a key on, the latest
// first.
func (s *searcher) spans(o operand, from *spanKey) iter.Seq2[spanKey, error] {
	return func(yield func(spanKey, error) bool) {
		if keys, found := s.found[o]; found && from == nil {
			for _, key := range keys {
				if !yield(key, nil) {
					return
				}
			}
			return
		}
		listed, err := s.listed(o)
		if err != nil {
			yield(spanKey{}, err)
			return
		}
		member := s.member(o)
		traced, _ := member.(*traced)
		for key, err := range s.keys(listed, from) {
			if err == nil && traced != nil {
				var set spanSet
				if set, err = traced.of(key.ref.TraceID); err == nil {
					if _, is := set[key.identity()]; !is {
						continue
					}
				}
			}
			if !yield(key, err) || err != nil {
				return
			}
		}
	}
}
