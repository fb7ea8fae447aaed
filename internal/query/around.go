package query

import (
	"context"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// Around returns the edges that one of the spans is an end of, each (cause,
// effect, type) once, in the order of causes, effects and types: those that
// the spans tell, and those that others tell of them, whichever carried the
// link. Beside the spans themselves at most limit spans are read that refer to
// them (limit > 0); more says that there are others, of which some may be left
// out. Errors: the source's.
func Around(ctx context.Context, src Source, spans []store.Span, limit int) (edges []causal.Edge, more bool, err error) {
	var r reader
	ours := make(map[causal.SpanRef]bool, len(spans))
	refs := make([]causal.SpanRef, 0, len(spans))
	for _, span := range spans {
		t, err := r.read(span.Bytes)
		if err != nil {
			return nil, false, err
		}
		if t.ref.IsZero() {
			continue
		}
		if !ours[t.ref] {
			ours[t.ref] = true
			refs = append(refs, t.ref)
		}
		edges = append(edges, t.edges...)
	}
	if len(refs) == 0 {
		return nil, false, nil
	}
	// The spans refer to each other, as parents, which must not use up the limit.
	referring, more, err := src.Referring(ctx, refs, len(spans)+limit)
	if err != nil {
		return nil, false, err
	}
	for _, span := range referring {
		t, err := r.read(span.Bytes)
		if err != nil {
			return nil, false, err
		}
		if ours[t.ref] {
			continue
		}
		for _, e := range t.edges {
			if ours[e.Cause] || ours[e.Effect] {
				edges = append(edges, e)
			}
		}
	}
	return unite(edges), more, nil
}
