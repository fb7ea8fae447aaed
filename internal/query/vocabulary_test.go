package query

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/traceql"
	"github.com/otelscope/otelscope/internal/traceql/traceqltest"
)

// vocabulary are all fields, with values that random spans have.
func vocabulary() traceqltest.Vocabulary {
	literals := func(of ...traceql.Literal) *rapid.Generator[traceql.Literal] { return rapid.SampledFrom(of) }
	text := func(s string) traceql.Literal { return traceql.Literal{Kind: traceql.LiteralString, Text: s} }
	number := func(n int64) traceql.Literal { return traceql.Literal{Kind: traceql.LiteralInt, Int: n} }
	texts := literals(text(""), text("p"), text("q"), text("pq"), text("s"), text("lib"), text("1"), text("bad"))
	numbers := literals(number(0), number(1), number(3), traceql.Literal{Kind: traceql.LiteralFloat, Float: 0.5},
		traceql.Literal{Kind: traceql.LiteralDuration, Duration: 2})
	trace, span := storetest.TraceID(1).String(), storetest.SpanID(2).String()
	ids := literals(text(trace), text(span))
	v := traceqltest.Everything()
	v.Within = []time.Duration{1, 3, 8}
	v.Fields = nil
	for i := traceql.Name; i <= traceql.InstrumentationVersion; i++ {
		f := traceqltest.Field{Expr: i, Values: texts, Patterns: []string{"p.?", "", "b|.*s"}}
		switch i {
		case traceql.Status:
			f.Values = literals(traceql.Literal{Kind: traceql.LiteralStatus, Status: traceql.StatusError}, traceql.Literal{Kind: traceql.LiteralStatus})
		case traceql.Kind:
			f.Values = literals(traceql.Literal{Kind: traceql.LiteralSpanKind, SpanKind: traceql.KindServer})
		case traceql.Duration, traceql.TraceDuration, traceql.ChildCount, traceql.EventTimeSinceStart:
			f.Values = numbers
		case traceql.SpanID, traceql.ParentID, traceql.TraceID, traceql.LinkTraceID, traceql.LinkSpanID:
			f.Values = ids
		}
		if _, isText := map[traceql.Intrinsic]bool{
			traceql.Status: true, traceql.Kind: true, traceql.Duration: true, traceql.TraceDuration: true,
			traceql.ChildCount: true, traceql.EventTimeSinceStart: true,
		}[i]; isText {
			f.Patterns = nil
		}
		v.Fields = append(v.Fields, f)
	}
	for scope := traceql.ScopeNone; scope <= traceql.ScopeInstrumentation; scope++ {
		for _, name := range []string{"a", "b"} {
			v.Fields = append(v.Fields, traceqltest.Field{
				Expr:     attributeOf(scope, name),
				Values:   rapid.OneOf(texts, numbers, literals(traceql.Literal{Kind: traceql.LiteralBool, Bool: true})),
				Patterns: []string{"p.?", "q|"},
			})
		}
	}
	return v
}

// TestAnyTreeIsTheOracle has trees that the other queries do not have.
func TestAnyTreeIsTheOracle(t *testing.T) {
	v := vocabulary()
	rapid.Check(t, func(rt *rapid.T) {
		d := rapidDice(rt)
		src, o := modelOf(rt, d.requests())
		q, opts := traceqltest.Query(rt, v), d.options()
		require.Equal(rt, o.answer(q, opts), pages(rt, guessing{src, d}, q, opts), q.String())
	})
}
