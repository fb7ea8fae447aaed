package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/otelscope/otelscope/internal/workload"
)

const (
	// Without a rate, the shop's clock must run at least as fast as its events
	// can be sent, or the sender would wait for it.
	unpacedOrdersPerSecond = 2000
	// ordersPerNode is what one node of each service can handle in a second;
	// with more, everything waits and payments time out.
	ordersPerNode = 40
)

// generate sends the shop until ctx, the duration or the orders end.
func generate(ctx context.Context, o options, out io.Writer) error {
	rate := float64(unpacedOrdersPerSecond)
	if o.rate > 0 {
		rate = o.rate / workload.EventsPerOrder
	}
	c := o.shop(rate)
	c.Start, c.Orders = time.Now(), o.orders
	shop, err := workload.New(c)
	if err != nil {
		return err
	}
	truth, done, err := openTruth(o.truth)
	if err != nil {
		return err
	}
	sink, err := o.sink(truth)
	if err != nil {
		return errors.Join(err, done())
	}
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	fmt.Fprintf(out, "sending %s to %s\n", o.protocol, o.endpoint)
	p := newProgress(out)
	err = pump(ctx, sink, p, paced(shop, time.Now))
	err = errors.Join(err, sink.close(), done())
	p.end(sink.sent())
	return err
}

// shop is one that can handle so many orders a second.
func (o options) shop(ordersPerSecond float64) workload.Config {
	c := workload.DefaultConfig()
	c.Seed, c.PaymentWorkers, c.OrdersPerSecond = o.seed, o.workers, ordersPerSecond
	c.Nodes = max(c.Nodes, int(math.Ceil(ordersPerSecond/ordersPerNode)))
	if o.nodes > 0 {
		c.Nodes = o.nodes
	}
	return c
}

// source returns the next step and how long to wait before it is told; ok is
// false at the end.
type source func() (step workload.Step, wait time.Duration, ok bool)

// paced lets the shop's clock run with the real one.
func paced(shop *workload.Shop, now func() time.Time) source {
	return func() (workload.Step, time.Duration, bool) {
		step, ok := shop.Next()
		return step, time.Unix(0, step.Event.Time).Sub(now()), ok
	}
}

// pump moves steps into the sink until they, or ctx, end. What waits for a
// full request is sent before a pause.
func pump(ctx context.Context, sink sink, p *progress, next source) error {
	for ctx.Err() == nil {
		step, wait, ok := next()
		if !ok {
			break
		}
		if wait > 0 {
			if err := sink.flush(); err != nil {
				return err
			}
			if !pause(ctx, wait) {
				break
			}
		}
		if err := sink.add(&step); err != nil {
			return err
		}
		p.tick(sink)
	}
	return sink.flush()
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// openTruth opens the file for the truth; of "" the writer is nil.
func openTruth(name string) (io.Writer, func() error, error) {
	if name == "" {
		return nil, func() error { return nil }, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, nil, fmt.Errorf("-truth: %w", err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	return w, func() error { return errors.Join(w.Flush(), f.Close()) }, nil
}

// progress prints a line a second.
type progress struct {
	out   io.Writer
	start time.Time
	next  time.Time
	count int
}

func newProgress(out io.Writer) *progress {
	now := time.Now()
	return &progress{out: out, start: now, next: now.Add(time.Second)}
}

func (p *progress) tick(s sink) {
	if p.count++; p.count%256 != 0 {
		return
	}
	if now := time.Now(); now.After(p.next) {
		p.next = now.Add(time.Second)
		fmt.Fprintf(p.out, "  %6s  %9d %s sent\n", now.Sub(p.start).Round(time.Second), s.sent(), s.unit())
	}
}

func (p *progress) end(sent int64) {
	took := time.Since(p.start)
	fmt.Fprintf(p.out, "sent %d in %s (%.0f a second)\n", sent, took.Round(time.Millisecond), float64(sent)/took.Seconds())
}
