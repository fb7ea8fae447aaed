package store

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/store/head"
	"github.com/otelscope/otelscope/internal/store/log"
	"github.com/otelscope/otelscope/internal/vfs"
)

// Write implements Store. The caller's goroutine does all that needs no order:
// it encodes, and finds the ids. What it hands over is one slice of bytes that
// the log writes and the head keeps.
func (e *engine) Write(ctx context.Context, td ptrace.Traces) error {
	if err := e.usable(ctx); err != nil {
		return err
	}
	batch, err := prepare(td)
	if err != nil || batch == nil {
		return err
	}
	en := &entry{batch: batch, kind: frameWrite, done: make(chan error, 1)}
	if err := e.in.put(ctx, en); err != nil {
		return err
	}
	select {
	case err := <-en.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// usable returns why a call ends before it begins, or nil.
func (e *engine) usable(ctx context.Context) error {
	select {
	case <-e.stop:
		return ErrClosed
	default:
		return ctx.Err()
	}
}

// prepare returns nil for a request without spans.
func prepare(td ptrace.Traces) (*head.Batch, error) {
	spans := td.SpanCount()
	if spans == 0 {
		return nil, nil
	}
	var m ptrace.ProtoMarshaler
	payload, err := m.MarshalTraces(td)
	if err != nil {
		return nil, &InvalidError{Reason: err.Error()}
	}
	if len(payload) > log.MaxPayload {
		return nil, &InvalidError{Reason: fmt.Sprintf("the request has %d bytes, at most %d are allowed", len(payload), log.MaxPayload)}
	}
	batch, err := head.Parse(payload, spans)
	if err != nil {
		return nil, &InvalidError{Reason: err.Error()}
	}
	return batch, nil
}

// commitLoop is the committer: as long as there is something it takes what
// waits, makes it durable with one write and one sync, inserts it into the
// head in the log's order, and then lets the writers go. While it waits for
// the disk the next group gathers. Afterwards it looks whether the head is due.
func (e *engine) commitLoop() {
	defer close(e.committerGone)
	ticks := time.NewTicker(min(e.cfg.CutAge, keepInterval))
	defer ticks.Stop()
	var group []*entry
	for !e.in.drained() {
		select {
		case <-e.in.wake:
		case <-ticks.C:
		case c := <-e.commands:
			c.done <- c.run()
		}
		for {
			group = e.in.take(group[:0])
			if len(group) == 0 {
				break
			}
			e.commit(group)
			clear(group)
			e.rotateIfDue()
		}
		e.rotateIfDue()
	}
}

func (e *engine) commit(group []*entry) {
	now := max(e.cfg.Now().UnixNano(), e.live.last+1)
	e.live.last = now
	frames := make([]log.Frame, len(group))
	var total load
	for i, en := range group {
		if en.kind == frameWrite {
			en.received = now
		}
		frames[i] = log.Frame{Kind: en.kind, Received: en.received, Payload: en.batch.Payload()}
		total = total.plus(loadOf(en.batch))
	}
	err := e.log.Append(frames...)
	e.logFigures()
	if err != nil {
		err = e.appendFailed(err)
	} else {
		e.trouble.clear(EventAppend)
		told := e.newCommit(&e.live, now)
		for _, en := range group {
			e.insert(en, told.noting())
		}
		told.tell()
	}
	e.in.settle(total, e.live.load())
	for _, en := range group {
		en.done <- err
	}
}

func (e *engine) insert(en *entry, changes *[]head.Change) {
	added := e.live.insert(en, changes)
	if en.kind == frameWrite {
		e.figures.duplicates.Add(int64(en.batch.Len() - added))
	}
}

// appendFailed turns the log's error into the writers'.
func (e *engine) appendFailed(err error) error {
	e.trouble.set(EventAppend, err)
	e.cfg.Observe(Event{Kind: EventAppend, Err: err})
	if vfs.IsNoSpace(err) {
		e.noSpace(err)
		return &UnavailableError{Reason: reasonNoSpace, RetryAfter: retryAfter, Err: err}
	}
	return &UnavailableError{Reason: reasonLog, RetryAfter: retryAfter, Err: err}
}
