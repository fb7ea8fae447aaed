package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/test/internal/collector"
)

const (
	inFlight    = 8
	connections = 2
	requestSize = 500
)

// throughput lets the plain collector and the whole pipeline take turns under
// the same load.
func throughput(ctx context.Context, o options, r *results) error {
	for i := range o.pairs {
		var p pair
		for _, scope := range []bool{false, true} {
			name := map[bool]string{false: "plain", true: "scope"}[scope]
			fmt.Printf("pair %d of %d, %s: %s to warm up, %s …", i+1, o.pairs, name, o.warm, o.steady)
			err := o.with(ctx, scope, func(s *server) error {
				m, err := o.spans(ctx, s, fmt.Sprintf("%s-%d", name, i+1), r)
				fmt.Printf(" %.0f spans/s, %.2f µs CPU a span\n", m.PerSecond, m.ServerCPUus)
				if scope {
					p.Scope = m
				} else {
					p.Plain = m
				}
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		p.Ratio = p.Scope.PerSecond / p.Plain.PerSecond
		fmt.Printf("  ratio %.3f\n", p.Ratio)
		r.Pairs = append(r.Pairs, p)
	}
	r.Ratio = median(r.Pairs)
	return nil
}

func (o options) spans(ctx context.Context, s *server, name string, r *results) (measurement, error) {
	g, err := loadgen.NewGRPC(s.at.GRPC, connections)
	if err != nil {
		return measurement{}, err
	}
	defer g.Close()
	l := newSpanLoad(o.seed, inFlight, requestSize)
	var meter loadgen.Meter
	m, err := o.measure(ctx, s, name, &meter, func(ctx context.Context) error {
		return loadgen.Closed(ctx, &meter, l.workers(g))
	})
	if err != nil || !s.scope {
		return m, err
	}
	return m, l.check(ctx, o, s, r)
}

// native sends native events as fast as answers come.
func native(ctx context.Context, o options, r *results) error {
	fmt.Printf("native events: %s to warm up, %s …\n", o.warm, o.steady)
	return o.with(ctx, true, func(s *server) error {
		m, err := o.events(ctx, s, "native", r)
		r.Native = &m
		fmt.Printf("  %.0f events/s\n", m.PerSecond)
		return err
	})
}

// Open loops have more senders than requests are expected in flight.
const openSenders = 32

// durable measures how long it takes from sending spans at a steady rate until
// the answer says that they are durable.
func durable(ctx context.Context, o options, r *results) error {
	const perSecond, size = 10_000, 100
	fmt.Printf("durable at %d spans/s, %d a request: %s …\n", perSecond, size, o.steady)
	return o.with(ctx, true, func(s *server) error {
		g, err := loadgen.NewGRPC(s.at.GRPC, connections)
		if err != nil {
			return err
		}
		defer g.Close()
		l := newSpanLoad(o.seed, openSenders, size)
		var meter loadgen.Meter
		m, err := o.measure(ctx, s, "durable", &meter, func(ctx context.Context) error {
			return loadgen.Open(ctx, &meter, float64(perSecond)/size, l.workers(g))
		})
		r.Durable = &m
		if err != nil {
			return err
		}
		fmt.Printf("  p50 %.2f ms, p99 %.2f ms, max %.2f ms\n", m.P50ms, m.P99ms, m.MaxMs)
		return l.check(ctx, o, s, r)
	})
}

// Sampled events are asked for again and again by readers, each with one in
// hand.
const (
	readers     = 8
	sampleEvery = 4 // requests
	pollPause   = 500 * time.Microsecond
	foundWithin = 30 * time.Second
)

// found measures how long it takes from when the sending of an event began
// until the API finds it, under a steady rate of events.
func found(ctx context.Context, o options, r *results) error {
	const perSecond, processes = 20_000, 10
	size := processes * loadgen.EventsPerProcess
	fmt.Printf("found at %d events/s, %d a request: %s …\n", perSecond, size, o.steady)
	return o.with(ctx, true, func(s *server) error {
		sender := loadgen.NewEvents(s.at.EventsURL(), openSenders)
		defer sender.Close()
		l := newEventLoad(o.seed, openSenders, processes)
		watch := newWatch(ctx, s.api)
		var meter loadgen.Meter
		var begin time.Time
		m, err := o.measure(ctx, s, "found", &meter, func(ctx context.Context) error {
			begin = time.Now()
			return loadgen.Open(ctx, &meter, float64(perSecond)/float64(size), l.workers(sender, func(w int, n uint64) {
				if n%sampleEvery == 0 && time.Since(begin) > o.warm {
					t := l.templates[w]
					watch.begin(t.Text(seqOf(w, n), int(n)%t.Items))
				}
			}))
		})
		latency, lost := watch.end()
		if err != nil {
			return err
		}
		r.Lookups.Checked += int(latency.Total()) + lost
		r.Lookups.Lost += lost
		r.Found = &foundLatency{
			Load: m, Samples: latency.Total(),
			P50ms: ms(latency.Quantile(0.5)), P99ms: ms(latency.Quantile(0.99)), MaxMs: ms(latency.Quantile(1)),
		}
		fmt.Printf("  p50 %.2f ms, p99 %.2f ms, max %.2f ms of %d\n", r.Found.P50ms, r.Found.P99ms, r.Found.MaxMs, r.Found.Samples)
		return l.check(ctx, o, s, r)
	})
}

// watch asks for events until they are found.
type watch struct {
	api     *collector.API
	wanted  chan wanted
	wg      sync.WaitGroup
	mu      sync.Mutex
	latency loadgen.Histogram
	lost    int
}

type wanted struct {
	id    string
	since time.Time
}

func newWatch(ctx context.Context, api *collector.API) *watch {
	w := &watch{api: api, wanted: make(chan wanted)}
	for range readers {
		w.wg.Go(func() {
			for one := range w.wanted {
				w.await(ctx, one)
			}
		})
	}
	return w
}

// begin asks for an event from now on, unless all readers are busy.
func (w *watch) begin(id string) {
	select {
	case w.wanted <- wanted{id, time.Now()}:
	default:
	}
}

func (w *watch) await(ctx context.Context, one wanted) {
	for time.Since(one.since) < foundWithin && ctx.Err() == nil {
		if span, err := w.api.Event(ctx, one.id); err == nil && span != nil {
			w.latency.Observe(time.Since(one.since))
			return
		}
		time.Sleep(pollPause)
	}
	w.mu.Lock()
	w.lost++
	w.mu.Unlock()
}

// end waits for the readers.
func (w *watch) end() (*loadgen.Counts, int) {
	close(w.wanted)
	w.wg.Wait()
	return w.latency.Counts(), w.lost
}
