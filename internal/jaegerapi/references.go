package jaegerapi

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// references are a span's parent and where its links lead, each span once: the
// parent, then causes within the trace, causes in others, and effects in
// others. Jaeger has no word for an effect: what is one is said by the tag
// scope.effects.
//
// The order is of weight: Jaeger's UI hangs a span under the first of its
// references that is a span of the trace.
func references(span ptrace.Span) []Reference {
	own := traceID(span.TraceID())
	refs := []Reference{}
	if !span.ParentSpanID().IsEmpty() {
		refs = append(refs, Reference{childOf, own, spanID(span.ParentSpanID())})
	}
	var groups [3][]Reference
	for _, link := range span.Links().All() {
		if leadsNowhere(link) {
			continue
		}
		ref := Reference{followsFrom, traceID(link.TraceID()), spanID(link.SpanID())}
		group := 1
		switch {
		case isEffect(link):
			group = 2
		case ref.TraceID == own:
			group = 0
		}
		groups[group] = append(groups[group], ref)
	}
	for _, group := range groups {
		for _, ref := range group {
			same := func(r Reference) bool { return r.TraceID == ref.TraceID && r.SpanID == ref.SpanID }
			if !slices.ContainsFunc(refs, same) {
				refs = append(refs, ref)
			}
		}
	}
	return refs
}

// breakCycles drops references that would make a span hang under itself: the
// UI shows nothing of such a trace. As the UI does, it goes by span ids alone.
func breakCycles(spans []Span) {
	byID := make(map[string]int, len(spans))
	for i := range spans {
		if _, ok := byID[spans[i].SpanID]; !ok { // of equal ids the UI takes the first
			byID[spans[i].SpanID] = i
		}
	}
	parents := make([]int, len(spans)) // what is hung under what, -1: nothing yet
	for i := range parents {
		parents[i] = -1
	}
	under := func(above, below int) bool {
		for ; above >= 0; above = parents[above] {
			if above == below {
				return true
			}
		}
		return false
	}
	for i := range spans {
		refs := spans[i].References
		for n := 0; n < len(refs) && parents[i] < 0; {
			at, ok := byID[refs[n].SpanID]
			switch {
			case !ok:
				n++
			case under(at, i):
				refs = slices.Delete(refs, n, n+1)
			default:
				parents[i] = at
			}
		}
		spans[i].References = refs
	}
}
