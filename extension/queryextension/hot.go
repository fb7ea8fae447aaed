package queryextension

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/cache"
	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
)

// hot keeps the bodies of answers about traces and chains, as long as what is
// stored would give the same ones.
type hot struct {
	cache *cache.Cache // nil: nothing is kept
	stats func() store.Stats
	count func(hit bool)
	// dropped is how many blocks retention had dropped when somebody looked.
	dropped atomic.Int64
}

// body returns the answer to a question, from make unless it is kept. make
// also says what it depends on; nil says that nobody knows.
func (h *hot) body(key string, make func() (body []byte, on []cache.Dependency, err error)) ([]byte, error) {
	if h.cache == nil {
		body, _, err := make()
		return body, err
	}
	h.catchUp()
	kept, found := h.cache.Get(key)
	h.count(found)
	if found {
		return kept, nil
	}
	fill := h.cache.Begin()
	end := fill.Drop
	defer func() { end() }()
	body, on, err := make()
	if err != nil {
		return nil, err
	}
	if on == nil {
		return body, nil
	}
	h.catchUp()
	end = func() { fill.Put(key, body, on) }
	return body, nil
}

// catchUp drops everything when blocks were dropped: which spans they had
// nobody knows any more.
func (h *hot) catchUp() {
	dropped := h.stats().DroppedBlocks
	if h.dropped.Swap(dropped) != dropped {
		h.cache.Clear()
	}
}

// watched is a store that tells a cache what changes, before who wrote it is
// answered.
type watched struct {
	store.Store
	cache *cache.Cache
}

// Write implements store.Store.
func (w *watched) Write(ctx context.Context, td ptrace.Traces) error {
	before := w.cache.Doubts()
	err := w.Store.Write(ctx, td)
	if err != nil {
		// What is invalid was not taken. Of the rest some may be stored, and
		// what had been queued may still be. What is written after this is
		// behind it in the queue.
		if _, invalid := errors.AsType[*store.InvalidError](err); !invalid {
			w.cache.Doubt()
		}
		return err
	}
	if w.cache.Used() {
		w.cache.Changed(changedBy(td))
	}
	w.cache.Settle(before)
	return nil
}

// changedBy returns the traces that td has spans of, the spans, and those that
// they name.
func changedBy(td ptrace.Traces) []cache.Dependency {
	var changed []cache.Dependency
	var last pcommon.TraceID
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				trace := span.TraceID()
				if trace != last {
					changed = append(changed, cache.Trace(trace))
					last = trace
				}
				changed = append(changed, cache.Span(causal.SpanRef{TraceID: trace, SpanID: span.SpanID()}))
				if parent := span.ParentSpanID(); !parent.IsEmpty() {
					changed = append(changed, cache.Span(causal.SpanRef{TraceID: trace, SpanID: parent}))
				}
				for _, link := range span.Links().All() {
					changed = append(changed, cache.Span(causal.SpanRef{TraceID: link.TraceID(), SpanID: link.SpanID()}))
				}
			}
		}
	}
	return changed
}

// nodesOf returns what a chain depends on, nil where that is not known: no span
// can become a part of it, or add an edge to it, without being one of its nodes
// or of those beside it, or naming one.
func nodesOf(g query.Graph) []cache.Dependency {
	if g.Unknown {
		return nil
	}
	on := make([]cache.Dependency, 0, len(g.Nodes)+len(g.Beside))
	for i := range g.Nodes {
		on = append(on, cache.Span(g.Nodes[i].Ref))
	}
	for _, ref := range g.Beside {
		on = append(on, cache.Span(ref))
	}
	return on
}
