package correlate

// maxCandidates is how many entries of one key are looked at, the newest first,
// and how many equal messages of a queue are told apart.
const maxCandidates = 64

// maxWaiting is how many entries of one key an offer looks at for claims that
// wait, the oldest first.
const maxWaiting = 4096

// offer makes the span a possible cause, and the cause of what waits for one.
// It returns which versions of the span offered the same before.
func (l *look) offer(op *Op) (seen flags) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	key := op.Keys[0]
	looked, waiting := 0, false
	for n := s.find(kindOffer, key); n != 0 && looked < maxCandidates; n = s.older(n) {
		e := s.ring.at(n)
		if e.kind == kindOffer && e.same(l.o.Span) {
			seen = e.flags & (flagSeenOpen | flagSeenComplete)
			e.flags |= l.version()
			return seen
		}
		waiting = waiting || e.kind == kindClaim
		looked++
	}
	e := l.entry(s, kindOffer, op.Rule)
	e.aux, e.flags = op.Aux, l.version()
	me := s.insert(key, e)
	if waiting {
		l.serve(s, me, key)
	}
	return 0
}

// serve gives what waits under key its cause, the observed span.
func (l *look) serve(s *shard, me number, key uint64) {
	late, looked := 0, 0
	for n := s.oldest(kindClaim, key); n != 0 && late < l.e.config.MaxLate && looked < maxWaiting; looked++ {
		next := s.newer(n)
		if s.ring.at(n).kind == kindClaim && l.serves(s, me, n) {
			late++
		}
		n = next
	}
}

// serves gives the claim n its cause, the observed span, if it may be.
func (l *look) serves(s *shard, me, n number) bool {
	c, mine := s.ring.at(n), s.ring.at(me)
	rule := &l.e.config.Rules[c.rule]
	if c.same(l.o.Span) || !s.within(c, c.rule) || !l.e.precedes(c.rule, mine, c.start, c.clock) {
		return false
	}
	if rule.Effects != OnePerProcess && differ(c.aux, mine.aux) {
		return false
	}
	if mine.flags&flagMatched != 0 && l.e.single(c.rule, mine.rule) {
		return false
	}
	if rule.Effects == OnePerProcess {
		answered := pair(l.self, c.aux)
		if s.find(kindAnswered, answered) != 0 {
			return false
		}
		s.insert(answered, entry{kind: kindAnswered, arrived: l.now})
	}
	mine.flags |= flagMatched
	l.add(c.rule, rule.Confidence, c.ref, false, "")
	s.withdraw(n)
	return true
}

// withdraw removes a claim under all its keys, of which the first may have left
// the ring.
func (s *shard) withdraw(n number) {
	f := s.ring.at(n).flags
	for m := n - f.place(); m != n+f.after()+1; m++ {
		if s.ring.holds(m) && s.ring.at(m).kind == kindClaim {
			s.remove(m)
		}
	}
}

// claim looks for what caused the span, or waits for it.
func (l *look) claim(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	rule := &l.e.config.Rules[op.Rule]
	for _, key := range op.Keys {
		if key == 0 {
			break
		}
		n := l.best(s, op, rule.Effects, key)
		if n == 0 {
			continue
		}
		c := s.ring.at(n)
		c.flags |= flagMatched
		l.add(op.Rule, rule.Confidence, c.ref, true, string(s.words.get(c.correlation)))
		if rule.Effects == OnePerProcess {
			s.insert(pair(refHash(c.ref), l.o.Process), entry{kind: kindAnswered, arrived: l.now})
		}
		return
	}
	l.wait(s, op, rule.Effects)
}

// best returns the offer under key that caused the span: the latest that is
// not after it where the clock is the same, else the latest that arrived.
func (l *look) best(s *shard, op *Op, effects Effects, key uint64) (best number) {
	looked := 0
	sameClock := false
	for n := s.find(kindOffer, key); n != 0 && looked < maxCandidates; n = s.older(n) {
		looked++
		c := s.ring.at(n)
		if c.kind != kindOffer || c.same(l.o.Span) || differ(op.Aux, c.aux) ||
			!s.within(c, op.Rule) || !l.e.precedes(op.Rule, c, l.o.Start, l.o.Clock) {
			continue
		}
		if c.flags&flagMatched != 0 && l.e.single(op.Rule, c.rule) {
			continue
		}
		if effects == OnePerProcess && s.find(kindAnswered, pair(refHash(c.ref), l.o.Process)) != 0 {
			continue
		}
		if l.e.config.Rules[c.rule].Effects == OneEffect {
			best = n // the oldest that has no effect yet
			continue
		}
		comparable := c.clock == l.o.Clock && c.clock != 0
		if best == 0 || comparable && (!sameClock || c.start > s.ring.at(best).start) {
			best, sameClock = n, comparable
		}
	}
	return best
}

// single says whether a cause may have one effect only: by the rule that it was
// offered for, or by the one that claims it.
func (e *Engine) single(claims, offers uint16) bool {
	return e.config.Rules[claims].Effects == OneEffect || e.config.Rules[offers].Effects == OneEffect
}

// differ says whether two processes are known and not the same.
func differ(a, b uint64) bool { return a != 0 && b != 0 && a != b }

// wait remembers a claim under each of its keys. Its aux is the process that
// it names, or, where a cause has one effect in each process, its own.
func (l *look) wait(s *shard, op *Op, effects Effects) {
	keys := 0
	for keys < len(op.Keys) && op.Keys[keys] != 0 {
		keys++
	}
	if s.ring.next+number(keys) < s.ring.next {
		return // the numbers wrap within it: one claim in 2^32 does not wait
	}
	for i := range keys {
		e := l.entry(s, kindClaim, op.Rule)
		e.aux, e.flags = op.Aux, claimFlags(i, keys-1-i)
		if effects == OnePerProcess {
			e.aux = l.o.Process
		}
		s.insert(op.Keys[i], e)
	}
}
