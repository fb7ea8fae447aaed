package query

import "strings"

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
		if !seen.add(key.ref.TraceID) {
			continue
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

func (l leaves) text() string {
	texts := make([]string, len(l.operands))
	for i, o := range l.operands {
		texts[i] = o.text()
	}
	return strings.Join(texts, " or ")
}
