package query

import "github.com/otelscope/otelscope/internal/traceql"

// Matcher says whether single spans match a query. It may be used by many
// goroutines at once.
type Matcher struct{ predicate predicate }

// NewMatcher returns a matcher of what can be said of a span alone: a filter,
// or filters joined with ||, which later filters may narrow. Anything else is
// an *UnsupportedError. The fields that a select() names are left out.
func NewMatcher(q *traceql.Query) (*Matcher, error) {
	p, err := alone(q.Pipeline)
	if err != nil {
		return nil, err
	}
	return &Matcher{p}, nil
}

// Matches reports whether the span matches.
func (m *Matcher) Matches(r *Record) bool { return m.predicate.holds(r) }

// alone returns the predicate of a pipeline that says of a span whether it
// comes out of it.
func alone(p traceql.Pipeline) (predicate, error) {
	all, err := aloneExpr(p.Source)
	if err != nil {
		return nil, err
	}
	for _, stage := range p.Stages {
		switch s := stage.(type) {
		case *traceql.Filter:
			narrower, err := aloneExpr(s)
			if err != nil {
				return nil, err
			}
			all = conjoined{all, narrower}
		case *traceql.Select:
			if s.Path {
				return nil, &UnsupportedError{"select(path) is not about a span alone, which is all that can be matched here"}
			}
		default:
			return nil, &UnsupportedError{s.String() + " is about several spans, and only one at a time can be matched here"}
		}
	}
	return all, nil
}

func aloneExpr(expr traceql.SpansetExpr) (predicate, error) {
	switch e := expr.(type) {
	case *traceql.Filter:
		p, err := compile(e.Expr)
		if err == nil && p.ofTrace() {
			err = &UnsupportedError{e.String() + " asks about the whole trace, and only one span at a time can be matched here"}
		}
		return p, err
	case *traceql.Nested:
		return alone(e.Pipeline)
	case *traceql.SpansetOperation:
		if e.Op != traceql.OpOr {
			return nil, &UnsupportedError{e.String() + " is about several spans, and only one at a time can be matched here"}
		}
		left, err := aloneExpr(e.Left)
		if err != nil {
			return nil, err
		}
		right, err := aloneExpr(e.Right)
		return either{left, right}, err
	}
	return nil, &UnsupportedError{"the query has no filter"}
}
