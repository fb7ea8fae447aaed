// Package crosslink decodes stored spans for tools that look at one trace at a
// time: each causal edge that leads into another trace is a link on the span
// that is at hand, whichever of the two spans carried it in the store.
package crosslink

import (
	"context"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
)

// Traces decodes spans, of one trace or several, with their links complete:
//
//   - an effect has a link to each of its causes (scope.link.role = cause);
//   - a cause has a link to each of its effects in another trace (effect).
//
// Links to effects within a trace are left to the effects: tools show those
// from both ends. Links that were stored keep their attributes; those that are
// added say type, role, confidence and rule. A span's parent is no link.
//
// At most limit spans of other traces are read for their links (limit > 0);
// more says that there are others. Errors: the source's.
func Traces(ctx context.Context, src query.Source, spans []store.Span, limit int) (td ptrace.Traces, more bool, err error) {
	edges, more, err := query.Around(ctx, src, spans, limit)
	if err != nil {
		return ptrace.Traces{}, false, err
	}
	td, err = store.Traces(spans)
	if err != nil {
		return ptrace.Traces{}, false, err
	}
	byRef := map[causal.SpanRef][]*linker{} // the halves of a shared span have one name
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				ref := causal.SpanRef{TraceID: span.TraceID(), SpanID: span.SpanID()}
				byRef[ref] = append(byRef[ref], &linker{links: span.Links(), has: map[link]bool{}})
			}
		}
	}
	for ref, linkers := range byRef {
		for _, l := range linkers {
			l.keep(func(to causal.SpanRef, role string) bool {
				return role == causal.LinkRoleCause || to.TraceID != ref.TraceID || byRef[to] == nil
			})
		}
	}
	for _, e := range edges {
		if e.Rule == query.RuleParent {
			continue
		}
		for _, l := range byRef[e.Effect] {
			l.add(e, e.Cause, causal.LinkRoleCause)
		}
		if e.Cause.TraceID == e.Effect.TraceID {
			continue
		}
		for _, l := range byRef[e.Cause] {
			l.add(e, e.Effect, causal.LinkRoleEffect)
		}
	}
	return td, more, nil
}

// linker adds the links that a span lacks.
type linker struct {
	links ptrace.SpanLinkSlice
	has   map[link]bool
}

// link is what makes a link another one. kind is its scope.link.type; "" stands
// for any.
type link struct {
	to         causal.SpanRef
	role, kind string
}

// keep drops the stored links that are not wanted.
func (l *linker) keep(wanted func(to causal.SpanRef, role string) bool) {
	l.links.RemoveIf(func(stored ptrace.SpanLink) bool {
		to, role := causal.SpanRef{TraceID: stored.TraceID(), SpanID: stored.SpanID()}, roleOf(stored)
		if !wanted(to, role) {
			return true
		}
		kind, _ := stored.Attributes().Get(causal.AttrLinkType)
		l.has[link{to, role, kind.Str()}] = true
		l.has[link{to, role, ""}] = true
		return false
	})
}

func roleOf(stored ptrace.SpanLink) string {
	role, _ := stored.Attributes().Get(causal.AttrLinkRole)
	if role.Str() == causal.LinkRoleEffect {
		return causal.LinkRoleEffect
	}
	return causal.LinkRoleCause
}

// add adds the edge's link to a span, unless there is one that says as much.
func (l *linker) add(e causal.Edge, to causal.SpanRef, role string) {
	kind := string(e.Type)
	if e.Rule == query.RuleLink { // its type was concluded, not said
		kind = ""
	}
	if l.has[link{to, role, kind}] {
		return
	}
	l.has[link{to, role, kind}] = true
	added := l.links.AppendEmpty()
	added.SetTraceID(to.TraceID)
	added.SetSpanID(to.SpanID)
	added.Attributes().PutStr(causal.AttrLinkType, string(e.Type))
	added.Attributes().PutStr(causal.AttrLinkRole, role)
	added.Attributes().PutDouble(causal.AttrLinkConfidence, e.Confidence)
	added.Attributes().PutStr(causal.AttrLinkRule, e.Rule)
}
