package field

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"

	"github.com/zeebo/xxh3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelscope/otelscope/internal/otlpwire"
)

// Value is a value of a field: a text, a whole number, a floating-point number
// or a truth value. The zero value is none.
type Value struct {
	kind otlpwire.Kind
	text []byte // aliases what it was read from
	bits uint64 // of the others
}

// Text, Int, Double and Bool make values. Zeroes of either sign are one value;
// what is no number is none.
func Text(text []byte) Value { return Value{kind: otlpwire.KindString, text: text} }

// Int makes a Value.
func Int(n int64) Value { return Value{kind: otlpwire.KindInt, bits: uint64(n)} }

// Double makes a Value.
func Double(f float64) Value {
	if f == 0 {
		f = 0
	}
	if math.IsNaN(f) {
		return Value{}
	}
	return Value{kind: otlpwire.KindDouble, bits: math.Float64bits(f)}
}

// Bool makes a Value.
func Bool(b bool) Value {
	v := Value{kind: otlpwire.KindBool}
	if b {
		v.bits = 1
	}
	return v
}

// Decode reads an attribute's value; false: of a kind that fields do not have.
func Decode(v otlpwire.Value) (Value, bool) {
	if len(v) >= 2 {
		switch { // nearly all values are of these shapes
		case v[0] == tagText && v[1] < 0x80 && int(v[1]) == len(v)-2:
			return Value{kind: otlpwire.KindString, text: v[2:]}, true
		case v[0] == tagInt:
			if n, size := binary.Uvarint(v[1:]); size == len(v)-1 {
				return Value{kind: otlpwire.KindInt, bits: n}, true
			}
		case v[0] == tagDouble && len(v) == 9:
			d := Double(math.Float64frombits(binary.LittleEndian.Uint64(v[1:])))
			return d, d.kind != 0
		case v[0] == tagBool && len(v) == 2 && v[1] < 2:
			return Value{kind: otlpwire.KindBool, bits: uint64(v[1])}, true
		}
	}
	return decode(v)
}

// The tags of an AnyValue's fields.
const (
	tagText   = byte(otlpwire.KindString<<3) | byte(protowire.BytesType)
	tagBool   = byte(otlpwire.KindBool<<3) | byte(protowire.VarintType)
	tagInt    = byte(otlpwire.KindInt<<3) | byte(protowire.VarintType)
	tagDouble = byte(otlpwire.KindDouble<<3) | byte(protowire.Fixed64Type)
)

func decode(v otlpwire.Value) (Value, bool) {
	kind, err := v.Kind()
	if err != nil {
		return Value{}, false
	}
	var out Value
	switch kind {
	case otlpwire.KindString:
		s, _ := v.Str()
		out = Text(s)
	case otlpwire.KindInt:
		n, _ := v.Int()
		out = Int(n)
	case otlpwire.KindDouble:
		f, _ := v.Double()
		out = Double(f)
	case otlpwire.KindBool:
		b, _ := v.Bool()
		out = Bool(b)
	}
	return out, out.kind != 0
}

// ValueOf makes a Value of a string, int64, float64 or bool; false: of anything
// else, or of what is no number.
func ValueOf(x any) (v Value, ok bool) {
	switch x := x.(type) {
	case string:
		v = Text([]byte(x))
	case int64:
		v = Int(x)
	case float64:
		v = Double(x)
	case bool:
		v = Bool(x)
	}
	return v, v.kind != 0
}

// Any is the inverse of ValueOf.
func (v Value) Any() any {
	switch v.kind {
	case otlpwire.KindString:
		return string(v.text)
	case otlpwire.KindInt:
		return int64(v.bits)
	case otlpwire.KindDouble:
		return math.Float64frombits(v.bits)
	case otlpwire.KindBool:
		return v.bits != 0
	}
	return nil
}

// Text returns a text's bytes.
func (v Value) Text() ([]byte, bool) { return v.text, v.kind == otlpwire.KindString }

// Hash is what indexes know the value by, of the field with that hash.
func (v Value) Hash(field uint64) uint64 {
	if v.kind == otlpwire.KindString {
		return xxh3.HashSeed(v.text, field)
	}
	var b [9]byte
	b[0] = byte(v.kind)
	binary.LittleEndian.PutUint64(b[1:], v.bits)
	return xxh3.HashSeed(b[:], field)
}

// HashEncoded is Decode and Hash; texts are not taken apart for it.
func HashEncoded(v otlpwire.Value, field uint64) (hash uint64, ok bool) {
	if len(v) >= 2 && v[0] == tagText && v[1] < 0x80 && int(v[1]) == len(v)-2 {
		return xxh3.HashSeed(v[2:], field), true
	}
	d, ok := Decode(v)
	return d.Hash(field), ok
}

// CompareValues orders values by type - texts, whole numbers, floating-point
// numbers, truth values - and then by value.
func CompareValues(a, b Value) int {
	if c := cmp.Compare(rank(a.kind), rank(b.kind)); c != 0 {
		return c
	}
	switch a.kind {
	case otlpwire.KindString:
		return bytes.Compare(a.text, b.text)
	case otlpwire.KindDouble:
		return cmp.Compare(math.Float64frombits(a.bits), math.Float64frombits(b.bits))
	default:
		return cmp.Compare(int64(a.bits), int64(b.bits))
	}
}

func rank(k otlpwire.Kind) int {
	switch k {
	case otlpwire.KindString:
		return 0
	case otlpwire.KindInt:
		return 1
	case otlpwire.KindDouble:
		return 2
	default:
		return 3
	}
}

// AppendTo appends the value's encoding: its kind, then a text's length as a
// varint and its bytes, or eight bytes, little-endian.
func (v Value) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(v.kind))
	if v.kind == otlpwire.KindString {
		return append(binary.AppendUvarint(dst, uint64(len(v.text))), v.text...)
	}
	return binary.LittleEndian.AppendUint64(dst, v.bits)
}

// ReadValue reads what AppendTo wrote at the front of b, which the value
// aliases, and returns the rest.
func ReadValue(b []byte) (v Value, rest []byte, ok bool) {
	if len(b) == 0 {
		return v, b, false
	}
	v.kind, b = otlpwire.Kind(b[0]), b[1:]
	switch v.kind {
	case otlpwire.KindString:
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return v, b, false
		}
		end := n + int(size)
		v.text = b[n:end:end]
		return v, b[end:], true
	case otlpwire.KindInt, otlpwire.KindDouble, otlpwire.KindBool:
		if len(b) < 8 {
			return v, b, false
		}
		v.bits = binary.LittleEndian.Uint64(b)
		return v, b[8:], true
	}
	return v, b, false
}

// Equal reports whether both are the same value of the same type.
func (v Value) Equal(w Value) bool {
	return v.kind == w.kind && v.bits == w.bits && string(v.text) == string(w.text)
}
