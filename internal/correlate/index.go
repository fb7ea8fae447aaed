package correlate

import "math/bits"

// index finds the newest entry of each key: open addressing with linear
// probing in one array, so that a look costs one cache miss where a map costs
// several. A slot holds 32 bits of the key, by which it has its place; the
// rest of the key is the entry's.
//
// What leaves the ring stays in the index, which its number tells, until
// another takes its slot or the slots are made anew: nobody looks for the slot
// of what only grew old.
type index struct {
	slots []slot // a power of two, or none
	shift int    // 32 - log2(len(slots))
	used  int    // slots that are not free
}

type slot struct {
	tag uint32
	n   number // 0: the slot is free
}

func tagOf(key uint64) uint32 { return uint32(key * 0xff51afd7ed558ccd >> 32) }

// get returns the newest entry of key, 0 for none.
func (x *index) get(r *ring, key uint64) number {
	if i := x.find(r, key); i >= 0 {
		return x.slots[i].n
	}
	return 0
}

// find returns the slot of key, -1 if there is none.
func (x *index) find(r *ring, key uint64) int {
	if len(x.slots) == 0 {
		return -1
	}
	tag, mask := tagOf(key), len(x.slots)-1
	for i := int(tag >> x.shift); x.slots[i].n != 0; i = (i + 1) & mask {
		if s := x.slots[i]; s.tag == tag && r.holds(s.n) && r.at(s.n).key == key {
			return i
		}
	}
	return -1
}

// put makes n the newest of key and returns which was, 0 if none.
func (x *index) put(r *ring, key uint64, n number) (last number) {
	if x.used >= len(x.slots)/4*3 {
		x.renew(r)
	}
	tag, mask := tagOf(key), len(x.slots)-1
	i, gone := int(tag>>x.shift), -1
	for ; x.slots[i].n != 0; i = (i + 1) & mask {
		s := &x.slots[i]
		switch {
		case !r.holds(s.n):
			if gone < 0 {
				gone = i
			}
		case s.tag == tag && r.at(s.n).key == key:
			last, s.n = s.n, n
			return last
		}
	}
	if gone >= 0 {
		x.slots[gone] = slot{tag, n}
		return 0
	}
	x.slots[i] = slot{tag, n}
	x.used++
	return 0
}

// remove takes key, which is there, out. What follows in the probe sequence
// moves up, so that no marks of the dead are needed.
func (x *index) remove(r *ring, key uint64) {
	mask := len(x.slots) - 1
	hole := x.find(r, key)
	for i := (hole + 1) & mask; x.slots[i].n != 0; i = (i + 1) & mask {
		if (i-int(x.slots[i].tag>>x.shift))&mask >= (i-hole)&mask {
			x.slots[hole] = x.slots[i]
			hole = i
		}
	}
	x.slots[hole] = slot{}
	x.used--
}

// renew gives the index room for twice what the ring holds, of which it keeps
// the slots.
func (x *index) renew(r *ring) {
	old := x.slots
	x.used = 0
	for _, s := range old {
		if s.n != 0 && r.holds(s.n) {
			x.used++
		}
	}
	size := 16
	for size/4*3 <= 2*x.used {
		size *= 2
	}
	x.slots = make([]slot, size)
	x.shift = 32 - bits.TrailingZeros(uint(size))
	for _, s := range old {
		if s.n == 0 || !r.holds(s.n) {
			continue
		}
		i := int(s.tag >> x.shift)
		for x.slots[i].n != 0 {
			i = (i + 1) & (size - 1)
		}
		x.slots[i] = s
	}
}
