package main

import (
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/workload"
)

// start is when the simulations begin: the same steps at any time.
var start = time.Unix(1_750_000_000, 0)

const (
	lanes      = 4  // senders at once
	mostSteps  = 25 // of a request
	spansEach  = 50 // of a request
	aheadLanes = 6  // requests that are under way at most
)

// parcel is one request of a plan.
type parcel struct {
	lane   int
	steps  []workload.Step
	traces ptrace.Traces // where steps is nil
}

// plan is a workload as it is sent, and what is true of it.
type plan struct {
	recipe
	parcels []parcel
	truth   *truth
	events  int
	early   float64 // share of true edges whose effect is told first
}

// size scales how much is simulated: 1 is what the report says.
type size float64

func (s size) of(n int) int { return max(1, int(float64(n)*float64(s))) }

// newPlan plays the recipe. concurrent says that several requests are under way
// at a time, and that the collector divides them among its workers.
func newPlan(r recipe, seed uint64, s size, concurrent bool) (*plan, error) {
	source, err := r.source(seed, s)
	if err != nil {
		return nil, err
	}
	r.disturb.Seed = seed
	disturbed, err := workload.NewDisturb(source, r.disturb)
	if err != nil {
		return nil, err
	}
	p := &plan{recipe: r, truth: newTruth()}
	if r.form != native {
		p.spans(disturbed.Next, seed)
		return p, nil
	}
	cutting := workload.Cutting{Seed: seed, Lanes: lanes, Most: mostSteps, Duplicate: r.duplicate, Later: r.later}
	slack := aheadLanes * mostSteps
	if r.ordered {
		cutting.Lanes, slack = 1, mostSteps
	}
	if !concurrent {
		slack = 0
	}
	requests, err := workload.NewRequests(disturbed.Next, cutting)
	if err != nil {
		return nil, err
	}
	var told []workload.Step
	for {
		request, ok := requests.Next()
		if !ok {
			break
		}
		p.parcels = append(p.parcels, parcel{lane: request.Lane, steps: request.Steps})
		if !request.Again {
			told = append(told, byNode(request.Steps)...)
		}
	}
	workload.Decide(told, slack)
	p.events = len(told)
	p.early = early(told)
	p.truth.ofSteps(told)
	return p, nil
}

// byNode returns the steps in the order in which their spans come out: those
// of one node lie together.
func byNode(steps []workload.Step) []workload.Step {
	first := map[string]int{}
	for i := range steps {
		node := steps[i].Event.Service + "\x00" + steps[i].Event.Node
		if _, ok := first[node]; !ok {
			first[node] = i
		}
	}
	out := slices.Clone(steps)
	slices.SortStableFunc(out, func(a, b workload.Step) int {
		return first[a.Event.Service+"\x00"+a.Event.Node] - first[b.Event.Service+"\x00"+b.Event.Node]
	})
	return out
}

func (r recipe) source(seed uint64, s size) (func() (workload.Step, bool), error) {
	var sources []func() (workload.Step, bool)
	if r.orders > 0 {
		c := workload.DefaultConfig()
		c.Seed, c.Start, c.Orders, c.OrdersPerSecond = seed, start, s.of(r.orders), 20
		if r.unlucky {
			c.OutOfStock, c.Declined, c.PaymentCrash, c.DeliveryFails, c.MailServerDown = 0.1, 0.3, 0.3, 0.5, 0.3
		}
		shop, err := workload.New(c)
		if err != nil {
			return nil, err
		}
		sources = append(sources, shop.Next)
	}
	for i, name := range r.scenarios {
		scenario, err := workload.NewScenario(name, workload.Trial{Seed: seed + uint64(i), Start: start, Rounds: s.of(rounds)})
		if err != nil {
			return nil, err
		}
		sources = append(sources, scenario.Next)
	}
	return workload.Merge(sources...), nil
}

// spans turns the steps into requests of spans.
func (p *plan) spans(next func() (workload.Step, bool), seed uint64) {
	spans := workload.NewSpans(p.propagate)
	spans.Flavour = flavours[p.form]
	var edges []workload.SpanEdge
	spans.OnEdge = func(e workload.SpanEdge) { edges = append(edges, e) }
	spans.OnSpan = func(t workload.SpanTruth) { p.truth.known[refText(t.Ref)] = true }
	take := func() {
		if spans.Len() > 0 {
			p.parcels = append(p.parcels, parcel{lane: len(p.parcels) % lanes, traces: spans.Take()})
		}
	}
	for step, ok := next(); ok; step, ok = next() {
		spans.Add(&step)
		if spans.Len() >= spansEach {
			take()
		}
	}
	take()
	status := map[causal.SpanRef]ptrace.StatusCode{}
	for _, parcel := range p.parcels {
		for _, span := range allSpans(parcel.traces) {
			p.events++
			status[causal.SpanRef{TraceID: span.TraceID(), SpanID: span.SpanID()}] = span.Status().Code()
		}
	}
	p.truth.ofSpans(edges, func(ref causal.SpanRef) bool { return status[ref] == ptrace.StatusCodeError })
	p.parcels = mix(p.parcels, p.recipe, seed)
}

func allSpans(td ptrace.Traces) func(yield func(ptrace.ResourceSpans, ptrace.Span) bool) {
	return func(yield func(ptrace.ResourceSpans, ptrace.Span) bool) {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					if !yield(rs, span) {
						return
					}
				}
			}
		}
	}
}
