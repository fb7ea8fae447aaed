package correlate

// fail notes that what its process does next may be because of the span.
func (l *look) fail(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	if n := s.find(kindFailed, op.Keys[0]); n != 0 {
		s.remove(n)
	}
	s.insert(op.Keys[0], l.entry(s, kindFailed, op.Rule))
	l.e.failed.Add(1)
}

// atOnce claims the failure that came just before in the process.
func (l *look) atOnce(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	if n := s.find(kindFailed, op.Keys[0]); n != 0 {
		f := s.ring.at(n)
		l.add(op.Rule, l.confidence(op.Rule), f.ref, true, string(s.words.get(f.correlation)))
	}
}

// passed ends what Fail began: the process went on with the observed span.
// Hardly ever is there such a failure in all of the engine.
func (l *look) passed() {
	if l.o.Process == 0 || l.e.failed.Load() == 0 || l.o.arrives() {
		return
	}
	s := l.e.lock(l.o.Process, l.now)
	defer s.mu.Unlock()
	if n := s.find(kindFailed, l.o.Process); n != 0 && !s.ring.at(n).same(l.o.Span) {
		s.remove(n)
	}
}

// arrives says whether the observation is an arrival: that is nothing that the
// process does.
func (o *Observation) arrives() bool {
	for i := range o.Ops {
		if o.Ops[i].Kind == Arrive {
			return true
		}
	}
	return false
}

// set makes the span the latest of its key.
func (l *look) set(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	if n := s.find(kindLatest, op.Keys[0]); n != 0 {
		s.remove(n)
	}
	e := l.entry(s, kindLatest, op.Rule)
	e.aux = op.Aux
	s.insert(op.Keys[0], e)
}

// previous claims the latest of the key.
func (l *look) previous(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	n := s.find(kindLatest, op.Keys[0])
	if n == 0 {
		return
	}
	p := s.ring.at(n)
	if op.Aux != 0 && p.aux != op.Aux || !s.within(p, op.Rule) || !l.e.precedes(op.Rule, p, l.o.Start, l.o.Clock) {
		return
	}
	l.add(op.Rule, l.confidence(op.Rule), p.ref, true, string(s.words.get(p.correlation)))
}

// exited notes when the process ended.
func (l *look) exited(op *Op) {
	s := l.e.lock(op.Shard, l.now)
	defer s.mu.Unlock()
	if n := s.find(kindExited, op.Keys[0]); n != 0 {
		s.remove(n)
	}
	s.insert(op.Keys[0], l.entry(s, kindExited, op.Rule))
}

// exit is when a process ended last; the zero value: not that we know.
type exit struct {
	known   bool
	start   int64
	clock   uint32
	arrived tick
}

func (e *Engine) lastExit(o *Observation, now tick) exit {
	if o.Process == 0 {
		return exit{}
	}
	s := e.lock(o.Process, now)
	defer s.mu.Unlock()
	n := s.find(kindExited, o.Process)
	if n == 0 {
		return exit{}
	}
	x := s.ring.at(n)
	return exit{true, x.start, x.clock, x.arrived}
}

// after says whether the process ended after m was sent to it.
func (x exit) after(m *entry) bool {
	switch {
	case !x.known:
		return false
	case m.clock != 0 && m.clock == x.clock:
		return m.start < x.start
	}
	return int32(x.arrived-m.arrived) > 0
}
