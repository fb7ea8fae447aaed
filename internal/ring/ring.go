package ring

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Errors of Push, Take and completions.
var (
	// ErrFull: there was no room; send the request again later.
	ErrFull = errors.New("the ring is full")
	// ErrDropped: an entry was removed to make room, or not taken at all.
	ErrDropped = errors.New("dropped by the full ring")
	// ErrClosed: the ring takes nothing more, or has nothing more to give.
	ErrClosed = errors.New("the ring is closed")
)

// TooLargeError says that a request would not even fit into the empty ring.
type TooLargeError struct{ Items, Bytes, MaxItems, MaxBytes int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("a request of %d items and %d bytes exceeds the whole ring (%d items, %d bytes): send it in smaller pieces",
		e.Items, e.Bytes, e.MaxItems, e.MaxBytes)
}

// Config bounds a ring. All numbers are at least 1.
type Config struct {
	Partitions int
	MaxItems   int64
	MaxBytes   int64
	Overflow   Overflow
}

// Want says what a worker would like to take.
type Want struct {
	// Max items: a batch exceeds it only when its one entry does.
	Max int
	// While another batch is under way, fewer than Min items wait for more,
	// for Delay at the longest. Zero: take what there is.
	Min   int
	Delay time.Duration
}

// Batch is what a worker holds: entries in order, of partitions that it has
// claimed. See the package comment for who owns what.
type Batch[W any] struct {
	Entries []*Entry[W]
	Items   int
	Bytes   int64

	claimed []int
}

// Ring is the queue. Its methods may be called from any goroutine.
type Ring[W any] struct {
	start time.Time
	// token wakes one taker; whoever leaves something behind passes it on.
	token chan struct{}

	mu   sync.Mutex
	core *core[W]
}

// New returns an empty ring.
func New[W any](cfg Config) *Ring[W] {
	return &Ring[W]{start: time.Now(), token: make(chan struct{}, 1), core: newCore[W](cfg)}
}

func (r *Ring[W]) now() int64 { return int64(time.Since(r.start)) }

// Push hands a request over; see the package comment. ctx bounds the wait for
// space where the ring blocks. Errors: ErrFull, ErrClosed, *TooLargeError, or
// the cause of ctx's end. With an error the Completion is nil or, where some
// parts were taken, theirs.
func (r *Ring[W]) Push(ctx context.Context, parts []Part[W]) (*Completion, error) {
	r.mu.Lock()
	answer, blocked, err := r.core.push(r.now(), parts)
	ready := r.core.readyItems > 0
	r.mu.Unlock()
	if blocked != nil {
		return r.await(ctx, blocked)
	}
	if ready {
		r.wake()
	}
	return answer, err
}

func (r *Ring[W]) await(ctx context.Context, w *blockedPush[W]) (*Completion, error) {
	select {
	case err := <-w.decide:
		return w.answer, err
	case <-ctx.Done():
	}
	r.mu.Lock()
	left := r.core.giveUp(r.now(), w)
	r.mu.Unlock()
	r.wake()
	if left {
		return nil, context.Cause(ctx)
	}
	return w.answer, <-w.decide
}

// Take waits for work and claims it. Errors: ErrClosed when the ring is closed
// and empty, or the cause of ctx's end.
func (r *Ring[W]) Take(ctx context.Context, want Want) (*Batch[W], error) {
	for {
		if ctx.Err() != nil {
			r.wake() // the token may have been meant for another
			return nil, context.Cause(ctx)
		}
		r.mu.Lock()
		b, wait := r.core.take(r.now(), want)
		more, finished := r.core.readyItems > 0, r.core.finished()
		r.mu.Unlock()
		if b != nil {
			if more || finished {
				r.wake()
			}
			return b, nil
		}
		if finished {
			r.wake()
			return nil, ErrClosed
		}
		r.sleep(ctx, time.Duration(wait))
	}
}

// sleep waits for the token, for ctx, or for wait to pass if it is not 0.
func (r *Ring[W]) sleep(ctx context.Context, wait time.Duration) {
	var after <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		after = timer.C
	}
	select {
	case <-r.token:
	case <-after:
	case <-ctx.Done():
	}
}

func (r *Ring[W]) wake() {
	select {
	case r.token <- struct{}{}:
	default:
	}
}

// Release ends a batch. Entries that are not complete yet complete with err.
// It is called once for each batch that was taken.
func (r *Ring[W]) Release(b *Batch[W], err error) {
	r.mu.Lock()
	r.core.release(r.now(), b, err)
	r.mu.Unlock()
	r.wake()
}

// Close refuses new requests and those that wait for space. What the ring
// holds can still be taken. It may be called more than once.
func (r *Ring[W]) Close() {
	r.mu.Lock()
	r.core.close()
	r.mu.Unlock()
	r.wake()
}

// Fail completes everything that is unfinished with err. What no worker has
// taken leaves the ring; it is returned, and is the caller's.
func (r *Ring[W]) Fail(err error) (discarded []*Entry[W]) {
	r.mu.Lock()
	discarded = r.core.fail(err)
	r.core.admitBlocked(r.now())
	r.mu.Unlock()
	r.wake()
	return discarded
}

// Backlog returns how many items no worker has taken, and for how long the
// oldest of them has waited.
func (r *Ring[W]) Backlog() (items int64, oldest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.core.oldest(); e != nil {
		oldest = time.Duration(r.now() - e.at)
	}
	return r.core.queued.items, oldest
}

// Fill returns how full the ring is, 0 to 1: of items or of bytes, whichever
// is more. Work that workers hold counts.
func (r *Ring[W]) Fill() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.core.fillRatio()
}

func (c *core[W]) fillRatio() float64 {
	u := c.used()
	return max(float64(u.items)/float64(c.limit.items), float64(u.bytes)/float64(c.limit.bytes))
}

// Stats are the ring's figures at one moment.
type Stats struct {
	QueuedItems   int64   `json:"queued_items"` // wait for a worker
	QueuedBytes   int64   `json:"queued_bytes"`
	FlightItems   int64   `json:"in_flight_items"` // held by workers
	FlightBytes   int64   `json:"in_flight_bytes"`
	MaxItems      int64   `json:"max_items"`
	MaxBytes      int64   `json:"max_bytes"`
	Fill          float64 `json:"fill"` // 0 to 1, items or bytes
	Partitions    int     `json:"partitions"`
	Deepest       int64   `json:"deepest_partition_items"` // waiting in the fullest partition
	Batches       int     `json:"batches_in_flight"`
	Blocked       int     `json:"blocked_requests"`
	Overflow      string  `json:"overflow"`
	AcceptedItems int64   `json:"accepted_items"` // since start
	RefusedItems  int64   `json:"refused_items"`
	DroppedItems  int64   `json:"dropped_items"`
}

// Stats returns the figures; it visits every partition once.
func (r *Ring[W]) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.core
	s := Stats{
		QueuedItems: c.queued.items, QueuedBytes: c.queued.bytes,
		FlightItems: c.flight.items, FlightBytes: c.flight.bytes,
		MaxItems: c.limit.items, MaxBytes: c.limit.bytes, Fill: c.fillRatio(),
		Partitions: c.shared(), Batches: len(c.batches), Blocked: len(c.blocked),
		Overflow:      c.overflow.String(),
		AcceptedItems: c.accepted, RefusedItems: c.refused, DroppedItems: c.dropped,
	}
	for i := range c.partitions {
		s.Deepest = max(s.Deepest, c.partitions[i].items)
	}
	return s
}
