package correlate

import "math"

// mailbox counts what waits in one process. Of so many arrivals, blind are
// handled, but which ones is not known; when all are, the box is empty again.
type mailbox struct{ waiting, blind int }

// arrive puts the span's message into the mailbox.
func (l *look) arrive(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	key := kindMailbox.salt(op.Keys[0])
	s.clearBox(key)
	e := s.entryOf(kindMailbox, l.o, op.Rule, l.now)
	e.aux = op.Aux
	s.insert(op.Keys[0], e)
	box := s.boxes[key]
	box.waiting++
	s.boxes[key] = box
}

// take takes a message out of the mailbox, by its identity or, where that is
// not known, by its being the only one.
func (l *look) take(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	key := kindMailbox.salt(op.Keys[0])
	s.clearBox(key)
	box, ok := s.boxes[key]
	if !ok {
		return
	}
	oldest := s.oldest(kindMailbox, op.Keys[0])
	if op.Aux != 0 {
		for n, looked := oldest, 0; n != 0 && looked < maxCandidates; n, looked = s.newer(n), looked+1 {
			if s.ring.at(n).aux == op.Aux {
				s.remove(n)
				return
			}
		}
		return
	}
	if box.waiting == 1 && box.blind == 0 {
		m := s.ring.at(oldest)
		l.add(op.Rule, l.confidence(op.Rule), m.ref, true, s.words.get(m.correlation))
		s.remove(oldest)
		return
	}
	box.blind++
	s.boxes[key] = box
}

// leavesBox counts an arrival out.
func (s *shard) leavesBox(e *entry) {
	box := s.boxes[e.key]
	box.waiting--
	s.boxes[e.key] = box
	if box.waiting == 0 {
		delete(s.boxes, e.key)
	}
}

// clearBox empties a mailbox of which all was handled.
func (s *shard) clearBox(key uint64) {
	box, ok := s.boxes[key]
	if !ok || box.blind < box.waiting {
		return
	}
	for range box.waiting {
		s.remove(s.newest.get(&s.ring, key))
	}
}

func confidenceBits(c float64) uint64  { return math.Float64bits(c) }
func confidenceOf(bits uint64) float64 { return math.Float64frombits(bits) }

func (l *look) confidence(rule uint16) float64 { return l.e.config.Rules[rule].Confidence }
