package main

import (
	"context"
	"fmt"
	"time"

	"github.com/otelscope/otelscope/internal/loadgen"
)

// openSenders are more than the requests that are expected in flight.
const openSenders = 32

// intake are spans that come in at a steady rate while questions are asked.
type intake struct {
	meter  loadgen.Meter
	sender *loadgen.GRPC
	cancel context.CancelFunc
	ended  chan error
	// of the last call of since
	at      time.Time
	items   int64
	refused int64
	latency *loadgen.Counts
}

// arrived is what came in during a time.
type arrived struct {
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
	Refused   int64   `json:"refused"`
	P50ms     float64 `json:"p50_ms"` // from when a request was due to its durable answer
	P99ms     float64 `json:"p99_ms"`
	MaxMs     float64 `json:"max_ms"`
}

func (o options) intake(ctx context.Context, s *server) (*intake, error) {
	g, err := loadgen.NewGRPC(s.at.GRPC, connections)
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(ctx)
	in := &intake{sender: g, cancel: cancel, ended: make(chan error, 1)}
	workers := o.workers(openSenders, requestSize, 1<<62, g, nil)
	go func() {
		in.ended <- loadgen.Open(running, &in.meter, float64(o.rate)/requestSize, workers)
	}()
	in.since()
	return in, nil
}

// since says what came in since the last call.
func (in *intake) since() arrived {
	now, items, refused, latency := time.Now(), in.meter.Items.Load(), in.meter.Refused.Load(), in.meter.Latency.Counts()
	var a arrived
	if !in.at.IsZero() {
		seconds := now.Sub(in.at).Seconds()
		c := latency.Since(in.latency)
		a = arrived{
			Seconds: seconds, PerSecond: float64(items-in.items) / seconds, Refused: refused - in.refused,
			P50ms: ms(c.Quantile(0.5)), P99ms: ms(c.Quantile(0.99)), MaxMs: ms(c.Quantile(1)),
		}
	}
	in.at, in.items, in.refused, in.latency = now, items, refused, latency
	return a
}

func (in *intake) end() error {
	in.cancel()
	err := <-in.ended
	if closing := in.sender.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("intake: %w", err)
	}
	return nil
}
