package traceql

import "time"

// Query is a parsed query. The zero Columns in trees that were not parsed are
// of no meaning.
type Query struct {
	Pipeline Pipeline
}

// Pipeline is an expression over spansets and the stages that its spansets go
// through, in order.
type Pipeline struct {
	Source SpansetExpr
	Stages []Stage
}

// SpansetExpr yields spansets. It is one of *Filter, *SpansetOperation and
// *Nested.
type SpansetExpr interface {
	spansetExpr()
	String() string
}

// Filter is { ... }: the spans of which the expression is true. As a stage it
// keeps those spans of a spanset.
type Filter struct {
	Expr   FieldExpr // nil for {}, which is true of every span
	Column int       // where it begins, from 1, in characters
}

// SpansetOperation joins two spanset expressions.
type SpansetOperation struct {
	Op          SpansetOp
	Left, Right SpansetExpr
	// Types are the edge types that a causal operator goes along, as they were
	// written; none: all.
	Types []string
	// Within bounds how long after its cause an effect began; 0: no bound.
	// Causal operators only.
	Within time.Duration
	Column int // of the operator
}

// Nested is a pipeline in parentheses that has stages. Parentheses around an
// expression alone leave no trace in the tree.
type Nested struct {
	Pipeline Pipeline
}

// SpansetOp is an operator between spanset expressions.
type SpansetOp int

// The operators. Those of structure are about spans of one trace; those of
// causality about spans of any.
const (
	OpAnd        SpansetOp = iota // &&
	OpOr                          // ||
	OpChild                       // > : right is a child of left
	OpParent                      // < : right is the parent of left
	OpDescendant                  // >>
	OpAncestor                    // <<
	OpSibling                     // ~
	OpCaused                      // -> : left directly caused right
	OpLedTo                       // ->> : left led to right
	OpCausedBy                    // <- : left was directly caused by right
	OpLedFrom                     // <<- : left was led to by right
)

// Causal reports whether the operator follows causal edges.
func (o SpansetOp) Causal() bool { return o >= OpCaused }

// FieldExpr is an expression over the fields of one span. It is one of *Logic,
// *Not, *Comparison, *Attribute, Intrinsic and Literal.
type FieldExpr interface {
	fieldExpr()
	String() string
}

// Logic is Left && Right, or Left || Right.
type Logic struct {
	Or          bool
	Left, Right FieldExpr
}

// Not is !X.
type Not struct{ X FieldExpr }

// Comparison compares two values. Of RegexMatch and RegexNoMatch, Right is a
// Literal of KindString whose text compiles as a regular expression (RE2),
// which is matched against the whole value.
type Comparison struct {
	Op          CompareOp
	Left, Right FieldExpr // *Attribute, Intrinsic or Literal
	Column      int       // of the operator
}

// CompareOp is an operator between values.
type CompareOp int

// The operators.
const (
	Equal        CompareOp = iota // =
	NotEqual                      // !=
	Less                          // <
	LessEqual                     // <=
	Greater                       // >
	GreaterEqual                  // >=
	RegexMatch                    // =~
	RegexNoMatch                  // !~
)

// Attribute is an attribute of the span or of what belongs to it.
type Attribute struct {
	Scope Scope
	Name  string
}

// Scope says where an attribute stands.
type Scope int

// The scopes. An attribute without one (.name) is looked for on the span and
// then on the resource.
const (
	ScopeNone Scope = iota
	ScopeSpan
	ScopeResource
	ScopeEvent
	ScopeLink
	ScopeInstrumentation
)

// Intrinsic is a field that every span has.
type Intrinsic int

// The intrinsics, in their canonical spelling. Each may also be written with
// the scope that newer versions of TraceQL give it (span:name for name).
const (
	Name                   Intrinsic = iota // name
	Status                                  // status
	StatusMessage                           // statusMessage
	Kind                                    // kind
	Duration                                // duration
	ChildCount                              // childCount: how many spans have it as parent
	SpanID                                  // span:id
	ParentID                                // span:parentID
	TraceID                                 // trace:id
	TraceDuration                           // traceDuration: from the first start to the last end
	RootName                                // rootName
	RootServiceName                         // rootServiceName
	EventName                               // event:name
	EventTimeSinceStart                     // event:timeSinceStart
	LinkTraceID                             // link:traceID
	LinkSpanID                              // link:spanID
	InstrumentationName                     // instrumentation:name
	InstrumentationVersion                  // instrumentation:version
)

// Literal is a value that was written down.
type Literal struct {
	Kind     LiteralKind
	Text     string        // of LiteralString
	Int      int64         // of LiteralInt
	Float    float64       // of LiteralFloat
	Bool     bool          // of LiteralBool
	Duration time.Duration // of LiteralDuration
	Status   StatusValue   // of LiteralStatus
	SpanKind KindValue     // of LiteralSpanKind
}

// LiteralKind says what a Literal is.
type LiteralKind int

// The kinds of literals. Nil is the absence of a value.
const (
	LiteralNil LiteralKind = iota
	LiteralString
	LiteralInt
	LiteralFloat
	LiteralBool
	LiteralDuration
	LiteralStatus
	LiteralSpanKind
)

// StatusValue is a status by OTLP's number.
type StatusValue int32

// The statuses.
const (
	StatusUnset StatusValue = iota // unset
	StatusOK                       // ok
	StatusError                    // error
)

// KindValue is a span kind by OTLP's number.
type KindValue int32

// The kinds.
const (
	KindUnspecified KindValue = iota // unspecified
	KindInternal                     // internal
	KindServer                       // server
	KindClient                       // client
	KindProducer                     // producer
	KindConsumer                     // consumer
)

// Stage is a step of a pipeline: one of *Filter, *AggregateFilter, *By and
// *Select.
type Stage interface {
	stage()
	String() string
}

// AggregateFilter keeps the spansets of which the comparison is true.
type AggregateFilter struct {
	Aggregate Aggregate
	Op        CompareOp // not one of the regular expressions
	Right     Literal   // a number or a duration
	Column    int       // of the aggregate
}

// Aggregate is a figure of a spanset's spans.
type Aggregate struct {
	Fn  AggregateFn
	Arg FieldExpr // nil for count()
}

// AggregateFn is a function of a spanset.
type AggregateFn int

// The functions. All but count take a numeric field, and spans without a
// number there do not count; over no span they have no value, and no
// comparison with none is true.
const (
	Count AggregateFn = iota
	Avg
	Min
	Max
	Sum
)

// By splits each spanset by the values of fields.
type By struct {
	Fields []FieldExpr // *Attribute or Intrinsic
}

// Select names fields that an answer shows of each span, and whether it shows
// the path that led to the spans.
type Select struct {
	Fields []FieldExpr // *Attribute or Intrinsic
	Path   bool        // select(path)
}

func (*Filter) spansetExpr()           {}
func (*SpansetOperation) spansetExpr() {}
func (*Nested) spansetExpr()           {}

func (*Logic) fieldExpr()      {}
func (*Not) fieldExpr()        {}
func (*Comparison) fieldExpr() {}
func (*Attribute) fieldExpr()  {}
func (Intrinsic) fieldExpr()   {}
func (Literal) fieldExpr()     {}

func (*Filter) stage()          {}
func (*AggregateFilter) stage() {}
func (*By) stage()              {}
func (*Select) stage()          {}
