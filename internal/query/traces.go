package query

import (
	"cmp"
	"slices"
	"strings"
)

// runTraces gives the spansets of a pipeline over single traces: traces that
// may have some are found by the spans of a few filters, and read whole.
//
// Either by the filters that each listed span is of, the latest first: as soon
// as the latest span that may still come is earlier than a spanset's, that one
// is given, and when enough are nothing more is read. Or, where they are much
// rarer, by filters that each trace with a spanset has a span of.
func (s *searcher) runTraces(p *pipe, want *wanted) error {
	needed, err := s.needed(p.source)
	if err != nil {
		return err
	}
	listed, err := s.listed(p.source)
	if err != nil {
		return err
	}
	found, from := listed, want.after
	inOrder := needed.estimate >= listed.estimate/rarer
	if !inOrder {
		found, from = needed, nil
	}
	selected := s.step("select", found.text(), found.estimate)
	read := s.step("trace", p.source.text(), 0)
	seen := traceIDs{}
	var only traceIDs // nil: any
	for key, err := range s.keys(found, from) {
		if err != nil {
			return err
		}
		selected.Spans++
		if inOrder {
			if more, err := want.advance(key); err != nil || !more {
				return err
			}
		}
		if only != nil && !only.has(key.ref.TraceID) || !seen.add(key.ref.TraceID) {
			continue
		}
		if inOrder && only == nil && len(seen) == s.patience() && !slices.Equal(needed.operands, listed.operands) {
			if only, err = s.tracesOf(needed); err != nil {
				return err
			}
			if only != nil && !only.has(key.ref.TraceID) {
				continue
			}
		}
		t, err := s.load(key.ref.TraceID)
		if err != nil {
			return err
		}
		for _, b := range s.bunches(p, t) {
			f, err := s.result(p, b)
			if err != nil {
				return err
			}
			read.Spans += int64(len(b.records))
			want.push(f)
		}
		if inOrder {
			if more, err := want.advance(key); err != nil || !more {
				return err
			}
		}
	}
	return want.finish()
}

// rarer is how many times fewer spans have to be looked at where all of them
// have to be, instead of the latest.
const rarer = 8

// patience is how many traces are read before the time is taken to find out
// which of them may have spansets at all.
func (s *searcher) patience() int { return cmp.Or(s.opts.patience, 200) }

// mostTraces bounds how many traces are remembered for that.
const mostTraces = 1 << 18

// tracesOf returns the traces that have spans of some leaves, nil if they are
// too many.
func (s *searcher) tracesOf(of leaves) (traceIDs, error) {
	step := s.step("select", of.text(), of.estimate)
	ids := traceIDs{}
	for key, err := range s.keys(of, nil) {
		if err != nil {
			return nil, err
		}
		step.Spans++
		if ids.add(key.ref.TraceID); len(ids) > mostTraces {
			return nil, nil
		}
	}
	return ids, nil
}

func (l leaves) text() string {
	texts := make([]string, len(l.operands))
	for i, o := range l.operands {
		texts[i] = o.text()
	}
	return strings.Join(texts, " or ")
}
