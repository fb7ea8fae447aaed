package correlateprocessor

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/correlate"
)

// tally is what was written for one batch.
type tally struct {
	rules   []found
	dropped int64 // links, for the limit
}

// found is how many edges one rule found, by what the linked span is.
type found struct{ causes, effects int64 }

func (t *tally) reset() {
	clear(t.rules)
	t.dropped = 0
}

// writer writes onto spans what correlation found.
type writer struct {
	rules    []correlate.Rule
	maxLinks int
}

// write writes the result of a batch onto its spans, whose order is that of
// the observations. Spans of which nothing was found are not touched.
func (w *writer) write(td ptrace.Traces, result *correlate.Result, t *tally) {
	i := 0
	for _, resource := range td.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				for j := range result.Count(i) {
					w.edge(span, result.Edge(i, j), t)
				}
				inherit(span, result.Inherited(i))
				i++
			}
		}
	}
}

// edge puts one edge onto a span: onto the link that the span has already to
// the other one, if nothing is said there yet, else as a link of its own.
func (w *writer) edge(span ptrace.Span, edge correlate.Found, t *tally) {
	rule := w.rules[edge.Rule]
	role := causal.LinkRoleCause
	if edge.OtherIsCause {
		t.rules[edge.Rule].causes++
	} else {
		t.rules[edge.Rule].effects++
		role = causal.LinkRoleEffect
	}
	if rule.Type == causal.ParentChild {
		return // the parent is the span's own
	}
	link, said := linkTo(span.Links(), edge.Other, role, rule.Type)
	switch {
	case said:
		return
	case link == (ptrace.SpanLink{}):
		if span.Links().Len() >= w.maxLinks {
			span.SetDroppedLinksCount(span.DroppedLinksCount() + 1)
			t.dropped++
			return
		}
		link = span.Links().AppendEmpty()
		link.SetTraceID(edge.Other.TraceID)
		link.SetSpanID(edge.Other.SpanID)
	}
	attributes := link.Attributes()
	attributes.EnsureCapacity(attributes.Len() + 4)
	attributes.PutStr(causal.AttrLinkType, string(rule.Type))
	if role != causal.LinkRoleCause {
		attributes.PutStr(causal.AttrLinkRole, role)
	}
	attributes.PutDouble(causal.AttrLinkConfidence, edge.Confidence)
	attributes.PutStr(causal.AttrLinkRule, rule.Name)
}

// linkTo looks for a link to other in this role. said is true where it says
// the type already; else it is one without a type, or the zero value.
func linkTo(links ptrace.SpanLinkSlice, other causal.SpanRef, role string, typ causal.Type) (plain ptrace.SpanLink, said bool) {
	for _, link := range links.All() {
		if link.SpanID() != other.SpanID || link.TraceID() != other.TraceID || roleOf(link) != role {
			continue
		}
		switch has, ok := link.Attributes().Get(causal.AttrLinkType); {
		case !ok:
			plain = link
		case has.AsString() == string(typ):
			return link, true
		}
	}
	return plain, false
}

func roleOf(link ptrace.SpanLink) string {
	if role, ok := link.Attributes().Get(causal.AttrLinkRole); ok {
		return role.AsString()
	}
	return causal.LinkRoleCause
}

// inherit writes what the span takes over from its causal root.
func inherit(span ptrace.Span, in correlate.Inherited) {
	if in.Correlation != "" {
		if _, ok := span.Attributes().Get(causal.AttrCorrelationID); !ok {
			span.Attributes().PutStr(causal.AttrCorrelationID, in.Correlation)
		}
	}
	if in.HasRandomness {
		if state, changed := withRandomness(span.TraceState().AsRaw(), in.Randomness); changed {
			span.TraceState().FromRaw(state)
		}
	}
}
