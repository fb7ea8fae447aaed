package rule

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/correlate"
)

// native adds what the span of a native event of this kind offers and claims.
func (x *Extractor) native(kind string, span ptrace.Span) {
	x.offerEvents()
	x.claimReferences()
	if first, ok := x.span.get(slotFirst); ok && first.Bool() && x.own != 0 {
		x.born()
	}
	switch kind {
	case "call":
		x.handle(span)
		x.returned()
	case "return": // one that found no call
		x.returned()
	case "send":
		x.send()
	case "receive":
		x.receive(span)
	case "spawn":
		x.spawned(span.Name())
	case "exit":
		x.exited()
	case "state":
		x.changed()
	case "error":
		x.noteFailure(false)
	case "recover":
		x.recovered()
	}
}

// offerEvents lets references find the span by the events that it came from.
func (x *Extractor) offerEvents() {
	rule := x.set.native.reference
	for _, slot := range [...]int{slotEventID, slotReturnID} {
		if id := x.span.str(slot); id != "" {
			key := combine(tagEvent, x.origin, text(id))
			x.add(correlate.Offer, rule, key, slot == slotReturnID, key)
		}
	}
}

// claimReferences claims what the span's references name. Those that a call's
// span bears may have come with its return.
func (x *Extractor) claimReferences() {
	n := &x.set.native
	if cause := x.span.str(slotCause); cause != "" {
		if rule, known := n.cause[causal.Type(x.span.str(slotCauseType))]; known {
			x.claimReference(rule, cause)
		}
	}
	if trigger := x.span.str(slotTrigger); trigger != "" {
		x.claimReference(n.trigger, trigger)
	}
	if failure := x.span.str(slotRecovers); failure != "" {
		x.claimReference(n.recovers, failure)
	}
}

func (x *Extractor) claimReference(rule uint16, reference string) {
	r, ok := parseReference(reference)
	if !ok {
		return
	}
	key := combine(tagMessageReference, text(r.message), 0)
	if r.message == "" {
		key = combine(tagEvent, x.originOf(r.service, r.node), text(r.id))
	}
	x.add(correlate.Claim, rule, key, x.end, key)
}

// originOf hashes an origin, of which "" is the span's own.
func (x *Extractor) originOf(service, node string) uint64 {
	if service == "" && node == "" {
		return x.origin
	}
	if service == "" {
		service = x.resource.str(slotService)
	}
	if node == "" {
		node = x.resource.str(slotInstance)
	}
	return origin(service, node)
}

// peer hashes the process at the other side, 0 where it is not known.
func (x *Extractor) peer() uint64 {
	id := x.span.str(slotPeer)
	if id == "" {
		return 0
	}
	return process(x.originOf(x.span.str(slotPeerService), x.span.str(slotPeerNode)), id)
}

// inProcess adds an op on the span's process, if it has one.
func (x *Extractor) inProcess(kind correlate.OpKind, rule uint16, end bool, aux uint64) {
	if x.own != 0 {
		x.add(kind, rule, x.own, end, x.own).Aux = aux
	}
}

// failed reports whether the span says how something ended, and not well.
func (x *Extractor) failed() bool {
	outcome := x.span.str(slotOutcome)
	return outcome != "" && outcome != "normal"
}

// integer returns the integer in a slot.
func (s *slots) integer(i int) (int64, bool) {
	v, ok := s.get(i)
	if !ok || v.Type() != pcommon.ValueTypeInt {
		return 0, false
	}
	return v.Int(), true
}
