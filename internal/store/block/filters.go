package block

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go/bloom"
)

// filters are the Bloom filters of a set of open blocks. A filter's cache line
// comes from memory for each block and key if each filter lies by itself, which
// is most of what a search through many blocks costs. So those of one size lie
// side by side, bit by bit: a look at a key costs about as much for 64 blocks
// as for one.
//
// Its methods may be called from many goroutines.
type filters struct {
	changing sync.Mutex // one add or drop at a time

	mu     sync.RWMutex // guards what follows, rows of groups too
	groups []*filterGroup
}

// filterGroup is up to 64 filters of one size. Row n has their bits n.
type filterGroup struct {
	blocks int    // of 256 bits, in each filter
	stride int    // bytes of a row, which has eight filters in each
	rows   []byte // and 7 bytes, so that eight can be read anywhere
	used   uint64 // the filters that count; others may hold anything
}

// slot is a filter's place: its group's number times 64, and its own.
type slot int

const (
	mostInGroup   = 64
	leastStride   = 1
	mostStride    = 8
	filterRows    = 256 // in a block of a filter
	rowsOfWord    = 32
	blocksAtOnce  = 1024 // of a filter that is added, between which others may look
	wordsOfFilter = 8
)

// salts choose a bit of each word of a block, as Parquet's specification of
// split block Bloom filters has them.
var salts = [wordsOfFilter]uint32{
	0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31,
}

// filterSize returns how many blocks a filter of about n gets. There are two
// sizes for each power of two, so that few filters have a size of their own.
func filterSize(n int) int {
	size := 1 << (bits.Len(uint(n)) - 1) // size <= n < 2*size
	switch {
	case 4*n >= 7*size:
		return 2 * size
	case 4*n >= 5*size:
		return size * 3 / 2
	}
	return size
}

// having returns which of the group's filters have a key, perhaps.
func (g *filterGroup) having(key uint64) uint64 {
	row := int(key>>32*uint64(g.blocks)>>32) * filterRows
	found := g.used
	for w, salt := range salts {
		found &= binary.LittleEndian.Uint64(g.rows[(row+w*rowsOfWord+int(uint32(key)*salt>>27))*g.stride:])
	}
	return found
}

// has reports whether a filter has a key, perhaps.
func (f *filters) has(s slot, key uint64) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.groups[s/mostInGroup].having(key)>>(s%mostInGroup)&1 != 0
}

// which returns for each slot the keys, by number, that its filter has, perhaps.
func (f *filters) which(keys []uint64) [][]int32 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	found := make([][]int32, len(f.groups)*mostInGroup)
	for n, g := range f.groups {
		if g == nil {
			continue
		}
		in := found[n*mostInGroup:]
		for i, key := range keys {
			for set := g.having(key); set != 0; set &= set - 1 {
				at := bits.TrailingZeros64(set)
				in[at] = append(in[at], int32(i))
			}
		}
	}
	return found
}

// add adds a filter, which is not kept.
func (f *filters) add(filter bloom.SplitBlockFilter) slot {
	f.changing.Lock()
	defer f.changing.Unlock()
	n, g := f.place(filterSize(len(filter)))
	at := bits.TrailingZeros64(^g.used)
	for first := 0; first < g.blocks; first += blocksAtOnce {
		f.mu.Lock()
		for i := first; i < min(first+blocksAtOnce, g.blocks); i++ {
			g.put(at, i, filter)
		}
		f.mu.Unlock()
	}
	f.mu.Lock()
	g.used |= 1 << at
	f.mu.Unlock()
	return slot(n*mostInGroup + at)
}

// drop takes a filter out.
func (f *filters) drop(s slot) {
	f.changing.Lock()
	defer f.changing.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	g := f.groups[s/mostInGroup]
	if g.used &^= 1 << (s % mostInGroup); g.used == 0 {
		f.groups[s/mostInGroup] = nil
	}
}

// place returns a group of filters of that size which has room for one more.
func (f *filters) place(size int) (int, *filterGroup) {
	free := -1
	for n, g := range f.groups {
		switch {
		case g == nil:
			free = n
		case g.blocks != size || g.used == 1<<mostInGroup-1:
		case bits.TrailingZeros64(^g.used) < 8*g.stride:
			return n, g
		default:
			wider := g.widened()
			f.mu.Lock()
			f.groups[n] = wider
			f.mu.Unlock()
			return n, wider
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if free < 0 {
		free = len(f.groups)
		f.groups = append(f.groups, nil)
	}
	f.groups[free] = newFilterGroup(size, leastStride)
	return free, f.groups[free]
}

func newFilterGroup(blocks, stride int) *filterGroup {
	return &filterGroup{blocks: blocks, stride: stride, rows: make([]byte, blocks*filterRows*stride+mostStride-1)}
}

// widened returns a copy with room for twice as many filters.
func (g *filterGroup) widened() *filterGroup {
	w := newFilterGroup(g.blocks, 2*g.stride)
	w.used = g.used
	for row := range g.blocks * filterRows {
		copy(w.rows[row*w.stride:], g.rows[row*g.stride:(row+1)*g.stride])
	}
	return w
}

// put sets filter at's bits of block i. The filter may have another size: then
// they are those of all its blocks that a key of this one may be in.
func (g *filterGroup) put(at, i int, filter bloom.SplitBlockFilter) {
	first, end := i*len(filter)/g.blocks, ((i+1)*len(filter)+g.blocks-1)/g.blocks
	block := filter[first]
	for _, other := range filter[first+1 : end] {
		for w := range block {
			block[w] |= other[w]
		}
	}
	bit := byte(1) << (at % 8)
	place := i*filterRows*g.stride + at/8
	for w, word := range block {
		for b := range rowsOfWord {
			p := &g.rows[place+(w*rowsOfWord+b)*g.stride]
			*p = *p&^bit | byte(word>>b&1)<<(at%8)
		}
	}
}

// filterOf is the filter of some runs' fingerprints.
func filterOf(space bloom.SplitBlockFilter, runs [][]uint64) bloom.SplitBlockFilter {
	ids := int64(0)
	for _, run := range runs {
		eachFingerprint(run, func(fingerprint) { ids++ })
	}
	size := filterSize(max(bloom.NumSplitBlocksOf(ids, filterBits), 1))
	filter := slices.Grow(space[:0], size)[:size]
	filter.Reset()
	for _, run := range runs {
		eachFingerprint(run, func(f fingerprint) { filter.Insert(f.filterKey()) })
	}
	return filter
}
