package query

import (
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
)

// path returns the union of shortest ways from left-hand spans to right-hand
// ones, one for each. Of several that are as short it is the one from the
// least left-hand span, and on from each to the least.
func (g *reach) path(rights []spanKey) (Graph, error) {
	on := map[causal.SpanRef]bool{}
	pairs := map[[2]causal.SpanRef]bool{}
	for _, right := range rights {
		way := g.way(right)
		for i, at := range way {
			on[g.nodes[at].ref] = true
			if i == 0 {
				continue
			}
			cause, effect := g.nodes[way[i-1]].ref, g.nodes[at].ref
			if g.op.toLeft.direction == Effects {
				cause, effect = effect, cause
			}
			pairs[[2]causal.SpanRef{cause, effect}] = true
		}
	}
	return g.drawn(on, pairs)
}

// way returns the nodes of the shortest way to a right-hand span.
func (g *reach) way(right spanKey) []int {
	to := g.places[right.ref]
	levels := [][]int{{to}}
	seen := map[int]bool{}
	from := unknown
	for from == unknown && len(levels[len(levels)-1]) > 0 {
		var next []int
		for _, at := range levels[len(levels)-1] {
			for _, back := range g.nodes[at].back {
				if seen[back] {
					continue
				}
				seen[back] = true
				next = append(next, back)
				if g.leads(back, right) && (from == unknown || g.less(back, from)) {
					from = back
				}
			}
		}
		levels = append(levels, next)
	}
	if from == unknown {
		return nil
	}
	way := []int{from}
	for level := len(levels) - 2; level >= 0; level-- {
		least := unknown
		for _, at := range levels[level] {
			if slices.Contains(g.nodes[at].back, from) && (least == unknown || g.less(at, least)) {
				least = at
			}
		}
		from = least
		way = append(way, from)
	}
	return way
}

// leads reports whether a node has a left-hand span that goes with the
// right-hand one.
func (g *reach) leads(at int, right spanKey) bool {
	return slices.ContainsFunc(g.nodes[at].left, func(h half) bool { return g.op.near(h.start, right.start) })
}

func (g *reach) less(a, b int) bool { return g.nodes[a].ref.Compare(g.nodes[b].ref) < 0 }

// drawn returns the graph of nodes and of those edges that join pairs of them,
// as far as they count.
func (g *reach) drawn(on map[causal.SpanRef]bool, pairs map[[2]causal.SpanRef]bool) (Graph, error) {
	nodes := map[causal.SpanRef]*Node{}
	var refs []causal.SpanRef
	for ref := range on {
		nodes[ref] = &Node{Ref: ref}
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, causal.SpanRef.Compare)
	var edges []causal.Edge
	note := func(told []causal.Edge) {
		for _, e := range told {
			if pairs[[2]causal.SpanRef{e.Cause, e.Effect}] {
				edges = append(edges, e)
			}
		}
	}
	for part := range slices.Chunk(refs, atOnce) {
		spans, err := g.s.src.Spans(g.s.ctx, part)
		if err != nil {
			return Graph{}, err
		}
		for _, span := range spans {
			t, err := g.teller.read(span.Bytes)
			if err != nil {
				return Graph{}, err
			}
			if n := nodes[t.ref]; n != nil && n.add(span, &t) {
				if err := g.s.hold(len(span.Origin) + len(span.Bytes)); err != nil {
					return Graph{}, err
				}
			}
			note(t.edges)
		}
	}
	edges = slices.DeleteFunc(unite(edges), func(e causal.Edge) bool { return !g.filter.accepts(&e) })
	list := make([]Node, 0, len(nodes))
	for _, n := range nodes {
		list = append(list, *n)
	}
	return arranged(list, edges), nil
}
