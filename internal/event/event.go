// Package event is the model of native runtime events: what a runtime says
// happened, before it is assembled into spans. It validates events and decodes
// them from NDJSON, JSON and protobuf.
//
// # Ownership
//
// A decoder copies what it keeps: the events it returns never alias the bytes
// it was given, so the caller may reuse the body at once. Strings of events of
// one body may share one immutable copy of it; an event that is kept long
// should therefore be reduced to what is needed of it.
// Events are immutable once they are returned, and may be shared between
// goroutines. A nil reference (Error, Trigger, Recovers, Cause) means "not
// given".
package event

// Kind says what happened.
type Kind uint8

// The kinds of event, in the order of the contract.
const (
	KindInvalid Kind = iota
	KindCall
	KindReturn
	KindSend
	KindReceive
	KindSpawn
	KindExit
	KindState
	KindError
	KindRecover
	KindMark
)

// Priority says what is shed first and last under pressure.
type Priority uint8

// Priorities; the zero value is the default.
const (
	PriorityNormal Priority = iota
	PriorityLow
	PriorityHigh
)

// Event is one native event that passed validation: fields that its kind
// requires are set, enumerations hold allowed values, ids have their lengths.
type Event struct {
	Kind Kind
	// Time is the sender's clock, nanoseconds since the epoch, 1970 to 2262.
	Time int64
	// ID is never empty after decoding: one is assigned where the sender gave
	// none, and Assigned says so (a retry of it cannot be recognised).
	ID       string
	Assigned bool

	Service, Node, Process string // Service defaults to unknown_service
	Name                   string

	CallID      string
	MessageID   string
	MessageHash string
	Arrived     bool // of a receive: it only reached the mailbox

	Peer, PeerNode, PeerService string // as given; "" means the event's own
	Signal                      string // "", exit, down
	Child                       string

	Entity     string // "" means the process
	Version    int64
	HasVersion bool
	From, To   string

	Outcome string // "" (normal), error, exception, exit, throw
	Error   *Error

	Trigger, Recovers, Cause *Ref
	CauseType                string // "" means message_flow

	CorrelationID string

	TraceID      [16]byte // all zero: not given
	SpanID       [8]byte
	ParentSpanID [8]byte

	Priority   Priority
	Attributes []KeyValue // in the order of the sender, keys unique
}

// Error describes a failure.
type Error struct {
	Type, Message, Stacktrace string
}

// Ref names another event by id, or the one that bears a message id.
type Ref struct {
	Service, Node, ID string // Service and Node "" mean the event's own
	MessageID         string // set alone, instead of ID
}

// KeyValue is one attribute.
type KeyValue struct {
	Key   string
	Value Value
}

// ValueType says which field of a Value holds.
type ValueType uint8

// The types of a Value. ValueEmpty is JSON's null.
const (
	ValueEmpty ValueType = iota
	ValueString
	ValueBool
	ValueInt
	ValueDouble
	ValueBytes // only from protobuf
	ValueArray
	ValueMap
)

// Value is an attribute's value, one of the types of OTLP's AnyValue. Str
// holds the text of ValueString and the bytes of ValueBytes.
type Value struct {
	Type   ValueType
	Bool   bool
	Str    string
	Int    int64
	Double float64
	Array  []Value
	Map    []KeyValue
}
