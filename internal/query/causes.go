package query

import (
	"context"
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// Bounds of looking for causes.
const (
	causesPerSpan = 16  // that others carry, on average
	minCauses     = 256 // the same, of all spans together
	causesAtOnce  = 256 // that are looked up at once
)

// causesOf returns, for each of the spans, the edges that lead to it and that
// the filter accepts, the causes' ids deciding their order. more says that
// others may carry further ones. Spans that nothing can name have none.
func causesOf(ctx context.Context, src SearchSource, spans []store.Span, filter Filter) (_ [][]Edge, more bool, err error) {
	c := causes{known: map[causal.SpanRef]*told{}, edges: map[causal.SpanRef][]causal.Edge{}}
	of := make([]causal.SpanRef, len(spans))
	var refs []causal.SpanRef
	for i, span := range spans {
		t, err := c.read(span)
		if err != nil {
			return nil, false, err
		}
		of[i] = t.ref
		if _, twice := c.edges[t.ref]; !t.ref.IsZero() && !twice {
			c.edges[t.ref] = nil
			refs = append(refs, t.ref)
		}
	}
	if err := c.lookup(ctx, src, refs); err != nil { // spans that share an id tell of each other's causes
		return nil, false, err
	}
	carried, more, err := src.Causing(ctx, refs, max(minCauses, causesPerSpan*len(refs)))
	if err != nil {
		return nil, false, err
	}
	for _, span := range carried {
		if _, err := c.read(span); err != nil {
			return nil, false, err
		}
	}
	if err := c.lookup(ctx, src, c.unite(filter)); err != nil {
		return nil, false, err
	}
	answer := make([][]Edge, len(spans))
	for i, ref := range of {
		for _, e := range c.edges[ref] {
			answer[i] = append(answer[i], Edge{
				Type: e.Type, Confidence: e.Confidence, Rule: e.Rule, Cause: c.known[e.Cause].asEnd(), Effect: c.known[ref].asEnd(),
			})
		}
	}
	return answer, more, nil
}

// causes is what was read of some spans and of what caused them.
type causes struct {
	reader reader
	known  map[causal.SpanRef]*told
	edges  map[causal.SpanRef][]causal.Edge // that lead to the spans
}

func (c *causes) read(span store.Span) (*told, error) {
	t, err := c.reader.read(span.Bytes)
	if err == nil {
		c.known[t.ref] = joined(c.known[t.ref], &t)
	}
	return &t, err
}

// unite finds the edges among what was read, and returns the causes that were
// not.
func (c *causes) unite(filter Filter) (unknown []causal.SpanRef) {
	for _, t := range c.known {
		for _, e := range t.edges {
			if edges, asked := c.edges[e.Effect]; asked {
				c.edges[e.Effect] = append(edges, e)
			}
		}
	}
	for ref, edges := range c.edges {
		edges = slices.DeleteFunc(unite(edges), func(e causal.Edge) bool { return !filter.accepts(&e) })
		c.edges[ref] = edges
		for _, e := range edges {
			if c.known[e.Cause] == nil {
				c.known[e.Cause] = &told{ref: e.Cause, missing: true}
				unknown = append(unknown, e.Cause)
			}
		}
	}
	return unknown
}

// lookup reads spans, a few at a time: of all but what they tell nothing is
// kept.
func (c *causes) lookup(ctx context.Context, src SearchSource, refs []causal.SpanRef) error {
	for some := range slices.Chunk(refs, causesAtOnce) {
		spans, err := src.Spans(ctx, some)
		if err != nil {
			return err
		}
		for _, span := range spans {
			if _, err := c.read(span); err != nil {
				return err
			}
		}
	}
	return nil
}
