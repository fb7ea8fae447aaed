package ring

import (
	"context"
	"errors"
	"fmt"
	"math"
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
	door door
}

// New returns an empty ring.
func New[W any](cfg Config) *Ring[W] {
	r := &Ring[W]{start: time.Now(), token: make(chan struct{}, 1), core: newCore[W](cfg)}
	r.door.most = cfg.MaxBytes
	r.lock()
	r.unlock()
	return r
}

func (r *Ring[W]) lock() { r.mu.Lock() }

// unlock publishes what Full goes by.
func (r *Ring[W]) unlock() {
	fair, plain := r.core.room()
	r.door.pressure.Store(math.Float64bits(r.core.pressure(r.now())))
	r.door.publish(fair, plain, r.core.clients.beyond, r.core.bound, r.now())
	r.mu.Unlock()
}

func (r *Ring[W]) now() int64 { return int64(time.Since(r.start)) }

// Push hands a request of a client over; see the package comment. Client 0 is
// nobody in particular and may fill the ring. ctx bounds the wait for space
// where the ring blocks. Errors: ErrFull, ErrClosed, *TooLargeError, or
// the cause of ctx's end. With an error the Completion is nil or, where some
// parts were taken, theirs.
func (r *Ring[W]) Push(ctx context.Context, client uint64, parts []Part[W]) (*Completion, error) {
	r.lock()
	answer, blocked, err := r.core.push(r.now(), client, parts)
	ready := r.core.readyItems > 0
	r.unlock()
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
	r.lock()
	left := r.core.giveUp(r.now(), w)
	r.unlock()
	r.wake()
	if left {
		return nil, context.Cause(ctx)
	}
	return w.answer, <-w.decide
}

// Full reports whether Push would answer ErrFull to any request of at least so
// many bytes by this client, so that a server need not read it. What is on its
// way to the ring already, ahead bytes, counts for clients beyond their share
// and for 0, one that is not known yet. Full takes no lock, so that many who are refused do not hold up
// the workers; who is beyond its share it knows as of doorPause ago.
func (r *Ring[W]) Full(client uint64, bytes, ahead int64) bool {
	return r.door.full(client, bytes, ahead)
}

// Take waits for work and claims it. Errors: ErrClosed when the ring is closed
// and empty, or the cause of ctx's end.
func (r *Ring[W]) Take(ctx context.Context, want Want) (*Batch[W], error) {
	for {
		if ctx.Err() != nil {
			r.wake() // the token may have been meant for another
			return nil, context.Cause(ctx)
		}
		r.lock()
		b, wait := r.core.take(r.now(), want)
		more, finished := r.core.readyItems > 0, r.core.finished()
		r.unlock()
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
	r.lock()
	r.core.release(r.now(), b, err)
	r.unlock()
	r.wake()
}

// Close refuses new requests and those that wait for space. What the ring
// holds can still be taken. It may be called more than once.
func (r *Ring[W]) Close() {
	r.lock()
	r.core.close(r.now())
	r.unlock()
	r.wake()
}

// Fail completes everything that is unfinished with err. What no worker has
// taken leaves the ring; it is returned, and is the caller's.
func (r *Ring[W]) Fail(err error) (discarded []*Entry[W]) {
	r.lock()
	now := r.now()
	discarded = r.core.fail(now, err)
	r.core.admitBlocked(now)
	r.unlock()
	r.wake()
	return discarded
}

// SetOverflow changes what happens to requests for which there is no room.
// Those that wait for space are decided by the new behaviour.
func (r *Ring[W]) SetOverflow(o Overflow) {
	r.lock()
	r.core.setOverflow(r.now(), o)
	r.unlock()
	r.wake()
}

// SetBound makes requests find no room beyond a fraction of the limits, which
// is more than 0 and at most 1. What the ring holds stays. An empty ring takes
// any request that it could hold.
func (r *Ring[W]) SetBound(fraction float64) {
	r.lock()
	r.core.setBound(r.now(), fraction)
	r.unlock()
	r.wake()
}
