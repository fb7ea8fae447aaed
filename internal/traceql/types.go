package traceql

import (
	"fmt"
	"strings"
)

// valueType is what can be said of a value before any span is seen.
type valueType int

const (
	typeAny valueType = iota // of an attribute
	typeString
	typeNumber
	typeDuration
	typeBool
	typeStatus
	typeKind
	typeNil
)

func (t valueType) String() string {
	return [...]string{
		"an attribute", "a string", "a number", "a duration", "a boolean",
		"a status (unset, ok, error)", "a kind (unspecified, internal, server, client, producer, consumer)", "nil",
	}[t]
}

// numeric values compare with each other; of durations the nanoseconds do.
func (t valueType) numeric() bool { return t == typeNumber || t == typeDuration }

// ordered reports whether < applies.
func (t valueType) ordered() bool { return t == typeAny || t == typeString || t.numeric() }

var literalTypes = map[LiteralKind]valueType{
	LiteralNil: typeNil, LiteralString: typeString, LiteralInt: typeNumber, LiteralFloat: typeNumber,
	LiteralBool: typeBool, LiteralDuration: typeDuration, LiteralStatus: typeStatus, LiteralSpanKind: typeKind,
}

func typeOf(e FieldExpr) valueType {
	switch e := e.(type) {
	case *Attribute:
		return typeAny
	case Intrinsic:
		return intrinsics[e].typ
	case Literal:
		return literalTypes[e.Kind]
	}
	return typeBool
}

// is says of what type an expression is, for errors.
func is(e FieldExpr) string {
	if l, ok := e.(Literal); ok && l.Kind == LiteralNil {
		return "nil is no value"
	}
	return fmt.Sprintf("%s is %s", shortened(e.String()), typeOf(e))
}

// boolean refuses an expression that cannot be true or false.
func (o operand) boolean() FieldExpr {
	if t := typeOf(o.expr); t != typeAny && t != typeBool {
		fail(o.column, "%s; expected what is true or false, such as a comparison", is(o.expr))
	}
	return o.expr
}

// isValue reports whether an expression is a field or a literal.
func isValue(e FieldExpr) bool {
	switch e.(type) {
	case *Attribute, Intrinsic, Literal:
		return true
	}
	return false
}

func isLiteral(e FieldExpr) bool {
	_, ok := e.(Literal)
	return ok
}

// compare makes a comparison of two values, a single literal to the right.
func (p *parser) compare(left operand, op CompareOp, column int, right operand) FieldExpr {
	if op.regex() {
		return p.compareRegexp(left, op, column, right)
	}
	if isLiteral(left.expr) && !isLiteral(right.expr) {
		left, right, op = right, left, op.flipped()
	}
	l, r := typeOf(left.expr), typeOf(right.expr)
	switch {
	case l == typeNil && r == typeNil:
		return Literal{Kind: LiteralBool}
	case l == typeNil || r == typeNil:
		compareNil(left, op, column)
	case l == typeAny && (r == typeStatus || r == typeKind):
		fail(right.column, "%s, which an attribute never is; a text is written in quotes", is(right.expr))
	case r == typeAny && (l == typeStatus || l == typeKind):
		fail(left.column, "%s, which an attribute never is", is(left.expr))
	case l != typeAny && r != typeAny && l != r && !(l.numeric() && r.numeric()):
		fail(right.column, "%s and %s: they cannot be compared", is(left.expr), is(right.expr))
	}
	if op != Equal && op != NotEqual && !(l.ordered() && r.ordered()) {
		of := left
		if l.ordered() {
			of = right
		}
		fail(column, "expected = or !=, found %s: %s", op, is(of.expr))
	}
	return &Comparison{Op: op, Left: left.expr, Right: right.expr, Column: column}
}

func compareNil(left operand, op CompareOp, column int) {
	switch e := left.expr.(type) {
	case Literal:
		fail(column, "only fields are compared with nil")
	case Intrinsic:
		if op == Equal && !e.Optional() {
			fail(column, "%s is never nil: every span has it", e)
		}
	}
}

func (p *parser) compareRegexp(left operand, op CompareOp, column int, right operand) FieldExpr {
	if t := typeOf(left.expr); t != typeAny && t != typeString {
		fail(column, "%s applies to strings only, and %s", op, is(left.expr))
	}
	pattern, ok := right.expr.(Literal)
	if !ok || pattern.Kind != LiteralString {
		fail(right.column, "expected a regular expression in quotes after %s, found %s", op, shortened(right.expr.String()))
	}
	_, size, err := compileRegexp(pattern.Text)
	if err != nil {
		fail(right.column, "%v", err)
	}
	if p.instructions += size; p.instructions > maxRegexpsOfAll {
		fail(right.column, "the regular expressions up to here compile to %d instructions, more than %d", p.instructions, maxRegexpsOfAll)
	}
	return &Comparison{Op: op, Left: left.expr, Right: pattern, Column: column}
}

// number refuses a field that an aggregate cannot take.
func (o operand) number(fn AggregateFn) FieldExpr {
	if t := typeOf(o.expr); t != typeAny && !t.numeric() {
		fail(o.column, "%s: %s() takes numbers and durations", is(o.expr), fn)
	}
	return o.expr
}

// oneOf lists what was expected.
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
