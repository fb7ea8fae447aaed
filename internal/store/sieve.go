package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/field"
)

// sieve puts spans through a filter; it belongs to one goroutine.
type sieve struct {
	*filter
	origins  map[*byte]uint64 // an origin -> the resource's leaves that are true
	last     *byte            // the last origin
	bits     uint64           // of the last origin
	resource []otlpwire.Attr
	event    otlpwire.Event
	events   [][]byte
}

// maxSieveOrigins is how many origins a sieve remembers.
const maxSieveOrigins = 1024

func newSieve(f *filter) *sieve { return &sieve{filter: f, origins: map[*byte]uint64{}} }

// passes reports whether a span may be wanted. Equal slices of origins must
// hold the same bytes.
func (s *sieve) passes(span *Span) (bool, error) {
	bits := uint64(0)
	if s.filter.resource != 0 {
		var err error
		if bits, err = s.ofOrigin(span.Origin); err != nil {
			return false, fmt.Errorf("stored span: %w", err)
		}
		if !s.root(bits | ^s.filter.resource) {
			return false, nil
		}
	}
	start, own, ok := s.look(span.Bytes)
	if !ok {
		return false, fmt.Errorf("stored span: %w", errMalformed)
	}
	return start >= s.start && (s.end == 0 || start < s.end) && (s.root == nil || s.root(bits|own)), nil
}

var errMalformed = errors.New("malformed span")

// ofOrigin returns the leaves of an origin's resource that are true.
func (s *sieve) ofOrigin(origin []byte) (uint64, error) {
	at := unsafe.SliceData(origin)
	if at != nil && at == s.last {
		return s.bits, nil
	}
	bits, known := s.origins[at]
	if !known {
		o, err := otlpwire.ParseOrigin(origin)
		if err != nil {
			return 0, err
		}
		if s.resource, err = otlpwire.AppendResourceAttributes(s.resource[:0], o.Resource); err != nil {
			return 0, err
		}
		bits = s.among(OfResource, s.resource)
		if len(s.origins) == maxSieveOrigins {
			clear(s.origins)
		}
		s.origins[at] = bits
	}
	s.last, s.bits = at, bits
	return bits, nil
}

// among returns the leaves that are true of attributes.
func (s *sieve) among(of FieldOf, attrs []otlpwire.Attr) (bits uint64) {
	for i := range attrs {
		for _, n := range s.attributes[of] {
			if string(attrs[i].Key) == s.leaves[n].key && s.isTrue(n, attrs[i].Value) {
				bits |= 1 << n
			}
		}
	}
	return bits
}

// isTrue reports whether a leaf is true of an attribute with its key.
func (s *sieve) isTrue(leaf int, value otlpwire.Value) bool {
	v, ok := field.Decode(value)
	return ok && s.leaves[leaf].accept(v)
}

// Numbers of the fields of opentelemetry.proto.trace.v1.Span and Status.
const (
	spanName       = 5
	spanKind       = 6
	spanStart      = 7
	spanEnd        = 8
	spanAttributes = 9
	spanEvents     = 11
	spanStatus     = 15

	statusMessage = 2
	statusCode    = 3
)

// found is what a filter looks for in a span beside attributes.
type found struct {
	start, end    uint64
	name, message []byte
	kind, status  int64
}

// look returns when a span began and its own leaves that are true.
func (s *sieve) look(b []byte) (start, bits uint64, ok bool) {
	var at found
	s.events = s.events[:0]
	for len(b) > 0 {
		tag, n := uint64(b[0]), 1
		if tag >= 0x80 {
			if tag, n = binary.Uvarint(b); n <= 0 {
				return 0, 0, false
			}
		}
		b = b[n:]
		switch protowire.Type(tag & 7) {
		case protowire.BytesType:
			size, n := uint64(0), 1
			if len(b) > 0 && b[0] < 0x80 {
				size = uint64(b[0])
			} else if size, n = binary.Uvarint(b); n <= 0 {
				return 0, 0, false
			}
			if size > uint64(len(b)-n) {
				return 0, 0, false
			}
			value := b[n : n+int(size)]
			b = b[n+int(size):]
			switch tag >> 3 {
			case spanAttributes:
				if s.lengths>>lengthOfKey(value)&1 != 0 {
					own, ok := s.ofEncoded(value)
					if !ok {
						return 0, 0, false
					}
					bits |= own
				}
			case spanName:
				at.name = value
			case spanEvents:
				s.events = append(s.events, value)
			case spanStatus:
				if !at.readStatus(value) {
					return 0, 0, false
				}
			}
		case protowire.Fixed64Type:
			if len(b) < 8 {
				return 0, 0, false
			}
			switch tag >> 3 {
			case spanStart:
				at.start = binary.LittleEndian.Uint64(b)
			case spanEnd:
				at.end = binary.LittleEndian.Uint64(b)
			}
			b = b[8:]
		case protowire.VarintType:
			value, n := binary.Uvarint(b)
			if n <= 0 {
				return 0, 0, false
			}
			if tag>>3 == spanKind {
				at.kind = int64(int32(value))
			}
			b = b[n:]
		default:
			n := protowire.ConsumeFieldValue(protowire.Number(tag>>3), protowire.Type(tag&7), b)
			if n < 0 {
				return 0, 0, false
			}
			b = b[n:]
		}
	}
	if s.plain {
		bits |= s.ofFound(&at)
	}
	if len(s.events) == 0 {
		return at.start, bits, true
	}
	own, ok := s.ofEvents()
	return at.start, bits | own, ok
}

// The tags of a KeyValue's fields.
const keyTag, valueTag = 1<<3 | byte(protowire.BytesType), 2<<3 | byte(protowire.BytesType)

// lengthOfKey returns the length, modulo 64, of an encoded attribute's key. The
// key comes first, or as pdata writes it behind the value; where it is not seen
// at once that is 63, which filters always look at.
func lengthOfKey(kv []byte) byte {
	at := 0
	if len(kv) > 2 && kv[0] == valueTag && kv[1] < 0x80 {
		at = 2 + int(kv[1])
	}
	if at+1 < len(kv) && kv[at] == keyTag && kv[at+1] < 0x80 {
		return kv[at+1] & 63
	}
	return 63
}

// ofEncoded returns the leaves that are true of an encoded attribute of the
// span.
func (s *sieve) ofEncoded(kv []byte) (bits uint64, ok bool) {
	a, err := otlpwire.ParseAttr(kv)
	if err != nil {
		return 0, false
	}
	for _, n := range s.attributes[OfSpan] {
		if string(a.Key) == s.leaves[n].key && s.isTrue(n, a.Value) {
			bits |= 1 << n
		}
	}
	return bits, true
}

func (f *found) readStatus(b []byte) bool {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		switch {
		case num == statusMessage && typ == protowire.BytesType:
			f.message, n = protowire.ConsumeBytes(b)
		case num == statusCode && typ == protowire.VarintType:
			var code uint64
			code, n = protowire.ConsumeVarint(b)
			f.status = int64(int32(code))
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

func (s *sieve) ofFound(at *found) (bits uint64) {
	if len(s.lasted) > 0 {
		lasted := uint64(0)
		if at.end > at.start {
			lasted = at.end - at.start
		}
		for _, n := range s.lasted {
			if l := &s.leaves[n].lasted; lasted >= l.Min && lasted <= l.Max {
				bits |= 1 << n
			}
		}
	}
	return bits | s.accepted(s.texts[textName], field.Text(at.name)) | s.accepted(s.texts[textMessage], field.Text(at.message)) |
		s.accepted(s.numbers[numberKind], field.Int(at.kind)) | s.accepted(s.numbers[numberStatus], field.Int(at.status))
}

// accepted returns those of some leaves that are true of a value.
func (s *sieve) accepted(leaves []int, v field.Value) (bits uint64) {
	for _, n := range leaves {
		if s.leaves[n].accept(v) {
			bits |= 1 << n
		}
	}
	return bits
}

func (s *sieve) ofEvents() (bits uint64, ok bool) {
	if len(s.attributes[OfEvent]) == 0 && len(s.texts[textEventName]) == 0 {
		return 0, true
	}
	for _, b := range s.events {
		if s.event.Parse(b) != nil {
			return 0, false
		}
		bits |= s.accepted(s.texts[textEventName], field.Text(s.event.Name)) | s.among(OfEvent, s.event.Attributes)
	}
	return bits, true
}
