package store

// Steps of the store's own work, for tests to take when they like.

// Rotate freezes the live head, if it holds anything.
func Rotate(s Store) error {
	e := s.(*engine)
	return e.onCommitter(func() error {
		if e.backlog.Load() || e.live.since == 0 {
			return nil
		}
		return e.rotate()
	})
}

// Cut freezes the live head and returns when it is in a block.
func Cut(s Store) error {
	if err := Rotate(s); err != nil {
		return err
	}
	return AwaitCut(s)
}

// AwaitCut returns when no head waits to be cut.
func AwaitCut(s Store) error {
	e := s.(*engine)
	for e.backlog.Load() {
		if err := e.onKeeper(func() error { return nil }); err != nil {
			return err
		}
	}
	return e.onCommitter(func() error { return nil }) // segments are deleted by now
}

// Compact merges what there is to merge.
func Compact(s Store) error {
	e := s.(*engine)
	return e.onKeeper(func() error { e.compactAll(); return nil })
}

// Retain drops what Retention does not keep.
func Retain(s Store) error {
	e := s.(*engine)
	return e.onKeeper(func() error { e.retain(); return nil })
}

// RegainSpace looks for space.
func RegainSpace(s Store) error {
	e := s.(*engine)
	return e.onKeeper(func() error { e.regainSpace(); return nil })
}

// Backlog reports whether a head waits to be cut.
func Backlog(s Store) bool { return s.(*engine).backlog.Load() }

// ErrStopped is what steps return after Close.
var ErrStopped = errStopped

// Sieve returns what selections leave spans out by.
func Sieve(sel Selection) func(*Span) (bool, error) { return newSieve(newFilter(&sel)).passes }
