package otlpwire

import "google.golang.org/protobuf/encoding/protowire"

// Span is a view of one encoded opentelemetry.proto.trace.v1.Span. A value is
// meant to be used for one span after the other: Parse reuses its slices of
// slices and allocates nothing once they have grown.
type Span struct {
	TraceID           [16]byte
	SpanID            [8]byte
	ParentSpanID      [8]byte
	TraceState        []byte
	Name              []byte
	Kind              int32
	Start, End        uint64 // nanoseconds since the epoch
	Flags             uint32
	StatusCode        int32
	StatusMessage     []byte
	Attributes        []Attr
	Events            [][]byte // encoded Span.Event messages, see Event
	Links             [][]byte // encoded Span.Link messages, see Link
	DroppedAttributes uint32
	DroppedEvents     uint32
	DroppedLinks      uint32
}

const (
	spanTraceID           = 1
	spanSpanID            = 2
	spanTraceState        = 3
	spanParentSpanID      = 4
	spanName              = 5
	spanKind              = 6
	spanStart             = 7
	spanEnd               = 8
	spanAttributes        = 9
	spanDroppedAttributes = 10
	spanEvents            = 11
	spanDroppedEvents     = 12
	spanLinks             = 13
	spanDroppedLinks      = 14
	spanStatus            = 15
	spanFlags             = 16

	statusMessage = 2
	statusCode    = 3
)

// Parse makes s the view of the encoded span b. After an error s has no
// meaning but may be used again.
func (s *Span) Parse(b []byte) error {
	*s = Span{Attributes: s.Attributes[:0], Events: s.Events[:0], Links: s.Links[:0]}
	c := fields{rest: b}
	for c.next() {
		switch c.num {
		case spanTraceID:
			c.id(s.TraceID[:])
		case spanSpanID:
			c.id(s.SpanID[:])
		case spanTraceState:
			s.TraceState = c.bytes()
		case spanParentSpanID:
			c.id(s.ParentSpanID[:])
		case spanName:
			s.Name = c.bytes()
		case spanKind:
			s.Kind = int32(c.uint(protowire.VarintType))
		case spanStart:
			s.Start = c.uint(protowire.Fixed64Type)
		case spanEnd:
			s.End = c.uint(protowire.Fixed64Type)
		case spanAttributes:
			s.Attributes = appendAttr(s.Attributes, &c)
		case spanDroppedAttributes:
			s.DroppedAttributes = uint32(c.uint(protowire.VarintType))
		case spanEvents:
			s.Events = append(s.Events, c.bytes())
		case spanDroppedEvents:
			s.DroppedEvents = uint32(c.uint(protowire.VarintType))
		case spanLinks:
			s.Links = append(s.Links, c.bytes())
		case spanDroppedLinks:
			s.DroppedLinks = uint32(c.uint(protowire.VarintType))
		case spanStatus:
			s.parseStatus(&c)
		case spanFlags:
			s.Flags = uint32(c.uint(protowire.Fixed32Type))
		}
	}
	return c.fail("Span")
}

func (s *Span) parseStatus(outer *fields) {
	c := fields{rest: outer.bytes()}
	for c.next() {
		switch c.num {
		case statusMessage:
			s.StatusMessage = c.bytes()
		case statusCode:
			s.StatusCode = int32(c.uint(protowire.VarintType))
		}
	}
	outer.bad = outer.bad || c.bad
}

// Link is a view of one encoded Span.Link, to be reused like Span.
type Link struct {
	TraceID           [16]byte
	SpanID            [8]byte
	TraceState        []byte
	Attributes        []Attr
	DroppedAttributes uint32
	Flags             uint32
}

const (
	linkTraceID           = 1
	linkSpanID            = 2
	linkTraceState        = 3
	linkAttributes        = 4
	linkDroppedAttributes = 5
	linkFlags             = 6
)

// Parse makes l the view of the encoded link b.
func (l *Link) Parse(b []byte) error {
	*l = Link{Attributes: l.Attributes[:0]}
	c := fields{rest: b}
	for c.next() {
		switch c.num {
		case linkTraceID:
			c.id(l.TraceID[:])
		case linkSpanID:
			c.id(l.SpanID[:])
		case linkTraceState:
			l.TraceState = c.bytes()
		case linkAttributes:
			l.Attributes = appendAttr(l.Attributes, &c)
		case linkDroppedAttributes:
			l.DroppedAttributes = uint32(c.uint(protowire.VarintType))
		case linkFlags:
			l.Flags = uint32(c.uint(protowire.Fixed32Type))
		}
	}
	return c.fail("Span.Link")
}

// UnionLinks appends the encoded span to dst and then those links of the
// encoded span other that span lacks, in their order. Links are equal when
// their bytes are. Nothing else of other is taken. When nothing is lacking
// what is appended equals span. On an error dst is returned as it was.
func UnionLinks(dst, span, other []byte) ([]byte, error) {
	has := map[string]struct{}{}
	c := fields{rest: span}
	for c.next() {
		if c.num == spanLinks {
			has[string(c.bytes())] = struct{}{}
		}
	}
	if err := c.fail("Span"); err != nil {
		return dst, err
	}
	out := append(dst, span...)
	c = fields{rest: other}
	for c.next() {
		if c.num != spanLinks {
			continue
		}
		link := c.bytes()
		if _, ok := has[string(link)]; ok || c.bad {
			continue
		}
		has[string(link)] = struct{}{}
		out = protowire.AppendBytes(protowire.AppendTag(out, spanLinks, protowire.BytesType), link)
	}
	if err := c.fail("Span"); err != nil {
		return dst, err
	}
	return out, nil
}

// Attr is one attribute; Key and Value alias the input.
type Attr struct {
	Key   []byte
	Value Value
}

const (
	keyValueKey   = 1
	keyValueValue = 2
)

// Find returns the value of the first attribute with the key.
func Find(attrs []Attr, key string) (Value, bool) {
	for i := range attrs {
		if string(attrs[i].Key) == key {
			return attrs[i].Value, true
		}
	}
	return nil, false
}

// AppendResourceAttributes appends the attributes of an encoded Resource (or
// of Origin.Resource) to dst. On an error dst is returned as it was.
func AppendResourceAttributes(dst []Attr, resource []byte) ([]Attr, error) {
	return appendAttributes(dst, resource, 1, "Resource")
}

// Scope is a view of an encoded InstrumentationScope.
type Scope struct {
	Name, Version []byte
	Attributes    []Attr
}

// Parse makes s the view of the encoded scope b.
func (s *Scope) Parse(b []byte) error {
	*s = Scope{Attributes: s.Attributes[:0]}
	c := fields{rest: b}
	for c.next() {
		switch c.num {
		case 1:
			s.Name = c.bytes()
		case 2:
			s.Version = c.bytes()
		case 3:
			s.Attributes = appendAttr(s.Attributes, &c)
		}
	}
	return c.fail("InstrumentationScope")
}

// appendAttributes appends the attributes that the encoded message b has in
// its repeated KeyValue field num.
func appendAttributes(dst []Attr, b []byte, num protowire.Number, message string) ([]Attr, error) {
	out := dst
	c := fields{rest: b}
	for c.next() {
		if c.num == num {
			out = appendAttr(out, &c)
		}
	}
	if err := c.fail(message); err != nil {
		return dst, err
	}
	return out, nil
}

// appendAttr appends the attribute in the current field of outer and marks
// outer bad if it is none.
//
// Attributes usually stand in a row; those that do are taken at once.
func appendAttr(dst []Attr, outer *fields) []Attr {
	b := outer.bytes()
	if key, value, ok := shortKeyValue(b); ok {
		return appendShortAttrs(append(dst, Attr{Key: key, Value: value}), outer)
	}
	a, err := parseAttr(b)
	outer.bad = outer.bad || err != nil
	return append(dst, a)
}

// ParseAttr reads an encoded KeyValue.
func ParseAttr(b []byte) (Attr, error) {
	if key, value, ok := shortKeyValue(b); ok {
		return Attr{Key: key, Value: value}, nil
	}
	return parseAttr(b)
}

func parseAttr(b []byte) (a Attr, err error) {
	c := fields{rest: b}
	for c.next() {
		switch c.num {
		case keyValueKey:
			a.Key = c.bytes()
		case keyValueValue:
			a.Value = merge(a.Value, c.bytes())
		}
	}
	return a, c.fail("KeyValue")
}

// appendShortAttrs takes attributes from the front of outer's rest as long as
// they are in the same field as the current one and short.
func appendShortAttrs(dst []Attr, outer *fields) []Attr {
	tag, rest := byte(outer.num)<<3|byte(protowire.BytesType), outer.rest
	for len(rest) > 2 && rest[0] == tag && outer.num < 16 {
		size := int(rest[1])
		if size >= 0x80 || size > len(rest)-2 {
			break
		}
		key, value, ok := shortKeyValue(rest[2 : 2+size : 2+size])
		if !ok {
			break
		}
		dst = append(dst, Attr{Key: key, Value: value})
		rest = rest[2+size:]
	}
	outer.rest = rest
	return dst
}

// shortKeyValue reads the encoding that nearly all attributes have: a key and a
// value, each shorter than 128 bytes, nothing else. SDKs write the key first,
// pdata the value.
func shortKeyValue(b []byte) (key, value []byte, ok bool) {
	const keyTag, valueTag = keyValueKey<<3 | 2, keyValueValue<<3 | 2
	if len(b) < 4 {
		return nil, nil, false
	}
	n := int(b[1])
	if n >= 0x80 || len(b) < 4+n {
		return nil, nil, false
	}
	first, second := b[2:2+n:2+n], b[4+n:]
	if b[3+n] >= 0x80 || len(second) != int(b[3+n]) {
		return nil, nil, false
	}
	switch {
	case b[0] == keyTag && b[2+n] == valueTag:
		return first, second, true
	case b[0] == valueTag && b[2+n] == keyTag:
		return second, first, true
	default:
		return nil, nil, false
	}
}
