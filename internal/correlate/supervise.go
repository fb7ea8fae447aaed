package correlate

// A supervisor answers the death of a child by spawning another under the same
// name. Both are seen in the shard of the children's node: the spawn by the
// spawner's process, the death by the child's.

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
	defer s.buried(child, role)
	for n := s.oldest(kindDied, role); n != 0; n = s.newer(n) {
		d := s.ring.at(n)
		if s.within(d, op.Rule) && l.e.precedes(op.Rule, d, l.o.Start, l.o.Clock) {
			l.add(op.Rule, l.confidence(op.Rule), d.ref, true, s.words.get(d.correlation))
			s.remove(n)
			return
		}
	}
	s.insert(role, s.entryOf(kindUnexplained, l.o, op.Rule, l.now))
}

// died looks for the spawn that answers the child's death, or waits for it.
// A spawn that was seen first must have come later by the same clock.
func (l *look) died(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	n := s.find(kindSpawned, op.Keys[0])
	if n == 0 {
		s.insert(op.Keys[0], s.entryOf(kindDiedEarly, l.o, op.Rule, l.now))
		return
	}
	own := s.ring.at(n)
	role := own.aux
	for n := s.oldest(kindUnexplained, role); n != 0; n = s.newer(n) {
		u := s.ring.at(n)
		if u.ref != own.ref && u.clock != 0 && u.clock == l.o.Clock && u.start > l.o.Start {
			l.add(op.Rule, l.confidence(op.Rule), u.ref, false, "")
			s.remove(n)
			return
		}
	}
	s.insert(role, s.entryOf(kindDied, l.o, op.Rule, l.now))
}

// buried lets the death of a child that was seen before its spawn wait for the
// next spawn of the same role.
func (s *shard) buried(child, role uint64) {
	n := s.find(kindDiedEarly, child)
	if n == 0 {
		return
	}
	d := *s.ring.at(n)
	d.kind, d.arrived = kindDied, s.now
	d.correlation = s.words.add(s.words.get(d.correlation))
	s.remove(n)
	s.insert(role, d)
}
