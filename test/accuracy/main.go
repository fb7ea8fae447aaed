// Command accuracy compares what the collector found with what the workload
// knows is true: it starts the binary, sends a seeded run of the shop as native
// events, looks every event up, and prints a table by kind of edge.
//
// This version of the distribution assembles parents and looks for no other
// causes yet; the table says how many of each kind there were to find.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/internal/workload"
	"github.com/otelscope/otelscope/test/internal/collector"
)

const (
	bodyEvents  = 500
	startWithin = time.Minute
)

type options struct {
	binary, config string
	seed           uint64
	orders         int
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/otelcol-scope", "the collector")
	flag.StringVar(&o.config, "config", "collector-config.yaml", "its configuration")
	flag.Uint64Var(&o.seed, "seed", 1, "of the shop")
	flag.IntVar(&o.orders, "orders", 100, "how many orders the shop gets")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "accuracy-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	at, err := collector.NewAddresses()
	if err != nil {
		return err
	}
	configs, err := collector.ScopeConfig(dir, o.config, at, collector.Storage{Directory: dir + "/data"}, false)
	if err != nil {
		return err
	}
	process, err := collector.Start(collector.Settings{Binary: o.binary, Configs: configs, Dir: dir})
	if err != nil {
		return err
	}
	defer process.Kill()
	ready, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	if err := process.Ready(ready, at.HealthURL()); err != nil {
		return err
	}

	steps, err := send(ctx, o, at.EventsURL())
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "sent %d events of %d orders (seed %d)\n", len(steps), o.orders, o.seed)
	api := collector.NewAPI(at.APIURL(), 1)
	defer api.Close()
	found := lookup{ctx: ctx, api: api, spans: map[string]*collector.EventSpan{}}
	t, err := compare(steps, found.event)
	if err != nil {
		return err
	}
	return t.print(out)
}

// send plays the shop and returns its steps once all were acknowledged.
func send(ctx context.Context, o options, url string) ([]workload.Step, error) {
	c := workload.DefaultConfig()
	c.Seed, c.Orders, c.Start = o.seed, o.orders, time.Now()
	shop, err := workload.New(c)
	if err != nil {
		return nil, err
	}
	sender := loadgen.NewEvents(url, 1)
	defer func() { _ = sender.Close() }()
	var steps []workload.Step
	var body bytes.Buffer
	for n := 0; ; n++ {
		step, more := shop.Next()
		if more {
			steps = append(steps, step)
			body.Write(step.Event.AppendJSON(nil))
			body.WriteByte('\n')
		}
		if body.Len() > 0 && (!more || n%bodyEvents == bodyEvents-1) {
			if err := sender.Send(ctx, body.Bytes()); err != nil {
				return nil, err
			}
			body.Reset()
		}
		if !more {
			return steps, nil
		}
	}
}

// lookup remembers what it has found.
type lookup struct {
	ctx   context.Context
	api   *collector.API
	spans map[string]*collector.EventSpan
}

func (l *lookup) event(id string) (*collector.EventSpan, error) {
	if s, ok := l.spans[id]; ok {
		return s, nil
	}
	s, err := l.api.Event(l.ctx, id)
	if err == nil && s == nil {
		err = fmt.Errorf("event %q was acknowledged and is not found", id)
	}
	l.spans[id] = s
	return s, err
}

// score is one kind of edge.
type score struct{ truth, found, right int }

// table is the result by kind of edge; misplaced are events that lie in
// another span or another trace than they should.
type table struct {
	scores    map[causal.Type]*score
	misplaced []string
}

// compare holds the stored spans against the truth.
func compare(steps []workload.Step, event func(id string) (*collector.EventSpan, error)) (table, error) {
	t := table{scores: map[causal.Type]*score{}}
	for _, kind := range causal.Types {
		t.scores[kind] = &score{}
	}
	for _, step := range steps {
		for _, c := range step.Causes {
			if c.Type != causal.ParentChild && !c.SpansOnly {
				t.scores[c.Type].truth++
			}
		}
		own, err := event(step.Event.ID)
		if err != nil {
			return t, err
		}
		span, err := event(step.Span)
		if err != nil {
			return t, err
		}
		activity, err := event(step.Activity)
		if err != nil {
			return t, err
		}
		if own.SpanID != span.SpanID || own.TraceID != activity.TraceID {
			t.misplaced = append(t.misplaced, step.Event.ID)
		}
		if step.Span != step.Event.ID {
			continue // a return has no span, and so no parent, of its own
		}
		if err := t.parent(step, own, event); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (t *table) parent(step workload.Step, own *collector.EventSpan, event func(string) (*collector.EventSpan, error)) error {
	s := t.scores[causal.ParentChild]
	if own.ParentSpanID != "" {
		s.found++
	}
	if step.Parent == "" {
		return nil
	}
	s.truth++
	parent, err := event(step.Parent)
	if err != nil {
		return err
	}
	if own.ParentSpanID == parent.SpanID && own.TraceID == parent.TraceID {
		s.right++
	}
	return nil
}

func (t *table) print(out io.Writer) error {
	fmt.Fprintf(out, "\n| kind | true edges | found | right | precision | recall |\n|---|---|---|---|---|---|\n")
	for _, kind := range causal.Types {
		s := t.scores[kind]
		fmt.Fprintf(out, "| %s | %d | %d | %d | %s | %s |\n", kind, s.truth, s.found, s.right, percent(s.right, s.found), percent(s.right, s.truth))
	}
	fmt.Fprintf(out, "\nevents in the wrong span or trace: %d\n", len(t.misplaced))
	fmt.Fprintln(out, "edges other than parent_child are not looked for in this version")
	s := t.scores[causal.ParentChild]
	if len(t.misplaced) > 0 || s.right != s.truth || s.found != s.truth {
		return fmt.Errorf("parents or traces differ from the truth, first: %.5q", t.misplaced)
	}
	return nil
}

func percent(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", 100*float64(part)/float64(whole))
}
