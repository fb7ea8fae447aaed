package main

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/otelscope/otelscope/internal/loadgen"
)

// compared is a load on two pipelines that differ in one processor.
type compared struct {
	Without measurement `json:"without"`
	With    measurement `json:"with"`
	Cost    float64     `json:"cost"` // of throughput, 0.1 is a tenth
}

// comparison is a processor, and the pipelines without it and with it.
type comparison struct {
	processor     string
	without, with []string
	goal          string // of its cost of throughput, %
	spans, events func(*results) *[]compared
}

var comparisons = []comparison{
	{
		"correlate", []string{"pressure"}, []string{"correlate", "pressure"}, "<= 15",
		func(r *results) *[]compared { return &r.CorrelateSpans }, func(r *results) *[]compared { return &r.CorrelateEvents },
	},
	{
		"pressure", []string{"correlate"}, []string{"correlate", "pressure"}, "<= 3",
		func(r *results) *[]compared { return &r.PressureSpans }, func(r *results) *[]compared { return &r.PressureEvents },
	},
}

// of yields the pairs of each load that were measured.
func (c *comparison) of(r *results) iter.Seq2[string, []compared] {
	return func(yield func(string, []compared) bool) {
		if s := *c.spans(r); len(s) > 0 && !yield("spans", s) {
			return
		}
		if e := *c.events(r); len(e) > 0 {
			yield("native events", e)
		}
	}
}

// run lets the two pipelines take turns, under spans and under native events.
func (c *comparison) run(ctx context.Context, o options, r *results) error {
	for _, load := range []struct {
		name string
		run  func(context.Context, *server, string, *results) (measurement, error)
		to   *[]compared
	}{{"spans", o.spans, c.spans(r)}, {"events", o.events, c.events(r)}} {
		for i := range o.pairs {
			var one compared
			for _, side := range []struct {
				name       string
				processors []string
				to         *measurement
			}{{"without", c.without, &one.Without}, {"with", c.with, &one.With}} {
				fmt.Printf("%s, %s, pair %d of %d, processors %v …", c.processor, load.name, i+1, o.pairs, side.processors)
				err := o.withProcessors(ctx, side.processors, func(s *server) (err error) {
					*side.to, err = load.run(ctx, s, fmt.Sprintf("%s-%s-%s-%d", load.name, side.name, c.processor, i+1), r)
					fmt.Printf(" %.0f a second, %.2f µs CPU, %.0f MB\n", side.to.PerSecond, side.to.ServerCPUus, side.to.PeakRSSMB)
					return err
				})
				if err != nil {
					return err
				}
			}
			one.Cost = 1 - one.With.PerSecond/one.Without.PerSecond
			fmt.Printf("  costs %.1f %% of throughput, %.1f %% more CPU\n", 100*one.Cost, 100*(one.With.ServerCPUus/one.Without.ServerCPUus-1))
			*load.to = append(*load.to, one)
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
func medianCost(pairs []compared) (throughput, cpu float64) {
	var a, b []float64
	for _, c := range pairs {
		a = append(a, c.Cost)
		b = append(b, c.With.ServerCPUus/c.Without.ServerCPUus-1)
	}
	slices.Sort(a)
	slices.Sort(b)
	return a[len(a)/2], b[len(b)/2]
}
