package assemble

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// Names of OpenTelemetry's semantic conventions.
const (
	attrServiceName       = "service.name"
	attrServiceInstanceID = "service.instance.id"
	attrFunctionName      = "code.function.name"
	attrErrorType         = "error.type"
	attrMessagingSystem   = "messaging.system"
	attrDestination       = "messaging.destination.name"
	attrOperationType     = "messaging.operation.type"
	attrMessageID         = "messaging.message.id"
	attrExceptionType     = "exception.type"
	attrExceptionMessage  = "exception.message"
	attrExceptionStack    = "exception.stacktrace"
	exceptionEvent        = "exception"
)

// messagingSystem is messaging.system of native messages.
const messagingSystem = "scope"

// Attributes of ours and of the sender's share one map. The sender's never
// replace ours, and nothing is lost: what collides is kept under its key after
// a prefix, repeated until the key is free.
const (
	prefixEvent  = "event."  // a sender's attribute that bears a key of ours
	prefixReturn = "return." // what a return says otherwise than its call
	reserved     = "scope."  // keys that are ours, whether in use or not
)

// fillEvent writes an event as a span of zero length.
func fillEvent(span ptrace.Span, ev *event.Event, pl *place) {
	span.SetTraceID(pl.trace)
	span.SetSpanID(pl.span)
	span.SetParentSpanID(pl.parent)
	span.SetName(spanName(ev))
	span.SetKind(spanKind(ev.Kind))
	span.SetStartTimestamp(pcommon.Timestamp(ev.Time))
	span.SetEndTimestamp(pcommon.Timestamp(ev.Time))

	m := span.Attributes()
	m.EnsureCapacity(room(ev))
	m.PutStr(causal.AttrEventID, ev.ID)
	m.PutStr(causal.AttrEventKind, ev.Kind.String())
	m.PutInt(causal.AttrEventSeq, pl.seq)
	m.PutStr(causal.AttrProcessID, ev.Process)
	if pl.first {
		m.PutBool(causal.AttrProcessFirst, true)
	}
	if pl.begins && pcommon.TraceID(ev.TraceID) == pl.trace {
		m.PutBool(causal.AttrActivityBegin, true)
	}
	if ev.CallID != "" && (ev.Kind != event.KindCall || ev.CallID != ev.ID) {
		m.PutStr(causal.AttrCallID, ev.CallID)
	}
	w := writer{m: m}
	w.str(causal.AttrCorrelationID, pl.correlation)
	w.operation(ev)
	w.fields(ev)
	if ev.Kind != event.KindCall {
		w.str(causal.AttrOutcome, ev.Outcome)
	}
	addFailure(span, ev)
	w.attributes(ev.Attributes)
}

// room is how many attributes a span usually has in the end: those that all
// have, those of a message or of a call and its return, and the sender's.
func room(ev *event.Event) int {
	n := 5 + len(ev.Attributes)
	switch ev.Kind {
	case event.KindSend, event.KindReceive:
		n += 5
	case event.KindCall, event.KindState:
		n += 3
	}
	return n
}

func spanName(ev *event.Event) string {
	of := ev.Name
	switch ev.Kind {
	case event.KindCall, event.KindMark:
		return of
	case event.KindReturn:
		if of != "" {
			return of
		}
	case event.KindExit, event.KindRecover:
		of = ""
	case event.KindError:
		of = errorType(ev)
	}
	if of == "" {
		return ev.Kind.String()
	}
	return ev.Kind.String() + " " + of
}

func spanKind(k event.Kind) ptrace.SpanKind {
	switch k {
	case event.KindSend:
		return ptrace.SpanKindProducer
	case event.KindReceive:
		return ptrace.SpanKindConsumer
	}
	return ptrace.SpanKindInternal
}

// writer adds attributes of ours to a span that has none of the sender's yet,
// or, merging, what a return says to its call's span.
type writer struct {
	m     pcommon.Map
	merge bool
}

// str adds a string of ours; "" means not given.
func (w writer) str(key, value string) {
	if value == "" {
		return
	}
	if w.merge {
		if old, ok := w.m.Get(key); ok {
			if old.Type() == pcommon.ValueTypeStr && old.Str() == value {
				return
			}
			key = freeKey(w.m, prefixReturn, key)
		}
	}
	w.m.PutStr(key, value)
}

func (w writer) ref(key string, r *event.Ref) {
	if r != nil {
		w.str(key, r.String())
	}
}

// value adds a value of any type.
func (w writer) value(key string, set func(pcommon.Value)) {
	dst, taken := w.m.GetOrPutEmpty(key)
	if !taken {
		set(dst)
		return
	}
	if !w.merge {
		set(w.m.PutEmpty(freeKey(w.m, prefixEvent, key)))
		return
	}
	v := pcommon.NewValueEmpty()
	if set(v); !v.Equal(dst) {
		v.MoveTo(w.m.PutEmpty(freeKey(w.m, prefixReturn, key)))
	}
}

func freeKey(m pcommon.Map, prefix, key string) string {
	for taken := true; taken; _, taken = m.Get(key) {
		key = prefix + key
	}
	return key
}

// operation adds what the semantic conventions say of functions and messages.
func (w writer) operation(ev *event.Event) {
	message := ev.MessageID != "" || ev.MessageHash != ""
	switch {
	case ev.Kind == event.KindCall || ev.Kind == event.KindReturn:
		w.str(attrFunctionName, ev.Name)
		if ev.Kind == event.KindCall && message {
			w.messaging("process", ev.Process)
		}
	case ev.Kind == event.KindSend:
		w.messaging("send", ev.Peer)
	case ev.Kind == event.KindReceive:
		w.messaging("receive", ev.Process)
		if ev.Arrived {
			w.str(causal.AttrMessagePhase, "arrived")
		}
	}
	w.str(attrMessageID, ev.MessageID)
	w.str(causal.AttrMessageHash, ev.MessageHash)
}

func (w writer) messaging(operation, destination string) {
	w.str(attrMessagingSystem, messagingSystem)
	w.str(attrOperationType, operation)
	w.str(attrDestination, destination)
}

// fields adds the fields that any kind may have, except for those that
// fillEvent and addReturn treat each in their way.
func (w writer) fields(ev *event.Event) {
	w.str(causal.AttrPeerID, ev.Peer)
	if ev.Kind == event.KindSpawn {
		w.str(causal.AttrChildNode, ev.PeerNode)
	} else {
		w.str(causal.AttrPeerNode, ev.PeerNode)
	}
	w.str(causal.AttrPeerService, ev.PeerService)
	w.str(causal.AttrChildID, ev.Child)
	w.str(causal.AttrSignal, ev.Signal)
	w.str(causal.AttrEntityID, ev.Entity)
	if ev.HasVersion {
		w.value(causal.AttrEntityVersion, func(v pcommon.Value) { v.SetInt(ev.Version) })
	}
	w.str(causal.AttrStateFrom, ev.From)
	w.str(causal.AttrStateTo, ev.To)
	w.ref(causal.AttrCause, ev.Cause)
	w.str(causal.AttrCauseType, ev.CauseType)
	w.ref(causal.AttrTrigger, ev.Trigger)
	w.ref(causal.AttrRecovers, ev.Recovers)
	if ev.Priority != event.PriorityNormal {
		w.str(causal.AttrPriority, ev.Priority.String())
	}
}

// attributes adds the sender's own attributes.
func (w writer) attributes(kvs []event.KeyValue) {
	for i := range kvs {
		key := kvs[i].Key
		if strings.HasPrefix(key, reserved) {
			key = prefixEvent + key
		}
		w.value(key, func(dst pcommon.Value) { setValue(dst, &kvs[i].Value) })
	}
}

func setValue(dst pcommon.Value, v *event.Value) {
	switch v.Type {
	case event.ValueString:
		dst.SetStr(v.Str)
	case event.ValueBool:
		dst.SetBool(v.Bool)
	case event.ValueInt:
		dst.SetInt(v.Int)
	case event.ValueDouble:
		dst.SetDouble(v.Double)
	case event.ValueBytes:
		dst.SetEmptyBytes().FromRaw([]byte(v.Str))
	case event.ValueArray:
		s := dst.SetEmptySlice()
		s.EnsureCapacity(len(v.Array))
		for i := range v.Array {
			setValue(s.AppendEmpty(), &v.Array[i])
		}
	case event.ValueMap:
		m := dst.SetEmptyMap()
		m.EnsureCapacity(len(v.Map))
		for i := range v.Map {
			setValue(m.PutEmpty(v.Map[i].Key), &v.Map[i].Value)
		}
	}
}

// failed reports whether the event says that something went wrong.
func failed(ev *event.Event) bool {
	switch ev.Kind {
	case event.KindError:
		return true
	case event.KindReturn, event.KindExit:
		return ev.Outcome != ""
	}
	return false
}

// errorType is error.type of an event that has an error or failed.
func errorType(ev *event.Event) string {
	if ev.Error != nil && ev.Error.Type != "" {
		return ev.Error.Type
	}
	return ev.Outcome
}

// addFailure adds status and exception of an event.
func addFailure(span ptrace.Span, ev *event.Event) {
	if ev.Error == nil && !failed(ev) {
		return
	}
	var e event.Error
	if ev.Error != nil {
		e = *ev.Error
	}
	e.Type = errorType(ev)
	x := span.Events().AppendEmpty()
	x.SetName(exceptionEvent)
	x.SetTimestamp(pcommon.Timestamp(ev.Time))
	w := writer{m: x.Attributes()}
	w.str(attrExceptionType, e.Type)
	w.str(attrExceptionMessage, e.Message)
	w.str(attrExceptionStack, e.Stacktrace)
	if failed(ev) {
		setFailed(span, e.Type, e.Message)
	}
}

func setFailed(span ptrace.Span, errorType, message string) {
	span.Status().SetCode(ptrace.StatusCodeError)
	span.Status().SetMessage(message)
	putOurs(span.Attributes(), attrErrorType, errorType)
}

// putOurs sets a string of ours on a span that has attributes of the sender's:
// one of the same key moves aside.
func putOurs(m pcommon.Map, key, value string) {
	if old, ok := m.Get(key); ok {
		aside := pcommon.NewValueEmpty()
		old.MoveTo(aside)
		aside.MoveTo(m.PutEmpty(freeKey(m, prefixEvent, key)))
	}
	m.PutStr(key, value)
}
