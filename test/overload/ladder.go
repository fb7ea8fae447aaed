package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/otelscope/otelscope/internal/event"
	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/test/internal/collector"
)

// ladderResult is a load that rises until pressure begins, and what priority
// is worth under saturation.
type ladderResult struct {
	Command     string                `json:"command"`
	Environment collector.Environment `json:"environment"`
	Climbs      []climb               `json:"climbs"`
	Priority    []served              `json:"priority"`
	Saturated   watched               `json:"saturated"`
}

type climb struct {
	Format string `json:"format"`
	Steps  []step `json:"steps"`
	// End is why it ended: the level that came, or that no more could be sent.
	End     string  `json:"end"`
	Rate    float64 `json:"end_spans_per_second"` // offered in the last step
	Reason  string  `json:"end_reason"`
	Watched watched `json:"watched"`
}

type step struct {
	Offered float64 `json:"offered_spans_per_second"`
	Acked   float64 `json:"acknowledged_spans_per_second"`
	Seconds float64 `json:"seconds"`
	Level   string  `json:"level"` // at the end
	Left    bool    `json:"left_normal"`
	P50ms   float64 `json:"p50_ms"`
	P99ms   float64 `json:"p99_ms"`
	Refused int64   `json:"refused"`
	NotSent int64   `json:"not_sent"`
}

type served struct {
	Who     string  `json:"who"`
	Acked   int64   `json:"acknowledged_requests"`
	Refused int64   `json:"refused"`
	P50ms   float64 `json:"p50_ms"`
	P99ms   float64 `json:"p99_ms"`
}

const (
	ladderSenders    = 2800 // more requests than the ring holds
	ladderNative     = 6    // chains a group: about 100 spans a request
	ladderOTLP       = 7
	rise             = 1.1
	riseEvery        = 3 * time.Second
	maxSteps         = 60
	mayMiss          = 0.05 // of a step's requests not sent: the generator's end
	saturatingFlight = 64
	saturateFor      = 30 * time.Second
	warmUp           = 3 * time.Second
)

// ladder raises the load, of each format by itself.
func ladder(ctx context.Context, o options, r *results) error {
	out := &ladderResult{Command: r.command, Environment: r.environment}
	for _, native := range []bool{false, true} {
		err := o.with(ctx, "", func(s *server) error {
			c, err := o.climb(ctx, s, native)
			out.Climbs = append(out.Climbs, c)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := o.with(ctx, "", func(s *server) error { return o.priority(ctx, s, out) }); err != nil {
		return err
	}
	r.Ladder = out
	return nil
}

func (o options) climb(ctx context.Context, s *server, native bool) (climb, error) {
	out := climb{Format: map[bool]string{false: "OTLP", true: "native"}[native]}
	c := content{native: native, service: "ladder", chains: ladderOTLP, lag: 20, seed: o.seed}
	if native {
		c.chains = ladderNative
	}
	sender, stop, err := dial(s, native, "127.0.0.1", ladderSenders, 8)
	if err != nil {
		return out, err
	}
	defer func() { _ = stop() }()
	l := newLane(c, sender, ladderSenders)
	w := newWatch(ctx, s.Process, s.api, nil)
	defer func() { out.Watched = w.end(s.Process) }()
	if _, err := l.step(ctx, w, 10_000, warmUp); err != nil {
		return out, err
	}
	rate := 20_000.0
	for i := range maxSteps {
		offered, length := rate, riseEvery
		switch i {
		case 0:
			offered, length = 10_000, o.length(60*time.Second)
		case 1:
			length = o.length(30 * time.Second)
		default:
			rate *= rise
			offered = rate
		}
		one, err := l.step(ctx, w, offered, length)
		if err != nil {
			return out, err
		}
		out.Steps = append(out.Steps, one)
		out.Rate = offered
		fmt.Printf("ladder, %s: %.0f spans/s offered, %.0f acknowledged, p50 %.2f ms, p99 %.2f ms, %s\n", out.Format, one.Offered, one.Acked, one.P50ms, one.P99ms, one.Level)
		sent := offered * one.Seconds / float64(l.spans())
		switch {
		case one.Left:
			out.End, out.Reason = one.Level, w.reason()
		case float64(one.NotSent) > mayMiss*sent:
			out.End = "no more could be sent"
		case one.Refused > 0:
			out.End = "requests were refused"
		default:
			continue
		}
		break
	}
	fmt.Printf("  ended at %.0f spans/s: %s %s\n", out.Rate, out.End, out.Reason)
	return out, nil
}

// step offers one rate.
func (l *lane) step(ctx context.Context, w *watch, spans float64, length time.Duration) (step, error) {
	before := tallies([]*lane{l})
	begin := time.Now()
	running, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	turned := w.turns()
	if err := l.open(running, spans/float64(l.spans())); err != nil {
		return step{}, err
	}
	seconds := time.Since(begin).Seconds()
	after := tallies([]*lane{l})
	latency := after.latency.Since(before.latency)
	now := w.now()
	return step{
		Offered: spans, Acked: float64((after.acked-before.acked)*int64(l.spans())) / seconds, Seconds: seconds,
		Level: now.level(), Left: now.level() != normal || w.turns() != turned,
		P50ms: ms(latency.Quantile(0.5)), P99ms: ms(latency.Quantile(0.99)),
		Refused: after.refused - before.refused, NotSent: after.skipped - before.skipped,
	}, ctx.Err()
}

// priority saturates the collector with normal events and sends a few of high
// priority.
func (o options) priority(ctx context.Context, s *server, out *ladderResult) error {
	mass := content{lane: 0, native: true, service: "mass", chains: nativeChains, lag: 20, seed: o.seed}
	vip := content{lane: 1, native: true, service: "vip", chains: 1, lag: 2, seed: o.seed, priority: event.PriorityHigh}
	var lanes []*lane
	for _, c := range []content{mass, vip} {
		sender, stop, err := dial(s, true, "127.0.0.1", saturatingFlight, 0)
		if err != nil {
			return err
		}
		defer func() { _ = stop() }()
		lanes = append(lanes, newLane(c, sender, saturatingFlight))
	}
	w := newWatch(ctx, s.Process, s.api, nil)
	running, cancel := context.WithTimeout(ctx, o.length(saturateFor))
	defer cancel()
	err := each(cancel,
		func() error { return lanes[0].closed(running, saturatingFlight) },
		func() error { return lanes[1].open(running, 10) },
	)
	out.Saturated = w.end(s.Process)
	for i, who := range []string{"normal, 64 in flight", "high, 10 requests a second"} {
		t := tallies(lanes[i : i+1])
		one := served{who, t.acked, t.refused, ms(t.latency.Quantile(0.5)), ms(t.latency.Quantile(0.99))}
		out.Priority = append(out.Priority, one)
		fmt.Printf("priority %s: %d acknowledged, %d refused, p50 %.1f ms, p99 %.1f ms\n", who, one.Acked, one.Refused, one.P50ms, one.P99ms)
	}
	return errors.Join(err, ctx.Err())
}

// tally is what lanes counted until now, requests.
type tally struct {
	acked, refused, unknown, skipped int64
	latency                          *loadgen.Counts
}

func tallies(lanes []*lane) tally {
	t := tally{latency: &loadgen.Counts{}}
	for _, l := range lanes {
		t.acked += l.acked.Load()
		t.refused += l.refused.Load()
		t.unknown += l.unknown.Load()
		t.skipped += l.skipped.Load()
		for i, n := range l.latency.Counts() {
			t.latency[i] += n
		}
	}
	return t
}
