package query

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"regexp"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/traceql"
)

// holds reports whether an expression is true of a span.
func (o *oracle) holds(x *ospan, e traceql.FieldExpr) bool {
	switch e := e.(type) {
	case nil:
		return true
	case *traceql.Logic:
		if e.Or {
			return o.holds(x, e.Left) || o.holds(x, e.Right)
		}
		return o.holds(x, e.Left) && o.holds(x, e.Right)
	case *traceql.Not:
		return !o.holds(x, e.X)
	case *traceql.Comparison:
		return o.compares(x, e)
	}
	return slices.Contains(o.values(x, e), any(true))
}

func (o *oracle) compares(x *ospan, c *traceql.Comparison) bool {
	left, right := o.values(x, c.Left), o.values(x, c.Right)
	if l, ok := c.Right.(traceql.Literal); ok && l.Kind == traceql.LiteralNil {
		return (c.Op == traceql.NotEqual) == (len(left) > 0)
	}
	for _, a := range left {
		for _, b := range right {
			if comparesTo(c.Op, a, b) {
				return true
			}
		}
	}
	return false
}

func comparesTo(op traceql.CompareOp, a, b any) bool {
	if i, ok := a.(int64); ok {
		if j, ok := b.(int64); ok {
			return ordered(op, cmp.Compare(i, j))
		}
	}
	if f, ok := number(a); ok {
		g, ok := number(b)
		return ok && ordered(op, cmp.Compare(f, g))
	}
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		switch {
		case ok && op == traceql.RegexMatch:
			return regexp.MustCompile(`(?s)^(?:` + b + `)$`).MatchString(a)
		case ok && op == traceql.RegexNoMatch:
			return !regexp.MustCompile(`(?s)^(?:` + b + `)$`).MatchString(a)
		}
		return ok && ordered(op, cmp.Compare(a, b))
	case bool, traceql.StatusValue, traceql.KindValue:
		same := false
		switch b := b.(type) {
		case bool:
			_, same = a.(bool)
			_ = b
		case traceql.StatusValue:
			_, same = a.(traceql.StatusValue)
		case traceql.KindValue:
			_, same = a.(traceql.KindValue)
		}
		return same && (op == traceql.Equal && a == b || op == traceql.NotEqual && a != b)
	}
	return false
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case time.Duration:
		return float64(v), true
	}
	return 0, false
}

// first is a field's value in an answer, nil for none.
func (o *oracle) first(x *ospan, f traceql.FieldExpr) any {
	values := o.values(x, f)
	if len(values) == 0 {
		return nil
	}
	if _, isOpaque := values[0].(opaque); isOpaque {
		return nil
	}
	return values[0]
}

// opaque is a value that compares with nothing.
type opaque struct{}

// values are those that a field has, or a literal.
func (o *oracle) values(x *ospan, f traceql.FieldExpr) []any {
	switch f := f.(type) {
	case traceql.Literal:
		return []any{literal(f)}
	case *traceql.Attribute:
		return o.attributes(x, f)
	}
	id := func(b []byte) []any {
		if len(bytes.Trim(b, "\x00")) == 0 {
			return nil
		}
		return []any{hex.EncodeToString(b)}
	}
	trace, span, parent := x.TraceID(), x.SpanID(), x.ParentSpanID()
	switch f.(traceql.Intrinsic) {
	case traceql.Name:
		return []any{x.Name()}
	case traceql.Status:
		return []any{traceql.StatusValue(x.Status().Code())}
	case traceql.StatusMessage:
		return []any{x.Status().Message()}
	case traceql.Kind:
		return []any{traceql.KindValue(x.Kind())}
	case traceql.Duration:
		return []any{max(0, time.Duration(x.EndTimestamp())-time.Duration(x.StartTimestamp()))}
	case traceql.SpanID:
		return id(span[:])
	case traceql.ParentID:
		return id(parent[:])
	case traceql.TraceID:
		return id(trace[:])
	case traceql.InstrumentationName:
		return []any{x.scope.Name()}
	case traceql.InstrumentationVersion:
		return []any{x.scope.Version()}
	case traceql.ChildCount:
		return []any{int64(len(o.keep(o.spans, func(y *ospan) bool { return isChild(y, x) })))}
	}
	var out []any
	switch f.(traceql.Intrinsic) {
	case traceql.EventName:
		for _, e := range x.Events().All() {
			out = append(out, e.Name())
		}
	case traceql.EventTimeSinceStart:
		for _, e := range x.Events().All() {
			out = append(out, time.Duration(e.Timestamp())-time.Duration(x.StartTimestamp()))
		}
	case traceql.LinkTraceID:
		for _, l := range x.Links().All() {
			trace := l.TraceID()
			out = append(out, id(trace[:])...)
		}
	case traceql.LinkSpanID:
		for _, l := range x.Links().All() {
			span := l.SpanID()
			out = append(out, id(span[:])...)
		}
	default:
		return o.ofTrace(x, f.(traceql.Intrinsic))
	}
	return out
}

func (o *oracle) ofTrace(x *ospan, f traceql.Intrinsic) []any {
	spans := o.keep(o.spans, func(y *ospan) bool { return y.ref.TraceID == x.ref.TraceID })
	if f == traceql.TraceDuration {
		last := time.Duration(0)
		for _, y := range spans {
			last = max(last, time.Duration(y.EndTimestamp()))
		}
		return []any{max(0, last-time.Duration(spans[0].StartTimestamp()))}
	}
	roots := o.keep(spans, func(y *ospan) bool { return !hasParent(y) })
	if len(roots) == 0 {
		roots = o.keep(spans, func(y *ospan) bool {
			return !slices.ContainsFunc(spans, func(z *ospan) bool { return isChild(y, z) })
		})
	}
	switch {
	case len(roots) == 0:
		return nil
	case f == traceql.RootName:
		return []any{roots[0].Name()}
	}
	return attributeValues(roots[0].resource, "service.name")
}

func (o *oracle) attributes(x *ospan, f *traceql.Attribute) []any {
	var out []any
	switch f.Scope {
	case traceql.ScopeNone:
		if out = attributeValues(x.Attributes(), f.Name); len(out) == 0 {
			out = attributeValues(x.resource, f.Name)
		}
	case traceql.ScopeSpan:
		out = attributeValues(x.Attributes(), f.Name)
	case traceql.ScopeResource:
		out = attributeValues(x.resource, f.Name)
	case traceql.ScopeInstrumentation:
		out = attributeValues(x.scope.Attributes(), f.Name)
	case traceql.ScopeEvent:
		for _, e := range x.Events().All() {
			out = append(out, attributeValues(e.Attributes(), f.Name)...)
		}
	case traceql.ScopeLink:
		for _, l := range x.Links().All() {
			out = append(out, attributeValues(l.Attributes(), f.Name)...)
		}
	}
	return out
}

func attributeValues(m pcommon.Map, name string) []any {
	v, ok := m.Get(name)
	switch {
	case !ok || v.Type() == pcommon.ValueTypeEmpty:
		return nil
	case v.Type() == pcommon.ValueTypeSlice || v.Type() == pcommon.ValueTypeMap || v.Type() == pcommon.ValueTypeBytes:
		return []any{opaque{}}
	}
	return []any{v.AsRaw()}
}

func literal(l traceql.Literal) any {
	switch l.Kind {
	case traceql.LiteralString:
		return l.Text
	case traceql.LiteralInt:
		return l.Int
	case traceql.LiteralFloat:
		return l.Float
	case traceql.LiteralBool:
		return l.Bool
	case traceql.LiteralDuration:
		return l.Duration
	case traceql.LiteralStatus:
		return l.Status
	case traceql.LiteralSpanKind:
		return l.SpanKind
	}
	return nil
}
