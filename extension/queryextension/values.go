package queryextension

import (
	"time"

	"github.com/otelscope/otelscope/internal/traceql"
)

// plainJSON is the plain JSON of a field's value: as query.GroupValue has it,
// durations in nanoseconds.
func plainJSON(value any) any {
	switch v := value.(type) {
	case int64:
		return integerJSON(v)
	case float64:
		return doubleJSON(v)
	case time.Duration:
		return integerJSON(int64(v))
	case traceql.StatusValue:
		return traceql.Literal{Kind: traceql.LiteralStatus, Status: v}.String()
	case traceql.KindValue:
		return traceql.Literal{Kind: traceql.LiteralSpanKind, SpanKind: v}.String()
	}
	return value // text, a bool, or nil
}

// aggregateText is an aggregate as TraceQL writes it.
func aggregateText(a traceql.Aggregate) string {
	arg := ""
	if a.Arg != nil {
		arg = a.Arg.String()
	}
	return aggregateNames[a.Fn] + "(" + arg + ")"
}

var aggregateNames = map[traceql.AggregateFn]string{
	traceql.Count: "count", traceql.Avg: "avg", traceql.Min: "min", traceql.Max: "max", traceql.Sum: "sum",
}
