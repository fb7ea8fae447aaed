package rule

import (
	"regexp"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// The subset of OTTL, whose tokens are OTTL's:
//
//	or         and ("or" and)*
//	and        value ("and" value)*
//	value      "not"? (comparison | "(" or ")")
//	comparison path ("==" | "!=") constant
//	path       ("span" ".")? ("kind" | "status" "." "code" | "name" | attributes)
//	           | "resource" "." attributes
//	attributes "attributes" "[" STRING "]"
//	constant   of kind and status.code: their enumerations; of name: STRING;
//	           of attributes: STRING | INT | "true" | "false" | "nil"
//
// Strings with escapes are outside of it.
var token = regexp.MustCompile(`^\s*("[^"\\]*"|[a-z][a-z0-9_]*|[A-Z][A-Z0-9_]*|[0-9]+|==|!=|[().\[\]])`)

// maxDepth bounds parentheses in one another.
const maxDepth = 32

var (
	kinds = map[string]int64{
		"SPAN_KIND_UNSPECIFIED": 0, "SPAN_KIND_INTERNAL": 1, "SPAN_KIND_SERVER": 2,
		"SPAN_KIND_CLIENT": 3, "SPAN_KIND_PRODUCER": 4, "SPAN_KIND_CONSUMER": 5,
	}
	statuses = map[string]int64{"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
)

// Evaluates reports whether a condition is in the subset of OTTL that is
// evaluated without OTTL.
func Evaluates(when string) bool {
	_, ok := parseCondition(when, func(string) int { return 0 })
	return ok
}

// parseCondition reads a condition of the subset. Attributes get their slots
// from slot, also where the condition turns out to be none of the subset.
func parseCondition(when string, slot func(attribute string) int) (node, bool) {
	p := parser{rest: when, slot: slot, ok: true}
	p.next()
	n := p.or(0)
	return n, p.ok && p.token == "" && p.rest == ""
}

// parser reads on with ok false after what is not in the subset.
type parser struct {
	token string // the one to read now, "" at the end
	rest  string
	slot  func(string) int
	ok    bool
}

func (p *parser) next() {
	m := token.FindStringSubmatchIndex(p.rest)
	if m == nil {
		p.ok = p.ok && isSpace(p.rest)
		p.token, p.rest = "", ""
		return
	}
	p.token, p.rest = p.rest[m[2]:m[3]], p.rest[m[3]:]
}

func isSpace(s string) bool {
	for i := range len(s) {
		switch s[i] {
		case ' ', '\t', '\n', '\f', '\r':
		default:
			return false
		}
	}
	return true
}

// take reads a token if it is this one.
func (p *parser) take(token string) bool {
	if p.token != token {
		return false
	}
	p.next()
	return true
}

func (p *parser) need(token string) { p.ok = p.take(token) && p.ok }

func (p *parser) or(depth int) node {
	return p.joined(nodeOr, "or", func() node {
		return p.joined(nodeAnd, "and", func() node { return p.value(depth) })
	})
}

func (p *parser) joined(does nodeKind, by string, part func() node) node {
	first := part()
	if p.token != by {
		return first
	}
	all := node{does: does, of: []node{first}}
	for p.ok && p.take(by) {
		all.of = append(all.of, part())
	}
	return all
}

func (p *parser) value(depth int) node {
	if depth > maxDepth {
		p.ok = false
	}
	if !p.ok {
		return node{}
	}
	if p.take("not") {
		if p.token == "not" {
			p.ok = false
			return node{}
		}
		return node{does: nodeNot, of: []node{p.value(depth)}}
	}
	if p.take("(") {
		n := p.or(depth + 1)
		p.need(")")
		return n
	}
	return p.comparison()
}

func (p *parser) comparison() (n node) {
	var enumeration map[string]int64
	n.resource = p.take("resource")
	if n.resource || p.take("span") {
		p.need(".")
	}
	switch {
	case p.take("attributes"):
		n.does = nodeAttributeIs
		p.need("[")
		key, ok := p.string()
		p.ok = p.ok && ok
		p.need("]")
		if p.ok {
			n.slot = p.slot(key)
		}
	case n.resource:
		p.ok = false
	case p.take("kind"):
		n.does, enumeration = nodeKindIs, kinds
	case p.take("status"):
		p.need(".")
		p.need("code")
		n.does, enumeration = nodeStatusIs, statuses
	case p.take("name"):
		n.does = nodeNameIs
	default:
		p.ok = false
	}
	if n.not = p.take("!="); !n.not {
		p.need("==")
	}
	n.constant = p.constant()
	switch n.does {
	case nodeKindIs, nodeStatusIs:
		value, known := enumeration[n.constant.s]
		p.ok = p.ok && known && n.constant.is == enum
		n.constant.n = value
	case nodeNameIs:
		p.ok = p.ok && n.constant.is == pcommon.ValueTypeStr
	default:
		p.ok = p.ok && n.constant.is != enum
	}
	return n
}

// enum is the type of a constant that is a name in capitals.
const enum pcommon.ValueType = -1

func (p *parser) constant() (c constant) {
	if s, ok := p.string(); ok {
		return constant{is: pcommon.ValueTypeStr, s: s}
	}
	t := p.token
	p.next()
	switch {
	case t == "nil":
	case t == "true":
		c.is, c.n = pcommon.ValueTypeBool, 1
	case t == "false":
		c.is = pcommon.ValueTypeBool
	case t != "" && t[0] >= '0' && t[0] <= '9':
		n, err := strconv.ParseInt(t, 10, 64)
		p.ok = p.ok && err == nil
		c.is, c.n = pcommon.ValueTypeInt, n
	case t != "" && t[0] >= 'A' && t[0] <= 'Z':
		c.is, c.s = enum, t
	default:
		p.ok = false
	}
	return c
}

func (p *parser) string() (string, bool) {
	if p.token == "" || p.token[0] != '"' {
		return "", false
	}
	s := p.token[1 : len(p.token)-1]
	p.next()
	return s, true
}
