package scopereceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBatchTarget(t *testing.T) {
	bounds := BatchConfig{MinSize: 100, MaxSize: 10000}
	for _, c := range []struct {
		workers int
		waiting int64
		want    int
	}{
		{2, 0, 100},       // idle: whatever comes
		{2, 150, 100},     // a worker leaves the other nothing: too little to share
		{2, 1001, 501},    // each its share
		{4, 16000, 4000},  //
		{16, 4000, 1000},  // but no more than four shares
		{4, 90000, 10000}, // never more than the bound
		{0, 90000, 100},   // nobody there yet
	} {
		require.Equal(t, c.want, batchTarget(load{workers: c.workers, waiting: c.waiting}, bounds), "%+v", c)
	}
}

func TestScaler(t *testing.T) {
	workers, batch := WorkersConfig{Min: 2, Max: 16}, BatchConfig{MinSize: 100, MaxSize: 1000}
	steps := func(s *scaler, l load, n int) []int {
		var out []int
		for range n {
			next := s.next(l, workers, batch)
			if len(out) == 0 || out[len(out)-1] != next {
				out = append(out, next)
			}
			l.busy = min(l.busy*next/max(1, l.workers), next)
			l.workers = next
		}
		return out
	}
	full := load{workers: 2, busy: 2, waiting: 1000}
	late := load{workers: 2, busy: 2, waiting: 1, oldest: scaleUpAfter}
	require.Equal(t, []int{2, 3, 4, 6, 9, 13, 16}, steps(newScaler(), full, 10), "a backlog brings workers, up to the bound")
	require.Equal(t, []int{2, 3}, steps(newScaler(), late, scaleUpAt), "so does what waits too long")
	require.Equal(t, []int{2}, steps(newScaler(), load{workers: 2, busy: 1, waiting: 5000, oldest: time.Second}, 10), "but not while one is free")
	require.Equal(t, []int{2}, steps(newScaler(), load{workers: 2, busy: 2, waiting: 999}, 10), "nor for less than a batch")
	require.Equal(t, []int{4}, steps(newScaler(), load{workers: 4, busy: 4, retrying: 3, waiting: 5000}, 10), "nor while the pipeline refuses")
	require.Equal(t, []int{4, 6}, steps(newScaler(), load{workers: 4, busy: 4, retrying: 2, waiting: 5000}, 2), "but for a part that it refuses")
	require.Equal(t, []int{16}, steps(newScaler(), load{workers: 16}, scaleDownAt-1), "idle workers stay for a while")
	require.Equal(t, []int{16, 15, 14}, steps(newScaler(), load{workers: 16}, 2*scaleDownAt), "and go one by one")
	require.Equal(t, []int{2}, steps(newScaler(), load{workers: 2}, 3*scaleDownAt), "never below the bound")
	require.Equal(t, []int{2}, steps(newScaler(), load{workers: 0}, 1))

	interrupted := newScaler()
	steps(interrupted, load{workers: 16}, scaleDownAt-1)
	interrupted.next(load{workers: 16, busy: 16}, workers, batch)
	require.Equal(t, []int{16}, steps(interrupted, load{workers: 16}, scaleDownAt-1), "work begins the count anew")
	interrupted.next(full, workers, batch)
	interrupted.next(load{workers: 2, busy: 2}, workers, batch)
	require.Equal(t, []int{2}, steps(interrupted, full, 1), "so does a moment without too much")
}

// Who is missed soon after it went stays longer the next time, until some went
// and were not missed.
func TestScalerPatience(t *testing.T) {
	workers, batch := WorkersConfig{Min: 2, Max: 16}, BatchConfig{MinSize: 100, MaxSize: 1000}
	s := newScaler()
	until := func(l load) int {
		for n := 1; n <= 2*scaleDownMost; n++ {
			if s.next(l, workers, batch) != l.workers {
				return n
			}
		}
		return 0
	}
	idle, missed := load{workers: 6}, load{workers: 5, busy: 5, waiting: 1000}
	for _, patience := range []int{1, 2, 4, 8, 8} {
		require.Equal(t, patience*scaleDownAt, until(idle))
		require.Equal(t, scaleUpAt, until(missed))
	}
	for _, patience := range []int{8, 8, 4, 2, 1, 1} {
		require.Equal(t, patience*scaleDownAt, until(idle))
	}
	for range scaleRegret {
		s.next(load{workers: 5, busy: 5}, workers, batch)
	}
	until(missed)
	require.Equal(t, scaleDownAt, until(idle), "what is needed much later was not let go too early")

	s = newScaler()
	require.Zero(t, until(load{workers: 2}))
	require.Equal(t, scaleUpAt, until(load{workers: 2, busy: 2, waiting: 1000}))
	require.Equal(t, scaleDownAt, until(idle), "none went at the bound")
}

func TestScalerStaysWithinBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		workers := WorkersConfig{Min: rapid.IntRange(1, 5).Draw(t, "min")}
		workers.Max = rapid.IntRange(workers.Min, 9).Draw(t, "max")
		batch := BatchConfig{MinSize: 1, MaxSize: 10}
		s := newScaler()
		now := workers.Min
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			l := load{workers: now, busy: rapid.IntRange(0, now).Draw(t, "busy"), waiting: rapid.Int64Range(0, 30).Draw(t, "waiting")}
			next := s.next(l, workers, batch)
			require.GreaterOrEqual(t, next, workers.Min)
			require.LessOrEqual(t, next, workers.Max)
			require.GreaterOrEqual(t, next, now-1)
			now = next
		}
	})
}
