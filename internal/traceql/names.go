package traceql

import "slices"

// edgeTypes are the types that a causal operator may name, as the answers of
// the API spell them.
var edgeTypes = []string{
	"parent_child", "message_flow", "state_transition", "error_propagation", "process_spawn", "other",
}

// EdgeTypes returns the edge types that a causal operator may name.
func EdgeTypes() []string { return slices.Clone(edgeTypes) }

var spansetOps = map[SpansetOp]string{
	OpAnd: "&&", OpOr: "||",
	OpChild: ">", OpParent: "<", OpDescendant: ">>", OpAncestor: "<<", OpSibling: "~",
	OpCaused: "->", OpLedTo: "->>", OpCausedBy: "<-", OpLedFrom: "<<-",
}

func (o SpansetOp) String() string { return spansetOps[o] }

// logical reports whether the operator is && or ||, which bind less than all
// others.
func (o SpansetOp) logical() bool { return o == OpAnd || o == OpOr }

var compareOps = map[CompareOp]string{
	Equal: "=", NotEqual: "!=", Less: "<", LessEqual: "<=", Greater: ">", GreaterEqual: ">=",
	RegexMatch: "=~", RegexNoMatch: "!~",
}

func (o CompareOp) String() string { return compareOps[o] }

func (o CompareOp) regex() bool { return o == RegexMatch || o == RegexNoMatch }

// flipped is the operator that says the same with its sides exchanged.
func (o CompareOp) flipped() CompareOp {
	switch o {
	case Less:
		return Greater
	case LessEqual:
		return GreaterEqual
	case Greater:
		return Less
	case GreaterEqual:
		return LessEqual
	}
	return o
}

var scopes = map[Scope]string{
	ScopeNone: "", ScopeSpan: "span", ScopeResource: "resource", ScopeEvent: "event", ScopeLink: "link",
	ScopeInstrumentation: "instrumentation",
}

func (s Scope) String() string { return scopes[s] }

// intrinsics says of each how it is spelled, how else it may be, what its
// values are, and whether a span may be without it.
var intrinsics = map[Intrinsic]struct {
	name, alias string
	typ         valueType
	optional    bool
}{
	Name:                   {"name", "span:name", typeString, false},
	Status:                 {"status", "span:status", typeStatus, false},
	StatusMessage:          {"statusMessage", "span:statusMessage", typeString, false},
	Kind:                   {"kind", "span:kind", typeKind, false},
	Duration:               {"duration", "span:duration", typeDuration, false},
	ChildCount:             {"childCount", "span:childCount", typeNumber, false},
	SpanID:                 {"span:id", "", typeString, false},
	ParentID:               {"span:parentID", "", typeString, true},
	TraceID:                {"trace:id", "", typeString, false},
	TraceDuration:          {"traceDuration", "trace:duration", typeDuration, false},
	RootName:               {"rootName", "trace:rootName", typeString, true},
	RootServiceName:        {"rootServiceName", "trace:rootService", typeString, true},
	EventName:              {"event:name", "", typeString, true},
	EventTimeSinceStart:    {"event:timeSinceStart", "", typeDuration, true},
	LinkTraceID:            {"link:traceID", "", typeString, true},
	LinkSpanID:             {"link:spanID", "", typeString, true},
	InstrumentationName:    {"instrumentation:name", "", typeString, false},
	InstrumentationVersion: {"instrumentation:version", "", typeString, false},
}

// Optional reports whether a span may be without the intrinsic, so that a
// comparison with nil can be true of it.
func (i Intrinsic) Optional() bool { return intrinsics[i].optional }

var statuses = map[StatusValue]string{StatusUnset: "unset", StatusOK: "ok", StatusError: "error"}

func (s StatusValue) String() string { return statuses[s] }

var kinds = map[KindValue]string{
	KindUnspecified: "unspecified", KindInternal: "internal", KindServer: "server", KindClient: "client",
	KindProducer: "producer", KindConsumer: "consumer",
}

func (k KindValue) String() string { return kinds[k] }

var aggregates = map[AggregateFn]string{Count: "count", Avg: "avg", Min: "min", Max: "max", Sum: "sum"}

func (f AggregateFn) String() string { return aggregates[f] }

// What a word or an operator means where it is read.
var (
	spansetOpOf   = inverse(spansetOps)
	compareOpOf   = inverse(compareOps)
	scopeOf       = inverse(scopes)
	aggregateOf   = inverse(aggregates)
	intrinsicOf   = map[string]Intrinsic{}
	literalOfWord = map[string]Literal{
		"nil": {}, "true": {Kind: LiteralBool, Bool: true}, "false": {Kind: LiteralBool},
	}
)

func init() {
	for i, d := range intrinsics {
		intrinsicOf[d.name] = i
		if d.alias != "" {
			intrinsicOf[d.alias] = i
		}
	}
	for s, word := range statuses {
		literalOfWord[word] = Literal{Kind: LiteralStatus, Status: s}
	}
	for k, word := range kinds {
		literalOfWord[word] = Literal{Kind: LiteralSpanKind, SpanKind: k}
	}
}

func inverse[K comparable](names map[K]string) map[string]K {
	out := make(map[string]K, len(names))
	for k, name := range names {
		out[name] = k
	}
	return out
}

// What TraceQL has and this package does not, by the word or operator that
// shows it.
var (
	unsupportedFields = map[string]string{
		"parent":          "the field parent",
		"nestedSetLeft":   "the field nestedSetLeft",
		"nestedSetRight":  "the field nestedSetRight",
		"nestedSetParent": "the field nestedSetParent",
	}
	unsupportedStages = map[string]string{
		"coalesce":            "coalesce()",
		"rate":                "the metrics function rate()",
		"count_over_time":     "the metrics function count_over_time()",
		"min_over_time":       "the metrics function min_over_time()",
		"max_over_time":       "the metrics function max_over_time()",
		"avg_over_time":       "the metrics function avg_over_time()",
		"sum_over_time":       "the metrics function sum_over_time()",
		"quantile_over_time":  "the metrics function quantile_over_time()",
		"histogram_over_time": "the metrics function histogram_over_time()",
		"compare":             "the metrics function compare()",
		"topk":                "the metrics function topk()",
		"bottomk":             "the metrics function bottomk()",
	}
	unsupportedOps = map[string]string{
		"!>": "the negated operator !>", "!<": "the negated operator !<", "!>>": "the negated operator !>>",
		"!<<": "the negated operator !<<", "!~": "the negated operator !~",
		"&>": "the union operator &>", "&<": "the union operator &<", "&>>": "the union operator &>>",
		"&<<": "the union operator &<<", "&~": "the union operator &~",
	}
	arithmetic = map[string]bool{"+": true, "-": true, "*": true, "/": true, "%": true, "^": true}
)
