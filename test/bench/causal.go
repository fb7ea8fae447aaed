package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/internal/workload"
	"github.com/otelscope/otelscope/test/internal/collector"
)

// causalLatency says how long causal questions take over HTTP, one at a time.
type causalLatency struct {
	Spans  int64   `json:"spans"` // stored
	Blocks int     `json:"blocks"`
	Cause  latency `json:"direct_causes"`
	Group  latency `json:"group"`
	Chain  latency `json:"chain"` // of chainNodes spans
}

type latency struct {
	Samples uint64  `json:"samples"`
	P50ms   float64 `json:"p50_ms"`
	P99ms   float64 `json:"p99_ms"`
	MaxMs   float64 `json:"max_ms"`
}

const (
	bodyEvents  = 2000
	chains      = 20
	chainNodes  = 1000 // spans of one chain, one after the other
	keptSamples = 50_000
)

// asked is what can be asked for afterwards.
type asked struct {
	effects []string // events with a cause in another process
	groups  []string
	ends    []string // the last event of each long chain
}

// causalQueries stores a million spans of a shop with long chains between
// them, and asks what led to what.
func causalQueries(ctx context.Context, o options, r *results) error {
	fmt.Printf("causal: storing %d spans …\n", o.stored)
	return o.with(ctx, true, func(s *server) error {
		known, err := o.store(ctx, s)
		if err != nil {
			return err
		}
		stats, err := s.api.Store(ctx)
		if err != nil {
			return err
		}
		c := &causalLatency{Spans: stats.Spans, Blocks: stats.Blocks}
		r.Causal = c
		for _, q := range []struct {
			name  string
			of    []string
			n     int
			to    *latency
			path  func(id string) string
			least int // spans in the answer
		}{
			{"direct causes", known.effects, min(5000, o.stored/100), &c.Cause, func(id string) string { return collector.EventPath(id) + "/chain?direction=causes&depth=1" }, 2},
			{"group", known.groups, min(1000, o.stored/500), &c.Group, func(id string) string { return "/api/v1/correlations/" + id + "?limit=1000" }, 10},
			{"chain of 1,000", known.ends, min(200, o.stored/2000), &c.Chain, func(id string) string {
				return collector.EventPath(id) + "/chain?direction=causes&depth=1000&limit=" + strconv.Itoa(chainNodes)
			}, chainNodes},
		} {
			if *q.to, err = o.ask(ctx, s, q.of, q.n, q.path, q.least); err != nil {
				return fmt.Errorf("%s: %w", q.name, err)
			}
			fmt.Printf("  %s: p50 %.2f ms, p99 %.2f ms, max %.2f ms of %d\n", q.name, q.to.P50ms, q.to.P99ms, q.to.MaxMs, q.to.Samples)
		}
		return nil
	})
}

// ask asks n times about a random one of ids.
func (o options) ask(ctx context.Context, s *server, ids []string, n int, path func(string) string, least int) (latency, error) {
	var h loadgen.Histogram
	random := rand.New(rand.NewPCG(o.seed, 1))
	for range n {
		id := ids[random.IntN(len(ids))]
		begin := time.Now()
		nodes, err := s.api.Nodes(ctx, path(id))
		h.Observe(time.Since(begin))
		if err != nil {
			return latency{}, err
		}
		if nodes < least {
			return latency{}, fmt.Errorf("%s: %d spans came back, at least %d were expected", path(id), nodes, least)
		}
	}
	counts := h.Counts()
	return latency{counts.Total(), ms(counts.Quantile(0.5)), ms(counts.Quantile(0.99)), ms(counts.Quantile(1))}, nil
}

// store sends the shop until at least o.stored are stored, and lets the long
// chains grow all the while, so that their spans lie far from each other.
func (o options) store(ctx context.Context, s *server) (asked, error) {
	config := workload.DefaultConfig()
	config.Seed, config.Start, config.OrdersPerSecond = o.seed, time.Now(), 1000
	shop, err := workload.New(config)
	if err != nil {
		return asked{}, err
	}
	sender := loadgen.NewEvents(s.at.EventsURL(), 1)
	defer sender.Close()
	var known asked
	groups := map[string]bool{}
	var body bytes.Buffer
	links := 0
	for spans := 0; spans < o.stored; {
		body.Reset()
		for range bodyEvents {
			step, _ := shop.Next()
			known.note(&step, groups)
			if step.Span == step.Event.ID { // a return has none
				spans++
			}
			body.Write(step.Event.AppendJSON(nil))
			body.WriteByte('\n')
		}
		for ; links < min(chainNodes/2, chainNodes/2*spans/o.stored); links++ {
			for c := range chains {
				appendLink(&body, c, links)
			}
		}
		if err := sender.Send(ctx, body.Bytes()); err != nil {
			return known, err
		}
	}
	known.groups = known.groups[:len(known.groups)/2] // later orders may not be over
	for c := range chains {
		known.ends = append(known.ends, linkID(c, chainNodes/2-1, "s"))
	}
	return known, nil
}

func (a *asked) note(step *workload.Step, groups map[string]bool) {
	e := &step.Event
	for _, c := range step.Causes {
		if c.Type != causal.ParentChild && !c.SpansOnly && len(a.effects) < keptSamples {
			a.effects = append(a.effects, e.ID)
			break
		}
	}
	if g := e.CorrelationID; g != "" && !groups[g] && len(a.groups) < keptSamples {
		groups[g] = true
		a.groups = append(a.groups, g)
	}
}

func linkID(chain, link int, of string) string { return fmt.Sprintf("chain-%d-%d-%s", chain, link, of) }

// appendLink adds the two events of one process of a chain: it receives what
// the one before it sent, and sends to the next.
func appendLink(body *bytes.Buffer, chain, link int) {
	now := time.Now().UnixNano()
	process := func(i int) string { return fmt.Sprintf("link-%d-%d", chain, i) }
	message := func(i int) string { return fmt.Sprintf("chain-%d-m%d", chain, i) }
	e := event.Event{Service: "chain", Node: "n", Process: process(link), Time: now}
	if link > 0 {
		e.Kind, e.ID, e.MessageID = event.KindReceive, linkID(chain, link, "r"), message(link-1)
	} else {
		e.Kind, e.ID, e.Name = event.KindCall, linkID(chain, link, "r"), "begin"
	}
	body.Write(e.AppendJSON(nil))
	body.WriteByte('\n')
	e = event.Event{
		Service: "chain", Node: "n", Process: process(link), Time: now + 1000,
		Kind: event.KindSend, ID: linkID(chain, link, "s"), MessageID: message(link), Peer: process(link + 1),
	}
	body.Write(e.AppendJSON(nil))
	body.WriteByte('\n')
}
