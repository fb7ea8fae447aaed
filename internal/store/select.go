package store

import "github.com/otelscope/otelscope/internal/store/field"

// Selection asks for the spans that began within a time and that match. Its
// parts are what a store may use to leave things unread; what counts is
// NewMatcher.
type Selection struct {
	// Start and End bound when a span began, nanoseconds since the epoch:
	// Start <= t < End. An End of 0 is no bound.
	Start, End uint64
	// Where is true of every span that is wanted; nil: nothing is known of
	// them. A store skips what it can tell not to fulfil it.
	Where Condition
	// NewMatcher returns what says of a stored span whether it is wanted; nil:
	// all are. A matcher is used by one goroutine, but several may run at once.
	// It must not keep the span's slices.
	NewMatcher func() func(Span) (bool, error)
	// IgnoresLinks says that a matcher's answer does not depend on the span's
	// links, which is all that versions of a span can add to one another. Then
	// a store looks for other versions only of what matches.
	IgnoresLinks bool
	// Reading is added to while the spans are read, if it is not nil; it is
	// complete when the sequence has ended.
	Reading *Reading
}

// Condition says what is known of the spans that are wanted: All, Any, Has,
// Among, or Lasted.
type Condition interface{ condition() }

// All is true where all of its conditions are.
type All []Condition

// Any is true where one of its conditions is.
type Any []Condition

// Has is true of a span of which a field has the value.
type Has struct {
	Field Field
	Value any // string, int64, float64 or bool; an int64 is no float64
}

// Among is true of a span of which a field has a text that Accept accepts.
// Accept must say the same each time and may be called by several goroutines
// at once.
type Among struct {
	Field  Field
	Accept func(string) bool
}

// Lasted is true of a span whose duration, in nanoseconds, is within the two:
// Min <= d <= Max. A span whose end is before its start lasted 0.
type Lasted struct{ Min, Max uint64 }

func (All) condition()    {}
func (Any) condition()    {}
func (Has) condition()    {}
func (Among) condition()  {}
func (Lasted) condition() {}

// Field is something that spans have values of. Of an attribute that is there
// twice both values count.
type Field = field.Field

// FieldOf says where a field stands.
type FieldOf = field.Of

// The places. Names and messages have strings, kinds and statuses OTLP's
// number as an int64.
const (
	OfSpan          = field.Span          // an attribute of the span
	OfResource      = field.Resource      // an attribute of the resource
	OfEvent         = field.Event         // an attribute of one of the span's events
	OfName          = field.Name          // the span's name
	OfKind          = field.Kind          // the span's kind
	OfStatus        = field.Status        // the status code
	OfStatusMessage = field.StatusMessage // the status message
	OfEventName     = field.EventName     // the name of one of the span's events
)

// Reading says what a selection read, and what it could leave out.
type Reading struct {
	Parts        int   `json:"parts"`         // heads and blocks that there are
	PartsSkipped int   `json:"parts_skipped"` // of which nothing was read
	Zones        int64 `json:"zones"`         // runs of neighbouring rows in the blocks that were not skipped
	ZonesSkipped int64 `json:"zones_skipped"` // of which nothing was read
	Spans        int64 `json:"spans"`         // that were looked at
	Bytes        int64 `json:"bytes"`         // of OTLP that those have
	Matched      int64 `json:"matched"`
}

// Values are the different values of a field, as far as a store knows them
// without reading spans. What is no number is no value.
type Values struct {
	Values []any // string, int64, float64 or bool; sorted by type, then by value
	// Complete says that there are no others. A store may leave out the rest
	// where there are many.
	Complete bool
}
