package query

import (
	"fmt"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// component is a spanset of a causal operator before its pipeline: right-hand
// spans that left-hand spans of one trace lead to, or that others join so.
type component struct {
	key   spanKey   // of the latest
	spans []spanKey // by start, then by ids
}

// components returns the spansets among the candidates, the latest first.
func (g *reach) components(candidate func(*reachNode) bool) ([]component, error) {
	for i := range g.nodes {
		slices.Sort(g.nodes[i].back)
		g.nodes[i].back = slices.Compact(g.nodes[i].back)
	}
	sets := disjoint{}
	var listed []listedSpan
	var err error
	if g.op.direct || g.op.within > 0 {
		listed, err = g.pairs(candidate, &sets)
	} else {
		listed = g.flow(candidate, &sets)
	}
	if err != nil {
		return nil, err
	}
	byRoot := map[int]int{}
	var out []component
	for _, l := range listed {
		root := sets.root(l.element)
		at, known := byRoot[root]
		if !known {
			at = len(out)
			byRoot[root] = at
			out = append(out, component{key: l.key})
		}
		c := &out[at]
		c.spans = append(c.spans, l.key)
		if l.key.latestFirst(c.key) < 0 {
			c.key = l.key
		}
	}
	for i := range out {
		slices.SortFunc(out[i].spans, spanKey.compare)
	}
	slices.SortFunc(out, func(a, b component) int { return a.key.latestFirst(b.key) })
	return out, nil
}

// listedSpan is a right-hand span that is in an answer, and the element that
// stands for it among disjoint sets.
type listedSpan struct {
	key     spanKey
	element int
}

func (n *reachNode) key(h half) spanKey { return spanKey{h.start, n.ref, h.kind} }

// traceElements gives each trace an element.
type traceElements map[pcommon.TraceID]int

func (t traceElements) of(id pcommon.TraceID, sets *disjoint) int {
	at, known := t[id]
	if !known {
		at = sets.add()
		t[id] = at
	}
	return at
}

// pairs looks at each pair of a right-hand span and a left-hand one that leads
// to it.
func (g *reach) pairs(candidate func(*reachNode) bool, sets *disjoint) ([]listedSpan, error) {
	traces := traceElements{}
	var listed []listedSpan
	walk := walk{seen: make([]int, len(g.nodes)), most: stepsPerVisit * g.s.opts.MaxVisited}
	for at := range g.nodes {
		n := &g.nodes[at]
		if !candidate(n) {
			continue
		}
		lefts := g.leftsOf(at, &walk)
		if walk.steps > walk.most {
			return nil, &BoundError{fmt.Sprintf("within would look at more than %d pairs of spans (%d for each of query::max_visited): "+
				"ask for a shorter time, let filters match less, or name edge types", walk.most, stepsPerVisit)}
		}
		for _, right := range n.right {
			element := unknown
			for _, left := range lefts {
				for _, h := range g.nodes[left].left {
					if !g.op.near(h.start, right.start) {
						continue
					}
					if element == unknown {
						element = sets.add()
						listed = append(listed, listedSpan{n.key(right), element})
					}
					sets.unite(element, traces.of(g.nodes[left].ref.TraceID, sets))
				}
			}
		}
	}
	return listed, nil
}

// stepsPerVisit bounds how often spans are gone over in memory.
const stepsPerVisit = 100

// near reports whether a left-hand and a right-hand span's starts are within
// the operator's bound.
func (c *caused) near(left, right uint64) bool {
	cause, effect := left, right
	if c.toLeft.direction == Effects {
		cause, effect = right, left
	}
	return c.within == 0 || effect <= cause || effect-cause <= uint64(c.within)
}

// walk goes over nodes, each once a round.
type walk struct {
	seen        []int // the round when it was last seen
	round       int
	queue       []int
	steps, most int
}

// leftsOf returns the nodes with left-hand spans that lead to a node.
func (g *reach) leftsOf(at int, w *walk) []int {
	w.round++
	w.queue = append(w.queue[:0], at)
	var lefts []int
	for i := 0; i < len(w.queue) && w.steps <= w.most; i++ {
		for _, to := range g.nodes[w.queue[i]].back {
			w.steps++
			if w.seen[to] == w.round {
				continue
			}
			w.seen[to] = w.round
			if len(g.nodes[to].left) > 0 {
				lefts = append(lefts, to)
			}
			if !g.op.direct {
				w.queue = append(w.queue, to)
			}
		}
	}
	return lefts
}

// flow finds the spansets without looking at pairs: an edge between a node
// that is a left-hand one or that one leads to, and a node that is a
// right-hand one or leads to one, is on a way from left to right, and all
// whose ways meet are in one spanset.
func (g *reach) flow(candidate func(*reachNode) bool, sets *disjoint) []listedSpan {
	ahead := make([][]int, len(g.nodes))
	var lefts, rights []int
	for at := range g.nodes {
		sets.add() // element at
		n := &g.nodes[at]
		for _, to := range n.back {
			ahead[to] = append(ahead[to], at)
		}
		if len(n.left) > 0 {
			lefts = append(lefts, at)
		}
		if len(n.right) > 0 && candidate(n) {
			rights = append(rights, at)
		}
	}
	led := spread(lefts, len(g.nodes), func(at int) []int { return ahead[at] })
	leads := spread(rights, len(g.nodes), func(at int) []int { return g.nodes[at].back })
	for _, at := range rights {
		leads[at] = true
	}
	traces := traceElements{}
	for at := range g.nodes {
		if !leads[at] {
			continue
		}
		for _, from := range g.nodes[at].back {
			isLeft := len(g.nodes[from].left) > 0
			if isLeft {
				sets.unite(from, traces.of(g.nodes[from].ref.TraceID, sets))
			}
			if isLeft || led[from] {
				sets.unite(from, at)
			}
		}
	}
	var listed []listedSpan
	for _, at := range rights {
		if !led[at] {
			continue
		}
		for _, h := range g.nodes[at].right {
			listed = append(listed, listedSpan{g.nodes[at].key(h), at})
		}
	}
	return listed
}

// spread returns where one step or more lead from some of n nodes.
func spread(from []int, n int, next func(int) []int) []bool {
	reached := make([]bool, n)
	queue := slices.Clone(from)
	start := make([]bool, n)
	for _, at := range from {
		start[at] = true
	}
	for len(queue) > 0 {
		at := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, to := range next(at) {
			if !reached[to] && !start[to] {
				queue = append(queue, to)
			}
			reached[to] = true
		}
	}
	return reached
}

// disjoint are disjoint sets of the elements 0, 1, ...
type disjoint []int // what is above an element; itself for a root

func (d *disjoint) add() int {
	*d = append(*d, len(*d))
	return len(*d) - 1
}

func (d disjoint) root(i int) int {
	for d[i] != i {
		d[i] = d[d[i]]
		i = d[i]
	}
	return i
}

func (d disjoint) unite(a, b int) {
	a, b = d.root(a), d.root(b)
	d[max(a, b)] = min(a, b)
}
