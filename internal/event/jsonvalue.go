package event

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-faster/jx"
)

var typeNames = [...]string{
	jx.Invalid: "no JSON value",
	jx.String:  "a string",
	jx.Number:  "a number",
	jx.Null:    "null",
	jx.Bool:    "a boolean",
	jx.Array:   "an array",
	jx.Object:  "an object",
}

func wrongType(f field, t jx.Type, allowed string) error {
	return invalid(f, "%s: must be %s", typeNames[t], allowed)
}

// str reads a string that belongs to field f. The bytes are a part of the body
// where the string has no escapes.
func (d *jsonDecoder) str(f field) ([]byte, error) {
	if t := d.tok.Next(); t != jx.String {
		return nil, wrongType(f, t, "a string")
	}
	return d.tok.StrBytes()
}

// checkText looks ahead at a whole event, where the body has text that is no
// UTF-8, or may have escapes that have no UTF-8 form. Replacing them would make
// different strings equal.
func (d *jsonDecoder) checkText() error {
	if d.utf8 && !d.surrogates {
		return nil
	}
	ahead := d.tok
	raw, err := ahead.Raw()
	if err != nil {
		return err
	}
	if bad := invalidUTF8(raw); bad >= 0 {
		where := fieldWhere(raw, func(value []byte) bool { return invalidUTF8(value) >= 0 })
		return invalid(where, "not valid UTF-8: byte %#x at %d of the event", raw[bad], bad)
	}
	if half := halfPair(string(raw)); half != "" {
		where := fieldWhere(raw, func(value []byte) bool { return halfPair(string(value)) != "" })
		return invalid(where, "not valid UTF-8: %s is half of a surrogate pair", half)
	}
	return nil
}

// fieldWhere returns the first field of an event whose value is bad,
// fieldUnknown if none is (a key is, then).
func fieldWhere(event []byte, bad func(value []byte) bool) field {
	tok := jx.DecodeBytes(event)
	it, err := tok.ObjIter()
	if err != nil {
		return fieldUnknown
	}
	for it.Next() {
		f := fieldNamed(it.Key())
		value, err := tok.Raw()
		if err != nil {
			return fieldUnknown
		}
		if bad(value) {
			return f
		}
	}
	return fieldUnknown
}

// invalidUTF8 returns where text is no UTF-8, -1 if it is.
func invalidUTF8(text []byte) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// halfPair returns the first \u escape in valid JSON that is half of a surrogate
// pair, "" if there is none.
func halfPair(text string) string {
	for {
		i := strings.IndexByte(text, '\\')
		if i < 0 {
			return ""
		}
		text = text[i:]
		r, n := escaped(text)
		if utf16.IsSurrogate(r) {
			low, m := escaped(text[n:])
			if utf16.DecodeRune(r, low) == utf8.RuneError {
				return text[:n]
			}
			n += m
		}
		text = text[n:]
	}
}

// escaped reads the escape that text begins with: its length, and its
// rune where it is a \u escape.
func escaped(text string) (rune, int) {
	if !strings.HasPrefix(text, `\u`) {
		return 0, min(2, len(text))
	}
	r, _ := strconv.ParseUint(text[2:6], 16, 16)
	return rune(r), 6
}

// strings reads an object that holds nothing but the named strings.
func (d *jsonDecoder) strings(f field, names []string, into []*string) error {
	if t := d.tok.Next(); t != jx.Object {
		return wrongType(f, t, "an object")
	}
	it, err := d.tok.ObjIter()
	if err != nil {
		return err
	}
	seen := 0
	for it.Next() {
		i := slices.Index(names, string(it.Key()))
		if i < 0 {
			return invalid(f, "unknown field %s: one of %s", quote(it.Key()), strings.Join(names, ", "))
		}
		if seen&(1<<i) != 0 {
			return invalid(f, "%s given twice", names[i])
		}
		seen |= 1 << i
		if err := d.part(f, names[i], into[i]); err != nil {
			return err
		}
	}
	return it.Err()
}

// part reads one string, or null, of an object.
func (d *jsonDecoder) part(f field, name string, into *string) error {
	if d.tok.Next() == jx.Null {
		return d.tok.Null()
	}
	b, err := d.str(f)
	if wrong, ok := errors.AsType[*FieldError](err); ok {
		wrong.Field += "." + name
	}
	*into = substring(d.text, d.body, b)
	return err
}

func (d *jsonDecoder) attributes(e *Event) error {
	if t := d.tok.Next(); t != jx.Object {
		return wrongType(fieldAttributes, t, "an object")
	}
	var err error
	e.Attributes, err = d.object(1)
	return err
}

// object reads the key-value pairs of an object at a depth.
func (d *jsonDecoder) object(depth int) ([]KeyValue, error) {
	it, err := d.tok.ObjIter()
	if err != nil {
		return nil, err
	}
	seen := keys{base: len(d.values.open)}
	for it.Next() {
		key := substring(d.text, d.body, it.Key())
		if seen.repeats(&d.values, key) {
			return nil, invalid(fieldAttributes, "key %s given twice", quote(key))
		}
		d.values.open = append(d.values.open, KeyValue{Key: key})
		at := len(d.values.open) - 1
		value, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		d.values.open[at].Value = value
	}
	if err := it.Err(); err != nil {
		return nil, err
	}
	return d.values.closeMap(seen.base), nil
}

// list reads the values of an array at a depth.
func (d *jsonDecoder) list(depth int) ([]Value, error) {
	it, err := d.tok.ArrIter()
	if err != nil {
		return nil, err
	}
	base := len(d.values.arrays)
	for it.Next() {
		value, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		d.values.arrays = append(d.values.arrays, value)
	}
	if err := it.Err(); err != nil {
		return nil, err
	}
	return d.values.closeArray(base), nil
}

// value reads a value that stands at a depth.
func (d *jsonDecoder) value(depth int) (Value, error) {
	if err := d.values.one(); err != nil {
		return Value{}, err
	}
	switch t := d.tok.Next(); t {
	case jx.Null:
		return Value{}, d.tok.Null()
	case jx.String:
		b, err := d.tok.StrBytes()
		return Value{Type: ValueString, Str: substring(d.text, d.body, b)}, err
	case jx.Bool:
		v, err := d.tok.Bool()
		return Value{Type: ValueBool, Bool: v}, err
	case jx.Number:
		return d.number()
	case jx.Array, jx.Object:
		if depth == maxDepth {
			return Value{}, invalid(fieldAttributes, "nested deeper than %d", maxDepth)
		}
		if t == jx.Array {
			v, err := d.list(depth + 1)
			return Value{Type: ValueArray, Array: v}, err
		}
		v, err := d.object(depth + 1)
		return Value{Type: ValueMap, Map: v}, err
	}
	return Value{}, errSyntax
}

// number reads an integer that fits int64 as one, any other number as double.
func (d *jsonDecoder) number() (Value, error) {
	text, err := d.tok.Raw()
	if err != nil {
		return Value{}, err
	}
	if !bytes.ContainsAny(text, ".eE") {
		if i, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return Value{Type: ValueInt, Int: i}, nil
		}
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return Value{}, invalid(fieldAttributes, "%s: beyond the range of a double", quote(text))
	}
	return Value{Type: ValueDouble, Double: f}, nil
}
