package correlate

// A supervisor answers the death of a child by spawning another under the same
// name: the role. Ops of both are done in the shard of the children's node.
// Where several children of one role live at once, as those of a listener that
// spawns one for each request, the next spawn answers nothing.

// spawned notes who started the child, and claims the death that it answers.
func (l *look) spawned(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	child, role := op.Keys[0], op.Aux
	if n := s.find(kindSpawned, child); n != 0 {
		s.remove(n)
	}
	e := s.entryOf(kindSpawned, l.o, op.Rule, l.now)
	e.aux = role
	s.insert(child, e)
	e = s.entryOf(kindChild, l.o, op.Rule, l.now)
	e.aux = child
	for n := s.oldest(kindDied, role); n != 0; n = s.newer(n) {
		d := s.ring.at(n)
		if s.within(d, op.Rule) && l.e.precedes(op.Rule, d, l.o.Start, l.o.Clock) {
			l.add(op.Rule, l.confidence(op.Rule), d.ref, true, s.words.get(d.correlation))
			s.remove(n)
			e.flags |= flagMatched
			break
		}
	}
	s.insert(role, e)
	if n := s.find(kindDiedEarly, child); n != 0 {
		// It died before its spawn was seen; the next spawn may answer that.
		d := *s.ring.at(n)
		d.correlation = s.words.add(s.words.get(d.correlation))
		s.remove(n)
		s.dies(child, role, d)
	}
}

// died ends the child, and looks for the spawn that answers its death, or
// waits for it. A spawn that was seen first must have come later by the same
// clock.
func (l *look) died(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	child := op.Keys[0]
	d := s.entryOf(kindDied, l.o, op.Rule, l.now)
	d.aux = op.Aux
	n := s.find(kindSpawned, child)
	if n == 0 {
		d.kind = kindDiedEarly
		s.insert(child, d)
		return
	}
	if u := s.dies(child, s.ring.at(n).aux, d); u != 0 {
		a := s.ring.at(u)
		a.flags |= flagMatched
		l.add(op.Rule, l.confidence(op.Rule), a.ref, false, "")
	}
}

// dies takes the child out of its role. Of an abnormal death of the role's only
// child it returns the spawn that answers it, or lets d wait for one.
func (s *shard) dies(child, role uint64, d entry) (answer number) {
	alone, looked := true, 0
	for n := s.oldest(kindChild, role); n != 0 && looked < maxCandidates; looked++ {
		c, next := s.ring.at(n), s.newer(n)
		later := c.clock != 0 && c.clock == d.clock && c.start > d.start
		switch {
		case c.aux == child:
			s.remove(n)
		case !later:
			alone = false
		case answer == 0 && c.flags&flagMatched == 0:
			answer = n
		}
		n = next
	}
	if d.aux == 0 || !alone {
		s.words.release(d.correlation)
		return 0
	}
	if answer != 0 {
		s.words.release(d.correlation)
		return answer
	}
	d.kind, d.aux = kindDied, 0
	s.insert(role, d)
	return 0
}
