package workload

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// sim is the clock: what is due, and what happened but may not be told yet
// because something due earlier may still happen before it.
type sim struct {
	rand *rand.Rand
	now  int64 // nanoseconds since the epoch
	due  queue[func()]
	told queue[*Step]
}

func newSim(seed uint64, start time.Time) sim {
	return sim{rand: rand.New(rand.NewPCG(seed, 0x5c09e)), now: start.UnixNano()}
}

// at makes do run when the clock reaches t, after all that was scheduled for t
// before; a time that has passed means now.
func (s *sim) at(t int64, do func()) { s.due.push(max(t, s.now), do) }

// next returns the next step in order of time; ok is false when nothing is
// due any more.
func (s *sim) next() (step *Step, ok bool) {
	for {
		if s.told.Len() > 0 && (s.due.Len() == 0 || s.told.first() < s.due.first()) {
			_, step = s.told.pop()
			return step, true
		}
		if s.due.Len() == 0 {
			return nil, false
		}
		t, do := s.due.pop()
		s.now = t
		do()
	}
}

// chance is true with probability p.
func (s *sim) chance(p float64) bool { return s.rand.Float64() < p }

// between draws a duration from low to high, short ones more often.
func (s *sim) between(low, high time.Duration) int64 {
	x := s.rand.Float64()
	return int64(low) + int64(x*x*float64(high-low))
}

// queue orders values by time, and values of one time by when they came.
type queue[T any] struct {
	items []item[T]
	seq   uint64
}

type item[T any] struct {
	time  int64
	seq   uint64
	value T
}

func (q *queue[T]) push(t int64, v T) {
	q.seq++
	heap.Push(q, item[T]{t, q.seq, v})
}

func (q *queue[T]) pop() (int64, T) {
	it := heap.Pop(q).(item[T])
	return it.time, it.value
}

func (q *queue[T]) first() int64 { return q.items[0].time }

func (q *queue[T]) Len() int { return len(q.items) }
func (q *queue[T]) Less(i, j int) bool {
	a, b := &q.items[i], &q.items[j]
	return a.time < b.time || a.time == b.time && a.seq < b.seq
}
func (q *queue[T]) Swap(i, j int) { q.items[i], q.items[j] = q.items[j], q.items[i] }
func (q *queue[T]) Push(x any)    { q.items = append(q.items, x.(item[T])) }
func (q *queue[T]) Pop() any {
	last := len(q.items) - 1
	it := q.items[last]
	q.items[last] = item[T]{}
	q.items = q.items[:last]
	return it
}
