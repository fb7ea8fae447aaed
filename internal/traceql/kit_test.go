package traceql_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelscope/otelscope/internal/traceql"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// example is a query and what becomes of it.
type example struct {
	query       string
	prints      string // canonical text of a valid one
	err         string // of one that is not
	unsupported bool
}

// examples reads testdata/examples.txt.
func examples(t testing.TB) []example {
	text, err := os.ReadFile(filepath.Join("testdata", "examples.txt"))
	require.NoError(t, err)
	var all []example
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		note, indented := strings.CutPrefix(line, "\t")
		if !indented {
			if line != "" && !strings.HasPrefix(line, "#") {
				all = append(all, example{query: line, prints: line})
			}
			continue
		}
		require.NotEmpty(t, all)
		last := &all[len(all)-1]
		what, said, _ := strings.Cut(note, ": ")
		switch what {
		case "prints":
			last.prints = said
		case "error":
			last.err = said
		case "unsupported":
			last.err, last.unsupported = said, true
		default:
			t.Fatalf("examples.txt: no such note: %s", note)
		}
	}
	return all
}

// parse reads what must be valid.
func parse(t require.TestingT, text string) *traceql.Query {
	q, err := traceql.Parse(text)
	require.NoError(t, err, "%s", text)
	return q
}

// withoutColumns clears the columns of a tree.
func withoutColumns(q *traceql.Query) *traceql.Query {
	clearPipeline(q.Pipeline)
	return q
}

func clearPipeline(p traceql.Pipeline) {
	clearSpansets(p.Source)
	for _, s := range p.Stages {
		switch s := s.(type) {
		case *traceql.Filter:
			clearSpansets(s)
		case *traceql.AggregateFilter:
			s.Column = 0
		}
	}
}

func clearSpansets(e traceql.SpansetExpr) {
	switch e := e.(type) {
	case *traceql.Filter:
		e.Column = 0
		clearFields(e.Expr)
	case *traceql.SpansetOperation:
		e.Column = 0
		clearSpansets(e.Left)
		clearSpansets(e.Right)
	case *traceql.Nested:
		clearPipeline(e.Pipeline)
	}
}

func clearFields(e traceql.FieldExpr) {
	switch e := e.(type) {
	case *traceql.Logic:
		clearFields(e.Left)
		clearFields(e.Right)
	case *traceql.Not:
		clearFields(e.X)
	case *traceql.Comparison:
		e.Column = 0
	}
}
