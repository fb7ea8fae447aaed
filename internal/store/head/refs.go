package head

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
)

// AppendEffects appends to dst the spans that an encoded span names in a link
// with the role effect, in no order.
func AppendEffects(dst []causal.SpanRef, span []byte) ([]causal.SpanRef, error) {
	_, err := appendLinks(nil, span, new(Info), &dst)
	return dst, err
}

// AppendRefs appends to dst the spans that an encoded span names, as its parent
// or in a link, in no order. What lacks an id names none.
func AppendRefs(dst []causal.SpanRef, span []byte) ([]causal.SpanRef, error) {
	var own Info
	dst, err := appendLinks(dst, span, &own, nil)
	if parent := own.parent(); err == nil && !parent.IsZero() {
		dst = append(dst, parent)
	}
	return dst, err
}

// AppendLinks appends to dst the spans that an encoded span names in a link, in
// no order.
func AppendLinks(dst []causal.SpanRef, span []byte) ([]causal.SpanRef, error) {
	return appendLinks(dst, span, new(Info), nil)
}

// appendLinks appends the spans that an encoded span's links name, those of
// links with the role effect to effects too unless it is nil, and reads the ids
// of the span and its parent.
func appendLinks(dst []causal.SpanRef, span []byte, own *Info, effects *[]causal.SpanRef) ([]causal.SpanRef, error) {
	for b := span; len(b) > 0; {
		num, value, rest, ok := nextField(b)
		if !ok {
			return dst, errMalformed
		}
		b = rest
		switch num {
		case fieldTrace:
			ok = id(own.Trace[:], value)
		case fieldParent:
			ok = id(own.Parent[:], value)
		case fieldLinks:
			var ref causal.SpanRef
			if ref, ok = linkRef(value); ok && !ref.IsZero() {
				dst = append(dst, ref)
				if effects != nil && leads(value) {
					*effects = append(*effects, ref)
				}
			}
		}
		if !ok {
			return dst, errMalformed
		}
	}
	return dst, nil
}

// Field numbers of opentelemetry.proto.trace.v1.Span.Link.
const (
	fieldLinkTrace = 1
	fieldLinkSpan  = 2
)

func linkRef(link []byte) (ref causal.SpanRef, ok bool) {
	for b := link; len(b) > 0; {
		num, value, rest, ok := nextField(b)
		if !ok {
			return ref, false
		}
		b = rest
		switch num {
		case fieldLinkTrace:
			ok = id(ref.TraceID[:], value)
		case fieldLinkSpan:
			ok = id(ref.SpanID[:], value)
		}
		if !ok {
			return ref, false
		}
	}
	return ref, true
}

var effectRole = []byte(causal.LinkRoleEffect)

// leads reports whether a link, which is well-formed as far as its ids go, has
// the role effect.
func leads(link []byte) bool {
	if !bytes.Contains(link, effectRole) {
		return false
	}
	var l otlpwire.Link
	if l.Parse(link) != nil {
		return false
	}
	role, _ := otlpwire.Find(l.Attributes, causal.AttrLinkRole)
	text, ok := role.Str()
	return ok && string(text) == causal.LinkRoleEffect
}

// nextField reads the field at the front of b. num is 0 for one that is not
// length-delimited, which has no value here.
func nextField(b []byte) (num uint64, value, rest []byte, ok bool) {
	tag, n := uvarint(b)
	if n <= 0 || tag < 1<<3 {
		return 0, nil, nil, false
	}
	b = b[n:]
	if protowire.Type(tag&7) != protowire.BytesType {
		n = protowire.ConsumeFieldValue(protowire.Number(tag>>3), protowire.Type(tag&7), b)
		if n < 0 {
			return 0, nil, nil, false
		}
		return 0, nil, b[n:], true
	}
	size, n := uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return 0, nil, nil, false
	}
	end := n + int(size)
	return tag >> 3, b[n:end], b[end:], true
}
