package workload

import (
	"crypto/sha256"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// Spans tells the same shop as a set of services would that are instrumented
// with OpenTelemetry and know nothing of Scope: a call is a span, a send a
// PRODUCER span, the handling of a message a CONSUMER span as long as it
// takes; failures and marks are span events. Spawns, exits, signals and states
// are not told.
//
// Add takes the steps in the order of the shop; a span goes into the batch
// when it ends. Take hands the batch over to the caller. Not safe for
// concurrent use.
type Spans struct {
	// Flavour may be set before the first Add.
	Flavour Flavour

	propagate bool
	batch     ptrace.Traces
	slices    map[[2]string]ptrace.SpanSlice
	open      map[string]*openSpan // by the event that began it
	refs      recent[causal.SpanRef]
	records   recent[record]
	offsets   map[string]int64

	// OnSpan and OnEdge, where set, are told the truth: each span when it
	// begins, and each edge when its effect does.
	OnSpan func(SpanTruth)
	OnEdge func(SpanEdge)
}

type openSpan struct {
	ref      causal.SpanRef
	span     ptrace.Span // in pending until it ends
	pending  ptrace.SpanSlice
	resource [2]string // service, node
	consumer bool      // it began an activity, and ends with it
}

// NewSpans returns an empty converter. propagate says whether trace context
// travels with messages and spawns: then what a message leads to lies in the
// sender's trace; else each activity is a trace of its own.
func NewSpans(propagate bool) *Spans {
	s := &Spans{propagate: propagate, open: map[string]*openSpan{}, refs: newRecent[causal.SpanRef](200_000), records: newRecent[record](200_000), offsets: map[string]int64{}}
	s.reset()
	return s
}

func (s *Spans) reset() {
	s.batch = ptrace.NewTraces()
	s.slices = map[[2]string]ptrace.SpanSlice{}
}

// Len is how many spans have ended since the last Take.
func (s *Spans) Len() int { return s.batch.SpanCount() }

// Take returns the spans that ended since the last Take; they are the
// caller's.
func (s *Spans) Take() ptrace.Traces {
	out := s.batch
	s.reset()
	return out
}

// Add tells one step. Steps must come in order and each once.
func (s *Spans) Add(step *Step) {
	e := &step.Event
	switch {
	case e.Kind == event.KindCall:
		s.start(step, callKind(e), e.Name)
	case e.Kind == event.KindReturn:
		s.returned(step)
	case e.Kind == event.KindSend:
		s.start(step, ptrace.SpanKindProducer, "send "+e.Name)
		s.end(e.ID, e.Time+2000)
	case e.Kind == event.KindReceive && e.Arrived:
		s.alias(step)
	case e.Kind == event.KindReceive && e.Signal == "":
		s.received(step)
	default:
		s.note(step)
	}
	if step.Ends {
		s.end(step.Activity, e.Time)
	}
}

// alias lets an arrival stand for the sending: spans know nothing of it.
func (s *Spans) alias(step *Step) {
	for _, c := range step.Causes {
		if ref, ok := s.refs.get(c.ID); ok && c.Type == causal.MessageFlow {
			s.refs.put(step.Event.ID, ref)
		}
		if r, ok := s.records.get(c.ID); ok && c.Type == causal.MessageFlow {
			s.records.put(step.Event.ID, r)
		}
	}
}

func (s *Spans) received(step *Step) {
	s.start(step, ptrace.SpanKindConsumer, "process "+step.Event.Name)
	if step.Parent == "" {
		s.open[step.Event.ID].consumer = true
		return
	}
	s.end(step.Event.ID, step.Event.Time+2000)
}

func (s *Spans) returned(step *Step) {
	o := s.open[step.Span]
	if o == nil {
		return
	}
	s.refs.put(step.Event.ID, o.ref)
	if failure := step.Event.Error; failure != nil {
		failed(o.span, step.Event.Time, failure)
		if outer := s.open[step.Activity]; outer != nil && outer.consumer {
			outer.span.Status().SetCode(ptrace.StatusCodeError)
		}
	}
	s.end(step.Span, step.Event.Time)
}

// note makes what has no span of its own a span event of the one around it.
func (s *Spans) note(step *Step) {
	o := s.open[step.Parent]
	if o == nil {
		return
	}
	s.refs.put(step.Event.ID, o.ref)
	switch step.Event.Kind {
	case event.KindError:
		failed(o.span, step.Event.Time, step.Event.Error)
	case event.KindMark:
		noted := o.span.Events().AppendEmpty()
		noted.SetName(step.Event.Name)
		noted.SetTimestamp(pcommon.Timestamp(step.Event.Time))
		putAttributes(noted.Attributes(), step.Event.Attributes)
	}
}

func (s *Spans) start(step *Step, kind ptrace.SpanKind, name string) {
	e := &step.Event
	o := &openSpan{pending: ptrace.NewSpanSlice(), resource: [2]string{e.Service, e.Node}}
	o.span = o.pending.AppendEmpty()
	o.ref = causal.SpanRef{TraceID: traceID(step.Activity), SpanID: spanID(e.ID)}
	parent, related := s.context(step)
	if !parent.IsZero() {
		o.ref.TraceID = parent.TraceID
	}
	o.span.SetTraceID(o.ref.TraceID)
	o.span.SetSpanID(o.ref.SpanID)
	o.span.SetParentSpanID(parent.SpanID)
	o.span.SetName(name)
	o.span.SetKind(kind)
	o.span.SetStartTimestamp(pcommon.Timestamp(e.Time))
	s.attributes(o.span, step)
	if s.propagate && !related.IsZero() && related != parent {
		link := o.span.Links().AppendEmpty()
		link.SetTraceID(related.TraceID)
		link.SetSpanID(related.SpanID)
	}
	s.open[e.ID] = o
	s.refs.put(e.ID, o.ref)
	s.tell(step, o.ref, parent, name)
}

// context returns the span's parent and the span that sent the message it
// handles, each zero if there is none.
func (s *Spans) context(step *Step) (parent, related causal.SpanRef) {
	if step.Parent != "" {
		parent, _ = s.refs.get(step.Parent)
	}
	for _, c := range step.Causes {
		ref, ok := s.refs.get(c.ID)
		if !ok || c.Type != causal.MessageFlow && c.Type != causal.ProcessSpawn {
			continue
		}
		if c.Type == causal.MessageFlow {
			related = ref
		}
		if s.propagate && step.Parent == "" {
			parent = ref
		}
	}
	return parent, related
}

func (s *Spans) tell(step *Step, ref, parent causal.SpanRef, name string) {
	if s.OnSpan != nil {
		s.OnSpan(SpanTruth{Ref: ref, Parent: parent.SpanID, Name: name, Service: step.Event.Service, Node: step.Event.Node})
	}
	if s.OnEdge == nil {
		return
	}
	if !parent.IsZero() {
		s.OnEdge(SpanEdge{Type: causal.ParentChild, Cause: parent, Effect: ref, Exact: true})
	}
	for _, c := range step.Causes {
		if c.Type != causal.MessageFlow && !c.SpansOnly {
			continue
		}
		if cause, ok := s.refs.get(c.ID); ok && cause != ref {
			s.OnEdge(SpanEdge{Type: c.Type, Cause: cause, Effect: ref, Exact: s.exact(step)})
		}
	}
}

// exact says whether the span of the step bears the identity of its message.
func (s *Spans) exact(step *Step) bool {
	return step.Event.MessageID != "" || s.Flavour == Kafka || s.Flavour == KafkaOld
}

// end moves a span that is open into the batch.
func (s *Spans) end(id string, at int64) {
	o := s.open[id]
	if o == nil {
		return
	}
	delete(s.open, id)
	o.span.SetEndTimestamp(pcommon.Timestamp(at))
	o.pending.MoveAndAppendTo(s.slice(o.resource))
}

func (s *Spans) slice(key [2]string) ptrace.SpanSlice {
	slice, ok := s.slices[key]
	if !ok {
		rs := s.batch.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", key[0])
		rs.Resource().Attributes().PutStr("service.instance.id", key[1])
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("shop")
		slice = ss.Spans()
		s.slices[key] = slice
	}
	return slice
}

func traceID(activity string) pcommon.TraceID {
	h := sha256.Sum256([]byte("trace " + activity))
	return pcommon.TraceID(h[:16])
}

func spanID(id string) pcommon.SpanID {
	h := sha256.Sum256([]byte("span " + id))
	return pcommon.SpanID(h[:8])
}

func callKind(e *event.Event) ptrace.SpanKind {
	switch {
	case e.MessageID != "" || e.MessageHash != "":
		return ptrace.SpanKindConsumer
	case strings.HasPrefix(e.Name, "POST "):
		return ptrace.SpanKindServer
	case strings.HasPrefix(e.Name, "db.") || strings.HasPrefix(e.Name, "bank."):
		return ptrace.SpanKindClient
	}
	return ptrace.SpanKindInternal
}
