package workload

import (
	"encoding/json"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
)

// The truth is NDJSON, one object a line: for each event (or span) where it
// belongs, and for each causal edge its two ends.
//
//	{"event":{"event_id","kind","service","node","process","span","parent","activity"}}
//	{"edge":{"type","cause":{"event_id"},"effect":{"event_id"}}}
//
// span, parent and activity are event ids: whose span the event is part of,
// whose span is that one's parent, and which event began the trace. Of spans:
//
//	{"span":{"trace_id","span_id","parent_span_id","name","service","node"}}
//	{"edge":{"type","cause":{"trace_id","span_id"},"effect":{"trace_id","span_id"}}}
//
// What is empty is left out.

type truthLine struct {
	Event *eventTruth `json:"event,omitempty"`
	Span  *spanTruth  `json:"span,omitempty"`
	Edge  *edgeTruth  `json:"edge,omitempty"`
}

type eventTruth struct {
	ID       string `json:"event_id"`
	Kind     string `json:"kind"`
	Service  string `json:"service"`
	Node     string `json:"node"`
	Process  string `json:"process"`
	Span     string `json:"span"`
	Parent   string `json:"parent,omitempty"`
	Activity string `json:"activity"`
}

type spanTruth struct {
	end
	Parent  string `json:"parent_span_id,omitempty"`
	Name    string `json:"name"`
	Service string `json:"service"`
	Node    string `json:"node"`
}

type edgeTruth struct {
	Type   causal.Type `json:"type"`
	Cause  end         `json:"cause"`
	Effect end         `json:"effect"`
}

// end names an event or a span.
type end struct {
	EventID string `json:"event_id,omitempty"`
	TraceID string `json:"trace_id,omitempty"`
	SpanID  string `json:"span_id,omitempty"`
}

func endOf(ref causal.SpanRef) end {
	return end{TraceID: ref.TraceID.String(), SpanID: ref.SpanID.String()}
}

func appendLine(out []byte, line truthLine) []byte {
	body, err := json.Marshal(line)
	if err != nil {
		panic(err) // strings only: it cannot fail
	}
	return append(append(out, body...), '\n')
}

// AppendTruth appends what is true of the step told as a native event.
func (s *Step) AppendTruth(out []byte) []byte {
	e := &s.Event
	out = appendLine(out, truthLine{Event: &eventTruth{
		ID: e.ID, Kind: e.Kind.String(), Service: e.Service, Node: e.Node, Process: e.Process,
		Span: s.Span, Parent: s.Parent, Activity: s.Activity,
	}})
	for _, c := range s.Causes {
		if !c.SpansOnly {
			out = appendLine(out, truthLine{Edge: &edgeTruth{Type: c.Type, Cause: end{EventID: c.ID}, Effect: end{EventID: e.ID}}})
		}
	}
	return out
}

// SpanTruth is where a span belongs.
type SpanTruth struct {
	Ref                 causal.SpanRef
	Parent              pcommon.SpanID // empty for the root of a trace
	Name, Service, Node string
}

// AppendTruth appends it.
func (t *SpanTruth) AppendTruth(out []byte) []byte {
	return appendLine(out, truthLine{Span: &spanTruth{
		end: endOf(t.Ref), Parent: t.Parent.String(), Name: t.Name, Service: t.Service, Node: t.Node,
	}})
}

// SpanEdge is one true causal edge between spans.
type SpanEdge struct {
	Type          causal.Type
	Cause, Effect causal.SpanRef
	Exact         bool // the spans tell it by an identity
}

// AppendTruth appends it.
func (e *SpanEdge) AppendTruth(out []byte) []byte {
	return appendLine(out, truthLine{Edge: &edgeTruth{Type: e.Type, Cause: endOf(e.Cause), Effect: endOf(e.Effect)}})
}
