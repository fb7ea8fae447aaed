package correlate

import "math/bits"

// index finds the newest entry of each key: open addressing with linear
// probing in one array, so that a look costs one cache miss where a map costs
// several. A slot holds 32 bits of the key, by which it has its place; the
// rest of the key is the entry's.
type index struct {
	slots []slot // a power of two, or none
	shift int    // 32 - log2(len(slots))
	used  int
}

type slot struct {
	tag uint32
	n   number // 0: the slot is free
}

func tagOf(key uint64) uint32 { return uint32(key * 0xff51afd7ed558ccd >> 32) }

// find returns the slot of key, or the free one where it belongs. There are
// slots.
func (x *index) find(r *ring, key uint64) int {
	tag, mask := tagOf(key), len(x.slots)-1
	i := int(tag >> x.shift)
	for x.slots[i].n != 0 && (x.slots[i].tag != tag || r.at(x.slots[i].n).key != key) {
		i = (i + 1) & mask
	}
	return i
}

// get returns the newest entry of key, 0 for none.
func (x *index) get(r *ring, key uint64) number {
	if len(x.slots) == 0 {
		return 0
	}
	return x.slots[x.find(r, key)].n
}

// put makes n the newest of key and returns which was.
func (x *index) put(r *ring, key uint64, n number) (last number) {
	if x.used >= len(x.slots)/4*3 {
		x.resize()
	}
	s := &x.slots[x.find(r, key)]
	if last = s.n; last == 0 {
		x.used++
	}
	*s = slot{tagOf(key), n}
	return last
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

// resize gives the index room for twice what it holds.
func (x *index) resize() {
	size := 16
	for size/4*3 <= 2*x.used {
		size *= 2
	}
	old := x.slots
	x.slots = make([]slot, size)
	x.shift = 32 - bits.TrailingZeros(uint(size))
	for _, s := range old {
		if s.n == 0 {
			continue
		}
		i := int(s.tag >> x.shift)
		for x.slots[i].n != 0 {
			i = (i + 1) & (size - 1)
		}
		x.slots[i] = s
	}
}
