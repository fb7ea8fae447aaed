// Package query answers questions from the spans of a store: which causal edges
// there are, what led to a span and what it led to, what belongs to one
// sender's group, and which spans match a query in TraceQL. One operator is one
// file. It holds no state between calls, starts no goroutine and reads no
// clock.
//
// Spans tell edges: a span its parent, and one edge with each link. Which of
// the two spans carried a link is not part of an edge. A node of a graph is a
// span id in a trace; where two spans share it (the halves of Zipkin's shared
// spans) it is one node.
package query

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// Source is what is asked of a store; store.Store says what each method owes.
type Source interface {
	Trace(ctx context.Context, id pcommon.TraceID) ([]store.Span, error)
	Spans(ctx context.Context, refs []causal.SpanRef) ([]store.Span, error)
	Referring(ctx context.Context, refs []causal.SpanRef, limit int) (spans []store.Span, more bool, err error)
	Causing(ctx context.Context, refs []causal.SpanRef, limit int) (spans []store.Span, more bool, err error)
	Correlation(ctx context.Context, id string, limit int) (spans []store.Span, more bool, err error)
	Scan(ctx context.Context, opts store.ScanOptions) iter.Seq2[store.Span, error]
}

// Graph is an answer: spans, in causal order, and edges among them.
type Graph struct {
	Nodes []Node
	// Edges come in the order of their causes in Nodes, then of their effects.
	// Both ends are in Nodes.
	Edges []causal.Edge
	// Truncated says that there is more than a bound let in.
	Truncated bool
	// Beside are spans that a chain met and left out, in no order: beyond its
	// bounds, or where no edge to them counts. Nothing but a change of a node,
	// of one of these, or of what comes to name a node changes the chain, unless
	// Unknown says that there are others which were not even read.
	Beside  []causal.SpanRef
	Unknown bool
}

// Node is a span, or the place of one that is not stored.
type Node struct {
	Ref   causal.SpanRef
	Spans []store.Span // by kind; none where the span is not stored
	Event string       // its scope.event.id, "" for none
	Start uint64       // nanoseconds since the epoch, 0 where it is not stored
	End   uint64       // the same

	kinds []ptrace.SpanKind // of Spans
}

// add adds a span of the node's name; false says that it was there already.
func (n *Node) add(span store.Span, t *told) bool {
	at, found := slices.BinarySearch(n.kinds, t.kind)
	if found {
		return false
	}
	n.kinds = slices.Insert(n.kinds, at, t.kind)
	n.Spans = slices.Insert(n.Spans, at, span)
	if len(n.Spans) == 1 || t.start < n.Start {
		n.Start = t.start
	}
	n.End = max(n.End, t.end)
	if n.Event == "" {
		n.Event = t.event
	}
	return true
}

// Missing reports whether the span is not stored.
func (n *Node) Missing() bool { return len(n.Spans) == 0 }

// Filter says which edges count.
type Filter struct {
	Types         []causal.Type // none: all
	MinConfidence float64
}

// SizeError says that an answer would be made of more bytes than allowed.
type SizeError struct {
	Spans, Bytes int // when it was noticed
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("the answer would be made of %d spans or more, of %d bytes", e.Spans, e.Bytes)
}
