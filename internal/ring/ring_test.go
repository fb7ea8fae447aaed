package ring

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func part(partition, items int) Part[int] { return Part[int]{Partition: partition, Items: items} }

func mustPush(t *testing.T, r *Ring[int], parts ...Part[int]) *Completion {
	t.Helper()
	c, err := r.Push(t.Context(), 0, parts)
	require.NoError(t, err)
	return c
}

func TestTakeWaitsForWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[int](Config{Partitions: 4, MaxItems: 100, MaxBytes: 100})
		took := make(chan *Batch[int])
		for range 2 {
			go func() {
				b, err := r.Take(t.Context(), Want{Max: 10})
				require.NoError(t, err)
				took <- b
			}()
		}
		synctest.Wait()
		// One push wakes one taker; the second partition wakes the other, since
		// the first cannot take all.
		answer := mustPush(t, r, part(0, 8), part(1, 8))
		first, second := <-took, <-took
		require.Equal(t, 16, first.Items+second.Items)
		r.Release(first, nil)
		select {
		case <-answer.Done():
			t.Fatal("answered too early")
		default:
		}
		r.Release(second, nil)
		require.NoError(t, answer.Wait(t.Context()))
	})
}

func TestReleaseWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[int](Config{Partitions: 4, MaxItems: 100, MaxBytes: 100})
		mustPush(t, r, part(0, 1))
		first, err := r.Take(t.Context(), Want{Max: 10})
		require.NoError(t, err)
		took := make(chan *Batch[int])
		go func() {
			b, err := r.Take(t.Context(), Want{Max: 10})
			require.NoError(t, err)
			took <- b
		}()
		mustPush(t, r, part(0, 2))
		synctest.Wait()
		select {
		case <-took:
			t.Fatal("the partition is claimed")
		default:
		}
		r.Release(first, nil)
		second := <-took
		require.Equal(t, 2, second.Items)
		r.Release(second, nil)
	})
}

func TestTakeHoldsSmallBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[int](Config{Partitions: 4, MaxItems: 100, MaxBytes: 100})
		want := Want{Max: 100, Min: 10, Delay: 10 * time.Millisecond}
		mustPush(t, r, part(0, 1))
		busy, err := r.Take(t.Context(), want)
		require.NoError(t, err)

		mustPush(t, r, part(1, 1))
		start := time.Now()
		b, err := r.Take(t.Context(), want)
		require.NoError(t, err)
		require.Equal(t, want.Delay, time.Since(start))
		require.Equal(t, 1, b.Items)
		r.Release(b, nil)

		mustPush(t, r, part(1, 1))
		took := make(chan int)
		go func() {
			b, err := r.Take(t.Context(), want)
			require.NoError(t, err)
			took <- b.Items
			r.Release(b, nil)
		}()
		time.Sleep(time.Millisecond)
		mustPush(t, r, part(2, 9))
		require.Equal(t, 10, <-took)
		r.Release(busy, nil)
	})
}

func TestTakeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[int](Config{Partitions: 4, MaxItems: 100, MaxBytes: 100})
		cause := errors.New("one worker less")
		ctx, cancel := context.WithCancelCause(t.Context())
		errs := make(chan error)
		go func() {
			_, err := r.Take(ctx, Want{Max: 1})
			errs <- err
		}()
		synctest.Wait()
		cancel(cause)
		require.ErrorIs(t, <-errs, cause)

		answer := mustPush(t, r, part(0, 1))
		r.Close()
		r.Close()
		_, err := r.Push(t.Context(), 0, []Part[int]{part(0, 1)})
		require.ErrorIs(t, err, ErrClosed)
		b, err := r.Take(t.Context(), Want{Max: 1})
		require.NoError(t, err)
		for range 3 {
			go func() {
				_, err := r.Take(t.Context(), Want{Max: 1})
				errs <- err
			}()
		}
		for range 3 {
			require.ErrorIs(t, <-errs, ErrClosed, "a closed and empty ring says so while a batch is under way")
		}
		r.Fail(cause)
		require.ErrorIs(t, answer.Wait(t.Context()), cause)
		r.Release(b, nil)
	})
}

func TestPushBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[int](Config{Partitions: 4, MaxItems: 10, MaxBytes: 100, Overflow: Block})
		mustPush(t, r, part(0, 10))
		require.Equal(t, 1.0, r.Fill())
		type result struct {
			answer *Completion
			err    error
		}
		results := make(chan result)
		push := func(ctx context.Context) {
			c, err := r.Push(ctx, 0, []Part[int]{part(1, 5)})
			results <- result{c, err}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go push(ctx)
		require.ErrorIs(t, (<-results).err, context.DeadlineExceeded)

		go push(t.Context())
		synctest.Wait()
		require.Equal(t, 1, r.Stats().Blocked)
		b, err := r.Take(t.Context(), Want{Max: 10})
		require.NoError(t, err)
		r.Release(b, nil)
		got := <-results
		require.NoError(t, got.err)
		b, err = r.Take(t.Context(), Want{Max: 10})
		require.NoError(t, err)
		r.Release(b, nil)
		require.NoError(t, got.answer.Wait(t.Context()))
		items, oldest := r.Backlog()
		require.Zero(t, items)
		require.Zero(t, oldest)
		mustPush(t, r, part(1, 3))
		time.Sleep(time.Second)
		mustPush(t, r, part(0, 4))
		items, oldest = r.Backlog()
		require.Equal(t, int64(7), items)
		require.Equal(t, time.Second, oldest)
	})
}

// What waits for space learns of it when there is more, or when waiting ends.
func TestSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[int](Config{Partitions: 4, MaxItems: 10, MaxBytes: 100, Overflow: Block})
		r.SetBound(0.5)
		mustPush(t, r, part(0, 5))
		require.Equal(t, 1.0, r.Pressure())
		require.Equal(t, 0.5, r.Fill())
		errs := make(chan error)
		push := func() {
			_, err := r.Push(t.Context(), 1, []Part[int]{part(1, 5)})
			errs <- err
		}
		// change sets something that lets in what waits, and so wakes a worker.
		change := func(set func()) {
			go push()
			took := make(chan *Batch[int])
			go func() {
				b, err := r.Take(t.Context(), Want{Max: 10})
				require.NoError(t, err)
				took <- b
			}()
			synctest.Wait()
			set()
			require.NoError(t, <-errs)
			r.Release(<-took, nil)
		}
		first, err := r.Take(t.Context(), Want{Max: 10})
		require.NoError(t, err)
		change(func() { r.SetBound(1) })
		mustPush(t, r, part(0, 5))
		change(func() { r.SetOverflow(DropOldest) })
		r.Release(first, nil)

		r.SetOverflow(Block)
		mustPush(t, r, part(0, 10))
		go push()
		synctest.Wait()
		time.Sleep(time.Second)
		s := r.Stats()
		require.Equal(t, []any{"block", 1.0, 1, int64(1000), 1}, []any{s.Overflow, s.Bound, s.Clients, s.OldestMillis, s.Blocked})
		r.SetOverflow(Refuse)
		require.ErrorIs(t, <-errs, ErrFull)
		require.Equal(t, "refuse", r.Stats().Overflow)
	})
}

// The decision may have been made when the caller gives up: then the request
// is in, and the caller gets its answer.
func TestPushGivesUpTooLate(t *testing.T) {
	r := New[int](Config{Partitions: 1, MaxItems: 1, MaxBytes: 1, Overflow: Block})
	w := &blockedPush[int]{answer: newCompletion(1), decide: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.decide <- nil
	for range 20 { // select chooses by chance between the two
		answer, err := r.await(ctx, w)
		require.NoError(t, err)
		require.Same(t, w.answer, answer)
		w.decide <- nil
	}
}

// TestRace runs producers and workers at once: every request is answered, the
// order of what shares a key holds, and no partition has two holders.
func TestRace(t *testing.T) {
	const producers, requests, partitions = 8, 300, 5
	for _, overflow := range []Overflow{Refuse, Block, DropOldest, DropNewest, ByPriority} {
		t.Run(overflow.String(), func(t *testing.T) {
			t.Parallel()
			r := New[[2]int](Config{Partitions: partitions, MaxItems: 60, MaxBytes: 1000, Overflow: overflow})
			var handled, dropped, refused atomic.Int64
			var holders [partitions]atomic.Int32
			var seen [partitions][producers]int
			var workers sync.WaitGroup
			for range 4 {
				workers.Go(func() {
					for {
						b, err := r.Take(t.Context(), Want{Max: 20, Min: 5, Delay: time.Millisecond})
						if err != nil {
							require.ErrorIs(t, err, ErrClosed)
							return
						}
						for _, p := range b.claimed {
							if p < partitions {
								require.Equal(t, int32(1), holders[p].Add(1))
							}
						}
						for _, e := range b.Entries {
							handled.Add(1)
							if e.Partition == Shared {
								continue
							}
							last := &seen[e.Partition][e.Work[0]]
							require.Greater(t, e.Work[1], *last)
							*last = e.Work[1]
						}
						for _, p := range b.claimed {
							if p < partitions {
								holders[p].Add(-1)
							}
						}
						r.Release(b, nil)
					}
				})
			}
			var pushers sync.WaitGroup
			for p := range producers {
				pushers.Go(func() {
					for i := 1; i <= requests; i++ {
						parts := []Part[[2]int]{
							{Partition: i % partitions, Work: [2]int{p, i}, Items: 1 + i%7, Priority: Priority(i % 3), Keys: 1 << p},
							{Partition: Shared, Work: [2]int{p, i}, Items: 1, Priority: Normal},
						}
						answer, err := r.Push(t.Context(), uint64(p%3), parts)
						if err != nil {
							require.ErrorIs(t, err, ErrFull)
							refused.Add(1)
							continue
						}
						if err := answer.Wait(t.Context()); err != nil {
							require.ErrorIs(t, err, ErrDropped)
							dropped.Add(1)
						}
					}
				})
			}
			pushers.Go(func() {
				for i := range requests {
					r.SetBound(float64(1+i%4) / 4)
					r.SetOverflow(overflow)
					require.LessOrEqual(t, r.Pressure(), 1.0)
					require.LessOrEqual(t, r.Stats().Clients, producers)
					time.Sleep(100 * time.Microsecond)
				}
				r.SetBound(1)
			})
			pushers.Wait()
			r.Close()
			workers.Wait()
			s := r.Stats()
			require.Zero(t, s.QueuedItems+s.FlightItems+s.QueuedBytes+s.FlightBytes)
			require.Positive(t, handled.Load())
			t.Logf("handled %d entries, refused %d requests, dropped %d", handled.Load(), refused.Load(), dropped.Load())
		})
	}
}

// BenchmarkEntry reports the cost of an entry from push to release, for
// requests of 16 parts.
func BenchmarkEntry(b *testing.B) {
	const perRequest = 16
	run := func(b *testing.B, r *Ring[int], parts []Part[int]) {
		if _, err := r.Push(b.Context(), 1, parts); err != nil {
			b.Fatal(err)
		}
		batch, err := r.Take(b.Context(), Want{Max: 10000})
		if err == nil {
			r.Release(batch, nil)
		}
	}
	parts := make([]Part[int], perRequest)
	for i := range parts {
		parts[i] = Part[int]{Partition: i * 4, Items: 30, Bytes: 9000, Priority: Normal, Keys: 1<<i | 1<<(i+20)}
	}
	b.Run("one goroutine", func(b *testing.B) {
		r := New[int](Config{Partitions: 64, MaxItems: 1 << 18, MaxBytes: 1 << 27})
		b.ReportAllocs()
		for i := 0; i < b.N; i += perRequest {
			run(b, r, parts)
		}
	})
	b.Run("producers and workers", func(b *testing.B) {
		r := New[int](Config{Partitions: 64, MaxItems: 1 << 18, MaxBytes: 1 << 27, Overflow: Block})
		var workers sync.WaitGroup
		for range 2 {
			workers.Go(func() {
				for {
					batch, err := r.Take(b.Context(), Want{Max: 10000})
					if err != nil {
						return
					}
					r.Release(batch, nil)
				}
			})
		}
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for n := 0; pb.Next(); n++ {
				if n%perRequest == 0 {
					if _, err := r.Push(b.Context(), 1, parts); err != nil {
						b.Fail()
					}
				}
			}
		})
		r.Close()
		workers.Wait()
	})
}
