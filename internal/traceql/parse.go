package traceql

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// Bounds of a query.
const (
	maxLength  = 8 << 10 // bytes
	maxNesting = 64      // parentheses and negations around one place
)

// Error says where a query cannot be read, and why.
type Error struct {
	Column  int    // from 1, in characters
	Problem string // what was found and what was expected, or what is not supported
	// Unsupported says that it is TraceQL, but a part that Scope does not have.
	Unsupported bool
}

func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Problem) }

// Parse reads a query. Errors: *Error.
func Parse(text string) (q *Query, err error) {
	if len(text) > maxLength {
		return nil, &Error{Column: 1, Problem: fmt.Sprintf("the query has %d bytes, more than %d", len(text), maxLength)}
	}
	if n := validPrefix(text); n < len(text) {
		return nil, &Error{Column: utf8.RuneCountInString(text[:n]) + 1, Problem: "not valid UTF-8"}
	}
	defer func() {
		switch e := recover().(type) {
		case nil:
		case *Error:
			q, err = nil, e
		default:
			panic(e)
		}
	}()
	p := &parser{tokens: lex(text)}
	pipeline := p.pipeline()
	p.end(tokenEnd, "", "an operator between spansets, | or the end of the query")
	return &Query{Pipeline: pipeline}, nil
}

// validPrefix returns how many bytes of s are valid UTF-8.
func validPrefix(s string) int {
	for i, r := range s {
		if r != utf8.RuneError {
			continue
		}
		if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
			return i
		}
	}
	return len(s)
}

// fail ends parsing; Parse returns the *Error.
func fail(column int, format string, args ...any) {
	panic(&Error{Column: column, Problem: fmt.Sprintf(format, args...)})
}

func unsupported(column int, what string) {
	panic(&Error{Column: column, Problem: what + " is not supported", Unsupported: true})
}

// parser reads by recursive descent:
//
//	pipeline = ( spansets | stage ) { "|" stage }
//	spansets = related { ( "&&" | "||" ) related }
//	related  = spanset { operator spanset [ "within" duration ] }
//	spanset  = filter | "(" pipeline ")"
//	filter   = "{" [ logic ] "}"
//	logic    = compared { ( "&&" | "||" ) compared }
//	compared = unary [ comparison unary ]
//	unary    = "!" unary | "(" logic ")" | value
//
// As in TraceQL, && and || bind alike and to the left, in both places.
type parser struct {
	tokens       []token
	pos          int
	nesting      int
	instructions int // of all regular expressions
}

// tok returns the next token.
func (p *parser) tok() token {
	t := p.tokens[p.pos]
	if t.kind == tokenBad {
		panic(t.err)
	}
	return t
}

// take returns the next token and goes on; never beyond the end.
func (p *parser) take() token {
	t := p.tok()
	if t.kind != tokenEnd {
		p.pos++
	}
	return t
}

// at reports whether the next token is this symbol.
func (p *parser) at(symbol string) bool {
	t := p.tok()
	return t.kind == tokenSymbol && t.text == symbol
}

// atWord reports whether the next token is this word.
func (p *parser) atWord(word string) bool {
	t := p.tok()
	return t.kind == tokenWord && t.text == word
}

func (p *parser) accept(symbol string) bool {
	if !p.at(symbol) {
		return false
	}
	p.pos++
	return true
}

// expect takes a symbol; what names all that could stand there.
func (p *parser) expect(symbol, what string) {
	if !p.accept(symbol) {
		p.expected(what)
	}
}

func (p *parser) expected(what string) {
	t := p.tok()
	fail(t.column, "expected %s, found %s", what, t.found())
}

// nested reads what is in parentheses or negated.
func (p *parser) nested(column int, read func()) {
	if p.nesting++; p.nesting > maxNesting {
		fail(column, "nested more than %d deep", maxNesting)
	}
	read()
	p.nesting--
}

// end refuses what cannot follow a pipeline.
func (p *parser) end(kind tokenKind, symbol, what string) {
	t := p.tok()
	switch {
	case t.kind == kind && (symbol == "" || t.text == symbol):
		p.take()
	case p.atWord("with"):
		unsupported(t.column, "the hint with (...)")
	case p.atWord("within"):
		fail(t.column, "within stands after the right-hand side of ->, ->>, <- or <<- only")
	default:
		p.expected(what)
	}
}

func (p *parser) pipeline() Pipeline {
	var pl Pipeline
	if p.at("{") || p.at("(") {
		pl.Source = p.spansets()
	} else {
		// A pipeline that begins with a stage is about all spans.
		pl.Source = &Filter{Column: p.tok().column}
		pl.Stages = append(pl.Stages, p.stage())
	}
	for p.accept("|") {
		pl.Stages = append(pl.Stages, p.stage())
	}
	return pl
}

func (p *parser) spansets() SpansetExpr {
	left := p.related()
	for p.at("&&") || p.at("||") {
		t := p.take()
		left = &SpansetOperation{Op: spansetOpOf[t.text], Left: left, Right: p.related(), Column: t.column}
	}
	return left
}

func (p *parser) related() SpansetExpr {
	left := p.spanset()
	for {
		op := p.operator()
		if op == nil {
			return left
		}
		op.Left, op.Right = left, p.spanset()
		if p.atWord("within") {
			op.Within = p.within(op)
		}
		left = op
	}
}

// operator takes an operator of structure or causality with its edge types;
// nil if there is none.
func (p *parser) operator() *SpansetOperation {
	t := p.tok()
	if t.kind != tokenSymbol {
		return nil
	}
	if what, ok := unsupportedOps[t.text]; ok {
		unsupported(t.column, what)
	}
	text := t.text
	if causal := p.causal(); causal != "" {
		p.pos++
		text = causal
	}
	op, ok := spansetOpOf[text]
	if !ok || op.logical() {
		return nil
	}
	p.pos++
	o := &SpansetOperation{Op: op, Column: t.column}
	if op.Causal() && p.accept("[") {
		o.Types = p.edgeTypes()
	}
	return o
}

// causal returns the causal operator that the next two tokens are, "" if they
// are none.
func (p *parser) causal() string {
	if next := p.pos + 1; next < len(p.tokens) && p.tokens[next].glued {
		text := p.tokens[p.pos].text + p.tokens[next].text
		if spansetOpOf[text].Causal() {
			return text
		}
	}
	return ""
}

func (p *parser) edgeTypes() []string {
	var types []string
	for {
		t := p.tok()
		if t.kind != tokenWord || !slices.Contains(edgeTypes, t.text) {
			p.expected("an edge type (" + oneOf(edgeTypes) + ")")
		}
		p.take()
		types = append(types, t.text)
		if p.accept("]") {
			return types
		}
		p.expect(",", `"," or "]"`)
	}
}
