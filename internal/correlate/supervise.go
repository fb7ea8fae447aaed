package correlate

// A supervisor answers the death of a child by spawning another under the same
// name: the role. Ops of both are done in the shard of the children's node.
//
// A role remembers its children: those that live, and the last few dead with
// the time of their death, since of several deaths the later may be seen first.
// A death is answered by the first spawn after it, if the child was the only
// one that lived: where several children of one role live at once, as those of
// a listener that spawns one for each request, the next spawn answers nothing.
// A role of which two are known to have lived at once is remembered as such.

const (
	maxChildren = 16 // of one role; where there are more, no death is answered
	maxDead     = 4  // remembered of one role
	maxPending  = 8  // deaths of one role that wait for a spawn
)

// spawned notes who started the child, and claims the death that it answers.
func (l *look) spawned(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	child, role := op.Keys[0], op.Aux
	e := l.entry(s, kindSpawned, op.Rule)
	e.aux = role
	if n := s.find(kindSpawned, child); n != 0 {
		s.remove(n)
	}
	me := s.insert(child, e)
	c := l.entry(s, kindChild, op.Rule)
	if l.answers(s, op, role) {
		c.flags |= flagMatched
	}
	at := s.insert(role, c)
	s.ring.at(me).clock = uint32(at)
	if n := s.find(kindDiedEarly, child); n != 0 {
		// It died before its spawn was seen; the next spawn may answer that.
		d := *s.ring.at(n)
		d.correlation = s.word(string(s.words.get(d.correlation)))
		s.remove(n)
		s.dies(at, role, d)
	}
}

// answers claims the oldest death of the role that waits. One that came before
// the spawn and is not answered by it will not be answered by another.
func (l *look) answers(s *shard, op *Op, role uint64) (found bool) {
	pending := 0
	for n := s.find(kindDied, role); n != 0; {
		d, older := s.ring.at(n), s.older(n)
		pending++
		switch before := l.e.precedes(op.Rule, d, l.o.Start, l.o.Clock); {
		case before && !found && s.within(d, op.Rule) && s.alone(role, d):
			found = true
			l.add(op.Rule, l.confidence(op.Rule), d.ref, true, string(s.words.get(d.correlation)))
			s.remove(n)
		case before || pending > maxPending:
			s.remove(n)
		}
		n = older
	}
	return found
}

// died ends the child, and looks for the spawn that answers its death, or
// waits for it.
func (l *look) died(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	d := l.entry(s, kindDied, op.Rule)
	d.aux = op.Aux
	n := s.find(kindSpawned, op.Keys[0])
	if n == 0 {
		d.kind = kindDiedEarly
		s.insert(op.Keys[0], d)
		return
	}
	spawn := *s.ring.at(n)
	s.remove(n)
	child := number(spawn.clock)
	if s.ring.at(child).kind != kindChild {
		return // a full role let it go
	}
	if answer := s.dies(child, spawn.aux, d); answer != 0 {
		a := s.ring.at(answer)
		a.flags |= flagMatched
		l.add(op.Rule, l.confidence(op.Rule), a.ref, false, "")
	}
}

// dies ends a child of the role. Of an abnormal death it returns the spawn that
// answers it, or lets d wait for one.
func (s *shard) dies(child number, role uint64, d entry) (answer number) {
	dead, children := number(0), 0
	deaths := 0
	for n := s.oldest(kindChild, role); n != 0; n = s.newer(n) {
		c := s.ring.at(n)
		if children++; children > maxChildren {
			s.remove(child)
			return 0
		}
		if c.flags&flagDead != 0 {
			if deaths++; dead == 0 {
				dead = n
			}
		}
		if answer == 0 && c.flags&flagMatched == 0 && c.clock != 0 && c.clock == d.clock && c.start > d.start {
			answer = n
		}
	}
	c := s.ring.at(child)
	c.flags |= flagDead
	c.aux = uint64(d.start)
	if s.find(kindShared, role) == 0 && s.overlaps(role, child) {
		s.insert(role, entry{kind: kindShared, arrived: s.now})
	}
	alone := s.alone(role, &d)
	if deaths >= maxDead && dead != answer {
		s.remove(dead)
	}
	if d.aux != 0 && answer == 0 {
		d.kind, d.aux = kindDied, 0
		s.insert(role, d)
		return 0
	}
	if d.aux == 0 || !alone {
		return 0
	}
	return answer
}

// overlaps says whether another child of the role, dead too, lived while the
// child did.
func (s *shard) overlaps(role uint64, child number) bool {
	c := *s.ring.at(child)
	for n := s.oldest(kindChild, role); n != 0; n = s.newer(n) {
		o := s.ring.at(n)
		if n != child && o.flags&flagDead != 0 && o.clock != 0 && o.clock == c.clock &&
			o.start < int64(c.aux) && c.start < int64(o.aux) {
			return true
		}
	}
	return false
}

// alone says whether no other child of the role lived when d died.
func (s *shard) alone(role uint64, d *entry) bool {
	if s.find(kindShared, role) != 0 {
		return false
	}
	for n := s.oldest(kindChild, role); n != 0; n = s.newer(n) {
		c := s.ring.at(n)
		comparable := c.clock != 0 && c.clock == d.clock
		switch {
		case comparable && c.start > d.start: // not yet
		case c.flags&flagDead == 0, comparable && int64(c.aux) > d.start:
			return false
		}
	}
	return true
}
