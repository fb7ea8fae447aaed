// Package otlpwire reads and joins OTLP traces in their protobuf encoding,
// without decoding them to pdata, which costs an object for every value.
//
// # Ownership
//
// Everything that is read aliases the input: it is valid and unchanging as
// long as the input is. What is written is appended to the caller's slice,
// which must not overlap the inputs. Nothing is kept, no goroutine is started,
// there is no state; all functions may be called from many goroutines.
//
// # Correctness
//
// Input may be anything. What is not well-formed is an error that wraps
// ErrMalformed, never a panic. Where pdata accepts an input and this package
// does, both see the same values: for a field that is there twice the last
// counts, messages that are there twice are merged, unknown fields are
// skipped. Parsing is as deep as the question: Walk does not look into spans,
// and Span.Parse not into the values of attributes, into links and events.
package otlpwire

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Origin is what the spans of one ScopeSpans share.
type Origin struct {
	// Index tells the origins of one Walk apart: it is equal for the spans of
	// one ScopeSpans and different for any other, whatever their contents. It
	// rises from 0.
	Index             int
	Resource          []byte // encoded opentelemetry.proto.resource.v1.Resource
	ResourceSchemaURL []byte
	Scope             []byte // encoded opentelemetry.proto.common.v1.InstrumentationScope
	ScopeSchemaURL    []byte
}

// Numbers of fields, as OTLP's .proto files have them.
const (
	tracesResourceSpans = 1

	resourceSpansResource        = 1
	resourceSpansScopeSpans      = 2
	resourceSpansSchemaURL       = 3
	resourceSpansDeprecatedScope = 1000 // instrumentation_library_spans, before OTLP 0.19

	scopeSpansScope     = 1
	scopeSpansSpans     = 2
	scopeSpansSchemaURL = 3
)

// Walk calls f for every span of an encoded TracesData (or
// ExportTraceServiceRequest, which looks the same), in its order. It returns
// the first error of f, or that of the input; f may have been called before
// the input turns out to be malformed.
func Walk(data []byte, f func(origin Origin, span []byte) error) error {
	w := walker{f: f}
	c := fields{rest: data}
	for c.next() {
		if c.num != tracesResourceSpans {
			continue
		}
		rs := c.bytes()
		if c.bad {
			break
		}
		if err := w.resourceSpans(rs); err != nil {
			return err
		}
	}
	return c.fail("TracesData")
}

type walker struct {
	f    func(Origin, []byte) error
	next int // Index of the next origin
}

// resourceSpans goes over the message twice: what belongs to all its spans may
// stand behind them.
func (w *walker) resourceSpans(rs []byte) error {
	o, scopes, err := parseResourceSpans(rs)
	if err != nil {
		return err
	}
	c := fields{rest: rs}
	for c.next() {
		if c.num != scopes {
			continue
		}
		o.Index = w.next
		w.next++
		if err := w.scopeSpans(o, c.data); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) scopeSpans(o Origin, ss []byte) error {
	if err := o.parseScopeSpans(ss); err != nil {
		return err
	}
	c := fields{rest: ss}
	for c.next() {
		if c.num != scopeSpansSpans {
			continue
		}
		if err := w.f(o, c.data); err != nil {
			return err
		}
	}
	return nil
}

// parseResourceSpans reads what the message's spans share, and which of its
// fields holds them: the deprecated one counts only if the other is not there.
func parseResourceSpans(rs []byte) (o Origin, scopes protowire.Number, err error) {
	scopes = resourceSpansDeprecatedScope
	c := fields{rest: rs}
	for c.next() {
		switch c.num {
		case resourceSpansResource:
			o.Resource = merge(o.Resource, c.bytes())
		case resourceSpansSchemaURL:
			o.ResourceSchemaURL = c.bytes()
		case resourceSpansScopeSpans:
			c.is(protowire.BytesType)
			scopes = resourceSpansScopeSpans
		case resourceSpansDeprecatedScope:
			c.is(protowire.BytesType)
		}
	}
	return o, scopes, c.fail("ResourceSpans")
}

func (o *Origin) parseScopeSpans(ss []byte) error {
	c := fields{rest: ss}
	for c.next() {
		switch c.num {
		case scopeSpansScope:
			o.Scope = merge(o.Scope, c.bytes())
		case scopeSpansSchemaURL:
			o.ScopeSchemaURL = c.bytes()
		case scopeSpansSpans:
			c.is(protowire.BytesType)
		}
	}
	return c.fail("ScopeSpans")
}

// merge joins two occurrences of one message, which is what protobuf means by
// having it twice.
func merge(first, second []byte) []byte {
	if first == nil {
		return second
	}
	return slices.Concat(first, second)
}

// Append appends the encoded ResourceSpans that has the origin's resource,
// schema URLs and one ScopeSpans with the scope, but no spans: store.Span's
// Origin. Equal contents give equal bytes.
func (o Origin) Append(dst []byte) []byte {
	dst = appendField(dst, resourceSpansResource, o.Resource)
	dst = appendField(dst, resourceSpansSchemaURL, o.ResourceSchemaURL)
	dst = protowire.AppendTag(dst, resourceSpansScopeSpans, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(o.scopeSpansSize()))
	return o.appendScopeSpans(dst)
}

// ParseOrigin reads what Append wrote, and any ResourceSpans with at most one
// ScopeSpans; spans in it are ignored. Index is 0.
func ParseOrigin(b []byte) (Origin, error) {
	o, scopes, err := parseResourceSpans(b)
	if err != nil {
		return Origin{}, err
	}
	c := fields{rest: b}
	for c.next() {
		if c.num != scopes {
			continue
		}
		if err := o.parseScopeSpans(c.data); err != nil {
			return Origin{}, err
		}
	}
	return o, nil
}

// AppendTraces appends spans to the encoded TracesData dst, as a ResourceSpans
// of their own with the given origin (as Origin.Append writes it). Called for
// one group after the other it builds what ptrace.ProtoUnmarshaler decodes.
// The spans are not looked into. On an error dst is returned as it was.
func AppendTraces(dst, origin []byte, spans ...[]byte) ([]byte, error) {
	o, err := ParseOrigin(origin)
	if err != nil {
		return dst, err
	}
	ssSize := o.scopeSpansSize()
	for _, s := range spans {
		ssSize += sizeField(scopeSpansSpans, s)
	}
	rsSize := sizeNonEmpty(resourceSpansResource, o.Resource) +
		sizeNonEmpty(resourceSpansSchemaURL, o.ResourceSchemaURL) +
		protowire.SizeTag(resourceSpansScopeSpans) + protowire.SizeBytes(ssSize)

	dst = slices.Grow(dst, protowire.SizeTag(tracesResourceSpans)+protowire.SizeBytes(rsSize))
	dst = protowire.AppendTag(dst, tracesResourceSpans, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(rsSize))
	dst = appendField(dst, resourceSpansResource, o.Resource)
	dst = appendField(dst, resourceSpansSchemaURL, o.ResourceSchemaURL)
	dst = protowire.AppendTag(dst, resourceSpansScopeSpans, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(ssSize))
	dst = o.appendScopeSpans(dst)
	for _, s := range spans {
		dst = protowire.AppendTag(dst, scopeSpansSpans, protowire.BytesType)
		dst = protowire.AppendBytes(dst, s)
	}
	return dst, nil
}

// appendScopeSpans appends the ScopeSpans without spans, of scopeSpansSize
// bytes.
func (o Origin) appendScopeSpans(dst []byte) []byte {
	dst = appendField(dst, scopeSpansScope, o.Scope)
	return appendField(dst, scopeSpansSchemaURL, o.ScopeSchemaURL)
}

func (o Origin) scopeSpansSize() int {
	return sizeNonEmpty(scopeSpansScope, o.Scope) + sizeNonEmpty(scopeSpansSchemaURL, o.ScopeSchemaURL)
}

// appendField appends a field unless it is empty, which means the same.
func appendField(dst []byte, num protowire.Number, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	return protowire.AppendBytes(protowire.AppendTag(dst, num, protowire.BytesType), value)
}

func sizeNonEmpty(num protowire.Number, value []byte) int {
	if len(value) == 0 {
		return 0
	}
	return sizeField(num, value)
}

func sizeField(num protowire.Number, value []byte) int {
	return protowire.SizeTag(num) + protowire.SizeBytes(len(value))
}
