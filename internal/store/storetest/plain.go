package storetest

import (
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// Plain is a stored span taken apart for comparison.
type Plain struct {
	Traces ptrace.Traces // with this one span, links included
	// Body is the encoding of Traces without the span's links, Links are their
	// encodings, sorted: two spans are equal when both are.
	Body  string
	Links []string
}

// Span returns the span.
func (p Plain) Span() ptrace.Span {
	return p.Traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
}

// Identity is what makes two spans one; ok is false for a span without.
func (p Plain) Identity() (id Identity, ok bool) {
	s := p.Span()
	return Identity{s.TraceID(), s.SpanID(), s.Kind()}, !s.TraceID().IsEmpty() && !s.SpanID().IsEmpty()
}

// Open reports whether the span is an open call.
func (p Plain) Open() bool { return p.attr(causal.AttrCallState) == causal.CallOpen }

// HasEvent reports whether the span came from the event with this id.
func (p Plain) HasEvent(id string) bool {
	return id != "" && (p.attr(causal.AttrEventID) == id || p.attr(causal.AttrReturnEventID) == id)
}

func (p Plain) attr(key string) string {
	v, ok := p.Span().Attributes().Get(key)
	if !ok {
		return ""
	}
	return v.Str()
}

// Equal reports whether p and q are the same span with the same set of links.
func (p Plain) Equal(q Plain) bool { return p.Body == q.Body && slices.Equal(p.Links, q.Links) }

func (p Plain) String() string {
	s := p.Span()
	return fmt.Sprintf("%s/%s kind=%d name=%q state=%q event=%q links=%d",
		s.TraceID(), s.SpanID(), s.Kind(), s.Name(), p.attr(causal.AttrCallState), p.attr(causal.AttrEventID), len(p.Links))
}

// Identity is trace id, span id and kind.
type Identity struct {
	Trace [16]byte
	Span  [8]byte
	Kind  ptrace.SpanKind
}

// Split takes a request apart into its spans.
func Split(td ptrace.Traces) []Plain {
	var out []Plain
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				one := ptrace.NewTraces()
				r := one.ResourceSpans().AppendEmpty()
				rs.Resource().CopyTo(r.Resource())
				r.SetSchemaUrl(rs.SchemaUrl())
				s := r.ScopeSpans().AppendEmpty()
				ss.Scope().CopyTo(s.Scope())
				s.SetSchemaUrl(ss.SchemaUrl())
				span.CopyTo(s.Spans().AppendEmpty())
				out = append(out, plain(one))
			}
		}
	}
	return out
}

func plain(one ptrace.Traces) Plain {
	p := Plain{Traces: one}
	body := ptrace.NewTraces()
	one.CopyTo(body)
	links := body.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Links()
	links.RemoveIf(func(ptrace.SpanLink) bool { return true })
	p.Body = string(encode(body))
	p.Links = fields(spanBytes(one), linksField)
	slices.Sort(p.Links)
	p.Links = slices.Compact(p.Links)
	return p
}

// Field numbers of opentelemetry.proto.trace.v1.
const (
	resourceSpansField = 1  // TracesData
	scopeSpansField    = 2  // ResourceSpans
	spansField         = 2  // ScopeSpans
	linksField         = 13 // Span
)

// Decode takes apart what a store returned.
func Decode(s store.Span) (Plain, error) {
	var u ptrace.ProtoUnmarshaler
	origin, err := u.UnmarshalTraces(wrap(s.Origin, resourceSpansField))
	if err != nil {
		return Plain{}, fmt.Errorf("origin: %w", err)
	}
	if n := origin.ResourceSpans().Len(); n != 1 {
		return Plain{}, fmt.Errorf("origin: %d resources", n)
	}
	if n := origin.ResourceSpans().At(0).ScopeSpans().Len(); n != 1 {
		return Plain{}, fmt.Errorf("origin: %d scopes", n)
	}
	if origin.SpanCount() != 0 {
		return Plain{}, fmt.Errorf("origin: has spans")
	}
	span, err := u.UnmarshalTraces(wrap(s.Bytes, spansField, scopeSpansField, resourceSpansField))
	if err != nil {
		return Plain{}, fmt.Errorf("span: %w", err)
	}
	from := span.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	from.MoveAndAppendTo(origin.ResourceSpans().At(0).ScopeSpans().At(0).Spans())
	return plain(origin), nil
}

// Encode is the inverse of Decode.
func (p Plain) Encode(received int64) store.Span {
	bare := ptrace.NewTraces()
	p.Traces.CopyTo(bare)
	spans := bare.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	spans.RemoveIf(func(ptrace.Span) bool { return true })
	return store.Span{
		Origin:   []byte(fields(encode(bare), resourceSpansField)[0]),
		Bytes:    spanBytes(p.Traces),
		Received: received,
	}
}

func encode(td ptrace.Traces) []byte {
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(td)
	if err != nil {
		panic(err) // pdata never returns one
	}
	return b
}

// spanBytes is the encoding of the only span of one.
func spanBytes(one ptrace.Traces) []byte {
	resource := fields(encode(one), resourceSpansField)[0]
	scope := fields([]byte(resource), scopeSpansField)[0]
	return []byte(fields([]byte(scope), spansField)[0])
}

// fields returns the values of a length-delimited field, in order.
func fields(b []byte, number protowire.Number) []string {
	var out []string
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			panic(protowire.ParseError(n))
		}
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		if size < 0 {
			panic(protowire.ParseError(size))
		}
		if num == number && typ == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b[n:])
			out = append(out, string(value))
		}
		b = b[n+size:]
	}
	return out
}

// wrap puts b into nested messages, the innermost field first.
func wrap(b []byte, numbers ...protowire.Number) []byte {
	for _, number := range numbers {
		b = protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), b)
	}
	return b
}

// Describe lists spans for a failure message.
func Describe(spans []Plain) string {
	lines := make([]string, len(spans))
	for i, p := range spans {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
