package query

import "github.com/otelscope/otelscope/internal/traceql"

// asksLinks reports whether an expression is about a span's links.
func asksLinks(e traceql.FieldExpr) bool {
	switch e := e.(type) {
	case *traceql.Logic:
		return asksLinks(e.Left) || asksLinks(e.Right)
	case *traceql.Not:
		return asksLinks(e.X)
	case *traceql.Comparison:
		return asksLinks(e.Left) || asksLinks(e.Right)
	case *traceql.Attribute:
		return e.Scope == traceql.ScopeLink
	case traceql.Intrinsic:
		return e == traceql.LinkTraceID || e == traceql.LinkSpanID
	}
	return false
}
