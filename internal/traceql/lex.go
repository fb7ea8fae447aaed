package traceql

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

type tokenKind int

const (
	tokenEnd       tokenKind = iota
	tokenBad                 // what cannot be read; err says why
	tokenSymbol              // an operator or a bracket
	tokenWord                // name, span:name, count
	tokenAttribute           // .a, span.a
	tokenString
	tokenInt
	tokenFloat
	tokenDuration
)

type token struct {
	kind   tokenKind
	text   string // as it was written
	column int    // from 1, in characters
	glued  bool   // nothing lies between it and the token before
	scope  Scope  // of an attribute
	value  string // an attribute's name, a string's text
	err    *Error
}

// found names the token in an error.
func (t token) found() string {
	switch t.kind {
	case tokenEnd:
		return "the end of the query"
	case tokenString:
		return "the string " + shortened(t.text)
	case tokenAttribute, tokenInt, tokenFloat, tokenDuration:
		return shortened(t.text)
	}
	return strconv.Quote(shortened(t.text))
}

// shortened cuts text that an error shows.
func shortened(s string) string {
	const most = 60 // characters
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "..."
}

// symbols are tried in this order: of two that begin alike the longer first.
// Causal operators are not among them: the parser puts them together from
// symbols that stand side by side between spansets, so that { .x<-1 } compares
// with a negative number.
var symbols = []string{
	"!>>", "!<<", "&>>", "&<<",
	"&&", "||", "!=", "!~", "=~", "<=", ">=", ">>", "<<", "!>", "!<", "&>", "&<", "&~",
	"{", "}", "(", ")", "[", "]", ",", "=", "!", "<", ">", "~", "|", "+", "-", "*", "/", "%", "^",
}

// lexer cuts a query into tokens. The text is valid UTF-8.
type lexer struct {
	text   string
	pos    int // in bytes
	column int // of pos
}

// lex returns the tokens of a query. The last is a tokenEnd, or a tokenBad if
// what follows cannot be read.
func lex(text string) []token {
	l := &lexer{text: text, column: 1}
	var tokens []token
	for {
		start := l.pos
		if err := l.space(); err != nil {
			return append(tokens, token{kind: tokenBad, column: err.Column, err: err})
		}
		glued := l.pos == start
		t := token{column: l.column}
		start = l.pos
		if t.err = l.next(&t); t.err != nil {
			t.kind = tokenBad
		}
		t.text, t.glued = l.text[start:l.pos], glued
		tokens = append(tokens, t)
		if t.kind == tokenEnd || t.kind == tokenBad {
			return tokens
		}
	}
}

func (l *lexer) rest() string { return l.text[l.pos:] }

// peek returns the next character, 0 at the end.
func (l *lexer) peek() rune {
	if l.pos == len(l.text) {
		return 0
	}
	r, _ := utf8.DecodeRuneInString(l.rest())
	return r
}

// skip goes over n bytes.
func (l *lexer) skip(n int) string {
	s := l.text[l.pos : l.pos+n]
	l.pos += n
	l.column += utf8.RuneCountInString(s)
	return s
}

// take goes over the characters that belong.
func (l *lexer) take(belongs func(rune) bool) string {
	n := strings.IndexFunc(l.rest(), func(r rune) bool { return !belongs(r) })
	if n < 0 {
		n = len(l.rest())
	}
	return l.skip(n)
}

func (l *lexer) fail(format string, args ...any) *Error {
	return &Error{Column: l.column, Problem: fmt.Sprintf(format, args...)}
}

// space goes over white space and comments.
func (l *lexer) space() *Error {
	for {
		l.take(unicode.IsSpace)
		switch {
		case strings.HasPrefix(l.rest(), "//"):
			l.take(func(r rune) bool { return r != '\n' })
		case strings.HasPrefix(l.rest(), "/*"):
			n := strings.Index(l.rest()[2:], "*/")
			if n < 0 {
				return l.fail("the comment has no end: expected */")
			}
			l.skip(n + 4)
		default:
			return nil
		}
	}
}

// next reads one token into t.
func (l *lexer) next(t *token) *Error {
	r := l.peek()
	switch {
	case l.pos == len(l.text):
		t.kind = tokenEnd
	case isDigit(r), r == '.' && len(l.rest()) > 1 && isDigit(rune(l.rest()[1])):
		return l.number(t)
	case r == '.':
		return l.attribute(t, ScopeNone)
	case isLetter(r):
		return l.word(t)
	case r == '"':
		return l.quoted(t)
	case r == '`':
		return l.raw(t)
	default:
		for _, s := range symbols {
			if strings.HasPrefix(l.rest(), s) {
				t.kind = tokenSymbol
				l.skip(len(s))
				return nil
			}
		}
		return l.fail("unexpected character %q", string(r))
	}
	return nil
}

func isDigit(r rune) bool  { return r >= '0' && r <= '9' }
func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' }

// number reads 1, 1.5, 1e3, 1.5s or 1h30m.
func (l *lexer) number(t *token) *Error {
	t.kind = tokenInt
	l.take(isDigit)
	if l.peek() == '.' {
		t.kind = tokenFloat
		l.skip(1)
		l.take(isDigit)
	}
	if n := exponent(l.rest()); n > 0 {
		t.kind = tokenFloat
		l.skip(n)
	}
	unit := func(r rune) bool { return isLetter(r) || r == 'µ' || r == 'μ' }
	if unit(l.peek()) {
		t.kind = tokenDuration
		l.take(func(r rune) bool { return unit(r) || isDigit(r) || r == '.' })
	}
	return nil
}

// exponent returns the length of the exponent that s begins with.
func exponent(s string) int {
	if s == "" || s[0] != 'e' && s[0] != 'E' {
		return 0
	}
	n := 1
	if n < len(s) && (s[n] == '+' || s[n] == '-') {
		n++
	}
	digits := n
	for n < len(s) && isDigit(rune(s[n])) {
		n++
	}
	if n == digits {
		return 0
	}
	return n
}

// word reads a word, an intrinsic with its scope, or an attribute with its
// scope.
func (l *lexer) word(t *token) *Error {
	t.kind = tokenWord
	isWord := func(r rune) bool { return isLetter(r) || isDigit(r) }
	at := l.column
	word := l.take(isWord)
	switch l.peek() {
	case ':':
		l.skip(1)
		l.take(isWord)
	case '.':
		if word == "parent" {
			return &Error{at, "the scope parent. is not supported", true}
		}
		scope, ok := scopeOf[word]
		if !ok {
			return &Error{Column: at, Problem: fmt.Sprintf("%q is no scope: expected span., resource., event., link., instrumentation. or a dot alone", shortened(word)+".")}
		}
		return l.attribute(t, scope)
	}
	return nil
}

// attribute reads a dot and an attribute's name, parts of which may be quoted.
func (l *lexer) attribute(t *token, scope Scope) *Error {
	t.kind, t.scope = tokenAttribute, scope
	l.skip(1)
	var name strings.Builder
	for {
		name.WriteString(l.take(func(r rune) bool { return isNameRune(r) && r != '"' }))
		if l.peek() != '"' {
			break
		}
		if err := l.quotedName(&name); err != nil {
			return err
		}
	}
	if t.value = name.String(); t.value == "" {
		return l.fail("expected the name of an attribute after the dot")
	}
	return nil
}

// isNameRune reports whether an attribute's name may have the character
// without quotes.
func isNameRune(r rune) bool {
	return !unicode.IsSpace(r) && !strings.ContainsRune("{}()=~!<>&|^,", r)
}

func (l *lexer) quotedName(name *strings.Builder) *Error {
	begin := l.column
	l.skip(1)
	for {
		name.WriteString(l.take(func(r rune) bool { return r != '"' && r != '\\' }))
		switch {
		case l.pos == len(l.text):
			return &Error{Column: begin, Problem: `the quoted name has no end: expected "`}
		case l.peek() == '"':
			l.skip(1)
			return nil
		case strings.HasPrefix(l.rest(), `\"`), strings.HasPrefix(l.rest(), `\\`):
			name.WriteString(l.skip(2)[1:])
		default:
			return l.fail(`in a name, a backslash stands before " or another backslash only`)
		}
	}
}

// quoted reads a string with escapes as Go has them.
func (l *lexer) quoted(t *token) *Error {
	t.kind = tokenString
	begin := l.column
	l.skip(1)
	var value []byte
	for {
		r := l.peek()
		switch {
		case l.pos == len(l.text), r == '\n':
			return &Error{Column: begin, Problem: `the string has no end: expected "`}
		case r == '"':
			l.skip(1)
			t.value = string(value)
			return nil
		}
		r, multibyte, tail, err := strconv.UnquoteChar(l.rest(), '"')
		if err != nil {
			return l.fail(`no such escape; a backslash itself is \\, and a string in backquotes has no escapes`)
		}
		if multibyte {
			value = utf8.AppendRune(value, r)
		} else {
			value = append(value, byte(r))
		}
		l.skip(len(l.rest()) - len(tail))
	}
}

// raw reads a string in backquotes.
func (l *lexer) raw(t *token) *Error {
	t.kind = tokenString
	n := strings.IndexByte(l.rest()[1:], '`')
	if n < 0 {
		return l.fail("the string has no end: expected `")
	}
	t.value = l.skip(n + 2)[1 : n+1]
	return nil
}

// parseDuration reads 1.5s, 100ms, 1h30m, 1d. It truncates to nanoseconds.
func parseDuration(text string) (time.Duration, error) {
	total := time.Duration(0)
	for rest := text; rest != ""; {
		n := strings.IndexFunc(rest, func(r rune) bool { return !isDigit(r) && r != '.' })
		if n < 0 {
			return 0, fmt.Errorf("%s is no duration: its last number has no unit", shortened(text))
		}
		number := rest[:n]
		rest = rest[n:]
		if n = strings.IndexFunc(rest, func(r rune) bool { return isDigit(r) || r == '.' }); n < 0 {
			n = len(rest)
		}
		unit := rest[:n]
		rest = rest[n:]
		factor := time.Duration(1)
		switch unit {
		case "ns", "us", "µs", "μs", "ms", "s", "m", "h":
		case "d":
			unit, factor = "h", 24
		case "w":
			unit, factor = "h", 7*24
		case "y":
			unit, factor = "h", 365*24
		default:
			return 0, fmt.Errorf("%s is no duration: units are ns, us, ms, s, m, h, d, w, y", shortened(text))
		}
		d, err := time.ParseDuration(number + unit)
		if err != nil || d > (1<<63-1-total)/factor {
			return 0, fmt.Errorf("%s is no duration, or longer than 292 years", shortened(text))
		}
		total += d * factor
	}
	return total, nil
}
