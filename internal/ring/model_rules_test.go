package ring

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The model's rules of space and of order.

func (m *model) used() (s size) {
	for _, e := range m.waiting {
		s = s.plus(e.size)
	}
	for _, b := range m.held {
		for _, e := range b {
			s = s.plus(e.size)
		}
	}
	return s
}

// holds is what a client has in the ring.
func (m *model) holds(client uint64) (s size) {
	each := func(entries []modelEntry) {
		for _, e := range entries {
			if e.client == client {
				s = s.plus(e.size)
			}
		}
	}
	each(m.waiting)
	for _, b := range m.held {
		each(b)
	}
	return s
}

func (m *model) waitsOutside(client uint64) bool {
	return slices.ContainsFunc(m.blocked, func(w *modelPush) bool { return w.client == client })
}

// pass lets time go by. Clients are forgotten ten seconds after they pushed or
// held something.
func (m *model) pass(t *rapid.T) {
	m.age()
	m.now += rapid.Int64Range(0, int64(12*time.Second)).Draw(t, "time")
	m.age()
	m.core.clients.expire(m.now)
	require.Len(t, m.core.clients.known, len(m.clients))
	for id, cl := range m.core.clients.known {
		require.Contains(t, m.clients, id)
		require.Equal(t, m.clients[id].flows, cl.flows)
	}
}

func (m *model) age() {
	for id, cl := range m.clients {
		if m.holds(id).items > 0 || m.waitsOutside(id) {
			cl.last = m.now
		}
		if m.now-cl.last >= int64(10*time.Second) {
			delete(m.clients, id)
		}
	}
}

func (m *model) fits(request size) bool {
	used := m.used()
	return used.items == 0 || used.plus(request).within(m.bound)
}

// inShare reports whether the client stays within its share with a request.
func (m *model) inShare(client uint64, request size) bool {
	n := int64(len(m.clients))
	return client == 0 || n <= 1 || m.holds(client).plus(request).within(size{m.bound.items / n, m.bound.bytes / n})
}

// fair reports whether a request for which there is room takes none of what is
// kept for others.
func (m *model) fair(client uint64, request size) bool {
	after := m.used().plus(request)
	return m.inShare(client, request) || m.used().items == 0 ||
		16*after.items <= 15*m.bound.items && 16*after.bytes <= 15*m.bound.bytes
}

func (m *model) goal() size {
	used := m.used()
	return size{max(used.items, m.bound.items), max(used.bytes, m.bound.bytes)}
}

// leave takes an entry off those that wait.
func (m *model) leave(i int) {
	p := m.waiting[i].partition
	m.waiting = slices.Delete(m.waiting, i, i+1)
	if !slices.ContainsFunc(m.waiting, func(e modelEntry) bool { return e.partition == p }) {
		delete(m.turns, p)
	}
	if len(m.waiting) == 0 {
		m.time = max(m.time, m.greatest)
	}
}

// best is the index of the entry that is served next, of those that match; -1
// if there is none.
func (m *model) best(match func(modelEntry) bool) int {
	found := -1
	for i, e := range m.waiting {
		if match(e) && (found < 0 || e.turn < m.waiting[found].turn) {
			found = i
		}
	}
	return found
}

// requireFirstOfItsKeys is the order that a process relies on.
func (m *model) requireFirstOfItsKeys(t *rapid.T, i int) {
	for _, earlier := range m.waiting[:i] {
		if earlier.partition == m.waiting[i].partition {
			require.Zero(t, earlier.keys&m.waiting[i].keys, "what was pushed earlier with the same key is handed out earlier")
		}
	}
}
