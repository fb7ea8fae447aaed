package query

import (
	"context"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// Group returns what belongs to a correlation id: the spans that bear it, and
// all spans of traces whose first span (it has no parent) bears it; with the
// edges among them. Spans without trace or span id are not part of it. At most
// limit nodes are returned: those that bear the id before the others, and the
// earlier ones before the later. maxBytes bounds the stored OTLP that the
// answer is made of. Both are > 0. Errors: *SizeError, and the source's.
func Group(ctx context.Context, src Source, id string, limit, maxBytes int) (Graph, error) {
	g := group{nodes: map[causal.SpanRef]*Node{}, limit: limit, maxBytes: maxBytes}
	bearing, more, err := src.Correlation(ctx, id, limit)
	if err != nil {
		return Graph{}, err
	}
	var traces []pcommon.TraceID
	for _, span := range bearing {
		t, err := g.add(span)
		if err != nil {
			return Graph{}, err
		}
		if t.root && !t.ref.IsZero() && !slices.Contains(traces, t.ref.TraceID) {
			traces = append(traces, t.ref.TraceID)
		}
	}
	if more { // the others come after all that bear it
		g.truncated = true
		return g.answer(), nil
	}
	for _, trace := range traces {
		spans, err := src.Trace(ctx, trace)
		if err != nil {
			return Graph{}, err
		}
		for _, span := range spans {
			if _, err := g.add(span); err != nil {
				return Graph{}, err
			}
		}
	}
	return g.answer(), nil
}

type group struct {
	reader    reader
	nodes     map[causal.SpanRef]*Node
	edges     []causal.Edge
	limit     int
	maxBytes  int
	spans     int
	bytes     int
	truncated bool
}

func (g *group) add(span store.Span) (told, error) {
	t, err := g.reader.read(span.Bytes)
	if err != nil || t.ref.IsZero() {
		return t, err
	}
	n := g.node(t.ref)
	if n == nil || !n.add(span, &t) {
		return t, nil
	}
	g.spans++
	g.bytes += len(span.Origin) + len(span.Bytes)
	if g.bytes > g.maxBytes {
		return t, &SizeError{Spans: g.spans, Bytes: g.bytes}
	}
	g.edges = append(g.edges, t.edges...)
	return t, nil
}

// node returns the node of a ref, a new one where there is none yet; nil where
// the limit does not let it in.
func (g *group) node(ref causal.SpanRef) *Node {
	n := g.nodes[ref]
	if n == nil && len(g.nodes) == g.limit {
		g.truncated = true
		return nil
	}
	if n == nil {
		n = &Node{Ref: ref}
		g.nodes[ref] = n
	}
	return n
}

func (g *group) answer() Graph {
	nodes := make([]Node, 0, len(g.nodes))
	for _, n := range g.nodes {
		nodes = append(nodes, *n)
	}
	among := slices.DeleteFunc(unite(g.edges), func(e causal.Edge) bool {
		return g.nodes[e.Cause] == nil || g.nodes[e.Effect] == nil
	})
	answer := arranged(nodes, among)
	answer.Truncated = g.truncated
	return answer
}
