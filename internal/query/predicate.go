package query

import (
	"regexp"

	"github.com/otelscope/otelscope/internal/traceql"
)

// predicate is a compiled expression over the fields of a span. It may be used
// by many goroutines at once; the record may not.
type predicate interface {
	holds(r *Record) bool
	// ofTrace reports whether it needs to know the whole trace.
	ofTrace() bool
	// loose is true wherever the predicate may be, of a record whose trace is
	// not known; strict is true nowhere else than where it must be.
	loose() predicate
	strict() predicate
}

type (
	always    bool
	isTrue    struct{ field field }
	negation  struct{ x predicate }
	conjoined struct{ left, right predicate }
	either    struct{ left, right predicate }
	// compared is true if one of the left field's values and one of the
	// right's compare so.
	compared struct {
		op          traceql.CompareOp
		left, right field
	}
	// exists is true if the field has a value.
	exists struct{ field field }
	// matched is true if one of the field's values is a text that the
	// expression matches, or does not match.
	matched struct {
		field field
		expr  *regexp.Regexp
		not   bool
	}
)

// compile returns the predicate of an expression; nil is true of every span.
func compile(expr traceql.FieldExpr) (predicate, error) {
	switch e := expr.(type) {
	case nil:
		return always(true), nil
	case *traceql.Logic:
		left, err := compile(e.Left)
		if err != nil {
			return nil, err
		}
		right, err := compile(e.Right)
		if err != nil {
			return nil, err
		}
		if e.Or {
			return either{left, right}, nil
		}
		return conjoined{left, right}, nil
	case *traceql.Not:
		x, err := compile(e.X)
		return negation{x}, err
	case *traceql.Comparison:
		return compileComparison(e)
	case traceql.Literal:
		return always(e.Kind == traceql.LiteralBool && e.Bool), nil
	}
	return &isTrue{fieldOf(expr)}, nil
}

func compileComparison(c *traceql.Comparison) (predicate, error) {
	left, right := fieldOf(c.Left), fieldOf(c.Right)
	switch c.Op {
	case traceql.RegexMatch, traceql.RegexNoMatch:
		expr, err := traceql.CompileRegexp(string(right.literal.text))
		if err != nil {
			return nil, &UnsupportedError{err.Error()}
		}
		return &matched{left, expr, c.Op == traceql.RegexNoMatch}, nil
	case traceql.Equal, traceql.NotEqual:
		for _, pair := range [][2]field{{left, right}, {right, left}} {
			if of, with := pair[0], pair[1]; with.isNil() {
				if c.Op == traceql.NotEqual {
					return &exists{of}, nil
				}
				return negation{&exists{of}}, nil
			}
		}
	}
	return &compared{c.Op, left, right}, nil
}

func (f *field) isNil() bool { return f.place == literalPlace && f.literal.kind == nothing }

func (p always) holds(*Record) bool      { return bool(p) }
func (p *isTrue) holds(r *Record) bool    { return r.holdsAny(&p.field, value.isTrue) }
func (p negation) holds(r *Record) bool  { return !p.x.holds(r) }
func (p conjoined) holds(r *Record) bool { return p.left.holds(r) && p.right.holds(r) }
func (p either) holds(r *Record) bool    { return p.left.holds(r) || p.right.holds(r) }
func (p *exists) holds(r *Record) bool    { return r.holdsAny(&p.field, value.isThere) }

func (p *compared) holds(r *Record) bool {
	for i := range r.values(&p.left) {
		left := r.value(&p.left, i, 0)
		if p.right.place == literalPlace {
			if compare(p.op, &left, &p.right.literal) {
				return true
			}
			continue
		}
		for j := range r.values(&p.right) {
			right := r.value(&p.right, j, 1)
			if compare(p.op, &left, &right) {
				return true
			}
		}
	}
	return false
}

func (p *matched) holds(r *Record) bool {
	for i := range r.values(&p.field) {
		if v := r.value(&p.field, i, 0); v.kind == textValue && p.expr.Match(v.text) != p.not {
			return true
		}
	}
	return false
}

func (v value) isTrue() bool  { return v.kind == boolValue && v.int != 0 }
func (v value) isThere() bool { return v.kind != nothing }

func (r *Record) holdsAny(f *field, is func(value) bool) bool {
	for i := range r.values(f) {
		if is(r.value(f, i, 0)) {
			return true
		}
	}
	return false
}

func (p always) ofTrace() bool    { return false }
func (p *isTrue) ofTrace() bool    { return p.field.place == tracePlace }
func (p negation) ofTrace() bool  { return p.x.ofTrace() }
func (p conjoined) ofTrace() bool { return p.left.ofTrace() || p.right.ofTrace() }
func (p either) ofTrace() bool    { return p.left.ofTrace() || p.right.ofTrace() }
func (p *exists) ofTrace() bool    { return p.field.place == tracePlace }
func (p *matched) ofTrace() bool   { return p.field.place == tracePlace }
func (p *compared) ofTrace() bool {
	return p.left.place == tracePlace || p.right.place == tracePlace
}

func (p negation) loose() predicate   { return negation{p.x.strict()} }
func (p negation) strict() predicate  { return negation{p.x.loose()} }
func (p conjoined) loose() predicate  { return conjoined{p.left.loose(), p.right.loose()} }
func (p conjoined) strict() predicate { return conjoined{p.left.strict(), p.right.strict()} }
func (p either) loose() predicate     { return either{p.left.loose(), p.right.loose()} }
func (p either) strict() predicate    { return either{p.left.strict(), p.right.strict()} }

func (p always) loose() predicate    { return p }
func (p always) strict() predicate   { return p }
func (p *isTrue) loose() predicate    { return guess(p, true) }
func (p *isTrue) strict() predicate   { return guess(p, false) }
func (p *exists) loose() predicate    { return guess(p, true) }
func (p *exists) strict() predicate   { return guess(p, false) }
func (p *matched) loose() predicate   { return guess(p, true) }
func (p *matched) strict() predicate  { return guess(p, false) }
func (p *compared) loose() predicate  { return guess(p, true) }
func (p *compared) strict() predicate { return guess(p, false) }

func guess(p predicate, what bool) predicate {
	if p.ofTrace() {
		return always(what)
	}
	return p
}
