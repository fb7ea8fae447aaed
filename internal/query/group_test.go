package query

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
)

// grouped has the group g: trace 1 by its first span, one span of trace 2.
func grouped() []spec {
	return []spec{
		{ref: ref(1, 1), start: 10, group: "g"},
		{ref: ref(1, 1), start: 11, group: "g", kind: ptrace.SpanKindServer}, // the other half of it
		{ref: ref(1, 2), start: 12, parent: 1},
		{ref: ref(1, 3), start: 5, parent: 2}, // its clock is behind
		{ref: ref(2, 1), start: 1},
		{ref: ref(2, 2), start: 30, parent: 1, group: "g", links: []link{found(ref(1, 3), causal.MessageFlow), found(ref(9, 9), causal.MessageFlow)}},
		{ref: ref(2, 3), start: 31, parent: 2},
		{ref: ref(3, 1), start: 1, group: "h"},
		{ref: ref(3, 0), start: 2, group: "g"}, // nothing can name it
	}
}

func TestGroup(t *testing.T) {
	cases := map[string]struct {
		id    string
		limit int
		want  string
	}{
		"all": {"g", 100, "1.1 1.2 1.3 2.2\n" +
			"parent_child 1.1->1.2 parent 1\nparent_child 1.2->1.3 parent 1\nmessage_flow 1.3->2.2 rule 1"},
		"those that bear it first, then the earlier": {"g", 4, "1.1 1.2 1.3 2.2\n" +
			"parent_child 1.1->1.2 parent 1\nparent_child 1.2->1.3 parent 1\nmessage_flow 1.3->2.2 rule 1"},
		"few":        {"g", 3, "1.1\n\ntruncated"},
		"one":        {"h", 1, "3.1\n"},
		"nothing":    {"i", 1, "\n"},
		"no id":      {"", 1, "\n"},
		"not enough": {"g", 1, "\n\ntruncated"},
	}
	src := newSource(t, grouped()...)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g, err := Group(t.Context(), src, c.id, c.limit, math.MaxInt)
			require.NoError(t, err)
			require.Equal(t, c.want, g.text())
		})
	}
	g, err := Group(t.Context(), src, "g", 100, math.MaxInt)
	require.NoError(t, err)
	require.Len(t, g.Nodes[0].Spans, 2)
}

func TestGroupFailures(t *testing.T) {
	broken := errors.New("bad checksum")
	for _, method := range []string{"Correlation", "Trace"} {
		src := newSource(t, grouped()...)
		src.fail[method] = broken
		_, err := Group(t.Context(), src, "g", 100, math.MaxInt)
		require.ErrorIs(t, err, broken, method)
	}
	for _, most := range []int{1, 250} { // of the spans that bear it, of their traces
		_, err := Group(t.Context(), newSource(t, grouped()...), "g", 100, most)
		var large *SizeError
		require.ErrorAs(t, err, &large)
		require.Greater(t, large.Bytes, most)
	}
}
