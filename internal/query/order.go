package query

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
)

// arranged returns the graph of nodes, whose refs differ, and edges among
// them in causal order: every cause before its effects; where causality leaves
// it open the earlier first, then by id. Clocks that differ cannot make an
// effect come first; only within a cycle, where one has to, time decides.
func arranged(nodes []Node, edges []causal.Edge) Graph {
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Or(cmp.Compare(a.Start, b.Start), a.Ref.Compare(b.Ref)) })
	at := make(map[causal.SpanRef]int, len(nodes))
	for i := range nodes {
		at[nodes[i].Ref] = i
	}
	effects := make([][]int, len(nodes))
	for _, e := range edges {
		effects[at[e.Cause]] = append(effects[at[e.Cause]], at[e.Effect])
	}
	order := causalOrder(effects)
	g := Graph{Nodes: make([]Node, 0, len(nodes)), Edges: edges}
	place := make([]int, len(nodes))
	for i, n := range order {
		place[n] = i
		g.Nodes = append(g.Nodes, nodes[n])
	}
	slices.SortFunc(g.Edges, func(a, b causal.Edge) int {
		return cmp.Or(
			cmp.Compare(place[at[a.Cause]], place[at[b.Cause]]),
			cmp.Compare(place[at[a.Effect]], place[at[b.Effect]]),
			compareEdges(a, b))
	})
	return g
}

// causalOrder orders the nodes 0, 1, ... topologically, the lower number first
// where it is open. The nodes of a cycle stand together, by number.
func causalOrder(effects [][]int) []int {
	components := cycles(effects)
	members := make([][]int, len(effects)) // of a component, under its first one
	for n, c := range components {
		members[c] = append(members[c], n)
	}
	open := make([]int, len(effects)) // edges from causes not placed yet, by component
	for cause, to := range effects {
		for _, effect := range to {
			if components[cause] != components[effect] {
				open[components[effect]]++
			}
		}
	}
	var ready numbers
	for c := range members {
		if len(members[c]) > 0 && open[c] == 0 {
			ready = append(ready, c)
		}
	}
	order := make([]int, 0, len(effects))
	for len(ready) > 0 {
		c := heap.Pop(&ready).(int)
		order = append(order, members[c]...)
		for _, n := range members[c] {
			for _, effect := range effects[n] {
				to := components[effect]
				if to == c {
					continue
				}
				if open[to]--; open[to] == 0 {
					heap.Push(&ready, to)
				}
			}
		}
	}
	return order
}

// numbers is a heap, the lowest first.
type numbers []int

func (h numbers) Len() int           { return len(h) }
func (h numbers) Less(i, j int) bool { return h[i] < h[j] }
func (h numbers) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *numbers) Push(x any)        { *h = append(*h, x.(int)) }
func (h *numbers) Pop() any {
	last := len(*h) - 1
	n := (*h)[last]
	*h = (*h)[:last]
	return n
}

// cycles says of each node which strongly connected component it is in, by the
// component's lowest node (Tarjan's algorithm, with a stack of its own: graphs
// may be deep).
func cycles(effects [][]int) []int {
	t := tarjan{effects: effects, index: make([]int, len(effects)), low: make([]int, len(effects)), component: make([]int, len(effects))}
	for n := range t.component {
		t.component[n] = unknown
	}
	for n := range effects {
		if t.index[n] == 0 {
			t.visit(n)
		}
	}
	return t.component
}

type tarjan struct {
	effects   [][]int
	next      int
	index     []int // from 1; 0: not visited
	low       []int
	component []int
	stack     []int
}

const unknown = -1

type frame struct{ node, edge int }

func (t *tarjan) enter(n int) frame {
	t.next++
	t.index[n], t.low[n] = t.next, t.next
	t.stack = append(t.stack, n)
	return frame{node: n}
}

func (t *tarjan) visit(start int) {
	path := []frame{t.enter(start)}
	for len(path) > 0 {
		f := &path[len(path)-1]
		if f.edge < len(t.effects[f.node]) {
			to := t.effects[f.node][f.edge]
			f.edge++
			switch {
			case t.index[to] == 0:
				path = append(path, t.enter(to))
			case t.component[to] == unknown:
				t.low[f.node] = min(t.low[f.node], t.index[to])
			}
			continue
		}
		n := f.node
		path = path[:len(path)-1]
		if len(path) > 0 {
			above := path[len(path)-1].node
			t.low[above] = min(t.low[above], t.low[n])
		}
		if t.low[n] == t.index[n] {
			t.close(n)
		}
	}
}

// close takes the component of n from the stack.
func (t *tarjan) close(n int) {
	from := len(t.stack) - 1
	for t.stack[from] != n {
		from--
	}
	lowest := slices.Min(t.stack[from:])
	for _, member := range t.stack[from:] {
		t.component[member] = lowest
	}
	t.stack = t.stack[:from]
}
