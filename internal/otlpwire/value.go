package otlpwire

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Value is an encoded opentelemetry.proto.common.v1.AnyValue. The accessors
// return false for a value of another kind, and for one that is malformed.
type Value []byte

// Kind says what a Value holds; its numbers are AnyValue's field numbers.
type Kind int

// The kinds. KindEmpty is also that of a value of a kind not known here.
const (
	KindEmpty  Kind = 0
	KindString Kind = 1
	KindBool   Kind = 2
	KindInt    Kind = 3
	KindDouble Kind = 4
	KindArray  Kind = 5
	KindMap    Kind = 6
	KindBytes  Kind = 7
)

var kindTypes = [...]protowire.Type{
	KindString: protowire.BytesType,
	KindBool:   protowire.VarintType,
	KindInt:    protowire.VarintType,
	KindDouble: protowire.Fixed64Type,
	KindArray:  protowire.BytesType,
	KindMap:    protowire.BytesType,
	KindBytes:  protowire.BytesType,
}

// stringIndex is AnyValue's reference into a table that traces do not have.
const stringIndex = 8

// scalar is a decoded AnyValue: data for strings, bytes and the messages of
// arrays and maps, u for the rest.
type scalar struct {
	kind Kind
	data []byte
	u    uint64
}

// decode returns the last of the value's fields: they are alternatives.
func (v Value) decode() (s scalar, err error) {
	if len(v) > 1 && v[0] == byte(KindString)<<3|byte(protowire.BytesType) && int(v[1]) == len(v)-2 && v[1] < 0x80 {
		return scalar{kind: KindString, data: v[2:]}, nil // most values
	}
	c := fields{rest: v}
	for c.next() {
		switch {
		case c.num == stringIndex:
			c.is(protowire.VarintType)
			s = scalar{}
		case int(c.num) < len(kindTypes):
			c.is(kindTypes[c.num])
			s = scalar{kind: Kind(c.num), data: c.data, u: c.u}
		}
	}
	return s, c.fail("AnyValue")
}

func (v Value) as(k Kind) (scalar, bool) {
	s, err := v.decode()
	return s, err == nil && s.kind == k
}

// Kind returns what the value holds.
func (v Value) Kind() (Kind, error) {
	s, err := v.decode()
	return s.kind, err
}

// Scalar returns what the value holds at once: data of strings and bytes, and
// of arrays and maps their messages; of integers, booleans and floating-point
// numbers the bits in u.
func (v Value) Scalar() (kind Kind, data []byte, u uint64, err error) {
	s, err := v.decode()
	return s.kind, s.data, s.u, err
}

// Str returns a string's bytes, which may be no valid UTF-8.
func (v Value) Str() ([]byte, bool) {
	s, ok := v.as(KindString)
	if !ok {
		return nil, false
	}
	return s.data, true
}

// Int returns an integer.
func (v Value) Int() (int64, bool) {
	s, ok := v.as(KindInt)
	return int64(s.u), ok
}

// Bool returns a boolean.
func (v Value) Bool() (value, ok bool) {
	s, ok := v.as(KindBool)
	return ok && s.u != 0, ok
}

// Double returns a floating-point number.
func (v Value) Double() (float64, bool) {
	s, ok := v.as(KindDouble)
	return math.Float64frombits(s.u), ok
}

// MaxJSONDepth is how many arrays and maps deep a value is written as JSON;
// what lies deeper is written as null and not checked.
const MaxJSONDepth = 64

// AppendJSON appends the value as JSON: bytes as a base64 string, NaN and the
// infinities as the strings "NaN", "Infinity" and "-Infinity", an empty value
// as null, invalid UTF-8 as U+FFFD. Of the entries of a map that have the same
// key the first counts, as for pdata. On an error dst is returned as it was.
func (v Value) AppendJSON(dst []byte) ([]byte, error) {
	out, err := appendValue(dst, v, 0)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// AppendAttrsJSON appends attributes as one JSON object, by AppendJSON's rules.
func AppendAttrsJSON(dst []byte, attrs []Attr) ([]byte, error) {
	out, err := appendMap(dst, attrs, 0)
	if err != nil {
		return dst, err
	}
	return out, nil
}

func appendValue(dst []byte, v Value, depth int) ([]byte, error) {
	s, err := v.decode()
	if err != nil {
		return nil, err
	}
	switch s.kind {
	case KindString:
		return AppendJSONString(dst, s.data), nil
	case KindBool:
		return strconv.AppendBool(dst, s.u != 0), nil
	case KindInt:
		return strconv.AppendInt(dst, int64(s.u), 10), nil
	case KindDouble:
		return appendDouble(dst, math.Float64frombits(s.u)), nil
	case KindBytes:
		dst = base64.StdEncoding.AppendEncode(append(dst, '"'), s.data)
		return append(dst, '"'), nil
	case KindArray:
		return appendArray(dst, s.data, depth)
	case KindMap:
		if depth == MaxJSONDepth {
			return append(dst, "null"...), nil
		}
		attrs, err := appendAttributes(nil, s.data, 1, "KeyValueList")
		if err != nil {
			return nil, err
		}
		return appendMap(dst, attrs, depth)
	default:
		return append(dst, "null"...), nil
	}
}

func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	default:
		return strconv.AppendFloat(dst, f, 'g', -1, 64)
	}
}

func appendArray(dst, array []byte, depth int) ([]byte, error) {
	if depth == MaxJSONDepth {
		return append(dst, "null"...), nil
	}
	dst = append(dst, '[')
	start := len(dst)
	c := fields{rest: array}
	for c.next() {
		if c.num != 1 {
			continue
		}
		v := c.bytes()
		if c.bad {
			break
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendValue(dst, v, depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), c.fail("ArrayValue")
}

func appendMap(dst []byte, attrs []Attr, depth int) ([]byte, error) {
	dst = append(dst, '{')
	start := len(dst)
	dup := duplicates{attrs: attrs}
	for i, a := range attrs {
		if dup.seen(i) {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(AppendJSONString(dst, a.Key), ':')
		var err error
		if dst, err = appendValue(dst, a.Value, depth+1); err != nil {
			return nil, fmt.Errorf("attribute %q: %w", a.Key, err)
		}
	}
	return append(dst, '}'), nil
}

// duplicates finds attributes whose key came before: by comparing while they
// are few, with a set when they are many.
type duplicates struct {
	attrs []Attr
	set   map[string]struct{}
}

const fewAttributes = 48

// seen must be asked for i = 0, 1, 2 and so on.
func (d *duplicates) seen(i int) bool {
	key := d.attrs[i].Key
	if len(d.attrs) <= fewAttributes {
		for _, a := range d.attrs[:i] {
			if string(a.Key) == string(key) {
				return true
			}
		}
		return false
	}
	if d.set == nil {
		d.set = make(map[string]struct{}, len(d.attrs))
	}
	if _, found := d.set[string(key)]; found {
		return true
	}
	d.set[string(key)] = struct{}{}
	return false
}

const hex = "0123456789abcdef"

// plain are the bytes that stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for b := ' '; b < utf8.RuneSelf; b++ {
		t[b] = b != '"' && b != '\\'
	}
	return t
}()

// AppendJSONString appends s as a JSON string; each byte that is not part of
// valid UTF-8 becomes U+FFFD.
func AppendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(s); {
		b := s[i]
		if plain[b] {
			i++
			continue
		}
		if b >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
			dst = append(append(dst, s[done:i]...), "\uFFFD"...)
		} else {
			dst = appendEscape(append(dst, s[done:i]...), b)
		}
		i++
		done = i
	}
	return append(append(dst, s[done:]...), '"')
}

func appendEscape(dst []byte, b byte) []byte {
	switch b {
	case '"', '\\':
		return append(dst, '\\', b)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	default:
		return append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
	}
}
