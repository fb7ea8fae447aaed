package causal

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpanRefsAreOrderedByTraceThenSpan(t *testing.T) {
	low, span, trace := SpanRef{}, SpanRef{}, SpanRef{}
	span.SpanID[7] = 1
	trace.TraceID[15] = 1
	for i, a := range []SpanRef{low, span, trace} {
		for j, b := range []SpanRef{low, span, trace} {
			require.Equal(t, i-j > 0, a.Compare(b) > 0)
			require.Equal(t, i == j, a.Compare(b) == 0)
		}
	}
}
