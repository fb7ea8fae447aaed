package queryextension

import (
	"unsafe"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/views"
)

// viewReader makes what views need of stored spans, one after the other.
type viewReader struct {
	parsed otlpwire.Span
	attrs  []otlpwire.Attr
	span   views.Span
	open   bool // the span that was read last is an open call
	edges  query.EdgeReader
	texts  map[string]string

	origin        []byte // that service and node are of
	service, node string
}

// maxTexts bounds the different texts that are kept to be used again.
const maxTexts = 1 << 16

// read returns a span that is valid until the next call; its texts stay.
func (r *viewReader) read(s store.Span) (_ *views.Span, err error) {
	if err := r.readOrigin(s.Origin); err != nil {
		return nil, err
	}
	p := &r.parsed
	if err := p.Parse(s.Bytes); err != nil {
		return nil, err
	}
	r.open = false
	r.span = views.Span{
		Ref:  causal.SpanRef{TraceID: p.TraceID, SpanID: p.SpanID},
		Kind: p.Kind, Start: p.Start, End: p.End, Failed: p.StatusCode == int32(ptrace.StatusCodeError),
		Service: r.service, Node: r.node, Name: r.text(p.Name),
	}
	r.readAttributes()
	if r.span.Failed && r.span.Error == "" {
		r.span.Error = r.text(p.StatusMessage)
	}
	r.span.Edges, err = r.edges.Edges(p)
	return &r.span, err
}

// readAttributes takes the first attribute of each key.
func (r *viewReader) readAttributes() {
	var process, kind, failure, state bool
	for i := range r.parsed.Attributes {
		a := &r.parsed.Attributes[i]
		switch string(a.Key) {
		case causal.AttrProcessID:
			if !process {
				r.span.Process = r.str(a.Value)
			}
			process = true
		case causal.AttrEventKind:
			if !kind {
				text, _ := a.Value.Str()
				r.span.Exit = string(text) == "exit"
			}
			kind = true
		case "error.type":
			if !failure && r.span.Failed {
				r.span.Error = r.str(a.Value)
			}
			failure = true
		case causal.AttrCallState:
			if !state {
				text, _ := a.Value.Str()
				r.open = string(text) == causal.CallOpen
			}
			state = true
		}
	}
}

// readOrigin reads what spans of one origin share. Neighbours do, and are then
// given the same slice.
func (r *viewReader) readOrigin(origin []byte) error {
	if r.origin != nil && len(origin) == len(r.origin) && unsafe.SliceData(origin) == unsafe.SliceData(r.origin) {
		return nil
	}
	o, err := otlpwire.ParseOrigin(origin)
	if err != nil {
		return err
	}
	if r.attrs, err = otlpwire.AppendResourceAttributes(r.attrs[:0], o.Resource); err != nil {
		return err
	}
	r.origin, r.service, r.node = origin, r.find(attrService), r.find(attrNode)
	return nil
}

func (r *viewReader) find(key string) string {
	v, _ := otlpwire.Find(r.attrs, key)
	return r.str(v)
}

func (r *viewReader) str(v otlpwire.Value) string {
	text, _ := v.Str()
	return r.text(text)
}

// text returns b as a string, the same one for the same text.
func (r *viewReader) text(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if known, ok := r.texts[string(b)]; ok {
		return known
	}
	if r.texts == nil || len(r.texts) == maxTexts {
		r.texts = map[string]string{}
	}
	s := string(b)
	r.texts[s] = s
	return s
}
