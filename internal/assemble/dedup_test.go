package assemble

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestKeysetIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s keyset
		model := map[eventKey]bool{}
		key := rapid.Custom(func(t *rapid.T) eventKey {
			return eventKey{Hi: rapid.Uint64Range(0, 2).Draw(t, "hi"), Lo: rapid.Uint64Range(0, 40).Draw(t, "lo")}
		}).Filter(func(k eventKey) bool { return k != eventKey{Lo: 1} })
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				k := key.Draw(t, "key")
				require.Equal(t, !model[k], s.add(k))
				model[k] = true
			},
			"remove": func(t *rapid.T) {
				k := key.Draw(t, "key")
				if model[k] {
					s.remove(k)
					delete(model, k)
				}
			},
			"resize": func(t *rapid.T) { s.resize() },
			"": func(t *rapid.T) {
				require.Equal(t, len(model), s.n)
				for k := range model {
					require.False(t, s.add(k))
				}
			},
		})
	})
}

func fill(d *dedup, from, n int, now int64) {
	for i := range n {
		d.add(eventKey{Hi: 1, Lo: uint64(from + i)}, now)
	}
}

// Those who hold more than their share give way, those who hold less need not.
func TestBudgetIsShared(t *testing.T) {
	b := NewBudget(100)
	x, y := newDedup(b, time.Hour), newDedup(b, time.Hour)
	fill(&x, 0, 100, 1)
	x.expire(1)
	require.Equal(t, 100, x.len())
	fill(&y, 0, 30, 1)
	y.expire(1)
	require.Equal(t, 30, y.len())
	require.Equal(t, 130, b.Used())
	x.expire(1)
	require.Equal(t, 70, x.len())
	require.Equal(t, 100, b.Used())
	require.False(t, x.add(eventKey{Hi: 1, Lo: 99}, 1), "the newest are kept")
	require.True(t, x.add(eventKey{Hi: 1, Lo: 0}, 1), "the oldest are forgotten")
}

func TestDedupGivesMemoryBack(t *testing.T) {
	d := newDedup(NewBudget(1<<20), 10)
	fill(&d, 0, 100_000, 0)
	fill(&d, 100_000, 100, 5)
	d.expire(11)
	require.Equal(t, 100, d.len())
	require.Less(t, cap(d.queue), 1000)
	require.Less(t, len(d.seen.slots), 1000)
	require.False(t, d.add(eventKey{Hi: 1, Lo: 100_099}, 11))
}

// Its memory follows what it holds, not what passed through it.
func TestDedupQueueMovesOn(t *testing.T) {
	d := newDedup(NewBudget(1<<20), 10)
	for now := range int64(1000) {
		fill(&d, int(now)*10, 10, now)
		d.expire(now)
	}
	require.Equal(t, 110, d.len())
	require.Less(t, cap(d.queue), 1024)
}
