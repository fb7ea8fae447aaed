package ring

import "math/bits"

// service is the clock of fair service. It counts in sixteenths of an item of
// weight 1: the more a flow (the entries of one client and priority) has had,
// the later its next entry starts.
//
// Invariant: time never goes back, and finish is at least every flow's.
type service struct {
	time   uint64
	finish uint64 // the greatest that a flow has been given
	served uint64 // items since time moved by itself, less than itemsPerTick
}

// cost is what an item of a priority adds to its flow, 16 divided by weights
// of 1, 4 and 16.
var cost = [levels]uint64{Low: 16, Normal: 4, High: 1}

// itemsPerTick bounds how long an entry can be kept back by clients that come
// new again and again and so always start now: time moves on by itself, at
// about the speed it would have if all clients that a ring can tell apart were
// served in turn.
const itemsPerTick = 1024

// start gives an entry its place in its flow.
func (s *service) start(flow *uint64, items int, p Priority) uint64 {
	at := max(s.time, *flow)
	*flow = at + uint64(items)*cost[p]
	s.finish = max(s.finish, *flow)
	return at
}

// begin is the start of a take with an entry that was given this start. Only
// the first of a batch moves time: the rest of its partition comes along
// before its turn, and would make whoever comes next start behind all that
// waits elsewhere.
func (s *service) begin(start uint64) { s.time = max(s.time, start) }

func (s *service) serve(items int) {
	s.served += uint64(items)
	s.time += s.served / itemsPerTick
	s.served %= itemsPerTick
}

// idle forgets what flows have had: nothing waits.
func (s *service) idle() { s.time = max(s.time, s.finish) }

// sequence keeps the order of entries that have a key in common.
type sequence struct {
	known uint64 // keys that latest has
	// latest is, for each key, the latest turn that an entry with it was given
	// since the partition was empty last.
	latest *[64]uint64
}

// turn is where an entry with this start is in the order of its partition:
// not before the entries that share a key with it.
func (s *sequence) turn(start uint64, keys uint64) uint64 {
	if keys == 0 {
		return start
	}
	if s.latest == nil {
		s.latest = new([64]uint64)
	}
	at := start
	for k := keys & s.known; k != 0; k &= k - 1 {
		at = max(at, s.latest[bits.TrailingZeros64(k)])
	}
	for k := keys; k != 0; k &= k - 1 {
		s.latest[bits.TrailingZeros64(k)] = at
	}
	s.known |= keys
	return at
}

func (s *sequence) reset() { s.known = 0 }
