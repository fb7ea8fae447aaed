package pressureprocessor

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/sample"
)

// shedding is what there is while something is shed.
type shedding struct {
	sampler *sample.Sampler
	rescue  *sample.Rescue // nil where nothing is held
}

// batch is a batch that is being decided, and the room for it, which is used
// again.
type batch struct {
	spans    []sample.Span
	at       []located // of spans
	verdicts []sample.Verdict
	sure     []uint64 // chains of which a span here is kept surely
	held     []uint64 // chains of the spans in out
	out      ptrace.Traces
	tally    tally
}

// located is where a span lies: what the sampler may ask about.
type located struct {
	resource pcommon.Map
	span     ptrace.Span
}

// tally is what became of a batch's spans. Calls that are open are in kept
// only: their complete version is what counts.
type tally struct {
	kept       int64 // by chance, or since their ratio is 1
	sure       int64
	sampledOut int64
	rescued    int64
}

func (b *batch) reset() {
	clear(b.at) // no span outlives its batch
	b.spans, b.at, b.verdicts, b.sure, b.held = b.spans[:0], b.at[:0], b.verdicts[:0], b.sure[:0], b.held[:0]
	b.out = ptrace.Traces{}
	b.tally = tally{}
}

// shed hands on what is kept of a batch.
func (p *pressureProcessor) shed(ctx context.Context, s *shedding, td ptrace.Traces) error {
	b := p.batches.Get().(*batch) // a panic leaves it to the garbage collector
	p.read(td, b)
	b.verdicts = s.sampler.Decide(b.spans,
		func(i int) sample.Root { return rootOf(p.cfg.Key, b.at[i].resource, b.at[i].span) },
		func(i int) string { return labelOf(p.cfg.Key, b.at[i].resource, b.at[i].span) },
		b.verdicts)
	b.take(td, s.rescue)
	p.bring(td, s.rescue, b)
	if td.ResourceSpans().Len() > 0 {
		if err := p.forward(ctx, td); err != nil {
			b.reset()
			p.batches.Put(b)
			return err
		}
	}
	p.settle(ctx, s, b)
	b.reset()
	p.batches.Put(b)
	return nil
}

// read fills b with what the sampler needs of each span.
func (p *pressureProcessor) read(td ptrace.Traces, b *batch) {
	for _, resource := range td.ResourceSpans().All() {
		attributes := resource.Resource().Attributes()
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				number, threshold := readState(span)
				b.spans = append(b.spans, sample.Span{
					Chain: number, Threshold: threshold,
					Keep: p.keeps(resource, scope, span), Open: isOpen(span),
				})
				b.at = append(b.at, located{attributes, span})
			}
		}
	}
}

func isOpen(span ptrace.Span) bool {
	v, ok := span.Attributes().Get(causal.AttrCallState)
	return ok && v.Type() == pcommon.ValueTypeStr && v.Str() == causal.CallOpen
}

// keeps says whether a span meets a keep condition.
func (p *pressureProcessor) keeps(resource ptrace.ResourceSpans, scope ptrace.ScopeSpans, span ptrace.Span) bool {
	for i, condition := range p.keep {
		met, err := condition(resource, scope, span)
		if met {
			return true
		}
		if err != nil {
			p.conditionFailed(p.cfg.Keep[i], err)
		}
	}
	return false
}

// take takes out of td what is not kept. What the rescue wants of it goes to
// b.out; open calls do not, since a chain that is kept has their complete
// version.
func (b *batch) take(td ptrace.Traces, rescue *sample.Rescue) {
	i := 0
	td.ResourceSpans().RemoveIf(func(resource ptrace.ResourceSpans) bool {
		var to ptrace.ResourceSpans // in b.out
		resource.ScopeSpans().RemoveIf(func(scope ptrace.ScopeSpans) bool {
			var spans ptrace.SpanSlice // in b.out
			scope.Spans().RemoveIf(func(span ptrace.Span) bool {
				at := i
				i++
				if b.verdicts[at].Kept {
					b.keep(at, span)
					return false
				}
				if b.spans[at].Open {
					return true
				}
				b.tally.sampledOut++
				if rescue == nil || !rescue.Wants(b.spans[at].Chain, b.verdicts[at].Threshold) {
					return true
				}
				if spans == (ptrace.SpanSlice{}) {
					if to == (ptrace.ResourceSpans{}) {
						to = b.newResource(resource)
					}
					spans = newScope(to, scope)
				}
				span.MoveTo(spans.AppendEmpty())
				b.held = append(b.held, b.spans[at].Chain)
				return true
			})
			return scope.Spans().Len() == 0
		})
		return resource.ScopeSpans().Len() == 0
	})
}

func (b *batch) newResource(from ptrace.ResourceSpans) ptrace.ResourceSpans {
	if b.out == (ptrace.Traces{}) {
		b.out = ptrace.NewTraces()
	}
	to := b.out.ResourceSpans().AppendEmpty()
	from.Resource().CopyTo(to.Resource())
	to.SetSchemaUrl(from.SchemaUrl())
	return to
}

func newScope(to ptrace.ResourceSpans, from ptrace.ScopeSpans) ptrace.SpanSlice {
	scope := to.ScopeSpans().AppendEmpty()
	from.Scope().CopyTo(scope.Scope())
	scope.SetSchemaUrl(from.SchemaUrl())
	return scope.Spans()
}

// keep writes onto a span what its being kept means.
func (b *batch) keep(at int, span ptrace.Span) {
	v, s := b.verdicts[at], b.spans[at]
	switch {
	case v.Sure:
		if n := len(b.sure); n == 0 || b.sure[n-1] != s.Chain {
			b.sure = append(b.sure, s.Chain)
		}
		if !s.Open {
			b.tally.sure++
		}
	default:
		if !s.Open {
			b.tally.kept++
		}
		if v.Threshold > 0 && v.Threshold != s.Threshold {
			state := span.TraceState()
			state.FromRaw(withThreshold(state.AsRaw(), v.Threshold))
		}
	}
}

// bring adds to td what is held of the chains that are kept surely. What cannot
// be read is not rescued; that must not hold up what is here.
func (p *pressureProcessor) bring(td ptrace.Traces, rescue *sample.Rescue, b *batch) {
	if rescue == nil {
		return
	}
	slices.Sort(b.sure)
	b.sure = slices.Compact(b.sure)
	var data []byte
	for _, chain := range b.sure {
		var spans int
		var err error
		if data, spans, err = rescue.Find(data, chain); err != nil {
			p.rescueFailed(err)
		}
		b.tally.rescued += int64(spans)
	}
	if len(data) == 0 {
		return
	}
	held, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
	if err != nil {
		b.tally.rescued = 0
		p.rescueFailed(err)
		return
	}
	for _, resource := range held.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				span.Attributes().PutBool(causal.AttrSamplingRescued, true)
				span.TraceState().FromRaw(withoutThreshold(span.TraceState().AsRaw()))
			}
		}
	}
	held.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
}

// settle records a batch that has been taken.
func (p *pressureProcessor) settle(ctx context.Context, s *shedding, b *batch) {
	p.counts.batch(ctx, s.sampler.Mode(), &b.tally)
	if s.rescue == nil {
		return
	}
	for _, chain := range b.sure {
		s.rescue.Forget(chain)
	}
	if len(b.held) == 0 {
		return
	}
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(b.out)
	if err == nil {
		err = s.rescue.Hold(time.Now(), data, b.held)
	}
	if err != nil {
		p.rescueFailed(err)
		p.counts.unheld(len(b.held))
	}
}
