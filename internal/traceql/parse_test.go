package traceql_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/traceql"
	"github.com/otelscope/otelscope/internal/traceql/traceqltest"
)

func TestExamples(t *testing.T) {
	all := examples(t)
	require.NotEmpty(t, all)
	for _, e := range all {
		t.Run(e.query, func(t *testing.T) {
			q, err := traceql.Parse(e.query)
			if e.err != "" {
				require.EqualError(t, err, e.err)
				require.Nil(t, q)
				var at *traceql.Error
				require.ErrorAs(t, err, &at)
				require.Equal(t, e.unsupported, at.Unsupported)
				require.LessOrEqual(t, at.Column, len([]rune(e.query))+1)
				return
			}
			require.NoError(t, err)
			require.Equal(t, e.prints, q.String())
			requireIdentity(t, q)
		})
	}
}

// requireIdentity checks that a tree's text parses to an equal tree.
func requireIdentity(t require.TestingT, q *traceql.Query) {
	text := q.String()
	again := parse(t, text)
	require.Equal(t, text, again.String())
	require.Equal(t, withoutColumns(q), withoutColumns(again), "%s", text)
}

func attribute(name string) *traceql.Attribute { return &traceql.Attribute{Name: name} }

func number(n int64) traceql.Literal { return traceql.Literal{Kind: traceql.LiteralInt, Int: n} }

// TestTree looks at whole trees, columns included.
func TestTree(t *testing.T) {
	cases := map[string]traceql.Pipeline{
		`{ .a = 1 && !.b || name =~ "é" }`: {Source: &traceql.Filter{Column: 1, Expr: &traceql.Logic{
			Or: true,
			Left: &traceql.Logic{
				Left:  &traceql.Comparison{Left: attribute("a"), Right: number(1), Column: 6},
				Right: &traceql.Not{X: attribute("b")},
			},
			Right: &traceql.Comparison{
				Op: traceql.RegexMatch, Left: traceql.Name, Column: 25,
				Right: traceql.Literal{Kind: traceql.LiteralString, Text: "é"},
			},
		}}},
		`{.é}->>[other]{} within 1s<-{}`: {Source: &traceql.SpansetOperation{
			Op: traceql.OpCausedBy, Column: 27,
			Left: &traceql.SpansetOperation{
				Op: traceql.OpLedTo, Types: []string{"other"}, Within: time.Second, Column: 5,
				Left:  &traceql.Filter{Expr: attribute("é"), Column: 1},
				Right: &traceql.Filter{Column: 15},
			},
			Right: &traceql.Filter{Column: 29},
		}},
		`({} | {}) > {} | 3 <= max(.a) | by(.a, kind) | select(path, .b)`: {
			Source: &traceql.SpansetOperation{
				Op: traceql.OpChild, Column: 11,
				Left: &traceql.Nested{Pipeline: traceql.Pipeline{
					Source: &traceql.Filter{Column: 2}, Stages: []traceql.Stage{&traceql.Filter{Column: 7}},
				}},
				Right: &traceql.Filter{Column: 13},
			},
			Stages: []traceql.Stage{
				&traceql.AggregateFilter{
					Aggregate: traceql.Aggregate{Fn: traceql.Max, Arg: attribute("a")},
					Op:        traceql.GreaterEqual, Right: number(3), Column: 23,
				},
				&traceql.By{Fields: []traceql.FieldExpr{attribute("a"), traceql.Kind}},
				&traceql.Select{Fields: []traceql.FieldExpr{attribute("b")}, Path: true},
			},
		},
		`count() > 1`: {
			Source: &traceql.Filter{Column: 1},
			Stages: []traceql.Stage{&traceql.AggregateFilter{Op: traceql.Greater, Right: number(1), Column: 1}},
		},
	}
	for text, want := range cases {
		t.Run(text, func(t *testing.T) { require.Equal(t, &traceql.Query{Pipeline: want}, parse(t, text)) })
	}
}

func TestBounds(t *testing.T) {
	filler := func(n int) string { return `{ .a = "` + strings.Repeat("x", n-len(`{ .a = "" }`)) + `" }` }
	nested := func(open, inner, end string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	parse(t, filler(8192))
	parse(t, nested("(", "{}", ")", 64))
	parse(t, "{"+nested("(", ".a", ")", 64)+"}")
	parse(t, nested("(", "{"+nested("!", ".a", "", 32)+"}", ")", 32))
	parse(t, "{ true"+strings.Repeat(" && !(.a)", 100)+" }"+strings.Repeat(" && ({ .a } | { .b })", 100))
	parse(t, "{ .a =~ `"+strings.Repeat("a", 1024)+"` }")
	parse(t, "{ .a =~ `a{999}b{999}` }")
	parse(t, "{ "+strings.Repeat("name =~ `a{999}b{999}` || ", 5)+".a }")
	parse(t, "{ .a"+strings.Repeat(" && .a || .b", 600)+" }")

	cases := map[string]struct{ text, want string }{
		"text":              {filler(8193), "column 1: the query has 8193 bytes, more than 8192"},
		"spansets":          {nested("(", "{}", ")", 65), "column 65: nested more than 64 deep"},
		"fields":            {"{" + nested("(", ".a", ")", 65) + "}", "column 66: nested more than 64 deep"},
		"negations":         {"{" + nested("!", ".a", "", 65) + "}", "column 66: nested more than 64 deep"},
		"both":              {nested("(", "{"+nested("!", ".a", "", 33)+"}", ")", 32), "column 66: nested more than 64 deep"},
		"regexp's text":     {"{ .a =~ `" + strings.Repeat("a", 1025) + "` }", "column 9: the regular expression has 1025 bytes, more than 1024"},
		"regexp's size":     {"{ .a =~ `a{999}b{1000}` }", "column 9: the regular expression compiles to 2001 instructions, more than 2000"},
		"all regexps' size": {"{ " + strings.Repeat("name =~ `a{999}b{999}` || ", 5) + "name =~ `` }", "column 141: the regular expressions up to here compile to 10003 instructions, more than 10000"},
		"regexp's repeat":   {"{ .a =~ `a{1001}` }", "column 9: the regular expression cannot be read: invalid repeat count: {1001}"},
		"shown text":        {"{ " + strings.Repeat("x", 100) + " }", "column 3: no field \"" + strings.Repeat("x", 60) + "...\": an attribute is written ." + strings.Repeat("x", 60) + "..., span." + strings.Repeat("x", 60) + "... or resource." + strings.Repeat("x", 60) + "..., and text in quotes"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := traceql.Parse(c.text)
			require.EqualError(t, err, c.want)
		})
	}
}

// TestText is about what one line of examples.txt cannot hold.
func TestText(t *testing.T) {
	valid := map[string]string{
		"{\n.a\n=\n1\n}":              `{ .a = 1 }`,
		"{ .a // one\n&& .b }":        `{ .a && .b }`,
		"{ .a /* one\ntwo */ && .b }": `{ .a && .b }`,
		"\u00a0{}\u2028":              `{}`,
		"{ .\"a\nb\" }":               "{ .\"a\nb\" }",
		"{ .a = `a\nb` }":             `{ .a = "a\nb" }`,
		"{ .a = \"a\tb\" }":           `{ .a = "a\tb" }`,
		"{ .a = `a\tb\\` }":           "{ .a = `a\tb\\` }",
		"{ .\ufffd = \"\ufffd\" }":    "{ .\ufffd = \"\ufffd\" }",
	}
	for text, want := range valid {
		q := parse(t, text)
		require.Equal(t, want, q.String())
		requireIdentity(t, q)
	}
	invalid := map[string]string{
		"":                   "column 1: expected a filter in braces, count(), avg(), min(), max(), sum(), by() or select(), found the end of the query",
		" \n ":               "column 4: expected a filter in braces, count(), avg(), min(), max(), sum(), by() or select(), found the end of the query",
		"{ .é = \xff }":      "column 8: not valid UTF-8",
		"{ .é = \"é\" = 1 }": "column 12: a comparison of a comparison is not supported",
		"{ .a = \"a\nb\" }":  `column 8: the string has no end: expected "`,
		"{ .a = \"\n":        `column 8: the string has no end: expected "`,
		"{\x00}":             `column 2: unexpected character "\x00"`,
		"{ é }":              `column 3: unexpected character "é"`,
		"{ .a =~ `\\Qa` }":   "column 9: the regular expression cannot be read: missing closing ): ^(?s:\\Qa)$",
		"{ .a =~ `a)(b` }":   "column 9: the regular expression cannot be read: unexpected ): a)(b",
	}
	for text, want := range invalid {
		_, err := traceql.Parse(text)
		require.EqualError(t, err, want, "%q", text)
	}
}

func TestRegexpIsAboutTheWholeValue(t *testing.T) {
	re, err := traceql.CompileRegexp(`a|b.*c`)
	require.NoError(t, err)
	for value, want := range map[string]bool{"a": true, "aa": false, "xa": false, "bc": true, "b\nc": true, "bcd": false} {
		require.Equal(t, want, re.MatchString(value), "%q", value)
	}
	_, err = traceql.CompileRegexp(`(`)
	require.EqualError(t, err, "the regular expression cannot be read: missing closing ): (")
}

func TestOptional(t *testing.T) {
	require.True(t, traceql.ParentID.Optional())
	require.False(t, traceql.Name.Optional())
}

func TestEdgeTypesAreCopied(t *testing.T) {
	traceql.EdgeTypes()[0] = "x"
	require.Equal(t, "parent_child", traceql.EdgeTypes()[0])
}

func TestPrintedTreesParse(t *testing.T) {
	everything := traceqltest.Everything()
	rapid.Check(t, func(t *rapid.T) {
		q := traceqltest.Query(t, everything)
		if len(q.String()) > 8192 {
			t.Skip("too long")
		}
		require.Equal(t, q, withoutColumns(parse(t, q.String())), "%s", q)
	})
}

func FuzzParse(f *testing.F) {
	for _, e := range examples(f) {
		f.Add(e.query)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := traceql.Parse(text)
		if err != nil {
			var at *traceql.Error
			require.True(t, errors.As(err, &at))
			require.NotEmpty(t, at.Problem)
			require.GreaterOrEqual(t, at.Column, 1)
			require.LessOrEqual(t, at.Column, len([]rune(text))+1)
			return
		}
		// Canonical text may be the longer one.
		if len(q.String()) <= 8192 {
			requireIdentity(t, q)
		}
	})
}
