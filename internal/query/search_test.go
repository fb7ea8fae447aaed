package query

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/traceql"
)

func TestSmoke(t *testing.T) {
	src := newSource(t, order()...)
	q, err := traceql.Parse(`{ kind = consumer } >> {} `)
	require.NoError(t, err)
	a, err := Search(t.Context(), src, q, SearchOptions{Limit: 10, MaxSpans: 10, MaxBytes: 1 << 20, MaxVisited: 100})
	require.NoError(t, err)
	require.Len(t, a.Spansets, 1)
	t.Log(a)
}
