package ring

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Full says of a ring of ten items and ten bytes, filled with so much, what
// Push would say to any client.
func TestFull(t *testing.T) {
	for _, c := range []struct {
		overflow     Overflow
		items, bytes int64 // that are there
		outside      int64 // items that wait for space
		bound        float64
		body         int64
		want         bool
	}{
		{Refuse, 9, 0, 0, 1, 0, false},
		{Refuse, 10, 0, 0, 1, 0, true},
		{Refuse, 1, 5, 0, 1, 5, false},
		{Refuse, 1, 5, 0, 1, 6, true},
		{Refuse, 1, 5, 0, 1, 11, false}, // too large, which is another answer
		{Refuse, 5, 0, 0, 0.5, 0, true},
		{Refuse, 4, 0, 0, 0.5, 0, false},
		{Refuse, 0, 0, 0, 0.5, 9, false}, // an empty ring takes it
		{Block, 10, 0, 5, 1, 0, false},
		{Block, 10, 0, 10, 1, 0, true},
		{DropOldest, 10, 0, 0, 1, 0, false},
		{DropNewest, 10, 0, 0, 1, 0, false},
		{ByPriority, 10, 0, 0, 1, 0, false},
	} {
		r := New[string](Config{Partitions: 1, MaxItems: 10, MaxBytes: 10, Overflow: c.overflow})
		if c.items > 0 {
			_, err := r.Push(t.Context(), 1, []Part[string]{{Items: int(c.items), Bytes: c.bytes}})
			require.NoError(t, err)
		}
		if c.outside > 0 {
			_, blocked, err := r.core.push(r.now(), 1, []Part[string]{{Items: int(c.outside)}})
			require.NoError(t, err)
			require.NotNil(t, blocked)
		}
		r.SetBound(c.bound)
		require.Equal(t, c.want, r.Full(0, c.body, 0), "%+v", c)
		if !c.want && c.items > 0 && c.overflow == Refuse && c.body <= 10 {
			require.True(t, r.Full(0, c.body, 11), "what is ahead will have filled it")
		}
		if c.want {
			_, err := r.Push(t.Context(), 2, []Part[string]{{Items: 1, Bytes: c.body}})
			require.ErrorIs(t, err, ErrFull, "%+v", c)
		}
		r.Close()
		require.False(t, r.Full(0, c.body, 0), "a closed ring is not full")
	}
}

// Who is beyond its share learns it at the fifteenth sixteenth, others at the
// end.
func TestFullKnowsWhoIsBeyondItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[string](Config{Partitions: 1, MaxItems: 32, MaxBytes: 1000})
		push := func(client uint64, items int) error {
			_, err := r.Push(t.Context(), client, []Part[string]{{Items: items, Bytes: 1}})
			return err
		}
		require.NoError(t, push(1, 1))
		require.NoError(t, push(2, 29))
		require.False(t, r.Full(2, 0, 0), "not known yet")
		time.Sleep(doorPause)
		require.ErrorIs(t, push(2, 3), ErrFull)
		require.True(t, r.Full(2, 0, 0) == (push(2, 1) != nil))
		require.False(t, r.Full(1, 0, 2000), "what is ahead is not for its room")
		require.True(t, r.Full(0, 0, 2000))
		require.False(t, r.Full(3, 0, 0))
		require.NoError(t, push(1, 2))
		require.True(t, r.Full(1, 0, 0), "there is no room at all")
	})
}

func TestFailReturnsWhatItDiscards(t *testing.T) {
	r := New[string](Config{Partitions: 2, MaxItems: 10, MaxBytes: 10})
	for i, work := range []string{"held", "a", "b"} {
		_, err := r.Push(t.Context(), 1, []Part[string]{{Partition: i % 2, Work: work, Items: 1}})
		require.NoError(t, err)
		if i == 0 {
			b, err := r.Take(t.Context(), Want{Max: 1})
			require.NoError(t, err)
			defer r.Release(b, nil)
		}
	}
	var discarded []string
	for _, e := range r.Fail(context.Canceled) {
		discarded = append(discarded, e.Work)
		require.False(t, e.Completed())
	}
	require.ElementsMatch(t, []string{"a", "b"}, discarded)
	require.Empty(t, r.Fail(context.Canceled))
}
