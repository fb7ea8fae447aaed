package main

import (
	"bytes"
	"context"
	"hash/maphash"
	"io"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/internal/workload"
)

// requestItems is how many events or spans one request holds at most.
const requestItems = 500

// sink encodes steps and sends them. All methods but sent are for one
// goroutine. An error of a sender comes out of the next call.
type sink interface {
	add(step *workload.Step) error
	flush() error
	close() error // flushes nothing; waits for what is in flight
	sent() int64
	unit() string
}

// sink returns the sink of the protocol. The truth goes to w unless it is nil.
func (o options) sink(w io.Writer) (sink, error) {
	switch o.protocol {
	case "otlp-grpc":
		g, err := loadgen.NewGRPC(o.endpoint, min(o.senders, 2))
		if err != nil {
			return nil, err
		}
		return newSpanSink(o.propagate, newLanes(g, g, o.senders), w), nil
	case "otlp-http":
		h := loadgen.NewHTTP(o.endpoint, o.senders)
		return newSpanSink(o.propagate, newLanes(h, h, o.senders), w), nil
	default:
		h := loadgen.NewEvents(o.endpoint, o.senders)
		return &eventSink{lanes: newLanes(h, h, o.senders), pending: make([]batch, o.senders), truth: w}, nil
	}
}

var laneSeed = maphash.MakeSeed()

// batch is a request in the making.
type batch struct {
	body  []byte
	items int
}

// eventSink sends native events; a process always takes the same lane, so its
// events keep their order.
type eventSink struct {
	*lanes
	pending []batch
	truth   io.Writer
	line    []byte
}

func (s *eventSink) unit() string { return "events" }

func (s *eventSink) add(step *workload.Step) error {
	lane := s.lane(step.Event.Node + step.Event.Process)
	b := &s.pending[lane]
	b.body = append(step.Event.AppendJSON(b.body), '\n')
	b.items++
	if s.truth != nil {
		s.line = step.AppendTruth(s.line[:0])
		if _, err := s.truth.Write(s.line); err != nil {
			return err
		}
	}
	if b.items < requestItems {
		return nil
	}
	return s.hand(lane)
}

// lane is always the same for one process.
func (s *eventSink) lane(process string) int {
	return int(maphash.String(laneSeed, process) % uint64(len(s.pending)))
}

func (s *eventSink) hand(lane int) error {
	b := s.pending[lane]
	if b.items == 0 {
		return nil
	}
	s.pending[lane] = batch{body: make([]byte, 0, cap(b.body))}
	return s.put(lane, b)
}

func (s *eventSink) flush() error {
	for lane := range s.pending {
		if err := s.hand(lane); err != nil {
			return err
		}
	}
	return nil
}

// spanSink sends OTLP spans, by lanes in turn.
type spanSink struct {
	*lanes
	spans *workload.Spans
	next  int
	truth io.Writer
	lines bytes.Buffer
}

func newSpanSink(propagate bool, l *lanes, truth io.Writer) *spanSink {
	s := &spanSink{lanes: l, spans: workload.NewSpans(propagate), truth: truth}
	if truth != nil {
		s.spans.OnSpan = func(x workload.SpanTruth) { s.lines.Write(x.AppendTruth(nil)) }
		s.spans.OnEdge = func(x workload.SpanEdge) { s.lines.Write(x.AppendTruth(nil)) }
	}
	return s
}

func (s *spanSink) unit() string { return "spans" }

func (s *spanSink) add(step *workload.Step) error {
	s.spans.Add(step)
	if s.truth != nil {
		if _, err := s.lines.WriteTo(s.truth); err != nil {
			return err
		}
	}
	if s.spans.Len() < requestItems {
		return nil
	}
	return s.flush()
}

func (s *spanSink) flush() error {
	n := s.spans.Len()
	if n == 0 {
		return nil
	}
	body, err := ptraceotlp.NewExportRequestFromTraces(s.spans.Take()).MarshalProto()
	if err != nil {
		return err
	}
	s.next = (s.next + 1) % len(s.queues)
	return s.put(s.next, batch{body, n})
}

// lanes send requests at the same time, each lane one after another. The first
// error ends them.
type lanes struct {
	sender  loadgen.Sender
	closer  io.Closer
	queues  []chan batch
	wg      sync.WaitGroup
	ctx     context.Context
	fail    context.CancelCauseFunc
	onceEnd sync.Once
	count   atomic.Int64
}

func newLanes(sender loadgen.Sender, closer io.Closer, n int) *lanes {
	l := &lanes{sender: sender, closer: closer, queues: make([]chan batch, n)}
	l.ctx, l.fail = context.WithCancelCause(context.Background())
	for i := range l.queues {
		l.queues[i] = make(chan batch, 1)
		l.wg.Go(func() { l.run(l.queues[i]) })
	}
	return l
}

func (l *lanes) run(queue chan batch) {
	for b := range queue {
		if err := loadgen.Deliver(l.ctx, l.sender, b.body); err != nil {
			l.fail(err)
			return
		}
		l.count.Add(int64(b.items))
	}
}

func (l *lanes) put(lane int, b batch) error {
	select {
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	case l.queues[lane] <- b:
		return nil
	}
}

func (l *lanes) sent() int64 { return l.count.Load() }

// close waits for what is in flight and ends the connections.
func (l *lanes) close() error {
	var err error
	l.onceEnd.Do(func() {
		for _, q := range l.queues {
			close(q)
		}
		l.wg.Wait()
		err = context.Cause(l.ctx)
		l.fail(nil)
		if cerr := l.closer.Close(); err == nil {
			err = cerr
		}
	})
	return err
}
