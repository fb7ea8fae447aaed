package otlpwire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrMalformed is wrapped by every error about bytes that are not the message
// they should be.
var ErrMalformed = errors.New("malformed OTLP protobuf")

// fields walks the fields of one encoded message:
//
//	c := fields{rest: data}
//	for c.next() {
//		switch c.num {
//		case 1:
//			name = c.bytes()
//		}
//	}
//	return c.fail("message")
//
// A known field with another wire type than its own is an error, as it is for
// pdata; unknown fields, groups included, are skipped.
type fields struct {
	rest []byte
	num  protowire.Number // of the current field
	typ  protowire.Type
	data []byte // a BytesType field's value
	u    uint64 // any other field's value
	bad  bool
}

// next steps to the next field. It returns false at the end and at the first
// error; fail tells which.
func (c *fields) next() bool {
	b := c.rest
	if len(b) == 0 || c.bad {
		return false
	}
	if len(b) > 1 && b[0]&0x87 == byte(protowire.BytesType) && b[0] > 7 && int(b[1]) < min(0x80, len(b)-1) {
		// Most fields: bytes, with a tag and a length of one byte each.
		end := 2 + int(b[1])
		c.num, c.typ, c.data, c.rest = protowire.Number(b[0]>>3), protowire.BytesType, b[2:end:end], b[end:]
		return true
	}
	tag, n := uint64(b[0]), 1
	if tag >= 0x80 {
		if tag, n = protowire.ConsumeVarint(b); n < 0 {
			return c.stop()
		}
	}
	num := tag >> 3
	if num == 0 || num > uint64(protowire.MaxValidNumber) {
		return c.stop()
	}
	c.num, c.typ = protowire.Number(num), protowire.Type(tag&7)
	b = b[n:]
	switch c.typ {
	case protowire.BytesType:
		return c.takeBytes(b)
	case protowire.VarintType:
		if c.u, n = protowire.ConsumeVarint(b); n < 0 {
			return c.stop()
		}
		c.rest = b[n:]
	case protowire.Fixed64Type:
		if len(b) < 8 {
			return c.stop()
		}
		c.u, c.rest = binary.LittleEndian.Uint64(b), b[8:]
	case protowire.Fixed32Type:
		if len(b) < 4 {
			return c.stop()
		}
		c.u, c.rest = uint64(binary.LittleEndian.Uint32(b)), b[4:]
	default:
		if n = protowire.ConsumeFieldValue(c.num, c.typ, b); n < 0 {
			return c.stop()
		}
		c.rest = b[n:]
	}
	return true
}

// takeBytes reads a length and as many bytes from the front of b.
func (c *fields) takeBytes(b []byte) bool {
	if len(b) == 0 {
		return c.stop()
	}
	size, n := uint64(b[0]), 1
	if size >= 0x80 {
		if size, n = protowire.ConsumeVarint(b); n < 0 {
			return c.stop()
		}
	}
	b = b[n:]
	if size > uint64(len(b)) {
		return c.stop()
	}
	c.data, c.rest = b[:size:size], b[size:]
	return true
}

func (c *fields) stop() bool {
	c.bad = true
	return false
}

func (c *fields) is(t protowire.Type) bool {
	if c.typ != t {
		c.bad = true
	}
	return !c.bad
}

// bytes returns the value of a field that must be length-delimited; it aliases
// the message. It is not nil unless the field is of another type.
func (c *fields) bytes() []byte {
	if !c.is(protowire.BytesType) {
		return nil
	}
	return c.data
}

// uint returns the value of a field that must be of the type t.
func (c *fields) uint(t protowire.Type) uint64 {
	if !c.is(t) {
		return 0
	}
	return c.u
}

// id copies an id of len(dst) bytes; an empty field is the zero id.
func (c *fields) id(dst []byte) {
	b := c.bytes()
	switch len(b) {
	case 0:
		clear(dst)
	case len(dst):
		copy(dst, b)
	default:
		c.bad = true
	}
}

// fail returns nil after a whole message was walked, else an error that names
// the message and the last field that was seen.
func (c *fields) fail(message string) error {
	if !c.bad {
		return nil
	}
	return fmt.Errorf("%w: %s, at or after field %d, %d bytes before its end", ErrMalformed, message, c.num, len(c.rest))
}
