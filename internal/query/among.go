package query

import (
	"math"
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
)

// Among returns what spansets have, their paths first, as one graph: with all
// edges among it that the filter accepts, and those of its nodes that the
// spansets list. At most limit nodes (> 0) are in it, those of the first
// spansets. Spans that nothing can name are left out.
func Among(sets []Spanset, filter Filter, limit int) (g Graph, listed map[causal.SpanRef]bool, err error) {
	all := group{nodes: map[causal.SpanRef]*Node{}, limit: limit, maxBytes: math.MaxInt}
	listed = map[causal.SpanRef]bool{}
	for i := range sets {
		for j := range sets[i].Path.Nodes {
			n := &sets[i].Path.Nodes[j]
			if n.Missing() {
				all.node(n.Ref)
			}
			for _, span := range n.Spans {
				if _, err := all.add(span); err != nil {
					return Graph{}, nil, err
				}
			}
		}
		for _, span := range sets[i].Spans {
			t, err := all.add(span)
			if err != nil {
				return Graph{}, nil, err
			}
			listed[t.ref] = all.nodes[t.ref] != nil
		}
		all.truncated = all.truncated || sets[i].Path.Truncated || sets[i].Matched > len(sets[i].Spans)
	}
	g = all.answer()
	g.Edges = slices.DeleteFunc(g.Edges, func(e causal.Edge) bool { return !filter.accepts(&e) })
	return g, listed, nil
}
