package traceql

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// operand is an expression and where it begins.
type operand struct {
	expr   FieldExpr
	column int
}

func (p *parser) logic() operand {
	left := p.compared()
	for p.at("&&") || p.at("||") {
		or := p.take().text == "||"
		right := p.compared()
		left.expr = &Logic{Or: or, Left: left.boolean(), Right: right.boolean()}
	}
	return left
}

func (p *parser) compared() operand {
	left := p.unary()
	p.noArithmetic()
	t := p.tok()
	op, ok := compareOpOf[t.text]
	if !ok || t.kind != tokenSymbol {
		return left
	}
	p.comparable(left, t)
	p.take()
	right := p.unary()
	p.noArithmetic()
	p.comparable(right, t)
	left.expr = p.compare(left, op, t.column, right)
	if next := p.tok(); next.kind == tokenSymbol {
		if _, again := compareOpOf[next.text]; again {
			unsupported(next.column, "a comparison of a comparison")
		}
	}
	return left
}

// comparable refuses what is true or false by itself.
func (p *parser) comparable(o operand, op token) {
	if isValue(o.expr) {
		return
	}
	if _, ok := o.expr.(*Not); ok {
		unsupported(o.column, "! before one side of "+op.text+" (it binds closer; parentheses negate the whole)")
	}
	unsupported(op.column, "a comparison of a comparison")
}

// noArithmetic refuses an operator after a value that would calculate.
func (p *parser) noArithmetic() {
	t := p.tok()
	if t.kind != tokenSymbol || !arithmetic[t.text] {
		return
	}
	if op := p.causal(); op != "" {
		fail(t.column, "%s stands between spansets only", op)
	}
	unsupported(t.column, "arithmetic ("+t.text+")")
}

func (p *parser) unary() operand {
	t := p.tok()
	o := operand{column: t.column}
	switch {
	case p.accept("!"):
		p.nested(t.column, func() { o.expr = &Not{X: p.unary().boolean()} })
	case p.accept("("):
		p.nested(t.column, func() {
			o.expr = p.logic().expr
			p.expect(")", `an operator or ")"`)
		})
	default:
		o.expr = p.value()
	}
	return o
}

// value reads a field or a literal.
func (p *parser) value() FieldExpr {
	t := p.tok()
	switch t.kind {
	case tokenAttribute:
		p.take()
		return &Attribute{Scope: t.scope, Name: t.value}
	case tokenString:
		p.take()
		return Literal{Kind: LiteralString, Text: t.value}
	case tokenInt, tokenFloat, tokenDuration:
		return p.number("")
	case tokenWord:
		return p.word()
	}
	if !p.accept("-") {
		p.expected("a field or a value")
	}
	switch p.tok().kind {
	case tokenInt, tokenFloat, tokenDuration:
		return p.number("-")
	case tokenEnd:
		p.expected("a number")
	}
	unsupported(t.column, "arithmetic (-)")
	return nil
}

// word reads an intrinsic or a literal that is a word.
func (p *parser) word() FieldExpr {
	t := p.take()
	if i, ok := intrinsicOf[t.text]; ok {
		return i
	}
	if l, ok := literalOfWord[t.text]; ok {
		return l
	}
	if what, ok := unsupportedFields[t.text]; ok {
		unsupported(t.column, what)
	}
	if scope, _, ok := strings.Cut(t.text, ":"); ok {
		if known := inScope(scope); len(known) > 0 {
			fail(t.column, "no field %q: expected %s", shortened(t.text), oneOf(known))
		}
		fail(t.column, "no field %q: expected span:, trace:, event:, link: or instrumentation: and a name", shortened(t.text))
	}
	fail(t.column, "no field %q: an attribute is written .%s, span.%[2]s or resource.%[2]s, and text in quotes", shortened(t.text), shortened(t.text))
	return nil
}

// inScope lists the intrinsics that are written with a scope.
func inScope(scope string) []string {
	var names []string
	for name := range intrinsicOf {
		if strings.HasPrefix(name, scope+":") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// number reads a number or a duration that stands after a sign, "" or "-".
func (p *parser) number(sign string) Literal {
	t := p.take()
	switch t.kind {
	case tokenInt:
		n, err := strconv.ParseInt(sign+t.text, 10, 64)
		if err != nil {
			fail(t.column, "%s does not fit into 64 bits", shortened(t.text))
		}
		return Literal{Kind: LiteralInt, Int: n}
	case tokenFloat:
		f, err := strconv.ParseFloat(sign+t.text, 64)
		if errors.Is(err, strconv.ErrRange) {
			fail(t.column, "%s is too large for a number", shortened(t.text))
		}
		return Literal{Kind: LiteralFloat, Float: f}
	}
	d, err := parseDuration(t.text)
	if err != nil {
		fail(t.column, "%v", err)
	}
	if sign == "-" {
		d = -d
	}
	return Literal{Kind: LiteralDuration, Duration: d}
}
