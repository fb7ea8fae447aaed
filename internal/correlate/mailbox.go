package correlate

// mailbox is what is not clear in one process's mailbox: of so many messages
// that lie in doubt, some are handled, but not which ones. When all are, they
// leave.
type mailbox struct{ doubtful, handled int }

// arrive puts the span's message into the mailbox.
func (l *look) arrive(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	e := l.entry(s, kindMailbox, op.Rule)
	e.aux = op.Aux
	s.insert(op.Keys[0], e)
}

// take takes a message out of the mailbox, by its identity or, where that is
// not known, by its being the only one that lay there when the span began. (A
// call's span may come when it returns, after what arrived meanwhile.)
func (l *look) take(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	one, several := number(0), false
	looked := 0
	for n := s.oldest(kindMailbox, op.Keys[0]); n != 0; n = s.newer(n) {
		if looked++; looked > maxCandidates {
			return
		}
		m := s.ring.at(n)
		switch {
		case op.Aux != 0 && m.aux == op.Aux:
			s.remove(n)
			s.clearBox(m.key)
			return
		case op.Aux != 0, m.start > l.o.Start:
		case one != 0 || m.flags&flagMatched != 0:
			several = true
		default:
			one = n
		}
	}
	switch {
	case several:
		l.doubt(s, op.Keys[0])
	case one != 0:
		m := s.ring.at(one)
		l.add(op.Rule, l.confidence(op.Rule), m.ref, true, string(s.words.get(m.correlation)))
		s.remove(one)
	}
}

// doubt counts one of several messages as handled.
func (l *look) doubt(s *shard, process uint64) {
	key := kindMailbox.salt(process)
	box := s.boxes[key]
	for n := s.oldest(kindMailbox, process); n != 0; n = s.newer(n) {
		if m := s.ring.at(n); m.start <= l.o.Start && m.flags&flagMatched == 0 {
			m.flags |= flagMatched
			box.doubtful++
		}
	}
	box.handled++
	s.boxes[key] = box
	s.clearBox(key)
}

// leavesBox counts an arrival out.
func (s *shard) leavesBox(e *entry) {
	if e.flags&flagMatched == 0 {
		return
	}
	box := s.boxes[e.key]
	if box.doubtful--; box.doubtful == 0 {
		delete(s.boxes, e.key)
		return
	}
	s.boxes[e.key] = box
}

// clearBox lets what lies in doubt leave when all of it is handled.
func (s *shard) clearBox(key uint64) {
	box, ok := s.boxes[key]
	if !ok || box.handled < box.doubtful {
		return
	}
	for n := s.oldest(kindMailbox, kindMailbox.salt(key)); n != 0; {
		next := s.newer(n)
		if s.ring.at(n).flags&flagMatched != 0 {
			s.remove(n)
		}
		n = next
	}
}
