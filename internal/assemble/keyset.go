package assemble

import (
	"math/bits"
	"math/rand/v2"
)

// keyset is a set of keys that are hashes already: open addressing with linear
// probing in one array, so that adding costs one cache miss where a map costs
// several. The zero value is an empty set.
//
// Senders choose what is hashed, so where a key goes also depends on a factor
// that they cannot know, as in a map; what the set holds does not.
type keyset struct {
	slots  []eventKey // a power of two, or none; the zero key marks a free slot
	shift  int        // 64 - log2(len(slots))
	factor uint64     // odd
	n      int
}

func (s *keyset) home(key eventKey) int { return int(key.Lo * s.factor >> s.shift) }

// stand replaces the zero key, which no hash is in practice.
func stand(key eventKey) eventKey {
	if key == (eventKey{}) {
		key.Lo = 1
	}
	return key
}

// find returns the slot that holds key, or the free one where it belongs.
func (s *keyset) find(key eventKey) int {
	mask := len(s.slots) - 1
	i := s.home(key)
	for s.slots[i] != key && s.slots[i] != (eventKey{}) {
		i = (i + 1) & mask
	}
	return i
}

// add reports whether key was not in the set.
func (s *keyset) add(key eventKey) bool {
	key = stand(key)
	if s.n >= len(s.slots)/4*3 {
		s.resize()
	}
	i := s.find(key)
	if s.slots[i] == key {
		return false
	}
	s.slots[i] = key
	s.n++
	return true
}

// remove takes key, which must be in the set, out of it. Keys that follow in
// the probe sequence move up, so that no marks of the dead are needed.
func (s *keyset) remove(key eventKey) {
	mask := len(s.slots) - 1
	hole := s.find(stand(key))
	for i := (hole + 1) & mask; s.slots[i] != (eventKey{}); i = (i + 1) & mask {
		if (i-s.home(s.slots[i]))&mask >= (i-hole)&mask {
			s.slots[hole] = s.slots[i]
			hole = i
		}
	}
	s.slots[hole] = eventKey{}
	s.n--
}

// resize gives the set room for twice what it holds.
func (s *keyset) resize() {
	size := 16
	for size/4*3 < 2*s.n {
		size *= 2
	}
	old := s.slots
	s.slots = make([]eventKey, size)
	s.shift = 64 - bits.TrailingZeros(uint(size))
	s.factor = rand.Uint64() | 1
	for _, key := range old {
		if key != (eventKey{}) {
			s.slots[s.find(key)] = key
		}
	}
}
