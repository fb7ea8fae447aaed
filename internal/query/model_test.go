package query

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
)

// allEdges are the edges of a whole world.
func allEdges(t require.TestingT, specs []spec) []causal.Edge {
	var all []causal.Edge
	for _, s := range specs {
		edges, err := EdgesOf(s.encoded().Bytes)
		require.NoError(t, err)
		all = append(all, edges...)
	}
	return unite(all)
}

// modelChain says what Chain returns, over all edges at once: sorted nodes and
// edges.
func modelChain(edges []causal.Edge, root causal.SpanRef, opts ChainOptions) (nodes, joined []string, truncated bool) {
	edges = slices.DeleteFunc(slices.Clone(edges), func(e causal.Edge) bool { return !opts.accepts(&e) })
	in := map[causal.SpanRef]bool{}
	reached := map[Direction]map[causal.SpanRef]bool{Causes: {}, Effects: {}}
	step := func(d Direction, e causal.Edge) (from, to causal.SpanRef) {
		if d == Causes {
			return e.Effect, e.Cause
		}
		return e.Cause, e.Effect
	}
	admit := func(d Direction, refs map[causal.SpanRef]bool) {
		var sorted []causal.SpanRef
		for r := range refs {
			sorted = append(sorted, r)
		}
		slices.SortFunc(sorted, causal.SpanRef.Compare)
		for _, r := range sorted {
			if !in[r] && len(in) == opts.Limit {
				truncated = true
				continue
			}
			in[r], reached[d][r] = true, true
		}
	}
	directions := []Direction{Causes, Effects}
	if opts.Direction != Both {
		directions = []Direction{opts.Direction}
	}
	for _, d := range directions {
		admit(d, map[causal.SpanRef]bool{root: true})
	}
	for depth := 0; depth <= len(edges); depth++ {
		next := map[Direction]map[causal.SpanRef]bool{Causes: {}, Effects: {}}
		for _, d := range directions {
			for _, e := range edges {
				if from, to := step(d, e); reached[d][from] && !reached[d][to] {
					next[d][to] = true
				}
			}
		}
		for _, d := range directions {
			if opts.Depth > 0 && depth >= opts.Depth {
				truncated = truncated || len(next[d]) > 0
				continue
			}
			admit(d, next[d])
		}
	}
	for r := range in {
		nodes = append(nodes, name(r))
	}
	for _, e := range edges {
		if reached[Causes][e.Cause] && reached[Causes][e.Effect] || reached[Effects][e.Cause] && reached[Effects][e.Effect] {
			joined = append(joined, edgeText(e))
		}
	}
	slices.Sort(nodes)
	slices.Sort(joined)
	return nodes, joined, truncated
}

// worlds draws spans in a few traces, with parents and links that may lead to
// nowhere and in circles.
func worlds(t *rapid.T) []spec {
	anyRef := rapid.Custom(func(t *rapid.T) causal.SpanRef {
		return ref(rapid.Uint64Range(1, 3).Draw(t, "trace"), rapid.Uint64Range(1, 5).Draw(t, "span"))
	})
	refs := rapid.SliceOfNDistinct(anyRef, 1, 12, rapid.ID[causal.SpanRef]).Draw(t, "spans")
	var specs []spec
	for i, r := range refs {
		s := spec{ref: r, start: rapid.Uint64Range(1, 20).Draw(t, "start"), kind: ptrace.SpanKind(rapid.IntRange(1, 5).Draw(t, "kind"))}
		s.event = fmt.Sprintf("e%d", i)
		if rapid.Bool().Draw(t, "child") {
			s.parent = rapid.Uint64Range(1, 5).Draw(t, "parent")
		}
		for range rapid.IntRange(0, 3).Draw(t, "links") {
			l := link{to: anyRef.Draw(t, "to"), effect: rapid.Bool().Draw(t, "effect")}
			if rapid.Bool().Draw(t, "found") {
				l.linkType = string(rapid.SampledFrom(causal.Types[1:]).Draw(t, "type"))
				l.rule = "rule"
				l.confidence = rapid.SampledFrom([]float64{0.5, 0.9, 1}).Draw(t, "confidence")
			}
			s.links = append(s.links, l)
		}
		specs = append(specs, s)
		if rapid.IntRange(0, 9).Draw(t, "shared") == 0 { // the other half of a shared span
			s.kind = ptrace.SpanKind(6 - int(s.kind))
			s.links = nil
			specs = append(specs, s)
		}
	}
	return specs
}

func anyFilter(t *rapid.T) Filter {
	return Filter{
		Types:         rapid.SliceOfN(rapid.SampledFrom(allTypes), 0, 4).Draw(t, "types"),
		MinConfidence: rapid.SampledFrom([]float64{0, 0.7, 1}).Draw(t, "min"),
	}
}

// places checks that nodes are in causal order and returns their places.
func places(t require.TestingT, g Graph) map[causal.SpanRef]int {
	at := map[causal.SpanRef]int{}
	for i, n := range g.Nodes {
		at[n.Ref] = i
	}
	require.Len(t, at, len(g.Nodes))
	leads := map[[2]int]bool{} // through any number of edges
	for _, e := range g.Edges {
		leads[[2]int{at[e.Cause], at[e.Effect]}] = true
	}
	for k := range g.Nodes {
		for i := range g.Nodes {
			for j := range g.Nodes {
				leads[[2]int{i, j}] = leads[[2]int{i, j}] || leads[[2]int{i, k}] && leads[[2]int{k, j}]
			}
		}
	}
	for way, yes := range leads {
		if yes && way[0] > way[1] {
			require.True(t, leads[[2]int{way[1], way[0]}], "%s comes after its effect %s, and no cycle is why",
				name(g.Nodes[way[0]].Ref), name(g.Nodes[way[1]].Ref))
		}
	}
	return at
}

func TestChainIsTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		specs := worlds(rt)
		opts := ChainOptions{
			Filter:    anyFilter(rt),
			Direction: rapid.SampledFrom([]Direction{Both, Causes, Effects}).Draw(rt, "direction"),
			Depth:     rapid.IntRange(0, 4).Draw(rt, "depth"),
			Limit:     rapid.IntRange(1, 20).Draw(rt, "limit"),
			MaxBytes:  math.MaxInt,
		}
		root := rapid.SampledFrom(specs).Draw(rt, "root").ref
		src := newSource(t, specs...)
		got, err := Chain(t.Context(), src, []causal.SpanRef{root}, opts)
		require.NoError(rt, err)

		nodes, edges, truncated := modelChain(allEdges(rt, specs), root, opts)
		var gotNodes []string
		for _, n := range got.Nodes {
			gotNodes = append(gotNodes, name(n.Ref))
			require.Equal(rt, !slices.ContainsFunc(specs, func(s spec) bool { return s.ref == n.Ref }), n.Missing())
		}
		slices.Sort(gotNodes)
		gotEdges := edgeTexts(got.Edges)
		slices.Sort(gotEdges)
		require.Equal(rt, nodes, gotNodes)
		require.Equal(rt, strings.Join(edges, "\n"), strings.Join(gotEdges, "\n"))
		require.Equal(rt, truncated, got.Truncated)
		places(rt, got)

		again, err := Chain(t.Context(), src, []causal.SpanRef{root}, opts)
		require.NoError(rt, err)
		require.Equal(rt, got.text(), again.text())
	})
}

func TestStreamIsTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		specs := worlds(rt)
		filter := anyFilter(rt)
		within := Range{Start: rapid.Uint64Range(0, 10).Draw(rt, "from"), End: rapid.SampledFrom([]uint64{0, 5, 15}).Draw(rt, "to")}
		starts := map[causal.SpanRef]uint64{}
		for _, s := range specs {
			starts[s.ref] = s.start
		}
		want := []string{}
		for _, e := range allEdges(rt, specs) {
			start, stored := starts[e.Effect]
			if filter.accepts(&e) && (within == Range{} || stored && within.holds(start)) {
				want = append(want, edgeText(e))
			}
		}
		src := newSource(t, specs...)
		src.again = rapid.IntRange(1, 2).Draw(rt, "scans")
		got := []string{}
		for batch, err := range Edges(t.Context(), src, filter, within) {
			require.NoError(rt, err)
			require.NotEmpty(rt, batch)
			for _, e := range batch {
				got = append(got, edgeText(causal.Edge{Type: e.Type, Cause: e.Cause.Ref, Effect: e.Effect.Ref, Confidence: e.Confidence, Rule: e.Rule}))
				for _, end := range []End{e.Cause, e.Effect} {
					at := slices.IndexFunc(specs, func(s spec) bool { return s.ref == end.Ref })
					require.Equal(rt, at < 0, end.Missing)
					if at >= 0 {
						require.Equal(rt, specs[at].event, end.Event)
					}
				}
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		require.Equal(rt, want, got)
	})
}

func TestCausalOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(rt, "nodes")
		g := Graph{}
		for i := range n {
			g.Nodes = append(g.Nodes, Node{Ref: ref(1, uint64(i+1)), Start: rapid.Uint64Range(0, 5).Draw(rt, "start")})
		}
		for range rapid.IntRange(0, 20).Draw(rt, "edges") {
			from, to := rapid.IntRange(0, n-1).Draw(rt, "from"), rapid.IntRange(0, n-1).Draw(rt, "to")
			if from != to {
				g.Edges = append(g.Edges, causal.Edge{Type: causal.MessageFlow, Cause: g.Nodes[from].Ref, Effect: g.Nodes[to].Ref, Confidence: 1})
			}
		}
		got := arranged(slices.Clone(g.Nodes), unite(slices.Clone(g.Edges)))
		at := places(rt, got)
		require.Len(rt, at, n)
		require.True(rt, slices.IsSortedFunc(got.Edges, func(a, b causal.Edge) int { return at[a.Cause] - at[b.Cause] }))
		slices.Reverse(g.Nodes)
		require.Equal(rt, got.text(), arranged(g.Nodes, unite(g.Edges)).text())
	})
}
