package rule

import (
	"encoding/binary"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/correlate"
)

// maxLinks is how many of a span's links are looked at.
const maxLinks = 8

// Extractor reduces spans to observations. It belongs to one goroutine.
type Extractor struct {
	set          *Set
	observations []correlate.Observation
	ops          []correlate.Op
	links        []causal.SpanRef
	answers      []answer // by condition
	values       []value  // by element

	span, resource slots
	origin         uint64 // of the resource
	service        uint64 // hash of the resource's service
	clock          uint32 // of the resource
	own            uint64 // the span's process, 0 without
	end            bool   // it is a call's span, complete
	none           correlate.Op
}

// answer is whether a condition was met by the span of a round.
type answer struct {
	round uint64
	met   bool
}

// value is an element's hash for the span of a round.
type value struct{ round, hash uint64 }

// NewExtractor returns an extractor by the rules of the set.
func (s *Set) NewExtractor() *Extractor {
	return &Extractor{
		set:      s,
		answers:  make([]answer, len(s.conditions)),
		values:   make([]value, len(s.elements)),
		span:     slots{all: make([]slot, s.slots)},
		resource: slots{all: make([]slot, s.slots)},
	}
}

// Extract returns an observation of each span, in the order of resources,
// scopes and spans. They are the extractor's own and valid until it is called
// again; Correlation is a string of the span.
func (x *Extractor) Extract(td ptrace.Traces) []correlate.Observation {
	x.observations, x.ops, x.links = x.observations[:0], x.ops[:0], x.links[:0]
	for _, rs := range td.ResourceSpans().All() {
		x.enter(rs.Resource())
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				x.observe(rs, ss, span)
			}
		}
	}
	clear(x.span.all) // nothing of td is kept alive
	clear(x.resource.all)
	return x.observations
}

// enter takes what all spans of a resource share.
func (x *Extractor) enter(r pcommon.Resource) {
	x.resource.fill(r.Attributes(), &x.set.names)
	service, instance := x.resource.str(slotService), x.resource.str(slotInstance)
	x.service, x.origin = text(service), origin(service, instance)
	host := x.resource.str(slotHost)
	switch {
	case instance != "":
		x.clock = uint32(text(instance))
	case host != "":
		x.clock = uint32(text(host))
	case service != "":
		x.clock = uint32(text("service:" + service))
	default:
		x.clock = 0
	}
}

func (x *Extractor) observe(rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) {
	x.span.fill(span.Attributes(), &x.set.names)
	firstOp, firstLink := len(x.ops), len(x.links)
	trace := span.TraceID()
	o := correlate.Observation{
		Span:        causal.SpanRef{TraceID: trace, SpanID: span.SpanID()},
		Start:       int64(span.StartTimestamp()),
		Clock:       x.clock,
		Root:        span.ParentSpanID().IsEmpty(),
		Correlation: x.span.str(slotCorrelation),
		Randomness:  binary.BigEndian.Uint64(trace[8:]) & (1<<56 - 1),
	}
	if state := span.TraceState().AsRaw(); state != "" {
		rv, hasRV, sampled := sampling(state)
		if o.Sampled = sampled; hasRV {
			o.Randomness = rv
		}
	}
	x.own, x.end = 0, false
	if id := x.span.str(slotProcess); id != "" {
		x.own = process(x.origin, id)
	}
	o.Process = x.own
	if kind := x.span.str(slotEventKind); kind != "" {
		x.version(kind, &o)
		x.native(kind, span)
	}
	x.formed(rs, ss, span)
	x.linked(span)
	o.Ops, o.Links = x.ops[firstOp:len(x.ops):len(x.ops)], x.links[firstLink:len(x.links):len(x.links)]
	x.observations = append(x.observations, o)
}

// version says which version of a call's span this is.
func (x *Extractor) version(kind string, o *correlate.Observation) {
	if kind != "call" {
		return
	}
	switch x.span.str(slotCallState) {
	case causal.CallOpen:
		o.Version = correlate.Open
		return
	case causal.CallAbandoned:
		// Its process did nothing: that it ended, or went too deep, is known
		// from other spans. It must not stand between a failed return and the
		// exit.
		o.Process = 0
	}
	x.end = true
}

// formed adds what the rules of the one form say of the span. Of a complete
// call all is done at its end: what was found by its open version too is found
// again, and is the same.
func (x *Extractor) formed(rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) {
	for i := range x.set.forms {
		f := &x.set.forms[i]
		if x.met(f.cause.condition, rs, ss, span) {
			if key := x.key(f.relation, f.cause.key); key != 0 {
				x.add(correlate.Offer, f.rule, key, x.end, key)
			}
		}
		if x.met(f.effect.condition, rs, ss, span) {
			if key := x.key(f.relation, f.effect.key); key != 0 {
				x.add(correlate.Claim, f.rule, key, x.end, key)
			}
		}
	}
}

// met evaluates a condition, once a span.
func (x *Extractor) met(i int, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) bool {
	a := &x.answers[i]
	if a.round == x.span.round {
		return a.met
	}
	a.round = x.span.round
	if c := &x.set.conditions[i]; c.met != nil {
		a.met = c.met(rs, ss, span)
	} else {
		a.met = c.of.met(x, span)
	}
	return a.met
}

// linked adds the causes that the span came with.
func (x *Extractor) linked(span ptrace.Span) {
	links := span.Links()
	for i := range min(links.Len(), maxLinks) {
		link := links.At(i)
		if role, ok := link.Attributes().Get(causal.AttrLinkRole); ok && role.Str() == causal.LinkRoleEffect {
			continue
		}
		x.links = append(x.links, causal.SpanRef{TraceID: link.TraceID(), SpanID: link.SpanID()})
	}
}

// add adds an op, unless its rule is off, and returns it, or one that is of no
// account.
func (x *Extractor) add(kind correlate.OpKind, rule uint16, shard uint64, end bool, key ...uint64) *correlate.Op {
	if rule == off {
		return &x.none
	}
	x.ops = append(x.ops, correlate.Op{Kind: kind, End: end, Rule: rule, Shard: shard})
	op := &x.ops[len(x.ops)-1]
	copy(op.Keys[:], key)
	return op
}
