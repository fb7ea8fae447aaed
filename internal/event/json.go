package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/go-faster/jx"
)

// jsonDecoder reads each event once, straight into its Event. Only an event
// that turns out to be wrong is read again: the decoder goes back to its start
// (a copy of the tokenizer's state), skips it as a JSON value, and so tells an
// invalid event from a broken body.
type jsonDecoder struct {
	tok        jx.Decoder
	body       []byte
	text       string // immutable copy of body, which events' strings are parts of
	utf8       bool   // all of body is valid, so that no event needs a check
	surrogates bool   // an escape of a surrogate may be somewhere in body
	values     values
	res        Result
}

func newJSONDecoder(body []byte) *jsonDecoder {
	return &jsonDecoder{
		tok:        *jx.DecodeBytes(body),
		body:       body,
		text:       string(body),
		utf8:       utf8.Valid(body),
		surrogates: bytes.Contains(body, []byte(`\ud`)) || bytes.Contains(body, []byte(`\uD`)),
		res:        Result{Events: make([]Event, 0, sizeHint(body))},
	}
}

// stream reads objects one after another.
func (d *jsonDecoder) stream() (Result, error) {
	for d.more() {
		if err := d.one(); err != nil {
			return Result{}, d.bodyError(err, d.lastWhole())
		}
	}
	return d.res, nil
}

// document reads one object, or an array of objects.
func (d *jsonDecoder) document() (Result, error) {
	if !d.more() {
		return d.res, nil
	}
	err := d.top()
	if err == nil && d.more() {
		err = errSyntax
	}
	if err != nil {
		return Result{}, d.bodyError(err, 0)
	}
	return d.res, nil
}

func (d *jsonDecoder) top() error {
	switch t := d.tok.Next(); t {
	case jx.Object:
		return d.one()
	case jx.Array:
		return d.array()
	case jx.Invalid:
		return errSyntax
	default:
		return errors.New(typeNames[t] + ": must be an event or an array of events")
	}
}

func (d *jsonDecoder) array() error {
	it, err := d.tok.ArrIter()
	if err != nil {
		return errSyntax
	}
	for it.Next() {
		if err := d.one(); err != nil {
			return err
		}
	}
	if it.Err() != nil {
		return errSyntax
	}
	return nil
}

// more reports whether anything but white space follows.
func (d *jsonDecoder) more() bool {
	if d.tok.Next() != jx.Invalid {
		return true
	}
	ahead := d.tok
	return !errors.Is(ahead.Skip(), io.EOF)
}

// errSyntax says that the body is no JSON; bodyError finds out where and why.
var errSyntax = errors.New("not valid JSON")

// one reads one event into the result. An error concerns the whole body.
func (d *jsonDecoder) one() error {
	start := d.tok
	e, err := d.res.next()
	if err != nil {
		return err
	}
	if err = d.event(e); err == nil {
		return nil
	}
	if errors.Is(err, ErrTooMuch) {
		return err
	}
	d.tok = start
	d.values.reset()
	d.tok.Next() // white space is no part of the event
	raw, syntax := d.tok.Raw()
	if syntax != nil {
		return errSyntax
	}
	if _, ok := errors.AsType[*FieldError](err); !ok {
		err = invalid(fieldUnknown, "%v", errSyntax)
	}
	return d.res.reject(jsonIDOf(raw), err, raw)
}

// jsonIDOf returns the id of an invalid event, as far as it has one.
func jsonIDOf(raw jx.Raw) string {
	in := jsonDecoder{tok: *jx.DecodeBytes(raw)}
	it, err := in.tok.ObjIter()
	if err != nil {
		return ""
	}
	for it.Next() {
		if string(it.Key()) == "id" {
			id, _ := in.str(fieldID)
			return rejectedID(id)
		}
		if in.tok.Skip() != nil {
			break
		}
	}
	return ""
}

// lastWhole returns where, in a stream, the values end that are whole.
func (d *jsonDecoder) lastWhole() int {
	tok, end := jx.DecodeBytes(d.body), 0
	for {
		raw, err := tok.Raw()
		if err != nil {
			return end
		}
		end += len(raw)
	}
}

// bodyError finds the offset that goes with err by reading the body, which is
// one JSON value from from on, with a second parser: the tokenizer's own
// errors do not give theirs.
func (d *jsonDecoder) bodyError(err error, from int) error {
	if !errors.Is(err, errSyntax) {
		return &BodyError{Offset: from, Err: err}
	}
	rest := d.body[from:]
	syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(rest, new(json.RawMessage)))
	if !ok {
		return &BodyError{Offset: from, Err: err}
	}
	if at := int(syntax.Offset) - 1; at < len(rest)-1 || !truncated(rest) {
		return &BodyError{Offset: from + at, Err: syntax}
	}
	return &BodyError{Offset: len(d.body), Err: errors.New("the body ends within an event")}
}

// truncated reports whether text is the beginning of a JSON value.
func truncated(text []byte) bool {
	return errors.Is(json.NewDecoder(bytes.NewReader(text)).Decode(new(json.RawMessage)), io.ErrUnexpectedEOF)
}

// event reads one event.
func (d *jsonDecoder) event(e *Event) error {
	if t := d.tok.Next(); t != jx.Object {
		return invalid(fieldUnknown, "%s: an event is an object", typeNames[t])
	}
	if err := d.checkText(); err != nil {
		return err
	}
	it, err := d.tok.ObjIter()
	if err != nil {
		return err
	}
	var seen uint64 // a bit for each field
	hasTime := false
	for it.Next() {
		f := fieldNamed(it.Key())
		if f == fieldUnknown {
			return unknownField(it.Key())
		}
		if seen&(1<<f) != 0 {
			return repeated(f)
		}
		seen |= 1 << f
		if t := d.tok.Next(); t == jx.Null {
			err = d.tok.Null()
		} else {
			err = d.field(e, f, t)
			hasTime = hasTime || f == fieldTime
		}
		if err != nil {
			return err
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	return e.complete(hasTime)
}

// field reads the value of a field, which begins as one of type t.
func (d *jsonDecoder) field(e *Event, f field, t jx.Type) error {
	switch f {
	case fieldTime:
		return d.time(e)
	case fieldVersion:
		return d.version(e)
	case fieldError:
		e.Error = &Error{}
		return d.strings(f, errorParts, []*string{&e.Error.Type, &e.Error.Message, &e.Error.Stacktrace})
	case fieldTrigger, fieldRecovers, fieldCause:
		r := &Ref{}
		*e.ref(f) = r
		return d.ref(r, f)
	case fieldAttributes:
		return d.attributes(e)
	}
	if t != jx.String {
		return wrongType(f, t, "a string")
	}
	b, err := d.tok.StrBytes()
	if err != nil {
		return err
	}
	return e.setText(f, substring(d.text, d.body, b))
}

func (d *jsonDecoder) time(e *Event) error {
	var text []byte
	var err error
	switch t := d.tok.Next(); t {
	case jx.String:
		text, err = d.str(fieldTime)
	case jx.Number:
		text, err = d.tok.Raw()
	default:
		return wrongType(fieldTime, t, timeAllowed)
	}
	if err != nil {
		return err
	}
	ns, ok := timeOf(text)
	if !ok {
		return invalid(fieldTime, "%s: must be %s", quote(text), timeAllowed)
	}
	e.Time = ns
	return nil
}

func (d *jsonDecoder) version(e *Event) error {
	if t := d.tok.Next(); t != jx.Number {
		return wrongType(fieldVersion, t, "an integer")
	}
	text, err := d.tok.Raw()
	if err != nil {
		return err
	}
	if e.Version, err = strconv.ParseInt(string(text), 10, 64); err != nil {
		return invalid(fieldVersion, "%s: must be an integer of 64 bits", quote(text))
	}
	e.HasVersion = true
	return nil
}

func (d *jsonDecoder) ref(r *Ref, f field) error {
	switch t := d.tok.Next(); t {
	case jx.String:
		b, err := d.str(f)
		if err != nil {
			return err
		}
		r.ID = substring(d.text, d.body, b)
	case jx.Object:
		if err := d.strings(f, refParts, []*string{&r.Service, &r.Node, &r.ID, &r.MessageID}); err != nil {
			return err
		}
	default:
		return wrongType(f, t, "an event id or an object")
	}
	return r.check(f)
}

var (
	errorParts = []string{"type", "message", "stacktrace"}
	refParts   = []string{"service", "node", "id", "message_id"}
)
