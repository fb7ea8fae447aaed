package head

import (
	"encoding/binary"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
)

// Identity is what makes two spans one.
type Identity struct {
	Trace [16]byte
	Span  [8]byte
	Kind  int32
}

// knownKinds is how many kinds OTLP knows; they are numbered from 0.
const knownKinds = 6

// Exists reports whether a span with these ids has an identity: it needs both.
func (id *Identity) Exists() bool {
	return id.Trace != [16]byte{} && id.Span != [8]byte{}
}

// Ref names the span.
func (id *Identity) Ref() causal.SpanRef {
	return causal.SpanRef{TraceID: id.Trace, SpanID: id.Span}
}

// Info is what the store needs to know of a span; its slices alias it.
type Info struct {
	Identity
	Parent      [8]byte
	Start       uint64 // nanoseconds since the epoch
	Event       []byte // scope.event.id, nil or empty for none
	Return      []byte // scope.return.event.id, the same
	Correlation []byte // scope.correlation.id, the same
	Open        bool   // scope.call.state is open
	Links       bool   // there is at least one link
}

// parent names the span's parent; the zero value where it has none.
func (i *Info) parent() causal.SpanRef {
	return causal.SpanRef{TraceID: i.Trace, SpanID: i.Parent}
}

// HasEvent reports whether the span came from the native event id.
func (i *Info) HasEvent(id string) bool {
	return id != "" && (string(i.Event) == id || string(i.Return) == id)
}

// Field numbers of opentelemetry.proto.trace.v1.Span and common.v1.KeyValue.
const (
	fieldTrace      = 1
	fieldSpan       = 2
	fieldParent     = 4
	fieldKind       = 6
	fieldStart      = 7
	fieldAttributes = 9
	fieldLinks      = 13

	fieldKey   = 1
	fieldValue = 2
)

// Peek reads an encoded span as far as Info goes: it steps over everything
// else, which makes it several times as fast as otlpwire.Span.Parse.
func Peek(span []byte) (info Info, err error) {
	return info, info.read(span)
}

// read makes i, a zero value, the info of an encoded span.
func (i *Info) read(span []byte) error {
	var seen seenKeys
	for b := span; len(b) > 0; {
		tag, n := uvarint(b)
		if n <= 0 || tag < 1<<3 {
			return errMalformed
		}
		b = b[n:]
		switch num := tag >> 3; protowire.Type(tag & 7) {
		case protowire.BytesType:
			size, n := uvarint(b)
			if n <= 0 || size > uint64(len(b)-n) {
				return errMalformed
			}
			value := b[n : n+int(size)]
			b = b[n+int(size):]
			if num == fieldAttributes && foreign(value) {
				continue
			}
			if !i.field(num, value, &seen) {
				return errMalformed
			}
		case protowire.Fixed64Type:
			if len(b) < 8 {
				return errMalformed
			}
			if num == fieldStart {
				i.Start = binary.LittleEndian.Uint64(b)
			}
			b = b[8:]
		case protowire.VarintType:
			value, n := uvarint(b)
			if n <= 0 {
				return errMalformed
			}
			if num == fieldKind {
				i.Kind = int32(value)
			}
			b = b[n:]
		default:
			n := protowire.ConsumeFieldValue(protowire.Number(num), protowire.Type(tag&7), b)
			if n < 0 {
				return errMalformed
			}
			b = b[n:]
		}
	}
	return nil
}

var errMalformed = errors.New("malformed span")

// uvarint is binary.Uvarint with the usual case, one byte, inlined.
func uvarint(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return binary.Uvarint(b)
}

// seenKeys are the keys that were there already: the first attribute of a key
// counts, as for pdata.
type seenKeys struct{ event, ret, correlation, state bool }

// field takes a length-delimited field and reports whether it is well-formed.
func (i *Info) field(num uint64, value []byte, seen *seenKeys) bool {
	switch num {
	case fieldTrace:
		return id(i.Trace[:], value)
	case fieldSpan:
		return id(i.Span[:], value)
	case fieldParent:
		return id(i.Parent[:], value)
	case fieldLinks:
		i.Links = true
	case fieldAttributes:
		return i.attribute(value, seen)
	}
	return true
}

func id(dst, value []byte) bool {
	clear(dst)
	return copy(dst, value) == len(dst) && len(value) == len(dst) || len(value) == 0
}

const prefix = "scope."

// foreign reports whether an attribute's key is visibly none of ours; false
// means that it takes a closer look. The key comes first, or behind a value of
// fewer than 128 bytes: pdata writes fields backwards.
func foreign(kv []byte) bool {
	key := 0
	if len(kv) > 2 && kv[0] == fieldValue<<3|byte(protowire.BytesType) && kv[1] < 0x80 {
		key = 2 + int(kv[1])
	}
	text := key + 2
	if text+len(prefix) > len(kv) || kv[key] != fieldKey<<3|byte(protowire.BytesType) || kv[key+1] >= 0x80 {
		return false
	}
	return kv[text] != prefix[0] || string(kv[text:text+len(prefix)]) != prefix
}

// attribute takes a KeyValue.
func (i *Info) attribute(kv []byte, seen *seenKeys) bool {
	var key, value []byte
	for b := kv; len(b) > 0; {
		tag, n := uvarint(b)
		if n <= 0 {
			return false
		}
		if protowire.Type(tag&7) != protowire.BytesType {
			size := protowire.ConsumeFieldValue(protowire.Number(tag>>3), protowire.Type(tag&7), b[n:])
			if size < 0 {
				return false
			}
			b = b[n+size:]
			continue
		}
		b = b[n:]
		size, n := uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return false
		}
		switch data := b[n : n+int(size)]; tag >> 3 {
		case fieldKey:
			key = data
		case fieldValue:
			value = data
		}
		b = b[n+int(size):]
	}
	if len(key) > len(prefix) && string(key[:len(prefix)]) == prefix {
		i.known(key, otlpwire.Value(value), seen)
	}
	return true
}

func (i *Info) known(key []byte, value otlpwire.Value, seen *seenKeys) {
	switch string(key) {
	case causal.AttrEventID:
		if !seen.event {
			i.Event, _ = value.Str()
		}
		seen.event = true
	case causal.AttrReturnEventID:
		if !seen.ret {
			i.Return, _ = value.Str()
		}
		seen.ret = true
	case causal.AttrCorrelationID:
		if !seen.correlation {
			i.Correlation, _ = value.Str()
		}
		seen.correlation = true
	case causal.AttrCallState:
		if !seen.state {
			state, _ := value.Str()
			i.Open = string(state) == causal.CallOpen
		}
		seen.state = true
	}
}
