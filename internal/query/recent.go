package query

import (
	"hash/maphash"
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
)

// recent remembers what spans told, the latest ones up to a number of bytes.
type recent struct {
	told  map[causal.SpanRef]*told
	order []causal.SpanRef // of arrival
	gone  int              // of order
	bytes int
	most  int
}

func newRecent(most int) *recent { return &recent{told: map[causal.SpanRef]*told{}, most: most} }

// Rough sizes in memory: of an entry with what keeps it, and of an edge.
const (
	entryBytes = 256
	edgeBytes  = 96
)

func (t *told) bytes() int { return entryBytes + len(t.event) + edgeBytes*len(t.edges) }

// put remembers t, which must not be changed any more.
func (r *recent) put(t *told) {
	old := r.told[t.ref]
	if old != nil {
		t = joined(old, t)
		r.bytes -= old.bytes()
	} else {
		r.order = append(r.order, t.ref)
	}
	r.told[t.ref] = t
	r.bytes += t.bytes()
	for r.bytes > r.most {
		first := r.order[r.gone]
		r.bytes -= r.told[first].bytes()
		delete(r.told, first)
		r.gone++
	}
	if r.gone > len(r.order)/2 {
		r.order = slices.Delete(r.order, 0, r.gone)
		r.gone = 0
	}
}

func (r *recent) get(ref causal.SpanRef) *told { return r.told[ref] }

// joined is what two spans of one name tell together; a may be nil.
func joined(a, b *told) *told {
	switch {
	case a == nil || a.missing:
		return b
	case b.missing:
		return a
	}
	sum := *a
	sum.start = min(a.start, b.start)
	if sum.event == "" {
		sum.event = b.event
	}
	sum.edges = unite(slices.Concat(a.edges, b.edges))
	return &sum
}

// seen remembers edges by 64-bit hashes with a seed of its own, so that nobody
// can make two collide; by chance one of a million is taken for another once
// in some million streams.
type seen struct {
	seed maphash.Seed
	sets [][seenWays]uint64 // the latest first; a power of two of them
}

const seenWays = 8

// newSeen returns a memory of about as many edges, a power of two.
func newSeen(edges int) *seen {
	return &seen{seed: maphash.MakeSeed(), sets: make([][seenWays]uint64, edges/seenWays)}
}

// add reports whether the edge is new, as far as is remembered.
func (s *seen) add(cause, effect causal.SpanRef, t causal.Type) bool {
	hash := maphash.Comparable(s.seed, struct {
		cause, effect causal.SpanRef
		t             causal.Type
	}{cause, effect, t}) | 1 // 0 is a free place
	set := &s.sets[hash>>1&uint64(len(s.sets)-1)]
	if slices.Contains(set[:], hash) {
		return false
	}
	copy(set[1:], set[:seenWays-1])
	set[0] = hash
	return true
}
