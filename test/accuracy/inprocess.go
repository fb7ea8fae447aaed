package main

import (
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/assemble"
	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/correlate"
	"github.com/otelscope/otelscope/internal/correlate/rule"
)

// bench is what the collector does between its sockets and its store, in this
// goroutine: one request after another, in the order of the plan.
type bench struct {
	assembler *assemble.Assembler
	out       *assemble.Output
	finder    *finder
	now       int64
	ids       map[string]string // of spans, by refText: their events'
	traces    map[string]string // of events
	edges     []rawEdge
}

// rawEdge is an edge between spans.
type rawEdge struct {
	kind          causal.Type
	cause, effect string // as refText writes them
	confidence    float64
	rule          string
}

// playInProcess judges the plan without a collector.
func playInProcess(p *plan) (*verdict, error) {
	find, err := newFinder()
	if err != nil {
		return nil, err
	}
	b := &bench{
		assembler: assemble.New(assemble.Config{
			StackDepth: 1024, OpenCalls: 4096, EmitOpenCalls: true,
			DedupWindow: 10 * time.Minute, Dedup: assemble.NewBudget(1_000_000), Processes: 1_000_000,
		}),
		out: assemble.NewOutput("test"), finder: find, now: start.UnixNano(),
		ids: map[string]string{}, traces: map[string]string{},
	}
	for i := range p.parcels {
		b.take(&p.parcels[i])
	}
	all := make([]found, len(b.edges))
	for i, e := range b.edges {
		all[i] = found{edge{e.kind, b.name(e.cause), b.name(e.effect)}, e.confidence, e.rule}
	}
	return judge(p, all, func(event string) (string, bool) {
		trace, ok := b.traces[p.truth.span[event]]
		return trace, ok
	}), nil
}

func (b *bench) take(p *parcel) {
	b.now += int64(time.Millisecond)
	if p.steps == nil {
		b.observe(p.traces)
		return
	}
	b.assembler.Begin()
	for i := range p.steps {
		b.assembler.Add(&p.steps[i].Event, b.now, b.out)
	}
	b.assembler.End(b.now, b.out)
	b.assembler.Commit()
	b.observe(b.out.Traces())
}

func (b *bench) observe(td ptrace.Traces) {
	for _, span := range allSpans(td) {
		ref := refText(causal.SpanRef{TraceID: span.TraceID(), SpanID: span.SpanID()})
		if id, ok := span.Attributes().Get(causal.AttrEventID); ok {
			b.ids[ref] = id.Str()
			b.traces[id.Str()] = span.TraceID().String()
		}
		if !span.ParentSpanID().IsEmpty() {
			parent := causal.SpanRef{TraceID: span.TraceID(), SpanID: span.ParentSpanID()}
			b.edges = append(b.edges, rawEdge{causal.ParentChild, refText(parent), ref, 1, "parent"})
		}
	}
	b.edges = b.finder.find(td, b.now, b.edges)
}

// name is the event of a span, or the span itself where it has none.
func (b *bench) name(ref string) string {
	if id, ok := b.ids[ref]; ok {
		return id
	}
	return ref
}

// finder is the core of correlate.
type finder struct {
	rules     []correlate.Rule
	extractor *rule.Extractor
	engine    *correlate.Engine
	result    correlate.Result
}

// newFinder returns one with the distribution's settings.
func newFinder() (*finder, error) {
	const window = 5 * time.Minute
	set, err := rule.Compile(causal.Types, nil, window)
	if err != nil {
		return nil, err
	}
	return &finder{
		rules: set.Rules(), extractor: set.NewExtractor(),
		engine: correlate.New(correlate.Config{
			Rules: set.Rules(), Window: window, MaxEntries: 1_000_000, MaxBytes: 256 << 20, MinConfidence: 0.5, MaxLate: 128,
		}),
	}, nil
}

// find appends the edges that spans of the batch shall carry.
func (f *finder) find(td ptrace.Traces, now int64, to []rawEdge) []rawEdge {
	batch := f.extractor.Extract(td)
	f.engine.Observe(batch, now, &f.result)
	for i := range batch {
		self := refText(batch[i].Span)
		for j := range f.result.Count(i) {
			found := f.result.Edge(i, j)
			r := &f.rules[found.Rule]
			e := rawEdge{kind: r.Type, cause: refText(found.Other), effect: self, confidence: found.Confidence, rule: r.Name}
			if !found.OtherIsCause {
				e.cause, e.effect = e.effect, e.cause
			}
			to = append(to, e)
		}
	}
	return to
}
