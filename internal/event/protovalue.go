package event

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

func badAttribute(err error) error { return invalid(fieldAttributes, "%v", err) }

// pair reads a KeyValue into the open map, whose values stand at a depth.
func (d *protoDecoder) pair(w wire, seen *keys, depth int) error {
	if err := w.want(fieldAttributes, protowire.BytesType); err != nil {
		return err
	}
	key, value := "", []byte(nil)
	fields := 0
	for msg := w.bytes; len(msg) > 0; {
		part, rest, err := readField(msg)
		if err != nil {
			return badAttribute(err)
		}
		msg = rest
		if part.number > pairValue {
			return invalid(fieldAttributes, "KeyValue has no field with number %d", part.number)
		}
		if err := part.want(fieldAttributes, protowire.BytesType); err != nil {
			return err
		}
		if fields&(1<<part.number) != 0 {
			return invalid(fieldAttributes, "KeyValue has field %d twice", part.number)
		}
		fields |= 1 << part.number
		if part.number == pairValue {
			value = part.bytes
		} else if key, err = d.str(fieldAttributes, part.bytes); err != nil {
			return err
		}
	}
	if seen.repeats(&d.values, key) {
		return invalid(fieldAttributes, "key %s given twice", quote(key))
	}
	d.values.open = append(d.values.open, KeyValue{Key: key})
	at := len(d.values.open) - 1
	v, err := d.value(value, depth)
	d.values.open[at].Value = v
	return err
}

// value reads an AnyValue that stands at a depth. One without a field is empty.
func (d *protoDecoder) value(msg []byte, depth int) (Value, error) {
	if err := d.values.one(); err != nil {
		return Value{}, err
	}
	if len(msg) == 0 {
		return Value{}, nil
	}
	w, rest, err := readField(msg)
	if err != nil {
		return Value{}, badAttribute(err)
	}
	if len(rest) > 0 {
		return Value{}, invalid(fieldAttributes, "AnyValue has more than one field")
	}
	switch w.number {
	case anyBool:
		return Value{Type: ValueBool, Bool: w.bits != 0}, w.want(fieldAttributes, protowire.VarintType)
	case anyInt:
		return Value{Type: ValueInt, Int: int64(w.bits)}, w.want(fieldAttributes, protowire.VarintType)
	case anyDouble:
		return Value{Type: ValueDouble, Double: math.Float64frombits(w.bits)}, w.want(fieldAttributes, protowire.Fixed64Type)
	}
	if err := w.want(fieldAttributes, protowire.BytesType); err != nil {
		return Value{}, err
	}
	switch w.number {
	case anyString:
		s, err := d.str(fieldAttributes, w.bytes)
		return Value{Type: ValueString, Str: s}, err
	case anyBytes:
		return Value{Type: ValueBytes, Str: substring(d.text, d.body, w.bytes)}, nil
	case anyArray, anyMap:
		return d.nested(w, depth)
	}
	return Value{}, invalid(fieldAttributes, "AnyValue has no field with number %d", w.number)
}

// nested reads an ArrayValue or a KeyValueList.
func (d *protoDecoder) nested(w wire, depth int) (Value, error) {
	if depth == maxDepth {
		return Value{}, invalid(fieldAttributes, "nested deeper than %d", maxDepth)
	}
	arrays, seen := len(d.values.arrays), keys{base: len(d.values.open)}
	for msg := w.bytes; len(msg) > 0; {
		item, rest, err := readField(msg)
		if err != nil {
			return Value{}, badAttribute(err)
		}
		msg = rest
		if item.number != listItems {
			return Value{}, invalid(fieldAttributes, "a list of values has no field with number %d", item.number)
		}
		if w.number == anyMap {
			err = d.pair(item, &seen, depth+1)
		} else {
			err = d.item(item, depth+1)
		}
		if err != nil {
			return Value{}, err
		}
	}
	if w.number == anyMap {
		return Value{Type: ValueMap, Map: d.values.closeMap(seen.base)}, nil
	}
	return Value{Type: ValueArray, Array: d.values.closeArray(arrays)}, nil
}

// item reads an element into the open array.
func (d *protoDecoder) item(w wire, depth int) error {
	if err := w.want(fieldAttributes, protowire.BytesType); err != nil {
		return err
	}
	v, err := d.value(w.bytes, depth)
	d.values.arrays = append(d.values.arrays, v)
	return err
}
