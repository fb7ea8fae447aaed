package correlate

// Of equal messages that one sender sent to one receiver the k-th that is
// received is the k-th that was sent. A queue is what is outstanding under one
// key, oldest first; what is matched leaves it.
//
// That is sure as long as one sender is known and nothing was lost. What is not
// sure stays so until the queue is empty: then both sides have caught up.

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
		case differ(c.aux, op.Aux), c.same(l.o.Span):
		case c.clock != 0 && c.clock == l.o.Clock && c.start < l.o.Start:
			// It was received before this was sent. From the only sender
			// there is, what was received will not come any more.
			if s.ring.at(q).flags&flagSeveral == 0 {
				s.loses(c)
				s.remove(n)
			}
		default:
			match := pairing{queue: q, key: key, late: true, waited: l.now.since(c.arrived), inOrder: l.e.config.Rules[op.Rule].InOrder}
			rule, effect := c.rule, c.ref
			s.remove(n)
			l.add(rule, s.certainty(match)*l.confidence(rule), effect, false, "")
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
		m := *s.ring.at(n)
		correlation := s.words.get(m.correlation)
		s.remove(n)
		match := pairing{queue: s.queue(key, m.aux, l.now), key: key, senders: senders, waited: l.now.since(m.arrived), inOrder: l.e.config.Rules[m.rule].InOrder}
		l.add(op.Rule, s.certainty(match)*l.confidence(op.Rule), m.ref, true, correlation)
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
		case differ(sender, m.aux), m.same(l.o.Span):
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

// queue returns what is known of a queue, of whose senders sender is one. Its
// start is the longest, in nanoseconds, that a message waited in it when both
// sides had caught up.
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
		// As long as it is used it is remembered.
		q.arrived = now
		s.remove(n)
		return s.insert(key, q)
	}
	s.ring.at(n).flags = q.flags
	return n
}

// pairing is a message of a queue and the receive that takes it; both have left
// the queue.
type pairing struct {
	queue   number
	key     uint64
	senders int   // of which messages were outstanding
	late    bool  // the receive came first
	waited  int64 // nanoseconds between the arrivals of both
	inOrder bool  // whoever sent
}

// Where a message waits much longer than any before it, something was lost that
// is not known.
const (
	longWait    = 4
	leastLength = 300_000_000 // nanoseconds
)

// certainty says how sure a pairing is, and notes what it does to the queue.
func (s *shard) certainty(p pairing) float64 {
	q := s.ring.at(p.queue)
	empty := s.find(kindQueued, p.key) == 0 && s.find(kindQueueWaits, p.key) == 0
	several := q.flags&flagSeveral != 0 && !p.inOrder
	c := 1.0
	switch {
	case q.flags&flagLost != 0:
		c = confidenceUnsure
	case p.senders > 1 && several:
		c = confidenceSeveral(p.senders)
		q.flags |= flagLost
	case !empty && q.start > 0 && p.waited > longWait*q.start+leastLength:
		c = confidenceUnsure
		q.flags |= flagLost
	case several && p.late:
		c = confidenceSeveral(2)
		q.flags |= flagLost
	case several:
		c = confidenceOthers
	case empty:
		q.start = max(q.start, p.waited, 1)
	}
	if empty {
		q.flags &^= flagLost
	}
	return c
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
