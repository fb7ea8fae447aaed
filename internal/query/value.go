package query

import (
	"bytes"
	"cmp"
	"math"
	"time"

	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/traceql"
)

// value is what a field of a span has, or what a literal says. The zero value
// is nothing, which is also what an attribute with an empty value has.
type value struct {
	kind valueKind
	int  int64 // of integers, durations, booleans (0, 1), statuses and span kinds
	real float64
	text []byte
}

type valueKind uint8

const (
	nothing valueKind = iota
	textValue
	intValue
	realValue
	boolValue
	durationValue // nanoseconds
	statusValue
	spanKindValue
	opaqueValue // an array, a map or bytes: it is there, and no comparison with it is true
)

func (v *value) number() bool {
	return v.kind == intValue || v.kind == realValue || v.kind == durationValue
}

// float returns a number.
func (v *value) float() float64 {
	if v.kind == realValue {
		return v.real
	}
	return float64(v.int)
}

func boolOf(b bool) value {
	if b {
		return value{kind: boolValue, int: 1}
	}
	return value{kind: boolValue}
}

func durationOf(ns uint64) value { return value{kind: durationValue, int: int64(min(ns, 1<<63-1))} }

func valueOfAttr(v otlpwire.Value) value {
	kind, data, u, err := v.Scalar()
	if err != nil {
		return value{}
	}
	switch kind {
	case otlpwire.KindString:
		return value{kind: textValue, text: data}
	case otlpwire.KindInt:
		return value{kind: intValue, int: int64(u)}
	case otlpwire.KindDouble:
		return value{kind: realValue, real: math.Float64frombits(u)}
	case otlpwire.KindBool:
		return boolOf(u != 0)
	case otlpwire.KindEmpty:
		return value{}
	}
	return value{kind: opaqueValue}
}

func valueOfLiteral(l traceql.Literal) value {
	switch l.Kind {
	case traceql.LiteralString:
		return value{kind: textValue, text: []byte(l.Text)}
	case traceql.LiteralInt:
		return value{kind: intValue, int: l.Int}
	case traceql.LiteralFloat:
		return value{kind: realValue, real: l.Float}
	case traceql.LiteralBool:
		return boolOf(l.Bool)
	case traceql.LiteralDuration:
		return value{kind: durationValue, int: int64(l.Duration)}
	case traceql.LiteralStatus:
		return value{kind: statusValue, int: int64(l.Status)}
	case traceql.LiteralSpanKind:
		return value{kind: spanKindValue, int: int64(l.SpanKind)}
	}
	return value{}
}

// any returns the value as GroupValue has it; nil for what is opaque.
func (v value) any() any {
	switch v.kind {
	case textValue:
		return string(v.text)
	case intValue:
		return v.int
	case realValue:
		return v.real
	case boolValue:
		return v.int != 0
	case durationValue:
		return time.Duration(v.int)
	case statusValue:
		return traceql.StatusValue(v.int)
	case spanKindValue:
		return traceql.KindValue(v.int)
	}
	return nil
}

// compare reports whether a comparison of two values is true. Numbers and
// durations, which are nanoseconds, compare as numbers; otherwise values of
// different types do not compare at all, and nothing with nothing. Booleans,
// statuses and kinds have no order.
func compare(op traceql.CompareOp, a, b *value) bool {
	switch {
	case a.number() && b.number():
		if a.kind != realValue && b.kind != realValue {
			return holds(op, a.int, b.int)
		}
		return holds(op, a.float(), b.float())
	case a.kind != b.kind:
		return false
	}
	switch a.kind {
	case textValue:
		if op == traceql.Equal {
			return string(a.text) == string(b.text)
		}
		return holds(op, bytes.Compare(a.text, b.text), 0)
	case boolValue, statusValue, spanKindValue:
		switch op {
		case traceql.Equal:
			return a.int == b.int
		case traceql.NotEqual:
			return a.int != b.int
		}
	}
	return false
}

func holds[T cmp.Ordered](op traceql.CompareOp, a, b T) bool {
	switch op {
	case traceql.Equal:
		return a == b
	case traceql.NotEqual:
		return a != b
	case traceql.Less:
		return a < b
	case traceql.LessEqual:
		return a <= b
	case traceql.Greater:
		return a > b
	case traceql.GreaterEqual:
		return a >= b
	}
	return false
}
