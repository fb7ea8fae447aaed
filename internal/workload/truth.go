package workload

import (
	"encoding/hex"

	"github.com/go-faster/jx"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
)

// Truth writes what truly happened as NDJSON, one object a line: for each
// event (or span) where it belongs, and for each causal edge its two ends.
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
// The zero value is ready; it is not safe for concurrent use.
type Truth struct{ json jx.Encoder }

// AppendStep appends what is true of a step told as a native event.
func (t *Truth) AppendStep(out []byte, s *Step) []byte {
	w := t.line("event")
	w.text("event_id", s.Event.ID)
	w.text("kind", s.Event.Kind.String())
	w.text("service", s.Event.Service)
	w.text("node", s.Event.Node)
	w.text("process", s.Event.Process)
	w.text("span", s.Span)
	w.text("parent", s.Parent)
	w.text("activity", s.Activity)
	out = t.end(out)
	for _, c := range s.Causes {
		if c.SpansOnly {
			continue
		}
		w := t.line("edge")
		w.text("type", string(c.Type))
		w.end("cause", func() { w.text("event_id", c.ID) })
		w.end("effect", func() { w.text("event_id", s.Event.ID) })
		out = t.end(out)
	}
	return out
}

// AppendSpan appends where a span belongs.
func (t *Truth) AppendSpan(out []byte, s *SpanTruth) []byte {
	w := t.line("span")
	w.ids(s.Ref)
	if !s.Parent.IsEmpty() {
		w.text("parent_span_id", hex.EncodeToString(s.Parent[:]))
	}
	w.text("name", s.Name)
	w.text("service", s.Service)
	w.text("node", s.Node)
	return t.end(out)
}

// AppendEdge appends an edge between spans.
func (t *Truth) AppendEdge(out []byte, e SpanEdge) []byte {
	w := t.line("edge")
	w.text("type", string(e.Type))
	w.end("cause", func() { w.ids(e.Cause) })
	w.end("effect", func() { w.ids(e.Effect) })
	return t.end(out)
}

func (t *Truth) line(key string) writer {
	t.json.Reset()
	t.json.ObjStart()
	t.json.FieldStart(key)
	t.json.ObjStart()
	return writer{&t.json}
}

func (t *Truth) end(out []byte) []byte {
	t.json.ObjEnd()
	t.json.ObjEnd()
	return append(append(out, t.json.Bytes()...), '\n')
}

// writer leaves out what is empty.
type writer struct{ *jx.Encoder }

func (w writer) text(key, value string) {
	if value != "" {
		w.FieldStart(key)
		w.Str(value)
	}
}

func (w writer) end(key string, ids func()) {
	w.FieldStart(key)
	w.ObjStart()
	ids()
	w.ObjEnd()
}

func (w writer) ids(ref causal.SpanRef) {
	w.text("trace_id", hex.EncodeToString(ref.TraceID[:]))
	w.text("span_id", hex.EncodeToString(ref.SpanID[:]))
}

// SpanTruth is where a span belongs.
type SpanTruth struct {
	Ref                 causal.SpanRef
	Parent              pcommon.SpanID
	Name, Service, Node string
}

// SpanEdge is one true causal edge between spans.
type SpanEdge struct {
	Type          causal.Type
	Cause, Effect causal.SpanRef
}
