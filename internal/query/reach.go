package query

import (
	"context"
	"fmt"
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// reach is the part of the causal graph that a causal operator goes over. A
// node is a span id in a trace, stored or not, named by its place.
type reach struct {
	s           *searcher
	op          *caused
	filter      Filter
	left, right member
	teller      reader
	nodes       []reachNode
	places      map[causal.SpanRef]int
	whole       wholeTraces
	visited     int // of nodes
	edges       int // gone along
	told        int // that are kept in nodes
}

type reachNode struct {
	ref     causal.SpanRef
	visited bool // it is gone over; others were only met in a whole trace
	read    bool
	gone    [2]bool       // whether the edges that lead here are known, and those that lead from here
	told    []causal.Edge // what its spans tell of it, as far as it is not gone along
	back    []int         // where its edges lead towards the left-hand side
	left    []half        // those of its spans that are left-hand ones
	right   []half
}

// half is a span, one of a node's.
type half struct {
	start uint64
	kind  ptrace.SpanKind
}

// atOnce is how many nodes are asked for at once.
const atOnce = 512

func (s *searcher) newReach(c *caused) *reach {
	g := &reach{s: s, op: c, places: map[causal.SpanRef]int{}, whole: wholeTraces{}, left: s.member(c.left), right: s.member(c.right)}
	g.filter = Filter{Types: s.opts.Types, MinConfidence: s.opts.MinConfidence}
	switch {
	case len(s.opts.Types) == 0:
		g.filter.Types = c.types
	case len(c.types) > 0:
		g.filter.Types = nil
		for _, t := range c.types {
			if slices.Contains(s.opts.Types, t) {
				g.filter.Types = append(g.filter.Types, t)
			}
		}
		if len(g.filter.Types) == 0 {
			g.filter.Types = []causal.Type{""} // no edge has it
		}
	}
	return g
}

// place returns the place of a node that is gone over.
func (g *reach) place(ref causal.SpanRef) (int, error) {
	at := g.node(ref)
	if n := &g.nodes[at]; !n.visited {
		if g.s.visited >= g.s.opts.MaxVisited {
			return 0, g.s.visitedError()
		}
		g.s.visited++
		g.s.plan.Visited++
		g.visited++
		n.visited = true
	}
	return at, nil
}

// node returns the place of a node.
func (g *reach) node(ref causal.SpanRef) int {
	at, known := g.places[ref]
	if !known {
		at = len(g.nodes)
		g.nodes = append(g.nodes, reachNode{ref: ref})
		g.places[ref] = at
	}
	return at
}

func (s *searcher) visitedError() error {
	return &BoundError{fmt.Sprintf("the causal operators would go over more than %d spans (query::max_visited): "+
		"ask for a shorter time, let filters match less, or name edge types", s.opts.MaxVisited)}
}

// explore finds where edges lead from nodes on one side: one edge, or any
// number of them. All nodes that it comes to are read.
func (g *reach) explore(from []int, d side) error {
	for len(from) > 0 {
		var next []int
		for part := range slices.Chunk(from, atOnce) {
			ends, err := g.expand(part, d)
			if err != nil {
				return err
			}
			next = append(next, ends...)
		}
		if g.op.direct {
			return g.read(next)
		}
		from = next
	}
	return nil
}

// read reads the spans of nodes.
func (g *reach) read(places []int) error {
	for part := range slices.Chunk(places, atOnce) {
		var refs []causal.SpanRef
		for _, at := range part {
			if n := &g.nodes[at]; !n.read {
				n.read = true
				refs = append(refs, n.ref)
			}
		}
		if err := g.readRefs(refs); err != nil {
			return err
		}
	}
	return nil
}

func (g *reach) readRefs(refs []causal.SpanRef) error {
	apart, err := g.readWhole(refs)
	if err != nil || len(apart) == 0 {
		return err
	}
	spans, err := g.s.src.Spans(g.s.ctx, apart)
	if err != nil {
		return err
	}
	if err := g.addAll(spans); err != nil {
		return err
	}
	return g.decide(apart)
}

func (g *reach) addAll(spans []store.Span) error {
	if err := g.s.passing(spans, 1); err != nil {
		return err
	}
	for _, span := range spans {
		if err := g.add(span); err != nil {
			return err
		}
	}
	return nil
}

// decide finds out which spans are left-hand ones of those that may be.
func (g *reach) decide(refs []causal.SpanRef) error {
	m, ok := g.left.(*led)
	if !ok {
		return nil
	}
	if err := m.decide(); err != nil {
		return err
	}
	for _, ref := range refs {
		n := &g.nodes[g.places[ref]]
		n.left = slices.DeleteFunc(n.left, func(h half) bool {
			_, is := m.listed[n.key(h).identity()]
			return !is
		})
	}
	return nil
}

// add adds a span to its node.
func (g *reach) add(span store.Span) error {
	r, err := g.s.reader.Read(span)
	if err != nil {
		return err
	}
	at, known := g.places[r.Ref]
	if !known && g.whole[r.Ref.TraceID] == nil || r.Ref.IsZero() {
		return nil
	}
	t, err := g.teller.tell(&r.wire)
	if err != nil {
		return err
	}
	if !known {
		at = g.node(r.Ref)
	}
	if whole := g.whole[r.Ref.TraceID]; whole != nil {
		if !slices.Contains(whole, at) {
			g.whole[r.Ref.TraceID] = append(whole, at)
		}
		if err := g.tellCauses(&t); err != nil {
			return err
		}
	}
	n := &g.nodes[at]
	n.told = append(n.told, t.edges...)
	if err := g.keep(len(t.edges)); err != nil {
		return err
	}
	h := half{r.wire.Start, r.kind()}
	isLeft, err := g.left.has(r)
	if err != nil {
		return err
	}
	if isLeft && !slices.Contains(n.left, h) {
		n.left = append(n.left, h)
	}
	isRight, err := g.right.has(r)
	if err != nil {
		return err
	}
	if isRight && !slices.Contains(n.right, h) {
		n.right = append(n.right, h)
	}
	return nil
}

// keep counts edges that are kept in nodes from now on.
func (g *reach) keep(edges int) error {
	g.told += edges
	return g.s.hold(edgeBytes * edges)
}

// forget forgets what the nodes tell.
func (g *reach) forget() { g.s.held -= edgeBytes * g.told }

// leave forgets the nodes, as if there had been none.
func (g *reach) leave() {
	g.forget()
	g.s.visited -= g.visited
}

// count bounds the edges that are kept.
func (g *reach) count() error {
	if g.edges++; g.edges > edgesPerNode*g.s.opts.MaxVisited {
		return &BoundError{fmt.Sprintf("the causal operators would go along more than %d edges (%d for each of query::max_visited spans): "+
			"ask for a shorter time, let filters match less, or name edge types", edgesPerNode*g.s.opts.MaxVisited, edgesPerNode)}
	}
	return nil
}

// passing checks that a number of times the size of spans which are read and
// not kept would not be too much.
func (s *searcher) passing(spans []store.Span, times int) error {
	size := 0
	for _, span := range spans {
		size += times * (len(span.Origin) + len(span.Bytes))
	}
	err := s.hold(size)
	s.held -= size
	return err
}

// expand finds the edges of nodes on one side, and returns the nodes that they
// lead to and that were not expanded there yet.
func (g *reach) expand(places []int, d side) ([]int, error) {
	fresh := map[causal.SpanRef][]causal.Edge{}
	var refs []causal.SpanRef
	for _, at := range places {
		if n := &g.nodes[at]; !n.gone[d.index] {
			n.gone[d.index] = true
			refs = append(refs, n.ref)
			fresh[n.ref] = nil
		}
	}
	if len(refs) == 0 {
		return nil, g.s.ctx.Err()
	}
	if err := g.read(places); err != nil {
		return nil, err
	}
	note := func(edges []causal.Edge) {
		for _, e := range edges {
			at := d.near(&e)
			if known, ok := fresh[at]; ok {
				fresh[at] = append(known, e)
			}
		}
	}
	for _, ref := range refs {
		n := &g.nodes[g.places[ref]]
		note(n.told)
		before := len(n.told)
		n.told = slices.DeleteFunc(n.told, func(e causal.Edge) bool { return d.near(&e) == ref })
		if err := g.keep(len(n.told) - before); err != nil {
			return nil, err
		}
	}
	if err := g.naming(refs, d, note); err != nil {
		return nil, err
	}
	var ends []int
	for _, ref := range refs {
		var err error
		if ends, err = g.connect(ref, unite(fresh[ref]), d, ends); err != nil {
			return nil, err
		}
	}
	return ends, nil
}

// near returns the end of an edge from which it leads to this side.
func (s side) near(e *causal.Edge) causal.SpanRef {
	if s.direction == Causes {
		return e.Effect
	}
	return e.Cause
}

// naming notes the edges that others tell of refs, as far as they are not known
// from whole traces.
func (g *reach) naming(refs []causal.SpanRef, d side, note func([]causal.Edge)) error {
	if d.direction == Causes {
		return g.namingBy(g.s.src.Causing, refs, note)
	}
	whole, apart := g.whole.split(refs)
	if err := g.namingBy(g.s.src.Linking, whole, note); err != nil {
		return err
	}
	return g.namingBy(g.s.src.Referring, apart, note)
}

// naming is a way to ask for spans that name others.
type naming func(ctx context.Context, refs []causal.SpanRef, limit int) (spans []store.Span, more bool, err error)

func (g *reach) namingBy(ask naming, refs []causal.SpanRef, note func([]causal.Edge)) error {
	if len(refs) == 0 {
		return nil
	}
	most := g.s.opts.MaxVisited + 1
	for limit := min(2*atOnce, most); ; limit = min(4*limit, most) {
		spans, more, err := ask(g.s.ctx, refs, limit)
		if err != nil {
			return err
		}
		times := 1
		if more && limit < most {
			times = 4 // as many would come next
		}
		if err := g.s.passing(spans, times); err != nil {
			return err
		}
		if more && limit < most {
			continue
		}
		if more {
			return g.s.visitedError()
		}
		for _, span := range spans {
			t, err := g.teller.read(span.Bytes)
			if err != nil {
				return err
			}
			note(t.edges)
		}
		return nil
	}
}

// connect adds the edges of a node that count.
func (g *reach) connect(ref causal.SpanRef, edges []causal.Edge, d side, ends []int) ([]int, error) {
	from := g.places[ref]
	var last causal.SpanRef
	for i := range edges {
		end := d.end(&edges[i])
		if end == last || !g.filter.accepts(&edges[i]) {
			continue // of several edges between two nodes one is enough
		}
		last = end
		to, err := g.place(end)
		if err != nil {
			return nil, err
		}
		if err := g.count(); err != nil {
			return nil, err
		}
		if d == g.op.toLeft {
			g.nodes[from].back = append(g.nodes[from].back, to)
		} else {
			g.nodes[to].back = append(g.nodes[to].back, from)
		}
		if !g.nodes[to].gone[d.index] {
			ends = append(ends, to)
		}
	}
	return ends, nil
}
