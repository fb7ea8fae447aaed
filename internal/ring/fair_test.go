package ring

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// served takes one entry, releases it and returns it.
func served(t *testing.T, c *core[string], now int64) *Entry[string] {
	t.Helper()
	b, _ := c.take(now, Want{Max: 1})
	require.NotNil(t, b)
	require.Len(t, b.Entries, 1)
	c.release(now, b, nil)
	return b.Entries[0]
}

// Two clients with full backlogs get the same, however large and however
// spread their requests are.
func TestFairBetweenClients(t *testing.T) {
	const partitions, biggest = 4, 50
	rnd := rand.New(rand.NewPCG(1, 2))
	c := newCore[string](Config{Partitions: partitions, MaxItems: 1 << 20, MaxBytes: 1 << 20})
	sizes := map[uint64]func() int{
		1: func() int { return 1 + rnd.IntN(biggest) },
		2: func() int { return 1 + rnd.IntN(3) },
	}
	push := func(client uint64) {
		_, _, err := c.push(0, client, []Part[string]{{Partition: rnd.IntN(partitions), Items: sizes[client](), Priority: Normal}})
		require.NoError(t, err)
	}
	for range 200 {
		push(1)
		push(2)
	}
	got := map[uint64]int{}
	for range 5000 {
		e := served(t, c, 0)
		got[e.client.id] += e.Items
		push(e.client.id)
		require.InDelta(t, got[1], got[2], biggest)
	}
}

// A client with a hundred requests waiting does not keep another waiting.
func TestQuietClientIsServedNext(t *testing.T) {
	c := newCore[string](Config{Partitions: 4, MaxItems: 10000, MaxBytes: 100})
	for i := range 100 {
		_, _, err := c.push(0, 1, []Part[string]{{Partition: i % 4, Work: "noisy", Items: 10}})
		require.NoError(t, err)
	}
	for range 10 {
		served(t, c, 0)
		_, _, err := c.push(0, 2, []Part[string]{{Partition: 3, Work: "quiet", Items: 1}})
		require.NoError(t, err)
		works := served(t, c, 0).Work + " " + served(t, c, 0).Work
		require.Contains(t, works, "quiet")
	}
}

// What is least important is taken in the end, while more important requests
// keep coming from one client, or from a new one each time.
func TestNobodyStarves(t *testing.T) {
	for name, client := range map[string]func(i int) uint64{
		"one client":      func(int) uint64 { return 1 },
		"the same client": func(int) uint64 { return 9 },
		"new clients":     func(i int) uint64 { return uint64(10 + i) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCore[string](Config{Partitions: 4, MaxItems: 10000, MaxBytes: 100})
			now := int64(0)
			push := func(client uint64, work string, p Priority) {
				_, _, err := c.push(now, client, []Part[string]{{Work: work, Items: 10, Priority: p}})
				require.NoError(t, err)
			}
			push(9, "first", Low)
			push(9, "low", Low)
			for i := 0; ; i++ {
				require.Less(t, i, 20_000, "it starves")
				now += int64(time.Second)
				push(client(2*i), "high", High)
				push(client(2*i+1), "high", High)
				works := []string{served(t, c, now).Work, served(t, c, now).Work}
				if slices.Contains(works, "low") {
					break
				}
			}
		})
	}
}

// What is remembered of clients is bounded, and those beyond the bound are one.
func TestManyClients(t *testing.T) {
	c := newCore[string](Config{Partitions: 1, MaxItems: 1 << 20, MaxBytes: 1 << 20})
	for id := range uint64(3 * maxClients) {
		_, _, err := c.push(0, id, []Part[string]{{Items: 1}})
		require.NoError(t, err)
		require.LessOrEqual(t, len(c.clients.known), maxClients+1)
	}
	require.Equal(t, size{items: 2*maxClients - 1}, c.clients.known[restID].held)
	require.Equal(t, maxClients+1, c.stats(0).Clients)
	checkInvariants(t, c)
	for c.queued.items > 0 {
		served(t, c, 0)
	}
	require.Zero(t, c.stats(remember).Clients)
}

// However much others push, a client gets in what its share is.
func TestShareIsThere(t *testing.T) {
	const limit, noisy = 1600, 3
	rnd := rand.New(rand.NewPCG(3, 4))
	c := newCore[string](Config{Partitions: 1, MaxItems: limit, MaxBytes: limit})
	push := func(client uint64, items int) error {
		_, _, err := c.push(0, client, []Part[string]{{Items: items, Bytes: int64(items)}})
		return err
	}
	require.NoError(t, push(10, 1), "the quiet client is known")
	served(t, c, 0)
	for range 10_000 {
		_ = push(uint64(1+rnd.IntN(noisy)), 1+rnd.IntN(30))
	}
	room := limit - c.used().items
	require.Positive(t, room)
	for range room {
		require.NoError(t, push(10, 1))
	}
	require.ErrorIs(t, push(10, 1), ErrFull)

	// Those that have more than their share get in nothing until they have not.
	for range 10_000 {
		served(t, c, 0)
		for client := range uint64(noisy) {
			_ = push(1+client, 1+rnd.IntN(30))
		}
		for c.clients.known[10].held.items < limit/(noisy+1) && push(10, 1) == nil {
		}
	}
	require.InDelta(t, limit/(noisy+1), c.clients.known[10].held.items, 1)
}

// A burst that passed through one partition does not leave its size there.
func TestQueueShrinks(t *testing.T) {
	c := newCore[string](Config{Partitions: 1, MaxItems: 1 << 20, MaxBytes: 1})
	for range 10 * maxIdleSlots {
		_, _, err := c.push(0, 1, []Part[string]{{Items: 1}})
		require.NoError(t, err)
	}
	b, _ := c.take(0, Want{Max: 1 << 20})
	require.Len(t, b.Entries, 10*maxIdleSlots)
	require.LessOrEqual(t, cap(c.partitions[0].queue), maxIdleSlots)
}
