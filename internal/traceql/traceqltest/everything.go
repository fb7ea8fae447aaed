package traceqltest

import (
	"math"
	"time"

	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/traceql"
)

// Everything is all that the language has.
func Everything() Vocabulary {
	texts := []string{"", "a.*", `\d+`, "a`b", "é|\n"}
	v := Vocabulary{
		Depth: 3,
		Operators: []traceql.SpansetOp{
			traceql.OpAnd, traceql.OpOr, traceql.OpChild, traceql.OpParent, traceql.OpDescendant, traceql.OpAncestor,
			traceql.OpSibling, traceql.OpCaused, traceql.OpLedTo, traceql.OpCausedBy, traceql.OpLedFrom,
		},
		EdgeTypes: traceql.EdgeTypes(),
		Within:    []time.Duration{1, 1500 * time.Millisecond, time.Minute, time.Hour, 25 * time.Hour, math.MaxInt64},
		Stages:    3,
	}
	for _, i := range []traceql.Intrinsic{
		traceql.Name, traceql.StatusMessage, traceql.SpanID, traceql.ParentID, traceql.TraceID, traceql.RootName,
		traceql.RootServiceName, traceql.EventName, traceql.LinkTraceID, traceql.LinkSpanID,
		traceql.InstrumentationName, traceql.InstrumentationVersion,
	} {
		v.Fields = append(v.Fields, Field{i, Strings(), texts})
	}
	for _, i := range []traceql.Intrinsic{
		traceql.Duration, traceql.TraceDuration, traceql.EventTimeSinceStart, traceql.ChildCount,
	} {
		v.Fields = append(v.Fields, Field{i, Numbers(), nil})
	}
	v.Fields = append(v.Fields, Field{traceql.Status, statuses(), nil}, Field{traceql.Kind, kinds(), nil})
	for scope := traceql.ScopeNone; scope <= traceql.ScopeInstrumentation; scope++ {
		for _, name := range []string{"a", "http.status_code", "a b", `"\`, "5xx", "a-b/c[0]", "größe", "nil", "a\nb{}=|,"} {
			values := rapid.OneOf(Strings(), Numbers(), booleans())
			v.Fields = append(v.Fields, Field{&traceql.Attribute{Scope: scope, Name: name}, values, texts})
		}
	}
	return v
}

// Strings are strings of all sorts, not all of them UTF-8.
func Strings() *rapid.Generator[traceql.Literal] {
	bytes := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 5), func(b []byte) string { return string(b) })
	return rapid.Map(rapid.OneOf(rapid.StringN(0, 8, -1), bytes), func(s string) traceql.Literal {
		return traceql.Literal{Kind: traceql.LiteralString, Text: s}
	})
}

// Numbers are integers, floats and durations.
func Numbers() *rapid.Generator[traceql.Literal] {
	return rapid.OneOf(
		rapid.Map(rapid.Int64(), func(n int64) traceql.Literal {
			return traceql.Literal{Kind: traceql.LiteralInt, Int: n}
		}),
		rapid.Map(rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64), func(f float64) traceql.Literal {
			return traceql.Literal{Kind: traceql.LiteralFloat, Float: f}
		}),
		// Without the least, which has no opposite.
		rapid.Map(rapid.Int64Range(-math.MaxInt64, math.MaxInt64), func(n int64) traceql.Literal {
			return traceql.Literal{Kind: traceql.LiteralDuration, Duration: time.Duration(n)}
		}),
	)
}

func booleans() *rapid.Generator[traceql.Literal] {
	return rapid.Map(rapid.Bool(), func(b bool) traceql.Literal {
		return traceql.Literal{Kind: traceql.LiteralBool, Bool: b}
	})
}

func statuses() *rapid.Generator[traceql.Literal] {
	return rapid.Map(rapid.Int32Range(int32(traceql.StatusUnset), int32(traceql.StatusError)), func(n int32) traceql.Literal {
		return traceql.Literal{Kind: traceql.LiteralStatus, Status: traceql.StatusValue(n)}
	})
}

func kinds() *rapid.Generator[traceql.Literal] {
	return rapid.Map(rapid.Int32Range(int32(traceql.KindUnspecified), int32(traceql.KindConsumer)), func(n int32) traceql.Literal {
		return traceql.Literal{Kind: traceql.LiteralSpanKind, SpanKind: traceql.KindValue(n)}
	})
}
