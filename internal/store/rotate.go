package store

import (
	"fmt"
	"time"

	"github.com/otelscope/otelscope/internal/store/head"
)

// frozen is a head that takes no more, on its way into a block.
type frozen struct {
	head    *head.Head
	resends *resends
	below   uint64 // all that is in it lies in log segments with lower numbers
}

// liveHead is what the committer knows of the head it fills.
type liveHead struct {
	head    *head.Head
	resends *resends
	// carried is what the last cut brought along. It is no reason to cut: it
	// would only be carried on.
	carried load
	since   int64 // arrival of the first span that was not carried; 0 for none
	last    int64 // the newest arrival given out; each group's is later
	// noRotateBefore is set after a rotation failed; nanoseconds.
	noRotateBefore int64
}

// newLiveHead returns one with an empty head, whose first group comes after last.
func newLiveHead(h *head.Head, last int64) liveHead {
	return liveHead{head: h, resends: &resends{}, last: last}
}

// insert puts an entry into the head and returns how many rows it added. What
// it changed is noted, if changes is not nil; what is carried changes nothing.
func (l *liveHead) insert(en *entry, changes *[]head.Change) (added int) {
	en.batch.Carried = en.kind == frameCarry
	if en.batch.Carried {
		changes = nil
	}
	added = l.head.InsertNoting(en.batch, en.received, changes)
	if en.batch.Carried {
		l.carried = l.carried.plus(loadOf(en.batch))
	} else if l.since == 0 {
		l.since = en.received
	}
	return added
}

// load is what the head holds, of which carried is not counted: whoever writes
// is not to blame for it.
func (l *liveHead) load() load {
	s := l.head.Sizes()
	return load{s.Bytes, int64(s.Spans)}.minus(l.carried)
}

// rotateIfDue freezes the live head when it is big or old enough and the one
// before is in a block.
func (e *engine) rotateIfDue() {
	if e.backlog.Load() || e.live.since == 0 {
		return
	}
	now := e.cfg.Now().UnixNano()
	held := e.live.load()
	if held.bytes < e.cfg.CutBytes && held.spans < int64(e.cfg.CutSpans) && now-e.live.since < int64(e.cfg.CutAge) {
		return
	}
	if now < e.live.noRotateBefore {
		return
	}
	if err := e.rotate(); err != nil {
		e.live.noRotateBefore = now + int64(time.Second)
	}
}

// rotate begins a new log segment and an empty head, and hands the old head to
// the keeper. Writers wait for no more than this.
func (e *engine) rotate() error {
	below, err := e.log.Rotate()
	e.logFigures()
	if err != nil {
		err = fmt.Errorf("begin a log segment: %w", err)
		e.failed(EventRotate, err)
		return err
	}
	e.trouble.clear(EventRotate)
	old, resends := e.live.head, e.live.resends
	fresh := head.New(old.Sizes().Spans)
	e.views.swap(func(v *view) { v.frozen, v.live = old, fresh })
	e.live = newLiveHead(fresh, e.live.last)
	e.in.settle(load{}, load{})
	e.backlog.Store(true)
	e.rotated()
	e.frozen <- frozen{head: old, resends: resends, below: below}
	return nil
}
