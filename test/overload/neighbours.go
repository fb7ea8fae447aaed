package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelscope/otelscope/internal/event"
	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/test/internal/collector"
)

// neighboursResult is a quiet client beside a noisy one.
type neighboursResult struct {
	Command     string                `json:"command"`
	Environment collector.Environment `json:"environment"`
	Cases       []neighbour           `json:"cases"`
}

type neighbour struct {
	Case         string  `json:"case"`
	Quiet        int64   `json:"quiet_requests"`
	FirstTry     int64   `json:"quiet_taken_at_first_try"`
	P50ms        float64 `json:"quiet_p50_ms"`
	P99ms        float64 `json:"quiet_p99_ms"`
	NoisyAcked   int64   `json:"noisy_acknowledged"`
	NoisyRefused int64   `json:"noisy_refused"`
	NoisyUnknown int64   `json:"noisy_unknown"`
	NoisyNotSent int64   `json:"noisy_not_sent"`
	Watched      watched `json:"watched"`
}

const (
	quietRate        = 10 // requests a second
	quietEvents      = 10 // a request
	noisyConnections = 16
	noisySenders     = 1400
	noisyRate        = 4000 // requests of about 450 spans a second
)

// neighbours lets a noisy client crowd a quiet one.
func neighbours(ctx context.Context, o options, r *results) error {
	out := &neighboursResult{Command: r.command, Environment: r.environment}
	err := o.with(ctx, "", func(s *server) error {
		for i, c := range []struct {
			name, noisy string
			length      time.Duration
		}{
			{"alone", "", 10 * time.Second},
			{"beside a noisy one at the same address", "127.0.0.1", 20 * time.Second},
			{"beside a noisy one at another address", "127.0.0.2", 20 * time.Second},
		} {
			one, err := o.beside(ctx, s, i, c.noisy, o.length(c.length))
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			one.Case = c.name
			out.Cases = append(out.Cases, one)
			fmt.Printf("neighbours, %s: %d of %d taken at first try, p50 %.1f ms, p99 %.1f ms; noisy: %d acknowledged, %d refused\n",
				c.name, one.FirstTry, one.Quiet, one.P50ms, one.P99ms, one.NoisyAcked, one.NoisyRefused)
			if _, err := settle(ctx, s.api); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		r.Neighbours = out
	}
	return err
}

func (o options) beside(ctx context.Context, s *server, number int, noisy string, length time.Duration) (neighbour, error) {
	running, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var out neighbour
	w := newWatch(ctx, s.Process, s.api, nil)
	var latency loadgen.Histogram
	run := []func() error{func() error { return quiet(running, s, number, &out, &latency) }}
	var l *lane
	if noisy != "" {
		c := content{lane: number, service: "noisy", chains: otlpChains, lag: noisyRate / 5, seed: o.seed}
		sender, stop, err := dial(s, false, noisy, noisySenders, noisyConnections)
		if err != nil {
			w.end(s.Process)
			return out, err
		}
		defer func() { _ = stop() }()
		l = newLane(c, sender, noisySenders)
		run = append(run, func() error { return l.open(running, noisyRate) })
	}
	err := each(cancel, run...)
	out.Watched = w.end(s.Process)
	if l != nil {
		out.NoisyAcked, out.NoisyRefused, out.NoisyUnknown, out.NoisyNotSent = l.acked.Load(), l.refused.Load(), l.unknown.Load(), l.skipped.Load()
	}
	counts := latency.Counts()
	out.P50ms, out.P99ms = ms(counts.Quantile(0.5)), ms(counts.Quantile(0.99))
	return out, errors.Join(err, ctx.Err())
}

// quiet sends a few events now and then, each request once and whether or not
// the one before is answered.
func quiet(ctx context.Context, s *server, number int, out *neighbour, latency *loadgen.Histogram) error {
	sender := loadgen.NewEventsFrom("127.0.0.1", s.at.EventsURL(), quietRate)
	defer sender.Close()
	ticker := time.NewTicker(time.Second / quietRate)
	defer ticker.Stop()
	var firstTry atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for failed.Load() == nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case due := <-ticker.C:
			body := quietBody(number, out.Quiet, due)
			out.Quiet++
			wg.Go(func() {
				asking, done := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
				defer done()
				o, err := judge(sender.Send(asking, body))
				if err != nil {
					failed.Store(&err)
				}
				if o == acked {
					firstTry.Add(1)
					latency.Observe(time.Since(due))
				}
			})
		}
	}
	wg.Wait()
	out.FirstTry = firstTry.Load()
	return load(&failed)
}

// quietBody is of a process of its own, since requests may overtake each other.
func quietBody(number int, request int64, due time.Time) []byte {
	var body bytes.Buffer
	for i := range quietEvents {
		e := event.Event{
			Kind: event.KindMark, ID: fmt.Sprintf("quiet-%d-%d-%d", number, request, i), Time: due.UnixNano() + int64(i),
			Service: "quiet", Node: "quiet@10.0.0.1", Process: fmt.Sprintf("<0.%d.%d>", number, request), Name: "tick",
		}
		body.Write(e.AppendJSON(nil))
		body.WriteByte('\n')
	}
	return body.Bytes()
}
