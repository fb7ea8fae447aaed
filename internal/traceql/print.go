package traceql

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// String of a tree is its canonical text, which parses to an equal tree. It
// has parentheses only where the tree needs them.

func (q *Query) String() string { return q.Pipeline.String() }

// String of a pipeline is its source and its stages.
func (p Pipeline) String() string {
	parts := []string{p.Source.String()}
	for _, s := range p.Stages {
		parts = append(parts, s.String())
	}
	return strings.Join(parts, " | ")
}

func (f *Filter) String() string {
	if f.Expr == nil {
		return "{}"
	}
	return "{ " + f.Expr.String() + " }"
}

func (o *SpansetOperation) String() string {
	left, right := o.Left.String(), o.Right.String()
	if l, ok := o.Left.(*SpansetOperation); ok && l.Op.logical() && !o.Op.logical() {
		left = "(" + left + ")"
	}
	if r, ok := o.Right.(*SpansetOperation); ok && (r.Op.logical() || !o.Op.logical()) {
		right = "(" + right + ")"
	}
	text := left + " " + o.Op.String()
	if len(o.Types) > 0 {
		text += "[" + strings.Join(o.Types, ",") + "]"
	}
	text += " " + right
	if o.Within > 0 {
		text += " within " + durationText(o.Within)
	}
	return text
}

func (n *Nested) String() string { return "(" + n.Pipeline.String() + ")" }

func (l *Logic) String() string {
	op := " && "
	if l.Or {
		op = " || "
	}
	right := l.Right.String()
	if _, ok := l.Right.(*Logic); ok {
		right = "(" + right + ")"
	}
	return l.Left.String() + op + right
}

func (n *Not) String() string {
	switch n.X.(type) {
	case *Logic, *Comparison:
		return "!(" + n.X.String() + ")"
	}
	return "!" + n.X.String()
}

func (c *Comparison) String() string {
	return c.Left.String() + " " + c.Op.String() + " " + c.Right.String()
}

func (a *Attribute) String() string {
	name := a.Name
	first, _ := utf8.DecodeRuneInString(name)
	plain := strings.IndexFunc(name, func(r rune) bool { return !isNameRune(r) || r == '"' }) < 0
	// A dot and a digit begin a number.
	if !plain || a.Scope == ScopeNone && isDigit(first) {
		name = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	}
	return a.Scope.String() + "." + name
}

func (i Intrinsic) String() string { return intrinsics[i].name }

func (l Literal) String() string {
	switch l.Kind {
	case LiteralString:
		if strings.ContainsAny(l.Text, `"\`) && strconv.CanBackquote(l.Text) {
			return "`" + l.Text + "`"
		}
		return strconv.Quote(l.Text)
	case LiteralInt:
		return strconv.FormatInt(l.Int, 10)
	case LiteralFloat:
		text := strconv.FormatFloat(l.Float, 'g', -1, 64)
		if !strings.ContainsAny(text, ".e") {
			text += ".0"
		}
		return text
	case LiteralBool:
		return strconv.FormatBool(l.Bool)
	case LiteralDuration:
		return durationText(l.Duration)
	case LiteralStatus:
		return l.Status.String()
	case LiteralSpanKind:
		return l.SpanKind.String()
	}
	return "nil"
}

// durationText is 1h rather than 1h0m0s.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func (a *AggregateFilter) String() string {
	return a.Aggregate.String() + " " + a.Op.String() + " " + a.Right.String()
}

// String of an aggregate is its function and what it takes.
func (a Aggregate) String() string {
	if a.Arg == nil {
		return a.Fn.String() + "()"
	}
	return a.Fn.String() + "(" + a.Arg.String() + ")"
}

func (b *By) String() string { return "by(" + strings.Join(texts(b.Fields), ", ") + ")" }

func (s *Select) String() string {
	shown := texts(s.Fields)
	if s.Path {
		shown = append(shown, "path")
	}
	return "select(" + strings.Join(shown, ", ") + ")"
}

func texts(fields []FieldExpr) []string {
	out := make([]string, 0, len(fields))
	for _, f := range fields {
		out = append(out, f.String())
	}
	return out
}
