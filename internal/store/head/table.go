package head

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"github.com/otelscope/otelscope/internal/causal"
)

// table is an open-addressing hash table from 32-bit hashes to numbers. What a
// number stands for, and whether two that share a hash are the same thing, the
// caller knows. It is only ever added to.
type table struct {
	slots []uint64 // hash << 32 | number + 1; 0 is free
	shift uint     // 32 - log2(len(slots))
	used  int
}

const minTable = 1024

func newTable(hint int) table {
	size := minTable
	for hint > maxUsed(size) {
		size *= 2
	}
	return table{slots: make([]uint64, size), shift: uint(32 - bits.TrailingZeros(uint(size)))}
}

// maxUsed keeps probe sequences short: above 3/4 they grow quickly.
func maxUsed(size int) int { return size / 4 * 3 }

// find returns the slot of a number with the hash for which same is true, or
// the free slot where it belongs.
func (t *table) find(hash uint32, same func(number uint32) bool) (slot int, found bool) {
	mask := len(t.slots) - 1
	for slot = int(hash >> t.shift); ; slot = (slot + 1) & mask {
		s := t.slots[slot]
		if s == 0 {
			return slot, false
		}
		if uint32(s>>32) == hash && same(uint32(s)-1) {
			return slot, true
		}
	}
}

// first is find for whom the hash alone tells numbers apart.
func (t *table) first(hash uint32) (slot int, found bool) {
	mask := len(t.slots) - 1
	for slot = int(hash >> t.shift); ; slot = (slot + 1) & mask {
		s := t.slots[slot]
		if s == 0 || uint32(s>>32) == hash {
			return slot, s != 0
		}
	}
}

func (t *table) number(slot int) uint32 { return uint32(t.slots[slot]) - 1 }

// set fills a slot that find returned, or changes the number in it.
func (t *table) set(slot int, hash, number uint32) {
	if t.slots[slot] == 0 {
		t.used++
	}
	t.slots[slot] = uint64(hash)<<32 | uint64(number+1)
	if t.used > maxUsed(len(t.slots)) {
		t.grow()
	}
}

func (t *table) grow() {
	old := t.slots
	t.slots = make([]uint64, 2*len(old))
	t.shift--
	mask := len(t.slots) - 1
	for _, s := range old {
		if s == 0 {
			continue
		}
		slot := int(uint32(s>>32) >> t.shift)
		for t.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		t.slots[slot] = s
	}
}

// Hashes are keyed by a number that clients cannot know, so that nobody can
// choose ids that collide.
var seed, seed2 = rand.Uint64(), rand.Uint64() | 1

func traceHash(id *[16]byte) uint32 {
	return uint32(mix(binary.LittleEndian.Uint64(id[:])^seed, binary.LittleEndian.Uint64(id[8:])^seed2) >> 32)
}

func identityHash(id *Identity) uint32 {
	h := mix(binary.LittleEndian.Uint64(id.Trace[:])^seed, binary.LittleEndian.Uint64(id.Trace[8:])^seed2)
	return uint32(mix(binary.LittleEndian.Uint64(id.Span[:])^h, uint64(uint32(id.Kind))^seed2) >> 32)
}

func refHash(ref *causal.SpanRef) uint64 {
	h := mix(binary.LittleEndian.Uint64(ref.TraceID[:])^seed, binary.LittleEndian.Uint64(ref.TraceID[8:])^seed2)
	return mix(binary.LittleEndian.Uint64(ref.SpanID[:])^h, seed2)
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
