package correlate

import (
	"math"
	"slices"
)

// Of equal messages that one sender sent to one receiver the k-th that is
// received is the k-th that was sent. A queue is what is outstanding under one
// key, oldest first; what is matched leaves it.
//
// That is sure as long as one sender is known and nothing was lost. What is not
// sure stays so until the queue is empty: then both sides have caught up.
//
// Whenever they have, a queue of one sender learns how long after its sending a
// message is received, by the clocks of both, whatever they differ by. What was
// received before it can have been sent, by that measure, is not it; what would
// have taken much longer than any before it is not sure.

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
		case c.clock != 0 && c.clock == l.o.Clock && c.start < l.o.Start, s.ring.at(q).tooEarly(c.start - l.o.Start):
			// It was received before this was sent. From the only sender
			// there is, what was received will not come any more.
			if s.ring.at(q).flags&flagSeveral == 0 {
				s.loses(c)
				s.remove(n)
			}
		default:
			match := pairing{queue: q, key: key, late: true, took: c.start - l.o.Start, inOrder: l.e.config.Rules[op.Rule].InOrder}
			rule, effect := c.rule, c.ref
			s.remove(n)
			l.add(rule, s.certainty(match)*l.confidence(rule), effect, false, "")
			return
		}
		n = next
	}
	e := l.entry(s, kindQueued, op.Rule)
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
		q := s.queue(key, s.ring.at(n).aux, l.now)
		m := *s.ring.at(n)
		correlation := string(s.words.get(m.correlation))
		s.remove(n)
		match := pairing{queue: q, key: key, senders: senders, took: l.o.Start - m.start, inOrder: l.e.config.Rules[m.rule].InOrder}
		l.add(op.Rule, s.certainty(match)*l.confidence(op.Rule), m.ref, true, correlation)
		return
	}
	e := l.entry(s, kindQueueWaits, op.Rule)
	e.aux = op.Aux
	s.insert(last, e)
}

// nextIn returns the oldest message that may be the one that the span received,
// and of how many senders there are such.
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
			if !slices.Contains(known[:senders], m.aux) {
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

// queue returns what is known of a queue, of whose senders sender is one.
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
		// As long as it is used it is remembered. Clocks may have moved.
		q.arrived = now
		q.flags &^= flagTimed
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
	took    int64 // nanoseconds from the sending to the receive, each by its clock
	inOrder bool  // whoever sent
}

// certainty says how sure a pairing is, and notes what it does to the queue.
func (s *shard) certainty(p pairing) float64 {
	q := s.ring.at(p.queue)
	empty := s.find(kindQueued, p.key) == 0 && s.find(kindQueueWaits, p.key) == 0
	several := q.flags&flagSeveral != 0 && !p.inOrder
	c := 1.0
	switch {
	case q.flags&flagLost != 0:
		c = confidenceUnsure
	case several && p.senders > 1:
		c = confidenceSeveral(p.senders)
		q.flags |= flagLost
	case several && p.late:
		c = confidenceSeveral(2)
		q.flags |= flagLost
	case several:
		c = confidenceOthers
	case empty:
		q.learn(p.took)
	case q.tooLate(p.took), q.rule >= longBacklog && s.engine.lossy.Load():
		c = confidenceUnsure
		q.flags |= flagLost
	}
	if q.rule = min(q.rule+1, longBacklog); empty {
		q.flags &^= flagLost
		q.rule = 0
	}
	return c
}

// longBacklog is after how many messages a queue that has not been empty since
// is no longer sure, where messages are known to get lost: one whose receive
// was lost stays, and all that follow are one behind.
const longBacklog = 16

// A queue's rule counts the messages since it was empty. Its start is the
// shortest time that a message took, in nanoseconds, and its clock how much
// longer the longest took, in microseconds.

// leastSlack is how far from what it learned a queue lets a time be at least.
const leastSlack = 20_000_000 // nanoseconds

// learn notes how long a message took when both sides had caught up.
func (q *entry) learn(took int64) {
	if q.flags&flagTimed == 0 {
		q.flags |= flagTimed
		q.start, q.clock = took, 0
		return
	}
	longest := max(q.start+q.spread(), took)
	q.start = min(q.start, took)
	q.clock = uint32(min((longest-q.start)/1000, math.MaxUint32))
}

func (q *entry) spread() int64 { return int64(q.clock) * 1000 }

func (q *entry) slack() int64 { return 2*q.spread() + leastSlack }

// tooEarly and tooLate say that a message of the only sender cannot have taken
// so short, or is not likely to have taken so long.
func (q *entry) tooEarly(took int64) bool {
	return q.flags&(flagTimed|flagSeveral) == flagTimed && took < q.start-q.slack()
}

func (q *entry) tooLate(took int64) bool {
	return q.flags&(flagTimed|flagSeveral) == flagTimed && took > q.start+q.spread()+q.slack()
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
	s.engine.lossy.Store(true)
}
