package correlate

import (
	"sync"

	"github.com/otelscope/otelscope/internal/causal"
)

// shard is a part of the state. What it holds is reached with mu held only.
type shard struct {
	mu     sync.Mutex
	engine *Engine
	ring   ring
	newest index // by salted key
	boxes  map[uint64]mailbox
	words  words
	now    tick // the latest that was seen

	live                          Counts
	lostOffers, lostClaims, early int64
}

func newShard(e *Engine) *shard {
	return &shard{engine: e, ring: newRing(), boxes: map[uint64]mailbox{}}
}

// insert remembers e under key, which is salted by e's kind, as the newest of
// its circle.
func (s *shard) insert(key uint64, e entry) number {
	n, place := s.ring.push()
	e.key = e.kind.salt(key)
	e.older, e.newer = n, n
	if last := s.newest.put(&s.ring, e.key, n); last != 0 {
		newest := s.ring.at(last)
		e.older, e.newer = last, newest.newer
		s.ring.at(newest.newer).older = n
		newest.newer = n
	}
	*place = e
	if e.correlation != 0 {
		s.words.refer(e.correlation, n)
	}
	s.live.add(e.kind, 1)
	s.engine.entries.Add(1)
	return n
}

// find returns the newest entry of a kind under key, 0 for none.
func (s *shard) find(k kind, key uint64) number { return s.newest.get(&s.ring, k.salt(key)) }

// oldest returns the oldest entry of a kind under key, 0 for none.
func (s *shard) oldest(k kind, key uint64) number {
	n := s.find(k, key)
	if n == 0 {
		return 0
	}
	return s.ring.at(n).newer
}

// older returns the entry before n in its circle, 0 when n is the oldest.
func (s *shard) older(n number) number {
	e := s.ring.at(n)
	if n == s.ring.at(s.newest.get(&s.ring, e.key)).newer {
		return 0
	}
	return e.older
}

// newer returns the entry after n in its circle, 0 when n is the newest.
func (s *shard) newer(n number) number {
	e := s.ring.at(n)
	if n == s.newest.get(&s.ring, e.key) {
		return 0
	}
	return e.newer
}

// remove takes an entry out of its circle; it leaves the ring in its turn.
func (s *shard) remove(n number) {
	e := s.ring.at(n)
	if e.newer == n {
		s.newest.remove(&s.ring, e.key)
	} else if s.newest.get(&s.ring, e.key) == n {
		s.newest.put(&s.ring, e.key, e.older)
	}
	s.unlink(n)
}

// unlink is remove for the oldest entry, which leaves the ring at once, and the
// index with that: it is the newest of its circle only where it is alone.
func (s *shard) unlink(n number) {
	e := s.ring.at(n)
	s.ring.at(e.older).newer = e.newer
	s.ring.at(e.newer).older = e.older
	if e.kind == kindMailbox {
		s.leavesBox(e)
	}
	if e.kind == kindFailed {
		s.engine.failed.Add(-1)
	}
	s.live.add(e.kind, -1)
	e.kind = kindDead
}

// tidy lets go of what is too old, and of the oldest while the engine is over
// its bounds and the shard holds its share or more. Were it enough that the engine
// is over, a shard that is looked into more often than it grows would be emptied
// for the others, and what it holds forgotten in no time.
func (s *shard) tidy(now tick) {
	if s.ring.len() == 0 || int32(now-s.now) > 0 {
		s.now = now
	}
	e := s.engine
	for s.ring.len() > 0 {
		oldest := s.ring.at(s.ring.first)
		all := e.entries.Load()
		over := (all > int64(e.config.MaxEntries) || e.bytes() > e.config.MaxBytes) && int64(s.ring.len())*shards >= all
		if !over && s.now.since(oldest.arrived) <= e.config.Window.Nanoseconds() {
			return
		}
		if oldest.kind != kindDead {
			s.evict(s.ring.first, over)
		}
		s.ring.pop()
		e.entries.Add(-1)
		if len(s.words.pages) > 1 {
			before := s.words.size()
			s.words.trim(s.ring.first)
			e.textBytes.Add(s.words.size() - before)
		}
	}
}

func (s *shard) evict(n number, early bool) {
	e := s.ring.at(n)
	if early {
		s.early++
	}
	switch {
	case e.kind == kindOffer && e.flags&flagMatched == 0:
		s.lostOffers++
	case e.kind == kindQueued || e.kind == kindQueueWaits:
		s.loses(e)
	case e.kind == kindClaim && e.flags.place() == 0:
		s.lostClaims++
	}
	s.unlink(n)
}

// within says whether an entry is young enough for a rule.
func (s *shard) within(e *entry, rule uint16) bool {
	w := s.engine.config.Rules[rule].Window
	return w == 0 || s.now.since(e.arrived) <= w
}

// precedes says whether a cause may have led to an effect as far as their
// times tell.
func (e *Engine) precedes(rule uint16, cause *entry, start int64, clock uint32) bool {
	if e.config.Rules[rule].Later {
		return cause.start < start
	}
	return clock == 0 || cause.clock != clock || cause.start <= start
}

// entry returns an entry of the shard that stands for the observed span.
func (l *look) entry(s *shard, k kind, rule uint16) entry {
	return entry{
		kind: k, ref: l.o.Span, start: l.o.Start, clock: l.o.Clock, arrived: l.now, rule: rule,
		correlation: s.word(l.own),
	}
}

// word keeps a correlation id.
func (s *shard) word(text string) uint32 {
	if text == "" {
		return 0
	}
	before := s.words.size()
	at := s.words.add(text)
	s.engine.textBytes.Add(s.words.size() - before)
	return at
}

// same says whether an entry stands for the observed span itself.
func (e *entry) same(ref causal.SpanRef) bool { return e.ref == ref }
