package main

import (
	"context"
	"fmt"
	"time"

	"github.com/otelscope/otelscope/test/internal/collector"
)

// downstreamResult is a pipeline whose back end fails, for each way of
// acknowledging.
type downstreamResult struct {
	Command     string                `json:"command"`
	Environment collector.Environment `json:"environment"`
	Runs        []downstreamRun       `json:"runs"`
}

type downstreamRun struct {
	Acknowledge string  `json:"acknowledge"`
	Phases      []phase `json:"phases"`
	Breaker     []turn  `json:"breaker"`
	Levels      []turn  `json:"levels"`
	Watched     watched `json:"watched"`
	Acked       int64   `json:"acknowledged_spans"`
	SampledOut  int64   `json:"sampled_out_spans"`
	Missing     int64   `json:"acknowledged_but_not_at_the_back_end"`
	Again       int64   `json:"spans_that_came_again"`
	Foreign     int64   `json:"spans_never_sent"`
	// EmptySeconds is how long the ring took to empty after the load.
	EmptySeconds float64  `json:"ring_empty_after_seconds"`
	Problems     []string `json:"problems"`
}

// judge adds what must not be.
func (r *downstreamRun) judge() {
	if lost := r.Missing - r.SampledOut; lost > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("%d acknowledged spans did not reach the back end", lost))
	}
	if r.Foreign > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("%d spans reached the back end that were never sent", r.Foreign))
	}
}

// phase is what clients saw while the back end behaved in one manner.
type phase struct {
	Manner  string  `json:"back_end"`
	Seconds float64 `json:"seconds"`
	Acked   int64   `json:"acknowledged_requests"`
	Refused int64   `json:"refusals"`
	Unknown int64   `json:"unanswered"`
	P50ms   float64 `json:"p50_ms"` // from the first attempt to the answer that said yes
	P99ms   float64 `json:"p99_ms"`
	Breaker string  `json:"breaker"` // at the end
	Level   string  `json:"level"`
}

var phases = []struct {
	manner manner
	length time.Duration
}{
	{good, 10 * time.Second}, {failing, 20 * time.Second}, {good, 15 * time.Second}, {hanging, 20 * time.Second},
	{good, 15 * time.Second}, {flapping, 20 * time.Second}, {good, 15 * time.Second},
}

// The load: lanes of each format, senders of each lane, chains of a group,
// requests a second of each sender: about 10,000 spans a second in all.
const (
	downstreamLanes   = 2
	downstreamSenders = 4
	downstreamChains  = 4
	downstreamRate    = 10
)

// downstream lets a back end misbehave while clients insist.
func downstream(ctx context.Context, o options, r *results) error {
	out := &downstreamResult{Command: r.command, Environment: r.environment}
	for _, acknowledge := range []string{"stored", "buffered"} {
		run, err := o.downstream(ctx, acknowledge)
		if err != nil {
			return fmt.Errorf("acknowledge: %s: %w", acknowledge, err)
		}
		run.judge()
		for _, p := range run.Problems {
			fmt.Println("  !", p)
			r.problems = append(r.problems, fmt.Sprintf("downstream, acknowledge: %s: %s", acknowledge, p))
		}
		out.Runs = append(out.Runs, *run)
	}
	r.Downstream = out
	return nil
}

func (o options) downstream(ctx context.Context, acknowledge string) (*downstreamRun, error) {
	sink, err := newSink()
	if err != nil {
		return nil, err
	}
	defer sink.server.Stop()
	out := &downstreamRun{Acknowledge: acknowledge}
	extra := fmt.Sprintf(`receivers:
  scope: {acknowledge: %s}
processors:
  pressure:
    strategy: "off"
    breaker: {consecutive_failures: 5, open_for: 5s}
exporters:
  otlp_grpc:
    endpoint: %q
    tls: {insecure: true}
    timeout: 2s
    compression: none
    sending_queue: {enabled: false}
    retry_on_failure: {initial_interval: 100ms, max_interval: 500ms, max_elapsed_time: 1s}
service:
  pipelines: {traces: {exporters: [otlp_grpc]}}
`, acknowledge, sink.address)
	return out, o.with(ctx, extra, func(s *server) error { return o.insist(ctx, s, sink, out) })
}

func (o options) insist(ctx context.Context, s *server, sink *sink, out *downstreamRun) error {
	var lanes []*lane
	for i := range 2 * downstreamLanes {
		c := content{lane: i, native: i%2 == 1, service: fmt.Sprintf("service-%d", i), chains: downstreamChains, lag: downstreamSenders * downstreamRate / 5, seed: o.seed}
		sender, stop, err := dial(s, c.native, "127.0.0.1", downstreamSenders, 1)
		if err != nil {
			return err
		}
		defer func() { _ = stop() }()
		lanes = append(lanes, newLane(c, sender, downstreamSenders))
	}
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	giveUp, abandon := context.WithCancel(ctx)
	defer abandon()
	giveAllUp := func() {
		cancel()
		abandon()
	}
	ended := make(chan error, 1)
	var run []func() error
	for _, l := range lanes {
		run = append(run, func() error {
			return together(giveAllUp, downstreamSenders, func() error { return l.insist(running, giveUp, downstreamRate) })
		})
	}
	go func() { ended <- each(giveAllUp, run...) }()

	w := newWatch(ctx, s.Process, s.api, nil)
	var failed error
	for _, p := range phases {
		sink.become(p.manner)
		one, err := o.phase(ctx, s, p.manner, p.length, lanes, w, ended)
		if err != nil {
			failed = err
			break
		}
		out.Phases = append(out.Phases, one)
		fmt.Printf("downstream, %s, %s for %.0f s: %d acknowledged (p99 %.0f ms), %d refusals, %d unanswered; breaker %s, level %s\n",
			out.Acknowledge, one.Manner, one.Seconds, one.Acked, one.P99ms, one.Refused, one.Unknown, one.Breaker, one.Level)
	}
	cancel()
	if failed != nil {
		abandon()
	} else {
		// The back end is well: what is still being insisted on gets through.
		select {
		case failed = <-ended:
		case <-time.After(time.Minute):
			abandon()
			failed = <-ended
		}
	}
	out.Watched = w.end(s.Process)
	if failed != nil {
		return failed
	}
	return out.finish(ctx, s, sink, lanes)
}

func (out *downstreamRun) finish(ctx context.Context, s *server, sink *sink, lanes []*lane) error {
	rest, err := settle(ctx, s.api)
	if err != nil {
		return err
	}
	last := &rest.last
	out.EmptySeconds, out.SampledOut, out.Problems = rest.empty.Seconds(), last.sampledOut(), rest.problems()
	out.Breaker, out.Levels = last.Components.Pressure.Breaker.History, last.Pressure.History
	for _, l := range lanes {
		out.Acked += l.count(acked) * int64(l.spans())
		out.Missing += sink.missing(l.ledger)
	}
	out.Again, out.Foreign = sink.again, sink.foreign
	fmt.Printf("  %d spans acknowledged, %d of them missing at the back end (%d sampled out), %d came again, %d changes of the breaker\n",
		out.Acked, out.Missing, out.SampledOut, out.Again, len(out.Breaker))
	return nil
}

// phase waits for a phase to be over and says what clients saw in it.
func (o options) phase(ctx context.Context, srv *server, m manner, length time.Duration, lanes []*lane, w *watch, ended <-chan error) (phase, error) {
	before := tallies(lanes)
	begin := time.Now()
	select {
	case <-time.After(o.length(length)):
	case <-ctx.Done():
		return phase{}, ctx.Err()
	case <-srv.Done():
		return phase{}, errGone
	case err := <-ended:
		return phase{}, fmt.Errorf("the load ended early: %w", err)
	}
	after := tallies(lanes)
	latency := after.latency.Since(before.latency)
	s := w.now()
	return phase{
		Manner: mannerNames[m], Seconds: time.Since(begin).Seconds(),
		Acked: after.acked - before.acked, Refused: after.refused - before.refused, Unknown: after.unknown - before.unknown,
		P50ms: ms(latency.Quantile(0.5)), P99ms: ms(latency.Quantile(0.99)),
		Breaker: s.Components.Pressure.Breaker.State, Level: s.level(),
	}, nil
}

// insist sends perSecond requests a second, each again until it is
// acknowledged, until ctx ends; what is under way then is insisted on until
// giveUp ends.
func (l *lane) insist(ctx, giveUp context.Context, perSecond float64) error {
	t := <-l.free
	defer func() { l.free <- t }()
	ticker := time.NewTicker(time.Duration(float64(time.Second) / perSecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		n, due := l.begin(), time.Now()
		body := t.fill(n, due.UnixNano())
		for giveUp.Err() == nil {
			o, err := judge(l.attempt(body))
			if err != nil {
				return err
			}
			if o == acked {
				l.end(n, acked)
				l.acked.Add(1)
				l.latency.Observe(time.Since(due))
				break
			}
			if o == refused {
				l.refused.Add(1)
			} else {
				l.unknown.Add(1)
				// The transport may still hold the body.
				t.body = append([]byte(nil), t.body...)
				body = t.body
			}
			pause(giveUp, refusedPause)
		}
	}
}
