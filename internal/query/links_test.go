package query

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/traceql"
)

func TestQueriesAboutLinks(t *testing.T) {
	for query, want := range map[string]bool{
		`{ }`: false,
		`{ name = "a" && (span.link = 1 || !(.b != nil)) }`:     false,
		`{ link:traceID != nil }`:                               true,
		`{ name = "a" && !(link:spanID = "0102030405060708") }`: true,
		`{ .a || link.scope.link.type = "message_flow" }`:       true,
	} {
		q, err := traceql.Parse(query)
		require.NoError(t, err, query)
		require.Equal(t, want, asksLinks(q.Pipeline.Source.(*traceql.Filter).Expr), query)
	}
}
