package query

import (
	"context"
	"iter"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// Edge is a causal edge whose ends say what they came from.
type Edge struct {
	Type          causal.Type
	Confidence    float64
	Rule          string
	Cause, Effect End
}

// End is one of an edge's spans.
type End struct {
	Ref     causal.SpanRef
	Event   string // its scope.event.id, "" for none
	Missing bool   // it is not stored
}

// Range is a time from Start on, before End, nanoseconds since the epoch; 0 is
// no bound.
type Range struct{ Start, End uint64 }

func (r Range) holds(t uint64) bool { return t >= r.Start && (r.End == 0 || t < r.End) }

// Bounds of a stream of edges.
const (
	batchEdges  = 4096     // edges that are yielded, and looked up, at once
	recentBytes = 16 << 20 // of what is remembered of the spans just read
	recentEdges = 1 << 20  // that are remembered as yielded
)

// Edges yields every edge that the source's spans tell and the filter accepts,
// whose effect began within the range, in batches in no order. With a range,
// edges to effects that are not stored are left out: nobody knows when they
// began. A batch is valid until the next one. The sequence ends after the
// first error it yields.
//
// An edge comes once: told by both of its spans, it comes with the effect, and
// a plain link is united with a rule's edge whichever of the two carries it. A
// scan may give a span several times; of the edges that come again, those
// among the last quarter of a million are left out. Beyond that an edge of a
// span that was sent again may come twice until the store's parts are merged,
// and a plain link of an older version may come beside a rule's edge that only
// a newer one has.
//
// Memory is bounded: some 30 MiB, most of it for what was seen lately.
func Edges(ctx context.Context, src Source, filter Filter, within Range) iter.Seq2[[]Edge, error] {
	return func(yield func([]Edge, error) bool) {
		s := stream{ctx: ctx, src: src, filter: filter, within: within, recent: newRecent(recentBytes), seen: newSeen(recentEdges)}
		s.run(yield)
	}
}

// stream is one sequence under way.
type stream struct {
	ctx    context.Context
	src    Source
	filter Filter
	within Range
	reader reader
	recent *recent
	seen   *seen

	batch   []*told // spans whose edges wait to be yielded
	waiting int     // how many edges those are
	out     []Edge
}

func (s *stream) run(yield func([]Edge, error) bool) {
	for span, err := range s.src.Scan(s.ctx, store.ScanOptions{}) {
		if err == nil {
			err = s.add(span)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		if s.waiting >= batchEdges && !s.flush(yield) {
			return
		}
	}
	if s.waiting > 0 {
		s.flush(yield)
	}
}

func (s *stream) add(span store.Span) error {
	t, err := s.reader.read(span.Bytes)
	if err != nil || t.ref.IsZero() {
		return err
	}
	s.recent.put(&t)
	if len(t.edges) > 0 {
		s.batch = append(s.batch, &t)
		s.waiting += len(t.edges)
	}
	return nil
}

// flush yields the edges that wait; false ends the sequence.
func (s *stream) flush(yield func([]Edge, error) bool) bool {
	ends, err := s.ends()
	if err != nil {
		yield(nil, err)
		return false
	}
	s.out = s.out[:0]
	for _, t := range s.batch {
		for edges := t.edges; len(edges) > 0; {
			n := pairEnd(edges)
			s.pair(t, edges[:n:n], ends)
			edges = edges[n:]
		}
	}
	clear(s.batch)
	s.batch, s.waiting = s.batch[:0], 0
	return len(s.out) == 0 || yield(s.out, nil)
}

// other returns the end of an edge that is not the span t.
func (t *told) other(e *causal.Edge) causal.SpanRef {
	if e.Cause == t.ref {
		return e.Effect
	}
	return e.Cause
}

// ends returns what the other ends of the edges that wait tell.
func (s *stream) ends() (map[causal.SpanRef]*told, error) {
	ends := make(map[causal.SpanRef]*told, s.waiting)
	var unknown []causal.SpanRef
	for _, t := range s.batch {
		for i := range t.edges {
			ref := t.other(&t.edges[i])
			if _, known := ends[ref]; known {
				continue
			}
			ends[ref] = s.recent.get(ref)
			if ends[ref] == nil {
				unknown = append(unknown, ref)
			}
		}
	}
	for len(unknown) > 0 {
		n := min(len(unknown), batchEdges)
		if err := s.lookup(unknown[:n], ends); err != nil {
			return nil, err
		}
		unknown = unknown[n:]
	}
	return ends, nil
}

func (s *stream) lookup(refs []causal.SpanRef, ends map[causal.SpanRef]*told) error {
	spans, err := s.src.Spans(s.ctx, refs)
	if err != nil {
		return err
	}
	for _, span := range spans {
		t, err := s.reader.read(span.Bytes)
		if err != nil {
			return err
		}
		ends[t.ref] = joined(ends[t.ref], &t)
	}
	for _, ref := range refs {
		if ends[ref] == nil {
			ends[ref] = &told{ref: ref, missing: true}
		}
		s.recent.put(ends[ref])
	}
	return nil
}

// pair adds the edges to out that t tells between itself and one other span,
// in one direction.
func (s *stream) pair(t *told, edges []causal.Edge, ends map[causal.SpanRef]*told) {
	other := ends[t.other(&edges[0])]
	theirs := other.between(&edges[0])
	cause, effect := other, t
	if edges[0].Cause == t.ref {
		if len(theirs) > 0 {
			return // they come with the effect
		}
		cause, effect = t, other
	}
	if s.within != (Range{}) && (effect.missing || !s.within.holds(effect.start)) {
		return
	}
	if len(theirs) > 0 {
		edges = unite(append(edges, theirs...))
	}
	for _, e := range edges {
		if s.filter.accepts(&e) && s.seen.add(e.Cause, e.Effect, e.Type) {
			s.out = append(s.out, Edge{Type: e.Type, Confidence: e.Confidence, Rule: e.Rule, Cause: cause.asEnd(), Effect: effect.asEnd()})
		}
	}
}

// between returns the edges that t tells between the spans that e joins.
func (t *told) between(e *causal.Edge) []causal.Edge {
	for edges := t.edges; len(edges) > 0; {
		n := pairEnd(edges)
		if edges[0].Cause == e.Cause && edges[0].Effect == e.Effect {
			return edges[:n]
		}
		edges = edges[n:]
	}
	return nil
}

func (t *told) asEnd() End { return End{Ref: t.ref, Event: t.event, Missing: t.missing} }
