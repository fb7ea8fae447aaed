package traceqltest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/traceql"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQueriesAreOfTheVocabulary(t *testing.T) {
	v := Vocabulary{
		Fields: []Field{{&traceql.Attribute{Name: "a"}, rapid.Just(traceql.Literal{Kind: traceql.LiteralInt, Int: 1}), nil}},
		Depth:  2,
	}
	rapid.Check(t, func(t *rapid.T) {
		q := Query(t, v)
		require.IsType(t, &traceql.Filter{}, q.Pipeline.Source)
		require.Empty(t, q.Pipeline.Stages)
		_, err := traceql.Parse(q.String())
		require.NoError(t, err, "%s", q)
	})
}

// TestEverythingOccurs keeps the generator from missing a part of the language.
func TestEverythingOccurs(t *testing.T) {
	v := Everything()
	queries := rapid.Custom(func(t *rapid.T) *traceql.Query { return Query(t, v) })
	var all strings.Builder
	for seed := range 1500 {
		fmt.Fprintln(&all, queries.Example(seed))
	}
	parts := []string{"{} ", " within ", ", path)", "(path)", " = nil", " != nil", " =~ ", " !~ ", "!(", "true", "by(", "count()", "(({", " | {", ") | "}
	for _, op := range v.Operators {
		parts = append(parts, "} "+op.String())
	}
	for _, f := range v.Fields {
		parts = append(parts, f.Expr.String())
	}
	for _, fn := range []traceql.AggregateFn{traceql.Avg, traceql.Min, traceql.Max, traceql.Sum} {
		parts = append(parts, fn.String()+"(")
	}
	for _, part := range parts {
		require.True(t, strings.Contains(all.String(), part), "no %q", part)
	}
}
