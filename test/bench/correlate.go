package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/otelscope/otelscope/internal/loadgen"
)

// correlated compares the whole pipeline with the same one without correlate,
// under spans and under native events.
type correlated struct {
	Without measurement `json:"without"`
	With    measurement `json:"with"`
	Cost    float64     `json:"cost"` // of throughput, 0.1 is a tenth
}

// correlate lets the pipeline without correlate and the whole one take turns.
func correlate(ctx context.Context, o options, r *results) error {
	for _, load := range []struct {
		name string
		run  func(context.Context, *server, string, *results) (measurement, error)
		to   *[]correlated
	}{{"spans", o.spans, &r.CorrelateSpans}, {"events", o.events, &r.CorrelateEvents}} {
		for i := range o.pairs {
			var c correlated
			for _, processors := range [][]string{{"pressure"}, {"correlate", "pressure"}} {
				fmt.Printf("correlate, %s, pair %d of %d, processors %v …", load.name, i+1, o.pairs, processors)
				err := o.withProcessors(ctx, processors, func(s *server) error {
					m, err := load.run(ctx, s, fmt.Sprintf("%s-%s-%d", load.name, processors[0], i+1), r)
					fmt.Printf(" %.0f a second, %.2f µs CPU, %.0f MB\n", m.PerSecond, m.ServerCPUus, m.PeakRSSMB)
					if len(processors) == 1 {
						c.Without = m
					} else {
						c.With = m
					}
					return err
				})
				if err != nil {
					return err
				}
			}
			c.Cost = 1 - c.With.PerSecond/c.Without.PerSecond
			fmt.Printf("  costs %.1f %% of throughput, %.1f %% more CPU\n", 100*c.Cost, 100*(c.With.ServerCPUus/c.Without.ServerCPUus-1))
			*load.to = append(*load.to, c)
		}
	}
	return nil
}

// events sends native events as fast as answers come.
func (o options) events(ctx context.Context, s *server, name string, r *results) (measurement, error) {
	sender := loadgen.NewEvents(s.at.EventsURL(), inFlight)
	defer sender.Close()
	l := newEventLoad(o.seed, inFlight, requestSize/loadgen.EventsPerProcess)
	var meter loadgen.Meter
	m, err := o.measure(ctx, s, name, &meter, func(ctx context.Context) error {
		return loadgen.Closed(ctx, &meter, l.workers(sender, nil))
	})
	if err != nil {
		return m, err
	}
	return m, l.check(ctx, o, s, r)
}

// medianCost is the median of the pairs' throughput cost and of their CPU cost.
func medianCost(pairs []correlated) (throughput, cpu float64) {
	var a, b []float64
	for _, c := range pairs {
		a = append(a, c.Cost)
		b = append(b, c.With.ServerCPUus/c.Without.ServerCPUus-1)
	}
	slices.Sort(a)
	slices.Sort(b)
	return a[len(a)/2], b[len(b)/2]
}
