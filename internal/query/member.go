package query

import (
	"iter"

	"go.opentelemetry.io/collector/pdata/pcommon"
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

// spans yields the spans that an operand stands for, from a key on, the latest
// first.
func (s *searcher) spans(o operand, from *spanKey) iter.Seq2[spanKey, error] {
	return func(yield func(spanKey, error) bool) {
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
