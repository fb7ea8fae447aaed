package event

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// DefaultService is the service of events that name none.
	DefaultService = "unknown_service"

	// maxIDBytes bounds an event's id, also where a reference names it.
	maxIDBytes = 128

	// maxDepth bounds how deep attributes nest; the attributes object itself
	// is depth 1.
	maxDepth = 64

	// maxQuoted bounds how much of a bad value an error repeats, in bytes.
	maxQuoted = 64
)

var (
	kindNames = []string{"call", "return", "send", "receive", "spawn", "exit", "state", "error", "recover", "mark"}
	kinds     = strings.Join(kindNames, ", ")
)

// FieldError says what is wrong with one event.
type FieldError struct {
	// Field is one of the contract's field names, or "" where the event as a
	// whole is wrong. It is never text of the sender's.
	Field string
	// Reason names the value, shortened, and what is allowed.
	Reason string
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Reason
	}
	return e.Field + ": " + e.Reason
}

func invalid(f field, format string, args ...any) error {
	return &FieldError{Field: f.String(), Reason: fmt.Sprintf(format, args...)}
}

// quote shortens and quotes a value of the sender's for an error.
func quote[T ~string | ~[]byte](v T) string {
	if len(v) <= maxQuoted {
		return strconv.Quote(string(v))
	}
	cut := maxQuoted
	for cut > maxQuoted-utf8.UTFMax && !utf8.RuneStart(v[cut]) {
		cut--
	}
	return strconv.Quote(string(v[:cut])) + "..."
}

func unknownField[T ~string | ~[]byte](name T) error {
	return invalid(fieldUnknown, "unknown field %s: free data goes into attributes", quote(name))
}

func repeated(f field) error { return invalid(f, "given twice") }

// String returns the kind as the contract writes it.
func (k Kind) String() string {
	if k == KindInvalid || int(k) > len(kindNames) {
		return "invalid"
	}
	return kindNames[k-1]
}

// String returns the priority as the contract writes it.
func (p Priority) String() string {
	switch p {
	case PriorityLow:
		return "low"
	case PriorityHigh:
		return "high"
	}
	return "normal"
}

func kindNamed(name string) Kind {
	switch name {
	case "call":
		return KindCall
	case "return":
		return KindReturn
	case "send":
		return KindSend
	case "receive":
		return KindReceive
	case "spawn":
		return KindSpawn
	case "exit":
		return KindExit
	case "state":
		return KindState
	case "error":
		return KindError
	case "recover":
		return KindRecover
	case "mark":
		return KindMark
	}
	return KindInvalid
}

// setText sets a field whose wire form is a string. The empty string is as
// good as absent, except for an id.
func (e *Event) setText(f field, s string) error {
	switch f {
	case fieldID:
		return e.setID(s)
	case fieldKind:
		if e.Kind = kindNamed(s); e.Kind == KindInvalid {
			return invalid(f, "unknown kind %s: one of %s", quote(s), kinds)
		}
	case fieldPhase:
		return allowed(f, s, e.setPhase(s), "taken, arrived")
	case fieldSignal:
		return allowed(f, s, e.setSignal(s), "exit, down")
	case fieldOutcome:
		return allowed(f, s, e.setOutcome(s), "normal, error, exception, exit, throw")
	case fieldCauseType:
		return allowed(f, s, e.setCauseType(s), "parent_child, message_flow, state_transition, error_propagation, process_spawn")
	case fieldPriority:
		return allowed(f, s, e.setPriority(s), "low, normal, high")
	case fieldTraceID:
		return setHex(f, e.TraceID[:], s)
	case fieldSpanID:
		return setHex(f, e.SpanID[:], s)
	case fieldParentSpanID:
		return setHex(f, e.ParentSpanID[:], s)
	default:
		*e.text(f) = s
	}
	return nil
}

func allowed(f field, s string, ok bool, values string) error {
	if ok {
		return nil
	}
	return invalid(f, "unknown %s %s: one of %s", f, quote(s), values)
}

func (e *Event) setID(s string) error {
	if n := len(s); n == 0 || n > maxIDBytes {
		return invalid(fieldID, "%s has %d bytes: 1 to %d are allowed", quote(s), n, maxIDBytes)
	}
	e.ID = s
	return nil
}

func (e *Event) setPhase(s string) bool {
	e.Arrived = s == "arrived"
	return e.Arrived || s == "taken" || s == ""
}

func (e *Event) setSignal(s string) bool {
	e.Signal = s
	return s == "exit" || s == "down" || s == ""
}

func (e *Event) setOutcome(s string) bool {
	switch s {
	case "error", "exception", "exit", "throw":
		e.Outcome = s
		return true
	}
	return s == "normal" || s == ""
}

func (e *Event) setCauseType(s string) bool {
	switch s {
	case "parent_child", "state_transition", "error_propagation", "process_spawn":
		e.CauseType = s
		return true
	}
	return s == "message_flow" || s == ""
}

func (e *Event) setPriority(s string) bool {
	switch s {
	case "low":
		e.Priority = PriorityLow
		return true
	case "high":
		e.Priority = PriorityHigh
		return true
	}
	return s == "normal" || s == ""
}

func setHex(f field, id []byte, s string) error {
	if s == "" {
		return nil
	}
	if len(s) == 2*len(id) {
		if _, err := hex.Decode(id, []byte(s)); err == nil && !allZero(id) {
			return nil
		}
	}
	return invalid(f, "%s: must be %d hex digits, not all zero", quote(s), 2*len(id))
}

func setBytes(f field, id, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if len(b) != len(id) || allZero(b) {
		return invalid(f, "%d bytes %x: must be %d, not all zero", len(b), b[:min(len(b), maxQuoted/2)], len(id))
	}
	copy(id, b)
	return nil
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

const timeAllowed = "an RFC 3339 time or nanoseconds since the epoch, from 1970 to 2262"

// timeOf reads an RFC 3339 time or a decimal number of nanoseconds, and
// reports whether text is one and within 1970 to 2262.
func timeOf(text []byte) (int64, bool) {
	if ns, ok := digits(text); ok {
		return ns, ns >= 0
	}
	// What the standard library takes beside RFC 3339: an hour of one digit, a
	// comma before the fraction.
	if len(text) <= len("2006-01-02T15") || text[len("2006-01-02T15")] != ':' || bytes.IndexByte(text, ',') >= 0 {
		return 0, false
	}
	var t time.Time
	if err := t.UnmarshalText(text); err != nil {
		return 0, false
	}
	if t.Unix() < 0 || t.After(latest) {
		return 0, false
	}
	return t.UnixNano(), true
}

var latest = time.Unix(0, math.MaxInt64)

// digits reports whether text is decimal digits only, and their value, -1 when
// it is beyond int64.
func digits(text []byte) (int64, bool) {
	var n int64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		if d := int64(c - '0'); n < 0 || n > (math.MaxInt64-d)/10 {
			n = -1
		} else {
			n = n*10 + d
		}
	}
	return n, len(text) > 0
}

// complete checks what can only be checked when all fields are known, and sets
// defaults.
func (e *Event) complete(hasTime bool) error {
	if e.Kind == KindInvalid {
		return invalid(fieldKind, "missing: one of %s", kinds)
	}
	if !hasTime {
		return invalid(fieldTime, "missing: %s", timeAllowed)
	}
	if e.Process == "" {
		return invalid(fieldProcess, "missing: every event needs one")
	}
	if e.Service == "" {
		e.Service = DefaultService
	}
	return e.needs()
}

// needs checks the fields that only some kinds require.
func (e *Event) needs() error {
	missing := func(f field) error { return invalid(f, "missing: kind %s needs it", e.Kind) }
	switch {
	case (e.Kind == KindCall || e.Kind == KindMark) && e.Name == "":
		return missing(fieldName)
	case e.Kind == KindReturn && e.CallID == "" && e.Name == "":
		return invalid(fieldCallID, "missing: kind return needs call_id or name")
	case e.Kind == KindSpawn && e.Child == "":
		return missing(fieldChild)
	case e.Kind == KindState && e.To == "":
		return missing(fieldTo)
	case e.Kind == KindError && (e.Error == nil || e.Error.Type == ""):
		return &FieldError{Field: "error.type", Reason: "missing: kind error needs it"}
	}
	return nil
}
