package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelscope/otelscope/internal/loadgen"
)

// answerTimeout bounds the wait for one answer; after it the outcome is not
// known.
const answerTimeout = 15 * time.Second

// lane sends the chains of one service in one format, one request after
// another, any number of them in flight.
type lane struct {
	*ledger
	sender loadgen.Sender
	free   chan *template // those of senders that have nothing in flight
	meter
}

// meter counts what came of requests. Latencies are of acknowledged ones, from
// when they were due.
type meter struct {
	acked, refused, unknown atomic.Int64 // requests
	skipped                 atomic.Int64 // were due, but all senders were busy
	latency                 loadgen.Histogram
}

// newLane makes a lane of so many senders, each with a request in flight at
// most.
func newLane(c content, s loadgen.Sender, senders int) *lane {
	l := &lane{ledger: &ledger{content: c}, sender: s, free: make(chan *template, senders)}
	t := newTemplate(c)
	for i := range senders {
		l.free <- t.clone(i)
	}
	return l
}

// send sends the lane's next request, whose answer it waits for, whatever
// becomes of ctx. Only a rejection is an error: every request is valid.
func (l *lane) send(t *template, due time.Time) (outcome, error) {
	n := l.begin()
	err := l.attempt(t.fill(n, time.Now().UnixNano()))
	o, err := judge(err)
	l.end(n, o)
	switch o {
	case acked:
		l.latency.Observe(time.Since(due))
		l.acked.Add(1)
	case refused:
		l.refused.Add(1)
	default:
		l.unknown.Add(1)
	}
	if o != acked {
		// The transport may still hold the body: who refuses need not have read it.
		t.body = append([]byte(nil), t.body...)
	}
	return o, err
}

func (l *lane) attempt(body []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	return l.sender.Send(ctx, body)
}

func judge(err error) (outcome, error) {
	var again *loadgen.RefusedError
	var bad *loadgen.RejectedError
	switch {
	case err == nil:
		return acked, nil
	case errors.As(err, &again):
		return refused, nil
	case errors.As(err, &bad):
		return unknown, err
	}
	return unknown, nil
}

// open sends perSecond requests a second until ctx ends, none of them again,
// and waits for the answers. What is due while all senders are busy is skipped
// and counted.
func (l *lane) open(ctx context.Context, perSecond float64) error {
	begin := time.Now()
	ticker := time.NewTicker(max(time.Millisecond, min(time.Duration(float64(time.Second)/perSecond), 50*time.Millisecond)))
	defer ticker.Stop()
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	defer wg.Wait()
	for sent := 0; failed.Load() == nil; {
		for ; float64(sent) < time.Since(begin).Seconds()*perSecond; sent++ {
			due := begin.Add(time.Duration(float64(sent) / perSecond * float64(time.Second)))
			select {
			case t := <-l.free:
				wg.Go(func() {
					if _, err := l.send(t, due); err != nil {
						failed.Store(&err)
					}
					l.free <- t
				})
			default:
				l.skipped.Add(1)
			}
		}
		select {
		case <-ctx.Done():
			wg.Wait()
			return load(&failed)
		case <-ticker.C:
		}
	}
	wg.Wait()
	return load(&failed)
}

func load(p *atomic.Pointer[error]) error {
	if err := p.Load(); err != nil {
		return *err
	}
	return nil
}

// refusedPause is how long a closed loop waits after a refusal.
const refusedPause = 100 * time.Millisecond

// closed sends as fast as answers come, so many requests in flight, until ctx
// ends.
func (l *lane) closed(ctx context.Context, inFlight int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return together(cancel, inFlight, func() error {
		t := <-l.free
		defer func() { l.free <- t }()
		for ctx.Err() == nil {
			o, err := l.send(t, time.Now())
			if err != nil {
				return err
			}
			if o != acked {
				pause(ctx, refusedPause)
			}
		}
		return nil
	})
}

// together runs do n times at once, as each does.
func together(cancel context.CancelFunc, n int, do func() error) error {
	all := make([]func() error, n)
	for i := range all {
		all[i] = do
	}
	return each(cancel, all...)
}

// each runs all at once, waits for all, and returns one of the errors. The first
// one calls cancel, which must end the others.
func each(cancel context.CancelFunc, all ...func() error) error {
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	for _, do := range all {
		wg.Go(func() {
			if err := do(); err != nil {
				failed.Store(&err)
				cancel()
			}
		})
	}
	wg.Wait()
	return load(&failed)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
