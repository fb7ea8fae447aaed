package store

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/otelscope/otelscope/internal/store/head"
)

// entry is one batch on its way to the log.
type entry struct {
	batch    *head.Batch
	kind     byte  // frameWrite or frameCarry
	received int64 // of frameCarry: the arrival it keeps
	done     chan error
}

// Kinds of log frames; all hold an encoded TracesData.
const (
	frameWrite = 1 // what a client wrote
	frameCarry = 2 // open calls, carried over from a segment that was cut
)

// intake is where callers of Write queue up for the committer, and where
// admission is decided: what is queued and what the live head holds must stay
// below the bound, or the writer waits, and after RoomWait is told to come
// again. One entry may overshoot the bound, so a batch of any size gets in while
// there is any room.
type intake struct {
	maxBytes, maxSpans int64
	cutBytes, cutSpans int64         // what the live head holds before it is cut, less than the bound
	wake               chan struct{} // holds one

	mu      sync.Mutex
	closed  bool
	full    bool // the disk is full
	waiting []*entry
	room    chan struct{} // closed when there may be room again; nil while nobody waits for it
	stalled list.List     // since when each writer that waits for room does, a time.Time; the longest first
	// queued is what waits or is being appended, live what the head holds.
	queued, live load
}

// load is an amount of data.
type load struct{ bytes, spans int64 }

func loadOf(b *head.Batch) load { return load{int64(len(b.Payload())), int64(b.Len())} }

func (l load) plus(o load) load  { return load{l.bytes + o.bytes, l.spans + o.spans} }
func (l load) minus(o load) load { return load{l.bytes - o.bytes, l.spans - o.spans} }

// Reasons of UnavailableError.
const (
	reasonBacklog = "log backlog is full"
	reasonNoSpace = "disk is full"
	reasonLog     = "log cannot be written"
)

const (
	retryAfter = time.Second
	// RoomWait is how long a writer waits for a cut to make room. A cut under
	// way takes less; when cuts fail it is what a client waits for a refusal.
	RoomWait = time.Second
)

// put queues an entry, and waits for room for it.
func (q *intake) put(ctx context.Context, en *entry) error {
	room, err := q.tryPut(en)
	if room == nil {
		return err
	}
	defer q.stall()()
	patience := time.NewTimer(RoomWait)
	defer patience.Stop()
	for room != nil {
		select {
		case <-room:
			room, err = q.tryPut(en)
		case <-ctx.Done():
			return ctx.Err()
		case <-patience.C:
			return err
		}
	}
	return err
}

// tryPut queues an entry or says why not; room is what to wait for if waiting
// may help. What is carried is let in always: the head that it comes from is
// counted no more.
func (q *intake) tryPut(en *entry) (room <-chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed && en.kind == frameWrite:
		return nil, ErrClosed
	case en.kind == frameCarry:
	case q.full:
		return nil, &UnavailableError{Reason: reasonNoSpace, RetryAfter: retryAfter}
	case !q.hasRoom():
		if q.room == nil {
			q.room = make(chan struct{})
		}
		return q.room, &UnavailableError{Reason: reasonBacklog, RetryAfter: retryAfter}
	}
	q.queued = q.queued.plus(loadOf(en.batch))
	q.waiting = append(q.waiting, en)
	q.signal()
	return nil, nil
}

// stall counts a writer among those that wait for room until ended is called.
func (q *intake) stall() (ended func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	writer := q.stalled.PushBack(time.Now())
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.stalled.Remove(writer)
	}
}

// strain says how much of the room beyond a cut is taken, 0 to 1, and for how
// long the writer has waited that has waited longest.
func (q *intake) strain() (backlog float64, stalled time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	held := q.queued.plus(q.live)
	beyond := func(held, cut, bound int64) float64 { return float64(held-cut) / float64(bound-cut) }
	backlog = max(beyond(held.bytes, q.cutBytes, q.maxBytes), beyond(held.spans, q.cutSpans, q.maxSpans))
	if longest := q.stalled.Front(); longest != nil {
		stalled = time.Since(longest.Value.(time.Time))
	}
	return min(max(backlog, 0), 1), stalled
}

func (q *intake) hasRoom() bool {
	held := q.queued.plus(q.live)
	return held.bytes < q.maxBytes && held.spans < q.maxSpans
}

// invite lets those who wait for room try again.
func (q *intake) invite() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

func (q *intake) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// maxGroup bounds the bytes of one group commit, beyond its first entry: the
// log copies a group into its write buffer.
const maxGroup = 8 << 20

// take moves the entries of the next group into group.
func (q *intake) take(group []*entry) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, bytes := 0, 0
	for n < len(q.waiting) && (n == 0 || bytes < maxGroup) {
		bytes += len(q.waiting[n].batch.Payload())
		n++
	}
	group = append(group, q.waiting[:n]...)
	rest := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	return group
}

// settle records that entries are not queued any more and what the live head
// holds now.
func (q *intake) settle(done, live load) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queued = q.queued.minus(done)
	q.live = live
	if q.hasRoom() {
		q.invite()
	}
}

func (q *intake) setFull(full bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.full = full
	q.invite()
}

func (q *intake) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
	q.invite()
}

// drained reports whether nothing will come any more.
func (q *intake) drained() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed && len(q.waiting) == 0
}
