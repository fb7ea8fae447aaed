package event

import (
	"errors"
	"fmt"
	"mime"
	"strings"
)

// Format is a wire form of events.
type Format uint8

// The wire forms.
const (
	FormatNDJSON Format = iota + 1 // JSON objects one after another
	FormatJSON                     // one JSON object, or an array of them
	FormatProto                    // scope.v1.EventsRequest
)

var contentTypes = map[string]Format{
	"application/x-ndjson":   FormatNDJSON,
	"application/json":       FormatJSON,
	"application/x-protobuf": FormatProto,
}

// FormatOf returns the format that a Content-Type header names; its parameters
// do not matter.
func FormatOf(contentType string) (Format, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if f := contentTypes[media]; err == nil && f != 0 {
		return f, nil
	}
	return 0, fmt.Errorf("Content-Type: unknown media type %s: one of application/x-ndjson, application/json, application/x-protobuf",
		quote(contentType))
}

// What one body may hold at most, so that a small body cannot become large in
// memory. Bodies of ordinary events stay far below.
const (
	maxEvents     = 1 << 18 // valid ones
	maxRejections = 10_000
	maxValues     = 1 << 20 // attribute values, nested ones included
)

// ErrTooMuch is wrapped by a BodyError of a body that holds more events,
// invalid events or attribute values than one body may.
var ErrTooMuch = errors.New("too much for one body, send several")

// Result is what a body held. Every event of the body is in one of the lists.
type Result struct {
	Events   []Event     // valid, in the order of the body
	Rejected []Rejection // invalid, in the order of the body
}

// Rejection is an invalid event.
type Rejection struct {
	Index int    // among all events of the body, from 0
	ID    string // the event's id as far as it can be read, else ""
	Err   error  // a *FieldError
	// Raw is the event as it came: a JSON value, or an EventsRequest with this
	// event alone; either can be decoded by itself. It aliases the body.
	Raw []byte
}

// BodyError says why a body cannot be split into events. Nothing of such a
// body is accepted, so that it can be sent again as a whole.
type BodyError struct {
	Offset int // in bytes, where the body is broken
	Err    error
}

func (e *BodyError) Error() string {
	if errors.Is(e.Err, ErrTooMuch) {
		return e.Err.Error()
	}
	return fmt.Sprintf("body cannot be split into events, broken at byte %d: %v", e.Offset, e.Err)
}

func (e *BodyError) Unwrap() error { return e.Err }

// Decode splits a body into its events and validates each. An empty body holds
// none. assignID gives an id to each valid event that has none. The error is a
// *BodyError, and the Result is empty then.
func Decode(format Format, body []byte, assignID func() string) (Result, error) {
	var res Result
	var err error
	switch format {
	case FormatNDJSON:
		res, err = newJSONDecoder(body).stream()
	case FormatJSON:
		res, err = newJSONDecoder(body).document()
	case FormatProto:
		res, err = newProtoDecoder(body).request()
	default:
		err = fmt.Errorf("unknown format %d", format)
	}
	if err != nil {
		return Result{}, err
	}
	for i := range res.Events {
		if e := &res.Events[i]; e.ID == "" {
			e.ID, e.Assigned = assignID(), true
		}
	}
	return res, nil
}

// sizeHint is how many events of ordinary size a body may hold.
func sizeHint(body []byte) int { return len(body)/256 + 1 }

// next makes room for one more event. The caller fills it, and takes it back
// with reject where it turns out to be invalid.
func (r *Result) next() (*Event, error) {
	if len(r.Events) == maxEvents {
		return nil, fmt.Errorf("more than %d events: %w", maxEvents, ErrTooMuch)
	}
	r.Events = append(r.Events, Event{})
	return &r.Events[len(r.Events)-1], nil
}

func (r *Result) reject(id string, err error, raw []byte) error {
	if len(r.Rejected) == maxRejections {
		return fmt.Errorf("more than %d invalid events: %w", maxRejections, ErrTooMuch)
	}
	r.Events = r.Events[:len(r.Events)-1]
	r.Rejected = append(r.Rejected, Rejection{Index: len(r.Events) + len(r.Rejected), ID: id, Err: err, Raw: raw})
	return nil
}

// substring returns part, which usually lies within body, as a string: a
// substring of text, the immutable copy of body, where it can be one.
func substring(text string, body, part []byte) string {
	if len(part) == 0 {
		return ""
	}
	at := cap(body) - cap(part)
	if at >= 0 && at+len(part) <= len(body) && &body[at] == &part[0] {
		return text[at : at+len(part)]
	}
	return string(part)
}

// rejectedID makes the id of an invalid event, which may be anything, fit for
// an answer.
func rejectedID(id []byte) string {
	return strings.ToValidUTF8(string(id[:min(len(id), maxIDBytes)]), "")
}
