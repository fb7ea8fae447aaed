package traceql

import "time"

// spanset reads a filter or what is in parentheses.
func (p *parser) spanset() SpansetExpr {
	if p.at("{") {
		return p.filter()
	}
	if !p.at("(") {
		p.expected(`"{" or "("`)
	}
	open := p.take()
	var pl Pipeline
	p.nested(open.column, func() {
		pl = p.pipeline()
		p.end(tokenSymbol, ")", `an operator between spansets, | or ")"`)
	})
	if len(pl.Stages) == 0 {
		return pl.Source
	}
	return &Nested{Pipeline: pl}
}

func (p *parser) filter() *Filter {
	f := &Filter{Column: p.take().column}
	if p.accept("}") {
		return f
	}
	f.Expr = p.logic().boolean()
	p.expect("}", `an operator or "}"`)
	return f
}

func (p *parser) within(op *SpansetOperation) time.Duration {
	word := p.take()
	if !op.Op.Causal() {
		fail(word.column, "within stands after the right-hand side of ->, ->>, <- or <<- only, not of %s", op.Op)
	}
	t := p.tok()
	if t.kind != tokenDuration {
		p.expected("a duration such as 5s after within")
	}
	d := p.number("").Duration
	if d <= 0 {
		fail(t.column, "within %s: expected more than 0s", t.text)
	}
	return d
}

const stages = `a filter in braces, count(), avg(), min(), max(), sum(), by() or select()`

func (p *parser) stage() Stage {
	t := p.tok()
	switch {
	case p.at("{"), p.at("("):
		return p.filterStage()
	case t.kind == tokenInt, t.kind == tokenFloat, t.kind == tokenDuration, p.at("-"):
		return p.figureLast()
	case t.kind != tokenWord:
		p.expected(stages)
	}
	if what, ok := unsupportedStages[t.text]; ok {
		unsupported(t.column, what)
	}
	if _, ok := aggregateOf[t.text]; ok {
		return p.figureFirst()
	}
	switch t.text {
	case "by":
		p.take()
		return &By{Fields: p.fields("by", nil)}
	case "select":
		p.take()
		s := &Select{}
		s.Fields = p.fields("select", &s.Path)
		return s
	}
	p.expected(stages)
	return nil
}

// filterStage reads a filter; expressions of several belong before the first
// stage.
func (p *parser) filterStage() Stage {
	t := p.tok()
	switch e := p.spansets().(type) {
	case *Filter:
		return e
	case *SpansetOperation:
		unsupported(e.Column, e.Op.String()+" after |, where a filter stands alone,")
	default:
		unsupported(t.column, "a pipeline in parentheses after |")
	}
	return nil
}

// figureFirst reads count() > 3.
func (p *parser) figureFirst() Stage {
	column := p.tok().column
	f := &AggregateFilter{Aggregate: p.aggregate(), Column: column}
	p.noArithmetic()
	if p.at(")") && p.nesting > 0 {
		unsupported(column, "an aggregate that is compared outside of its parentheses")
	}
	f.Op = p.figureOp()
	if _, ok := aggregateOf[p.tok().text]; ok && p.tok().kind == tokenWord {
		unsupported(p.tok().column, "a comparison of two aggregates")
	}
	f.Right = p.figure()
	p.noArithmetic()
	return f
}

// figureLast reads 3 < count().
func (p *parser) figureLast() Stage {
	right := p.figure()
	p.noArithmetic()
	op := p.figureOp().flipped()
	t := p.tok()
	if _, ok := aggregateOf[t.text]; !ok || t.kind != tokenWord {
		p.expected("count(), avg(), min(), max() or sum()")
	}
	f := &AggregateFilter{Aggregate: p.aggregate(), Op: op, Right: right, Column: t.column}
	p.noArithmetic()
	return f
}

func (p *parser) aggregate() Aggregate {
	t := p.take()
	a := Aggregate{Fn: aggregateOf[t.text]}
	p.expect("(", `"(" after `+t.text)
	if a.Fn != Count {
		a.Arg = p.field(a.Fn.String() + "()").number(a.Fn)
	}
	p.expect(")", `")"`)
	return a
}

func (p *parser) figureOp() CompareOp {
	op, ok := compareOpOf[p.tok().text]
	if !ok || op.regex() || p.tok().kind != tokenSymbol {
		p.expected("=, !=, <, <=, > or >=")
	}
	p.take()
	return op
}

// figure reads what an aggregate is compared with.
func (p *parser) figure() Literal {
	sign := ""
	if p.accept("-") {
		sign = "-"
	}
	switch p.tok().kind {
	case tokenInt, tokenFloat, tokenDuration:
	default:
		p.expected("a number or a duration")
	}
	return p.number(sign)
}

// fields reads a list in parentheses, in which the word path may stand if
// there is a place to say so.
func (p *parser) fields(of string, path *bool) []FieldExpr {
	p.expect("(", `"(" after `+of)
	var fields []FieldExpr
	for {
		if path != nil && p.atWord("path") {
			p.take()
			*path = true
		} else {
			fields = append(fields, p.field(of+"()").expr)
		}
		if p.accept(")") {
			return fields
		}
		p.expect(",", `"," or ")"`)
	}
}

// field reads a field where an expression would be TraceQL too.
func (p *parser) field(in string) operand {
	o := p.logic()
	if !isValue(o.expr) {
		unsupported(o.column, "an expression in "+in)
	}
	if isLiteral(o.expr) {
		fail(o.column, "%s: expected a field in %s", is(o.expr), in)
	}
	return o
}
