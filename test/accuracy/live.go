package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/test/internal/collector"
)

const (
	startWithin = time.Minute
	stopWithin  = time.Minute
	lookups     = 4 // at a time
)

// live is a collector of its own for one plan.
type live struct {
	binary, config string
	dir            string
	at             collector.Addresses
	configs        []string
	process        *collector.Process
}

// playLive sends the plan to a fresh collector and judges what its API tells.
func playLive(ctx context.Context, p *plan, binary, config string) (v *verdict, err error) {
	dir, err := os.MkdirTemp("", "accuracy-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l := &live{binary: binary, config: config, dir: dir}
	if l.at, err = collector.NewAddresses(); err != nil {
		return nil, err
	}
	if l.configs, err = collector.ScopeConfig(dir, config, l.at, collector.Storage{Directory: dir + "/data"}, false); err != nil {
		return nil, err
	}
	if err := l.start(ctx); err != nil {
		return nil, err
	}
	defer func() { l.process.Kill() }()

	half := len(p.parcels)
	if p.restart != runs {
		half /= 2
	}
	if err := l.send(ctx, p.parcels[:half]); err != nil {
		return nil, err
	}
	if err := l.restart(ctx, p.restart); err != nil {
		return nil, err
	}
	if err := l.send(ctx, p.parcels[half:]); err != nil {
		return nil, err
	}
	return l.judge(ctx, p)
}

func (l *live) start(ctx context.Context) (err error) {
	if l.process, err = collector.Start(collector.Settings{Binary: l.binary, Configs: l.configs, Dir: l.dir}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if err := l.process.Ready(ctx, l.at.HealthURL()); err != nil {
		l.process.Kill()
		return err
	}
	return nil
}

func (l *live) restart(ctx context.Context, how restart) error {
	switch how {
	case runs:
		return nil
	case killed:
		l.process.Kill()
	case stopped:
		ctx, cancel := context.WithTimeout(ctx, stopWithin)
		defer cancel()
		if err := l.process.Stop(ctx); err != nil {
			return err
		}
	}
	return l.start(ctx)
}

// send sends the requests, each lane one after another. A request waits until
// all that lie aheadLanes before it have their answers.
func (l *live) send(ctx context.Context, parcels []parcel) error {
	events := loadgen.NewEvents(l.at.EventsURL(), lanes)
	defer func() { _ = events.Close() }()
	spans, err := loadgen.NewGRPC(l.at.GRPC, 2)
	if err != nil {
		return err
	}
	defer func() { _ = spans.Close() }()

	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	answered := make([]chan struct{}, len(parcels))
	for i := range answered {
		answered[i] = make(chan struct{})
	}
	var senders sync.WaitGroup
	for lane := range lanes {
		senders.Go(func() {
			for i, p := range parcels {
				if p.lane != lane {
					continue
				}
				if i >= aheadLanes {
					select {
					case <-answered[i-aheadLanes]:
					case <-ctx.Done():
						return
					}
				}
				if err := deliver(ctx, p, events, spans); err != nil {
					fail(err)
					return
				}
				close(answered[i])
			}
		})
	}
	senders.Wait()
	return context.Cause(ctx)
}

func deliver(ctx context.Context, p parcel, events, spans loadgen.Sender) error {
	if p.steps == nil {
		body, err := ptraceotlp.NewExportRequestFromTraces(p.traces).MarshalProto()
		if err != nil {
			return err
		}
		return loadgen.Deliver(ctx, spans, body)
	}
	var body []byte
	for i := range p.steps {
		body = append(p.steps[i].Event.AppendJSON(body), '\n')
	}
	return loadgen.Deliver(ctx, events, body)
}

// told is a line of the edges, as far as it matters here.
type told struct {
	Type       causal.Type `json:"type"`
	Confidence float64     `json:"confidence"`
	Rule       string      `json:"rule"`
	Cause      toldEnd     `json:"cause"`
	Effect     toldEnd     `json:"effect"`
}

type toldEnd struct {
	TraceID string `json:"trace_id"`
	SpanID  string `json:"span_id"`
	EventID string `json:"event_id"`
}

func (e toldEnd) text() string {
	if e.EventID != "" {
		return e.EventID
	}
	return e.TraceID + "/" + e.SpanID
}

func (l *live) judge(ctx context.Context, p *plan) (*verdict, error) {
	traces := map[string]string{} // of events
	var all []found
	err := edges(ctx, l.at.APIURL(), func(t *told) {
		for _, end := range []toldEnd{t.Cause, t.Effect} {
			if end.EventID != "" {
				traces[end.EventID] = end.TraceID
			}
		}
		all = append(all, found{edge{t.Type, t.Cause.text(), t.Effect.text()}, t.Confidence, t.Rule})
	})
	if err != nil {
		return nil, err
	}
	if err := l.lookUp(ctx, p, traces); err != nil {
		return nil, err
	}
	return judge(p, all, func(event string) (string, bool) {
		trace, ok := traces[p.truth.span[event]]
		return trace, ok
	}), nil
}

// lookUp finds the traces of the events that have no edge.
func (l *live) lookUp(ctx context.Context, p *plan, traces map[string]string) error {
	api := collector.NewAPI(l.at.APIURL(), lookups)
	defer api.Close()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	ids := make(chan string)
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range lookups {
		workers.Go(func() {
			for id := range ids {
				span, err := api.Event(ctx, id)
				if err == nil && span == nil {
					err = fmt.Errorf("event %q was acknowledged and is not found", id)
				}
				if err != nil {
					fail(err)
					continue
				}
				mu.Lock()
				traces[id] = span.TraceID
				mu.Unlock()
			}
		})
	}
	var missing []string
	for _, span := range p.truth.span {
		if _, ok := traces[span]; !ok {
			missing = append(missing, span)
		}
	}
	for _, id := range missing {
		ids <- id
	}
	close(ids)
	workers.Wait()
	return context.Cause(ctx)
}

// edges reads all edges of the API.
func edges(ctx context.Context, base string, each func(*told)) error {
	const path = "/api/v1/edges"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	if resp.StatusCode != http.StatusOK {
		lines.Scan()
		return fmt.Errorf("GET %s: %s: %.200s", path, resp.Status, lines.Text())
	}
	for lines.Scan() {
		var t told
		if err := json.Unmarshal(bytes.TrimSpace(lines.Bytes()), &t); err != nil {
			return fmt.Errorf("GET %s: %w: %.200s", path, err, lines.Text())
		}
		each(&t)
	}
	return lines.Err()
}
