package query

import (
	"cmp"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
)

// spanKey names a span, and when it began.
type spanKey struct {
	start uint64
	ref   causal.SpanRef
	kind  ptrace.SpanKind
}

func (r *Record) key() spanKey { return spanKey{r.wire.Start, r.Ref, r.kind()} }

// compare is the order within a spanset: by start, then by ids.
func (k spanKey) compare(o spanKey) int {
	return cmp.Or(cmp.Compare(k.start, o.start), k.ref.Compare(o.ref), cmp.Compare(k.kind, o.kind))
}

// latestFirst is the order of Select, and of spansets by their latest span.
func (k spanKey) latestFirst(o spanKey) int {
	return cmp.Or(cmp.Compare(o.start, k.start), k.ref.Compare(o.ref), cmp.Compare(k.kind, o.kind))
}
