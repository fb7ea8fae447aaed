// Package traceqltest makes queries for tests.
package traceqltest

import (
	"time"

	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/traceql"
)

// Vocabulary is what queries are made of.
type Vocabulary struct {
	Fields []Field // at least one
	// Depth bounds how deep expressions nest, of fields and of spansets: at
	// most 2^Depth filters, of at most 2^Depth comparisons each.
	Depth int
	// Operators join spansets; without any a query has one filter.
	Operators []traceql.SpansetOp
	EdgeTypes []string        // that causal operators may name
	Within    []time.Duration // that they may be bound to
	Stages    int             // that a pipeline has at most
}

// Field is a field and what it is compared with.
type Field struct {
	Expr traceql.FieldExpr // *Attribute or Intrinsic
	// Values are of the types that the field may be compared with; no nil.
	Values *rapid.Generator[traceql.Literal]
	// Patterns are regular expressions, of fields that hold strings.
	Patterns []string
}

// Query draws a query that Parse could return, without columns.
func Query(t *rapid.T, v Vocabulary) *traceql.Query {
	return &traceql.Query{Pipeline: v.pipeline(t, v.Depth, 0)}
}

// Filter draws a filter, without columns.
func Filter(t *rapid.T, v Vocabulary) *traceql.Filter {
	if chance(t, 10) {
		return &traceql.Filter{}
	}
	return &traceql.Filter{Expr: v.condition(t, v.Depth)}
}

// chance is true in so many percent.
func chance(t *rapid.T, percent int) bool { return rapid.IntRange(0, 99).Draw(t, "chance") < percent }

func (v Vocabulary) pipeline(t *rapid.T, depth, stages int) traceql.Pipeline {
	p := traceql.Pipeline{Source: v.spansets(t, depth)}
	for range rapid.IntRange(min(stages, v.Stages), v.Stages).Draw(t, "stages") {
		p.Stages = append(p.Stages, v.stage(t))
	}
	return p
}

func (v Vocabulary) spansets(t *rapid.T, depth int) traceql.SpansetExpr {
	if depth == 0 || len(v.Operators) == 0 || chance(t, 40) {
		return Filter(t, v)
	}
	if v.Stages > 0 && chance(t, 15) {
		return &traceql.Nested{Pipeline: v.pipeline(t, depth-1, 1)}
	}
	o := &traceql.SpansetOperation{
		Op:   rapid.SampledFrom(v.Operators).Draw(t, "operator"),
		Left: v.spansets(t, depth-1), Right: v.spansets(t, depth-1),
	}
	if o.Op.Causal() {
		if len(v.EdgeTypes) > 0 && chance(t, 30) {
			o.Types = rapid.SliceOfNDistinct(rapid.SampledFrom(v.EdgeTypes), 1, len(v.EdgeTypes), rapid.ID).Draw(t, "types")
		}
		if len(v.Within) > 0 && chance(t, 30) {
			o.Within = rapid.SampledFrom(v.Within).Draw(t, "within")
		}
	}
	return o
}

func (v Vocabulary) condition(t *rapid.T, depth int) traceql.FieldExpr {
	switch {
	case depth == 0 || chance(t, 40):
		return v.comparison(t)
	case chance(t, 20):
		return &traceql.Not{X: v.condition(t, depth-1)}
	}
	return &traceql.Logic{
		Or:   rapid.Bool().Draw(t, "or"),
		Left: v.condition(t, depth-1), Right: v.condition(t, depth-1),
	}
}

// comparison draws what is true or false of a span.
func (v Vocabulary) comparison(t *rapid.T) traceql.FieldExpr {
	field := rapid.SampledFrom(v.Fields).Draw(t, "field")
	value := field.Values.Draw(t, "value")
	switch rapid.IntRange(0, 9).Draw(t, "form") {
	case 0:
		if a, ok := field.Expr.(*traceql.Attribute); ok {
			return clone(a)
		}
	case 1:
		return &traceql.Comparison{Op: v.existence(t, field), Left: clone(field.Expr), Right: traceql.Literal{}}
	case 2:
		other := rapid.SampledFrom(v.Fields).Draw(t, "other")
		if matching(field, value, other, other.Values.Draw(t, "other value")) {
			return &traceql.Comparison{Op: operator(t, value), Left: clone(field.Expr), Right: clone(other.Expr)}
		}
	case 3:
		if chance(t, 20) {
			return traceql.Literal{Kind: traceql.LiteralBool, Bool: rapid.Bool().Draw(t, "bool")}
		}
		if chance(t, 20) {
			return &traceql.Comparison{Op: operator(t, value), Left: value, Right: value}
		}
	case 4, 5:
		if len(field.Patterns) > 0 {
			pattern := rapid.SampledFrom(field.Patterns).Draw(t, "pattern")
			return &traceql.Comparison{
				Op:   rapid.SampledFrom([]traceql.CompareOp{traceql.RegexMatch, traceql.RegexNoMatch}).Draw(t, "op"),
				Left: clone(field.Expr), Right: traceql.Literal{Kind: traceql.LiteralString, Text: pattern},
			}
		}
	}
	return &traceql.Comparison{Op: operator(t, value), Left: clone(field.Expr), Right: value}
}

func (v Vocabulary) existence(t *rapid.T, f Field) traceql.CompareOp {
	if i, ok := f.Expr.(traceql.Intrinsic); ok && !i.Optional() {
		return traceql.NotEqual
	}
	return equality(t)
}

func equality(t *rapid.T) traceql.CompareOp {
	return rapid.SampledFrom([]traceql.CompareOp{traceql.Equal, traceql.NotEqual}).Draw(t, "op")
}

// operator draws one that applies to a value.
func operator(t *rapid.T, value traceql.Literal) traceql.CompareOp {
	switch value.Kind {
	case traceql.LiteralBool, traceql.LiteralStatus, traceql.LiteralSpanKind:
		return equality(t)
	}
	return rapid.SampledFrom([]traceql.CompareOp{
		traceql.Equal, traceql.NotEqual, traceql.Less, traceql.LessEqual, traceql.Greater, traceql.GreaterEqual,
	}).Draw(t, "op")
}

// matching reports whether two fields with such values may be compared.
func matching(a Field, av traceql.Literal, b Field, bv traceql.Literal) bool {
	_, anyA := a.Expr.(*traceql.Attribute)
	_, anyB := b.Expr.(*traceql.Attribute)
	word := func(l traceql.Literal) bool {
		return l.Kind == traceql.LiteralStatus || l.Kind == traceql.LiteralSpanKind
	}
	switch {
	case anyA && anyB:
		return true
	case anyA || anyB:
		return !word(av) && !word(bv)
	}
	return av.Kind == bv.Kind || numeric(av) && numeric(bv)
}

func numeric(l traceql.Literal) bool {
	switch l.Kind {
	case traceql.LiteralInt, traceql.LiteralFloat, traceql.LiteralDuration:
		return true
	}
	return false
}

func (v Vocabulary) stage(t *rapid.T) traceql.Stage {
	switch rapid.IntRange(0, 4).Draw(t, "stage") {
	case 0:
		return Filter(t, v)
	case 1:
		return &traceql.By{Fields: v.fields(t, 1)}
	case 2:
		s := &traceql.Select{Path: rapid.Bool().Draw(t, "path")}
		least := 1
		if s.Path {
			least = 0
		}
		s.Fields = v.fields(t, least)
		return s
	}
	return v.figure(t)
}

// fields draws least to 3 fields, nil rather than none.
func (v Vocabulary) fields(t *rapid.T, least int) []traceql.FieldExpr {
	var fields []traceql.FieldExpr
	for range rapid.IntRange(least, 3).Draw(t, "fields") {
		fields = append(fields, clone(rapid.SampledFrom(v.Fields).Draw(t, "field").Expr))
	}
	return fields
}

// figure draws an aggregate and what it is compared with.
func (v Vocabulary) figure(t *rapid.T) traceql.Stage {
	f := &traceql.AggregateFilter{Right: traceql.Literal{Kind: traceql.LiteralInt, Int: rapid.Int64Range(-1, 5).Draw(t, "count")}}
	f.Op = operator(t, f.Right)
	field := rapid.SampledFrom(v.Fields).Draw(t, "field")
	value := field.Values.Draw(t, "value")
	_, attribute := field.Expr.(*traceql.Attribute)
	if chance(t, 40) || !attribute && !numeric(value) {
		return f
	}
	f.Aggregate.Fn = rapid.SampledFrom([]traceql.AggregateFn{traceql.Avg, traceql.Min, traceql.Max, traceql.Sum}).Draw(t, "function")
	f.Aggregate.Arg = clone(field.Expr)
	if numeric(value) {
		f.Right = value
	}
	return f
}

// clone gives each place in a tree its own attribute.
func clone(e traceql.FieldExpr) traceql.FieldExpr {
	if a, ok := e.(*traceql.Attribute); ok {
		c := *a
		return &c
	}
	return e
}
