package query

import (
	"context"
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
)

// Direction says which way a chain goes from its roots.
type Direction int

// Both is the causal past and the causal future: causes of causes and effects
// of effects. What else its causes led to is in neither.
const (
	Both Direction = iota
	Causes
	Effects
)

// ChainOptions narrows and bounds a chain.
type ChainOptions struct {
	Filter    // only edges that it accepts are gone along
	Direction Direction
	Depth     int // edges from a root, 0: any number
	Limit     int // nodes, roots included; > 0
	// MaxBytes bounds the stored OTLP that the answer is made of; > 0.
	MaxBytes int
}

// What a chain reads, by its limit of nodes.
const (
	// edgesPerNode bounds the edges of an answer, and the spans that are read
	// at once because they refer to others.
	edgesPerNode = 16
	// minReferring is how many of those are read first: how large they are
	// shows only then.
	minReferring = 256
)

// Chain returns the causal neighbourhood of roots: the past of them (all that
// led to one, through any number of edges), the future (all that one led to),
// or both. Its edges are all that join two nodes of the past, and all that
// join two of the future, the roots being in both.
//
// It goes level by level, so what the limit keeps is what is nearest; of one
// level causes come before effects, and then ids decide. Spans that are named
// and not stored are nodes, and what names them is found. The answer is
// truncated where the limit, the depth or a bound on edges left something out;
// where a span is referred to by more spans than can be read, something may be
// left out. A root is a node whether it is stored or not. Errors: *SizeError, and
// the source's.
func Chain(ctx context.Context, src Source, roots []causal.SpanRef, opts ChainOptions) (Graph, error) {
	c := chain{ctx: ctx, src: src, opts: opts, nodes: map[causal.SpanRef]*chainNode{}, ahead: map[causal.SpanRef]*chainNode{}, beside: map[causal.SpanRef]struct{}{}}
	var level [2][]*chainNode
	for _, s := range sides {
		if opts.Direction == Both || opts.Direction == s.direction {
			level[s.index] = c.admit(s, slices.Clone(roots))
		}
	}
	for depth := 0; len(level[0])+len(level[1]) > 0; depth++ {
		if err := c.look(level, opts.Depth == 0 || depth+1 < opts.Depth); err != nil {
			return Graph{}, err
		}
		for _, s := range sides {
			further := c.beyond(s, level[s.index])
			if opts.Depth > 0 && depth == opts.Depth {
				c.truncated = c.truncated || len(further) > 0
				c.leave(further...)
				further = nil
			}
			level[s.index] = c.admit(s, further)
		}
	}
	return c.answer(), nil
}

// side is one of the two ways to go.
type side struct {
	index     int
	direction Direction
}

var sides = [...]side{{0, Causes}, {1, Effects}}

// chain is one search under way.
type chain struct {
	ctx       context.Context
	src       Source
	opts      ChainOptions
	reader    reader
	nodes     map[causal.SpanRef]*chainNode
	ahead     map[causal.SpanRef]*chainNode // looked at before they became nodes
	beside    map[causal.SpanRef]struct{}   // that were left out; some may be nodes
	bytes     int                           // of the nodes' spans
	spans     int
	truncated bool
	unknown   bool // there are spans that were not read
}

type chainNode struct {
	Node
	in   [2]bool // the past, the future
	read bool    // its spans are known
	// How many spans it has that are not counted yet, and their bytes.
	spans, bytes int
	// As side.index says, of the edges that lead here and that lead from here:
	edges   [2][]causal.Edge
	looked  [2]bool // it was asked who tells of them
	settled [2]bool // they are all those that count
}

// end returns the end of an edge that lies further on this side.
func (s side) end(e *causal.Edge) causal.SpanRef {
	if s.direction == Causes {
		return e.Cause
	}
	return e.Effect
}

// beyond returns the spans that one edge leads to from a level, those apart
// that are on this side already.
func (c *chain) beyond(s side, level []*chainNode) []causal.SpanRef {
	var further []causal.SpanRef
	for _, n := range level {
		for i := range n.edges[s.index] {
			ref := s.end(&n.edges[s.index][i])
			if known := c.nodes[ref]; known == nil || !known.in[s.index] {
				further = append(further, ref)
			}
		}
	}
	return further
}

// admit makes the refs nodes of a side, as far as the limit lets them.
func (c *chain) admit(s side, refs []causal.SpanRef) []*chainNode {
	slices.SortFunc(refs, causal.SpanRef.Compare)
	var level []*chainNode
	for _, ref := range slices.Compact(refs) {
		n := c.nodes[ref]
		if n == nil {
			if len(c.nodes) >= c.opts.Limit {
				c.truncated = true
				c.leave(ref)
				continue
			}
			if n = c.ahead[ref]; n == nil {
				n = &chainNode{Node: Node{Ref: ref}}
			}
			c.nodes[ref] = n
		}
		n.in[s.index] = true
		level = append(level, n)
	}
	return level
}

// look reads the nodes of a level that were not read yet, and all edges that
// lead further from them. Where the way to their causes goes on, it looks at
// what they say caused them too, and so on: one question about what else caused
// them all is cheaper than one for each level.
func (c *chain) look(level [2][]*chainNode, further bool) error {
	var asked [2][]causal.SpanRef
	fresh := map[causal.SpanRef]*chainNode{}
	var refs []causal.SpanRef
	for _, s := range sides {
		for _, n := range level[s.index] {
			if n.looked[s.index] {
				continue
			}
			n.looked[s.index] = true
			asked[s.index] = append(asked[s.index], n.Ref)
			if fresh[n.Ref] = n; !n.read {
				n.read = true
				refs = append(refs, n.Ref)
			} else if err := c.count(n); err != nil {
				return err
			}
		}
	}
	if len(fresh) == 0 {
		return c.ctx.Err()
	}
	for len(refs) > 0 {
		if err := c.read(refs, fresh); err != nil {
			return err
		}
		if refs = nil; further {
			refs = c.causes(fresh)
			asked[0] = append(asked[0], refs...)
		}
	}
	// Who refers to a span also says if it caused it.
	asked[0] = slices.DeleteFunc(asked[0], func(ref causal.SpanRef) bool { return fresh[ref].looked[1] })
	for _, s := range sides {
		if err := c.named(s, asked[s.index], fresh); err != nil {
			return err
		}
	}
	for _, n := range fresh {
		for i := range n.edges {
			if n.looked[i] && !n.settled[i] {
				n.settled[i] = true
				n.edges[i] = slices.DeleteFunc(unite(n.edges[i]), func(e causal.Edge) bool {
					if c.opts.accepts(&e) {
						return false
					}
					c.leave(e.Cause, e.Effect)
					return true
				})
			}
		}
	}
	return nil
}

// leave notes that spans are left out.
func (c *chain) leave(refs ...causal.SpanRef) {
	for _, ref := range refs {
		c.beside[ref] = struct{}{}
	}
}

// maxAhead is how many spans a look looks at, those of its level apart.
const maxAhead = 64

// causes adds to fresh what the spans in it say caused them, as far as that was
// not looked at, and returns it. Some of it may turn out not to count.
func (c *chain) causes(fresh map[causal.SpanRef]*chainNode) (refs []causal.SpanRef) {
	for _, n := range fresh {
		if !n.looked[0] || n.settled[0] {
			continue
		}
		for i := range n.edges[0] {
			e := &n.edges[0][i]
			if len(fresh)+len(refs) >= maxAhead || !c.opts.accepts(e) || c.nodes[e.Cause] != nil || c.ahead[e.Cause] != nil {
				continue
			}
			c.ahead[e.Cause] = &chainNode{Node: Node{Ref: e.Cause}, read: true, looked: [2]bool{0: true}}
			refs = append(refs, e.Cause)
		}
	}
	for _, ref := range refs {
		fresh[ref] = c.ahead[ref]
	}
	return refs
}

// read reads spans into their nodes.
func (c *chain) read(refs []causal.SpanRef, fresh map[causal.SpanRef]*chainNode) error {
	spans, err := c.src.Spans(c.ctx, refs)
	if err != nil {
		return err
	}
	for _, span := range spans {
		t, err := c.reader.read(span.Bytes)
		if err != nil {
			return err
		}
		n := fresh[t.ref]
		if n == nil || !n.add(span, &t) {
			continue
		}
		n.spans++
		n.bytes += len(span.Origin) + len(span.Bytes)
		if c.nodes[t.ref] == n {
			if err := c.count(n); err != nil {
				return err
			}
		}
		note(fresh, t.edges)
	}
	return nil
}

// note adds edges to those of the nodes that they touch.
func note(nodes map[causal.SpanRef]*chainNode, edges []causal.Edge) {
	for _, e := range edges {
		if n := nodes[e.Effect]; n != nil && !n.settled[0] {
			n.edges[0] = append(n.edges[0], e)
		}
		if n := nodes[e.Cause]; n != nil && !n.settled[1] {
			n.edges[1] = append(n.edges[1], e)
		}
	}
}

// count counts what a node of the answer was read from.
func (c *chain) count(n *chainNode) error {
	c.spans += n.spans
	c.bytes += n.bytes
	n.spans, n.bytes = 0, 0
	if c.bytes > c.opts.MaxBytes {
		return &SizeError{Spans: c.spans, Bytes: c.bytes}
	}
	return nil
}

// named notes the edges that others carry to the refs, or, for causes, to
// those that they led to.
func (c *chain) named(s side, refs []causal.SpanRef, fresh map[causal.SpanRef]*chainNode) error {
	if len(refs) == 0 {
		return nil
	}
	ask := c.src.Referring
	if s.direction == Causes {
		ask = c.src.Causing
	}
	most := max(minReferring, edgesPerNode*c.opts.Limit)
	for limit := minReferring; ; limit = min(4*limit, most) {
		spans, more, err := ask(c.ctx, refs, limit)
		if err != nil {
			return err
		}
		size := 0
		for _, span := range spans {
			size += len(span.Bytes) + len(span.Origin)
		}
		if more && limit < most && 4*size <= c.opts.MaxBytes {
			continue
		}
		c.truncated, c.unknown = c.truncated || more, c.unknown || more
		for _, span := range spans {
			t, err := c.reader.read(span.Bytes)
			if err != nil {
				return err
			}
			note(fresh, t.edges)
		}
		return nil
	}
}

func (c *chain) answer() Graph {
	var nodes []Node
	var edges []causal.Edge
	for _, n := range c.nodes {
		nodes = append(nodes, n.Node)
		for _, s := range sides {
			if !n.in[s.index] {
				continue
			}
			for _, e := range n.edges[s.index] {
				if other := c.nodes[s.end(&e)]; other != nil && other.in[s.index] {
					edges = append(edges, e)
				}
			}
		}
	}
	g := arranged(nodes, unite(edges))
	if most := edgesPerNode * c.opts.Limit; len(g.Edges) > most {
		g.Edges, c.truncated = g.Edges[:most], true
	}
	g.Truncated, g.Unknown = c.truncated, c.unknown
	for ref := range c.beside {
		if c.nodes[ref] == nil {
			g.Beside = append(g.Beside, ref)
		}
	}
	return g
}
