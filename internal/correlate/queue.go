package correlate

// Of equal messages that one sender sent to one receiver the k-th that is
// received is the k-th that was sent. A queue is what is outstanding under one
// key, oldest first; what is matched leaves it.

// queueOffer puts a message into its queue, or gives it to the receive that
// waits for it.
func (l *look) queueOffer(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	key := op.Keys[0]
	q := s.queue(key, op.Aux, l.now)
	for n := s.oldest(kindQueueWaits, key); n != 0; {
		c, next := s.ring.at(n), s.newer(n)
		switch {
		case c.aux != 0 && c.aux != op.Aux, c.same(l.o.Span):
		case c.clock != 0 && c.clock == l.o.Clock && c.start < l.o.Start:
			// It was received before this was sent. From the only sender
			// there is, what was received will not come any more.
			if s.ring.at(q).flags&flagSeveral == 0 {
				s.loses(c)
				s.remove(n)
			}
		default:
			l.add(c.rule, s.certainty(q, 0)*l.confidence(c.rule), c.ref, false, "")
			s.remove(n)
			return
		}
		n = next
	}
	e := s.entryOf(kindQueued, l.o, op.Rule, l.now)
	e.aux = op.Aux
	s.insert(key, e)
}

// queueClaim takes the next message out of the first queue that has one for
// the span, or waits at the last.
func (l *look) queueClaim(op *Op) {
	began := l.e.lastExit(l.o, l.now)
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	last := uint64(0)
	for _, key := range op.Keys {
		if key == 0 {
			break
		}
		last = key
		n, senders := l.nextIn(s, key, op.Aux, began)
		if n == 0 {
			continue
		}
		m := s.ring.at(n)
		q := s.queue(key, m.aux, l.now)
		m = s.ring.at(n)
		l.add(op.Rule, s.certainty(q, senders)*l.confidence(op.Rule), m.ref, true, s.words.get(m.correlation))
		s.remove(n)
		return
	}
	e := s.entryOf(kindQueueWaits, l.o, op.Rule, l.now)
	e.aux = op.Aux
	s.insert(last, e)
}

// nextIn returns the oldest message that may be the one, and of how many
// senders there are such.
func (l *look) nextIn(s *shard, key, sender uint64, began exit) (best number, senders int) {
	var known [maxCandidates]uint64
	looked := 0
	for n := s.oldest(kindQueued, key); n != 0 && looked < maxCandidates; {
		m, next := s.ring.at(n), s.newer(n)
		looked++
		switch {
		case began.after(m):
			// It was for the process that bore this id before.
			s.remove(n)
		case sender != 0 && m.aux != sender, m.same(l.o.Span):
		case m.clock != 0 && m.clock == l.o.Clock && m.start > l.o.Start:
		default:
			if !contains(known[:senders], m.aux) {
				known[senders] = m.aux
				senders++
			}
			if best == 0 || m.clock != 0 && m.clock == s.ring.at(best).clock && m.start < s.ring.at(best).start {
				best = n
			}
		}
		n = next
	}
	return best, senders
}

func contains(list []uint64, v uint64) bool {
	for _, x := range list {
		if x == v {
			return true
		}
	}
	return false
}

// queue returns what is known of a queue's senders, of whom sender is one.
func (s *shard) queue(key, sender uint64, now tick) number {
	n := s.find(kindQueue, key)
	if n == 0 {
		return s.insert(key, entry{kind: kindQueue, aux: sender, arrived: now})
	}
	q := *s.ring.at(n)
	if q.aux != sender {
		q.flags |= flagSeveral
	}
	if now.since(q.arrived) > s.engine.config.Window.Nanoseconds()/2 {
		// What was lost has left by then; who sends is known as long as the
		// queue is used.
		q.flags &^= flagLost
		q.arrived = now
		s.remove(n)
		return s.insert(key, q)
	}
	s.ring.at(n).flags = q.flags
	return n
}

// certainty is how sure the next message of a queue is the one, when messages
// of so many senders are outstanding.
func (s *shard) certainty(queue number, senders int) float64 {
	f := s.ring.at(queue).flags
	switch {
	case senders > 1:
		return confidenceSeveral(senders)
	case f&flagLost != 0:
		return confidenceLoss
	case f&flagSeveral != 0:
		return confidenceOthers
	}
	return 1
}

// loses notes that what e was matched with is not known: its queue is not sure
// any more.
func (s *shard) loses(e *entry) {
	if e.kind == kindQueued {
		s.lostOffers++
	} else {
		s.lostClaims++
	}
	key := e.kind.salt(e.key)
	n := s.find(kindQueue, key)
	if n == 0 {
		n = s.insert(key, entry{kind: kindQueue, aux: e.aux, arrived: s.now})
	}
	s.ring.at(n).flags |= flagLost
}
