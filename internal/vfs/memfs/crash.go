package memfs

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
)

const sector = 512 // bytes; what a disk writes whole

// Crash returns the file system that may be found after the power went now:
// what was synced, and by rng's choice parts of what was not. It has no locks,
// no faults, no open files and the same capacity; the receiver goes on
// unchanged.
func (m *FS) Crash(rng *rand.Rand) *FS {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := maps.Clone(m.durable)
	for _, c := range m.survivingChanges(rng) {
		c.applyTo(names)
	}
	clone := New()
	clone.capacity = m.capacity
	clone.rng = rand.New(rand.NewPCG(rng.Uint64(), 0))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if _, ok := names[filepath.Dir(name)]; ok {
			n := names[name].crash(rng)
			clone.names[name], clone.durable[name] = n, n
		} else {
			delete(names, name)
		}
	}
	return clone
}

// survivingChanges returns a random prefix of every folder's pending changes.
func (m *FS) survivingChanges(rng *rand.Rand) []change {
	total := map[string]int{}
	for _, c := range m.pending {
		total[c.dir]++
	}
	left := map[string]int{}
	for _, dir := range slices.Sorted(maps.Keys(total)) {
		left[dir] = rng.IntN(total[dir] + 1)
	}
	var out []change
	for _, c := range m.pending {
		if left[c.dir] > 0 {
			left[c.dir]--
			out = append(out, c)
		}
	}
	return out
}

// crash returns the node as it may be found, all of it durable.
func (n *node) crash(rng *rand.Rand) *node {
	if n.dir {
		return &node{dir: true}
	}
	data := bytes.Clone(n.durable)
	for _, e := range n.pending {
		switch rng.IntN(4) {
		case 0:
		case 1:
			data = e.applyTo(data)
		default:
			data = e.torn(data, rng)
		}
	}
	return &node{data: data, durable: bytes.Clone(data)}
}

// torn applies each of the edit's sectors, or not.
func (e edit) torn(data []byte, rng *rand.Rand) []byte {
	if e.truncate {
		return data
	}
	for at := int64(0); at < int64(len(e.data)); {
		end := min(int64(len(e.data)), at+sector-(e.off+at)%sector)
		if rng.IntN(2) == 0 {
			data = edit{off: e.off + at, data: e.data[at:end]}.applyTo(data)
		}
		at = end
	}
	return data
}
