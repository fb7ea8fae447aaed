package event

import (
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// protoDecoder reads scope.v1.EventsRequest straight into events, without the
// generated types in between.
type protoDecoder struct {
	body   []byte
	text   string // immutable copy of body, which events' strings are parts of
	values values
	res    Result
}

func newProtoDecoder(body []byte) *protoDecoder {
	return &protoDecoder{
		body: body,
		text: string(body),
		res:  Result{Events: make([]Event, 0, sizeHint(body))},
	}
}

// Field numbers of the messages beside Event, see proto/scope/v1/event.proto.
const (
	requestEvents = 1

	pairKey   = 1
	pairValue = 2

	anyString = 1
	anyBool   = 2
	anyInt    = 3
	anyDouble = 4
	anyArray  = 5
	anyMap    = 6
	anyBytes  = 7

	listItems = 1 // of ArrayValue and KeyValueList
)

var errProto = errors.New("not valid protobuf")

// wire is one field of a message.
type wire struct {
	number protowire.Number
	typ    protowire.Type
	bits   uint64 // of a varint or fixed field
	bytes  []byte // of a length-delimited field
}

// readField splits the first field off a message.
func readField(msg []byte) (w wire, rest []byte, err error) {
	var n int
	if w.number, w.typ, n = protowire.ConsumeTag(msg); n < 0 {
		return w, nil, errProto
	}
	msg = msg[n:]
	switch w.typ {
	case protowire.VarintType:
		w.bits, n = protowire.ConsumeVarint(msg)
	case protowire.Fixed64Type:
		w.bits, n = protowire.ConsumeFixed64(msg)
	case protowire.BytesType:
		w.bytes, n = protowire.ConsumeBytes(msg)
	default:
		n = protowire.ConsumeFieldValue(w.number, w.typ, msg)
	}
	if n < 0 {
		return w, nil, errProto
	}
	return w, msg[n:], nil
}

// request reads the body. Any error concerns the whole body.
func (d *protoDecoder) request() (Result, error) {
	for rest := d.body; len(rest) > 0; {
		offset := len(d.body) - len(rest)
		w, next, err := readField(rest)
		switch {
		case err != nil:
		case w.number != requestEvents || w.typ != protowire.BytesType:
			err = fmt.Errorf("EventsRequest has no field with number %d and wire type %d", w.number, w.typ)
		default:
			err = d.one(w.bytes, rest[:len(rest)-len(next)])
		}
		if err != nil {
			return Result{}, &BodyError{Offset: offset, Err: err}
		}
		rest = next
	}
	return d.res, nil
}

// one reads one event into the result. raw is the message with its tag.
func (d *protoDecoder) one(msg, raw []byte) error {
	e, err := d.res.next()
	if err != nil {
		return err
	}
	if err = d.event(e, msg); err == nil {
		return nil
	}
	if errors.Is(err, ErrTooMuch) {
		return err
	}
	d.values.reset()
	if _, ok := errors.AsType[*FieldError](err); !ok {
		err = invalid(fieldUnknown, "%v", err)
	}
	return d.res.reject(protoIDOf(msg), err, raw)
}

// protoIDOf returns the id of an invalid event, as far as it has one.
func protoIDOf(msg []byte) string {
	for len(msg) > 0 {
		w, rest, err := readField(msg)
		if err != nil {
			break
		}
		if field(w.number) == fieldID && w.typ == protowire.BytesType {
			return rejectedID(w.bytes)
		}
		msg = rest
	}
	return ""
}

func (d *protoDecoder) event(e *Event, msg []byte) error {
	var seen uint64 // a bit for each field
	base := len(d.values.open)
	attributes := keys{base: base}
	for len(msg) > 0 {
		w, rest, err := readField(msg)
		if err != nil {
			return err
		}
		msg = rest
		if w.number >= protowire.Number(fieldCount) {
			return invalid(fieldUnknown, "Event has no field with number %d", w.number)
		}
		f := field(w.number)
		if f == fieldAttributes {
			err = d.pair(w, &attributes, 1)
		} else if seen&(1<<f) != 0 {
			err = repeated(f)
		} else {
			err = d.field(e, f, w)
		}
		if err != nil {
			return err
		}
		seen |= 1 << f
	}
	e.Attributes = d.values.closeMap(base)
	return e.complete(seen&(1<<fieldTime) != 0)
}

func (d *protoDecoder) field(e *Event, f field, w wire) error {
	switch f {
	case fieldTime:
		if err := w.want(f, protowire.Fixed64Type); err != nil {
			return err
		}
		if w.bits > math.MaxInt64 {
			return invalid(f, "%d: must be nanoseconds since the epoch, from 1970 to 2262", w.bits)
		}
		e.Time = int64(w.bits)
		return nil
	case fieldVersion:
		e.Version, e.HasVersion = int64(w.bits), true
		return w.want(f, protowire.VarintType)
	}
	if err := w.want(f, protowire.BytesType); err != nil {
		return err
	}
	switch f {
	case fieldTraceID:
		return setBytes(f, e.TraceID[:], w.bytes)
	case fieldSpanID:
		return setBytes(f, e.SpanID[:], w.bytes)
	case fieldParentSpanID:
		return setBytes(f, e.ParentSpanID[:], w.bytes)
	case fieldError:
		e.Error = &Error{}
		return d.strings(f, w.bytes, []*string{&e.Error.Type, &e.Error.Message, &e.Error.Stacktrace})
	case fieldTrigger, fieldRecovers, fieldCause:
		r := &Ref{}
		*e.ref(f) = r
		if err := d.strings(f, w.bytes, []*string{&r.Service, &r.Node, &r.ID, &r.MessageID}); err != nil {
			return err
		}
		return r.check(f)
	}
	s, err := d.str(f, w.bytes)
	if err != nil {
		return err
	}
	return e.setText(f, s)
}

func (w wire) want(f field, t protowire.Type) error {
	if w.typ != t {
		return invalid(f, "wire type %d: must be %d", w.typ, t)
	}
	return nil
}

func (d *protoDecoder) str(f field, b []byte) (string, error) {
	if !utf8.Valid(b) {
		return "", invalid(f, "not valid UTF-8")
	}
	return substring(d.text, d.body, b), nil
}

// strings reads a message that holds nothing but strings, with the numbers 1
// to len(into).
func (d *protoDecoder) strings(f field, msg []byte, into []*string) error {
	seen := 0
	for len(msg) > 0 {
		w, rest, err := readField(msg)
		if err != nil {
			return invalid(f, "%v", err)
		}
		msg = rest
		i := int(w.number) - 1
		if i >= len(into) {
			return invalid(f, "has no field with number %d", w.number)
		}
		if err := w.want(f, protowire.BytesType); err != nil {
			return err
		}
		if seen&(1<<i) != 0 {
			return invalid(f, "field with number %d given twice", w.number)
		}
		seen |= 1 << i
		if *into[i], err = d.str(f, w.bytes); err != nil {
			return err
		}
	}
	return nil
}
