package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/otelscope/otelscope/test/internal/collector"
)

// verdict counts what lookups found wrong.
type verdict struct {
	checked, lost, doubled, wrong int
	examples                      []string
}

func (v *verdict) add(o verdict) {
	v.checked += o.checked
	v.lost += o.lost
	v.doubled += o.doubled
	v.wrong += o.wrong
	v.examples = append(v.examples, o.examples...)
	v.examples = v.examples[:min(len(v.examples), 10)]
}

func (v *verdict) bad() int { return v.lost + v.doubled + v.wrong }

func (v *verdict) note(count *int, format string, args ...any) {
	*count++
	v.examples = append(v.examples, fmt.Sprintf(format, args...))
}

// lookups is how many requests are looked up at once.
const lookups = 8

// job is a request to look up, with the worker that can name its ids.
type job struct {
	w *worker
	r *request
}

// verify looks up all of jobs that were acknowledged.
func verify(ctx context.Context, api *collector.API, jobs []job) (verdict, error) {
	var total verdict
	var first error
	var mu sync.Mutex
	var wg sync.WaitGroup
	queue := make(chan job)
	for range lookups {
		wg.Go(func() {
			for j := range queue {
				v, err := check(ctx, api, j)
				mu.Lock()
				total.add(v)
				if first == nil {
					first = err
				}
				mu.Unlock()
			}
		})
	}
	for _, j := range jobs {
		if j.r.acked && ctx.Err() == nil {
			queue <- j
		}
	}
	close(queue)
	wg.Wait()
	if first == nil {
		first = ctx.Err()
	}
	return total, first
}

func check(ctx context.Context, api *collector.API, j job) (verdict, error) {
	var v verdict
	switch j.r.kind {
	case spans:
		return v, v.traces(ctx, api, j)
	case activities:
		for i := range activitiesPerRequest {
			if err := v.call(ctx, api, j.r, i, spansPerActivity, returned); err != nil {
				return v, err
			}
		}
	case opens:
		for i := range opensPerRequest {
			if err := v.call(ctx, api, j.r, i, spansPerOpen, j.r.callState()); err != nil {
				return v, err
			}
		}
	case returns: // looked up with the calls that they return
	}
	return v, nil
}

// callState is how far an open call must be; either where its return was sent
// and not answered.
type callState uint8

const (
	open callState = iota
	returned
	either
)

func (r *request) callState() callState {
	switch {
	case r.back == nil:
		return open
	case r.back.acked:
		return returned
	}
	return either
}

func (v *verdict) traces(ctx context.Context, api *collector.API, j job) error {
	t := j.w.maker.template
	for n := range t.TraceCount {
		id := t.TraceID(j.r.seq, n)
		if err := v.trace(ctx, api, id, t.TraceSize(n)); err != nil {
			return err
		}
	}
	return nil
}

// trace expects that a trace has want spans, each once.
func (v *verdict) trace(ctx context.Context, api *collector.API, id [16]byte, want int) error {
	v.checked++
	got, err := api.Trace(ctx, id)
	if err != nil {
		return err
	}
	if len(got) < want {
		v.note(&v.lost, "trace %x has %d of %d spans", id, len(got), want)
	}
	if len(got) > want {
		v.note(&v.doubled, "trace %x has %d spans, not %d", id, len(got), want)
	}
	for span, n := range got {
		if n > 1 {
			v.note(&v.doubled, "trace %x has span %x %d times", id, span, n)
		}
	}
	return nil
}

// call expects that the call of activity i is in this state, is found by the
// ids of its receive, its call and (once returned) its return, and lies in a
// trace of want spans.
func (v *verdict) call(ctx context.Context, api *collector.API, r *request, i, want int, state callState) error {
	names := []string{"receive", "call"}
	if state == returned {
		names = append(names, "return")
	}
	var spans []*collector.EventSpan
	for _, name := range names {
		v.checked++
		span, err := api.Event(ctx, r.id(name, i))
		if err != nil {
			return err
		}
		if span == nil {
			v.note(&v.lost, "event %s", r.id(name, i))
			return nil
		}
		if len(span.Others) > 0 {
			v.note(&v.doubled, "event %s has %d other spans", r.id(name, i), len(span.Others))
		}
		spans = append(spans, span)
	}
	call := spans[1]
	if call.State != "open" && state == open || call.State != "returned" && state == returned {
		v.note(&v.wrong, "call %s is %q", r.id("call", i), call.State)
	}
	if state == returned && spans[2].SpanID != call.SpanID {
		v.note(&v.wrong, "return %s is span %s, its call %s", r.id("return", i), spans[2].SpanID, call.SpanID)
	}
	if spans[0].TraceID != call.TraceID {
		v.note(&v.wrong, "call %s is in trace %s, what it answers in %s", r.id("call", i), call.TraceID, spans[0].TraceID)
		return nil
	}
	var id [16]byte
	if n, err := hex.Decode(id[:], []byte(call.TraceID)); err != nil || n != 16 {
		return fmt.Errorf("event %s: %q is no trace id", r.id("call", i), call.TraceID)
	}
	return v.trace(ctx, api, id, want)
}
