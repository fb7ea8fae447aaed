package assemble

import (
	"sync/atomic"
	"time"
)

// Budget bounds how many events all Assemblers that share it remember. It is
// the only thing that Assemblers share; all its methods are safe for concurrent
// use.
type Budget struct {
	max    int64
	used   atomic.Int64
	shares atomic.Int64
}

// NewBudget returns a budget of max events, max >= 1. It may be exceeded by
// what the transactions under way took, and by no more than as much again as
// long as Assemblers that hold more than their share stay idle.
func NewBudget(max int) *Budget { return &Budget{max: int64(max)} }

// Used returns how many events are remembered in all.
func (b *Budget) Used() int { return int(b.used.Load()) }

// over reports whether an Assembler that remembers own events must forget
// some: the budget is exceeded, and it has more than its share of it.
func (b *Budget) over(own int) bool {
	return b.used.Load() > b.max && int64(own) > b.max/b.shares.Load()
}

// arrival is one remembered event: when it came, by the receiver's clock.
type arrival struct {
	key eventKey
	at  int64
}

// dedup remembers events in the order of their arrival. It forgets only
// between transactions, so that taking back a transaction is taking back what
// it appended.
type dedup struct {
	budget *Budget
	window int64
	seen   keyset
	queue  []arrival // queue[head:] is remembered, oldest first
	head   int
}

func newDedup(budget *Budget, window time.Duration) dedup {
	budget.shares.Add(1)
	return dedup{budget: budget, window: int64(window)}
}

func (d *dedup) len() int { return len(d.queue) - d.head }

// add remembers key and reports whether it was new.
func (d *dedup) add(key eventKey, now int64) bool {
	if !d.seen.add(key) {
		return false
	}
	d.queue = append(d.queue, arrival{key: key, at: now})
	d.budget.used.Add(1)
	return true
}

// truncate forgets all but the oldest n entries.
func (d *dedup) truncate(n int) {
	for _, e := range d.queue[d.head+n:] {
		d.seen.remove(e.key)
	}
	d.budget.used.Add(int64(n - d.len()))
	d.queue = d.queue[:d.head+n]
}

// expire forgets what is older than the window, then what is beyond the
// budget, oldest first.
func (d *dedup) expire(now int64) {
	for d.len() > 0 && (now-d.queue[d.head].at > d.window || d.budget.over(d.len())) {
		d.seen.remove(d.queue[d.head].key)
		d.head++
		d.budget.used.Add(-1)
	}
	d.shrink()
}

// shrink gives memory back when less than an eighth of it is used, and the
// queue's front when half of it is dead.
func (d *dedup) shrink() {
	const small = 1024
	if len(d.seen.slots) > small && d.len() < len(d.seen.slots)/8 {
		d.seen.resize()
	}
	live := d.queue[d.head:]
	switch {
	case cap(d.queue) > small && len(live) < cap(d.queue)/8:
		d.queue = append(make([]arrival, 0, 2*len(live)), live...)
	case d.head > len(d.queue)/2:
		d.queue = d.queue[:copy(d.queue, live)]
	default:
		return
	}
	d.head = 0
}
