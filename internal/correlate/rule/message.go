package rule

import (
	"encoding/binary"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/correlate"
)

// Native messages go from process to process. One that bears an id is found by
// it; of those that bear but a hash of their content, the order tells which is
// which; one that bears neither is the one that waits in the mailbox, if
// exactly one does. All that concerns one id or hash is of one shard.

// An id may be unique for its sender and receiver only, and contents are equal
// by chance: where a receiver tells the sender, no other's message is taken for
// it.

// send offers a message. Who does not know its receiver offers it to any.
func (x *Extractor) send() {
	n := &x.set.native
	to := x.peer()
	if name := x.messageID(); name != "" {
		id := text(name)
		x.add(correlate.Offer, n.messageID, id, false, combine(tagMessage, to, id)).Aux = x.own
		key := combine(tagMessageReference, id, 0)
		x.add(correlate.Offer, n.reference, key, false, key)
		return
	}
	if hash := x.messageHash(); hash != 0 && to != 0 {
		x.add(correlate.QueueOffer, n.equalMessages, hash, false, combine(tagQueue, to, hash)).Aux = x.own
	}
}

// receive claims a message, or the exit that a signal tells of.
func (x *Extractor) receive(span ptrace.Span) {
	arrived := x.span.str(slotPhase) == "arrived"
	if x.span.str(slotSignal) != "" {
		x.signalled()
		x.signal(span, arrived)
		return
	}
	if arrived {
		x.arrive(span)
	} else {
		x.take()
	}
}

// signal is what a signal is as a message: nobody sent it, but it lies in the
// mailbox until it is handled.
func (x *Extractor) signal(span ptrace.Span, arrived bool) {
	n := &x.set.native
	hash := x.messageHash()
	switch {
	case arrived && hash != 0:
		x.add(correlate.QueueOffer, n.arrival, hash, false, combine(tagQueueArrived, x.own, hash)).Aux = x.peer()
		x.inProcess(correlate.Arrive, n.singleMessage, false, hash)
	case arrived:
		x.inProcess(correlate.Arrive, n.singleMessage, false, unknownMessage(span))
	case hash != 0:
		x.add(correlate.QueueClaim, n.equalMessages, hash, false, combine(tagQueueArrived, x.own, hash)).Aux = x.peer()
		x.inProcess(correlate.Take, n.singleMessage, false, hash)
	}
}

// arrive is the arrival of a message in the mailbox.
func (x *Extractor) arrive(span ptrace.Span) {
	n := &x.set.native
	name, hash := x.messageID(), x.messageHash()
	switch {
	case name != "":
		id := text(name)
		x.add(correlate.Claim, n.messageID, id, false, combine(tagMessage, x.own, id), combine(tagMessage, 0, id)).Aux = x.peer()
		x.add(correlate.Offer, n.arrival, id, false, combine(tagArrived, x.own, id)).Aux = x.peer()
		x.inProcess(correlate.Arrive, n.singleMessage, false, id)
	case hash != 0:
		x.add(correlate.QueueClaim, n.equalMessages, hash, false, combine(tagQueue, x.own, hash)).Aux = x.peer()
		x.add(correlate.QueueOffer, n.arrival, hash, false, combine(tagQueueArrived, x.own, hash)).Aux = x.peer()
		x.inProcess(correlate.Arrive, n.singleMessage, false, hash)
	default:
		x.inProcess(correlate.Arrive, n.singleMessage, false, unknownMessage(span))
	}
}

// take is the beginning of a message's handling: it comes out of the mailbox
// or, where arrivals are not told, from its sender.
func (x *Extractor) take() {
	n := &x.set.native
	name, hash := x.messageID(), x.messageHash()
	switch {
	case name != "":
		id := text(name)
		x.add(correlate.Claim, n.messageID, id, false,
			combine(tagArrived, x.own, id), combine(tagMessage, x.own, id), combine(tagMessage, 0, id)).Aux = x.peer()
		x.inProcess(correlate.Take, n.singleMessage, false, id)
	case hash != 0:
		x.add(correlate.QueueClaim, n.equalMessages, hash, false, combine(tagQueueArrived, x.own, hash), combine(tagQueue, x.own, hash)).Aux = x.peer()
		x.inProcess(correlate.Take, n.singleMessage, false, hash)
	default:
		x.inProcess(correlate.Take, n.singleMessage, false, 0)
	}
}

// handle is a call that handles a message, or may: what a process does at the
// top of its stack is in response to something.
func (x *Extractor) handle(span ptrace.Span) {
	if x.messageID() != "" || x.messageHash() != 0 || span.ParentSpanID().IsEmpty() {
		x.take()
	}
}

func (x *Extractor) messageID() string { return x.span.str(slotMessageID) }

// messageHash hashes the message's hash, 0 where there is none.
func (x *Extractor) messageHash() uint64 {
	if hash := x.span.str(slotHash); hash != "" {
		return text(hash)
	}
	return 0
}

// unknownMessage stands for a message of which only its arrival is known.
func unknownMessage(span ptrace.Span) uint64 {
	trace, id := span.TraceID(), span.SpanID()
	return combine(tagSpan, binary.BigEndian.Uint64(trace[8:]), binary.BigEndian.Uint64(id[:]))
}
