package loadgen

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Worker sends requests one after another. Its template is its own.
type Worker struct {
	Sender Sender
	Items  int
	// Next returns request n, for n = 0, 1, …; the body is the worker's until
	// Send returned.
	Next func(n uint64) []byte
	// Sent, where set, is told of each request that the server took, after its
	// answer.
	Sent func(n uint64)
}

// Meter counts. It may be read at any time.
type Meter struct {
	Items    atomic.Int64 // taken by the server
	Requests atomic.Int64 // with an answer that said so
	Refused  atomic.Int64 // answers that asked to come again
	Latency  Histogram    // from when a request was due to its last answer
}

// retryPause is how long a worker waits where a refusal does not say.
const retryPause = 50 * time.Millisecond

// answerTimeout bounds the wait for one answer.
const answerTimeout = 30 * time.Second

// Closed lets each worker send as fast as answers come, until ctx ends; what is
// in flight then is still waited for. It returns the first error that was not a
// refusal; refused requests are sent again.
func Closed(ctx context.Context, m *Meter, workers []Worker) error {
	return each(ctx, workers, func(ctx context.Context, w *Worker) error {
		for n := uint64(0); ctx.Err() == nil; n++ {
			if err := m.send(ctx, w, n, time.Now()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Open sends perSecond requests a second in all, each by the first worker that
// is free once it is due, until ctx ends. Latency counts from then, so workers
// should be more than the requests in flight that are expected.
func Open(ctx context.Context, m *Meter, perSecond float64, workers []Worker) error {
	start := time.Now()
	var tickets atomic.Int64
	return each(ctx, workers, func(ctx context.Context, w *Worker) error {
		for n := uint64(0); ; n++ {
			due := start.Add(time.Duration(float64(tickets.Add(1)-1) / perSecond * float64(time.Second)))
			if !sleep(ctx, time.Until(due)) {
				return nil
			}
			if err := m.send(ctx, w, n, due); err != nil {
				return err
			}
		}
	})
}

// each runs do for all workers and returns the first error, which ends them
// all. That ctx ended is no error.
func each(ctx context.Context, workers []Worker, do func(context.Context, *Worker) error) error {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			if err := do(running, &workers[i]); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(running); err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// send sends request n until the server takes it or ctx ends, which is no
// error.
func (m *Meter) send(ctx context.Context, w *Worker, n uint64, due time.Time) error {
	err := deliver(ctx, w.Sender, w.Next(n), &m.Refused)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	m.Latency.Observe(time.Since(due))
	m.Requests.Add(1)
	m.Items.Add(int64(w.Items))
	if w.Sent != nil {
		w.Sent(n)
	}
	return nil
}

// Deliver sends body, again after each refusal, until the server takes it,
// another error comes, or ctx ends between two attempts.
func Deliver(ctx context.Context, s Sender, body []byte) error {
	var refused atomic.Int64
	return deliver(ctx, s, body, &refused)
}

func deliver(ctx context.Context, s Sender, body []byte, count *atomic.Int64) error {
	for {
		err := sendOnce(ctx, s, body)
		var refused *RefusedError
		if !errors.As(err, &refused) {
			return err
		}
		count.Add(1)
		pause := refused.RetryAfter
		if pause == 0 {
			pause = retryPause
		}
		if !sleep(ctx, pause) {
			return context.Cause(ctx)
		}
	}
}

func sendOnce(ctx context.Context, s Sender, body []byte) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer cancel()
	return s.Send(ctx, body)
}

// sleep waits for d, and reports whether ctx still holds.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
