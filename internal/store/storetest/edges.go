package storetest

import (
	"cmp"
	"context"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// Ref names a span by the numbers that stand for its ids.
func Ref(trace, span uint64) causal.SpanRef {
	return causal.SpanRef{TraceID: TraceID(trace), SpanID: SpanID(span)}
}

// Ref names p; it is zero where p lacks an id.
func (p Plain) Ref() causal.SpanRef {
	return causal.SpanRef{TraceID: p.Span().TraceID(), SpanID: p.Span().SpanID()}
}

// Group is p's scope.correlation.id, "" for none.
func (p Plain) Group() string { return p.attr(causal.AttrCorrelationID) }

// Names returns the spans that p names, as its parent and in its links.
func (p Plain) Names() []causal.SpanRef {
	s := p.Span()
	out := []causal.SpanRef{{TraceID: s.TraceID(), SpanID: s.ParentSpanID()}}
	for _, l := range s.Links().All() {
		out = append(out, causal.SpanRef{TraceID: l.TraceID(), SpanID: l.SpanID()})
	}
	return slices.DeleteFunc(out, causal.SpanRef.IsZero)
}

func (p Plain) is(refs []causal.SpanRef) bool {
	return !p.Ref().IsZero() && slices.Contains(refs, p.Ref())
}

func (p Plain) names(refs []causal.SpanRef) bool {
	return slices.ContainsFunc(p.Names(), func(r causal.SpanRef) bool { return slices.Contains(refs, r) })
}

// Spans implements store.Store.
func (m *Model) Spans(ctx context.Context, refs []causal.SpanRef) ([]store.Span, error) {
	found, err := m.find(ctx, func(p Plain) bool { return p.is(refs) })
	return encodeAll(found), err
}

// Traces implements store.Store.
func (m *Model) Traces(ctx context.Context, ids []pcommon.TraceID, most int) ([]store.Span, []pcommon.TraceID, error) {
	found, err := m.find(ctx, func(p Plain) bool { return slices.Contains(ids, p.Span().TraceID()) })
	if err != nil {
		return nil, nil, err
	}
	rows := map[pcommon.TraceID]int{}
	for _, e := range found {
		rows[e.plain.Span().TraceID()]++
	}
	var large []pcommon.TraceID
	for id, n := range rows {
		if n > most {
			large = append(large, id)
		}
	}
	found = slices.DeleteFunc(found, func(e *entry) bool { return slices.Contains(large, e.plain.Span().TraceID()) })
	return encodeAll(found), large, nil
}

// Linking implements store.Store.
func (m *Model) Linking(ctx context.Context, refs []causal.SpanRef, limit int) ([]store.Span, bool, error) {
	found, err := m.find(ctx, func(p Plain) bool { return p.links(refs, "") })
	return limited(found, limit, err)
}

// links reports whether a link of p is to one of refs, and has the role, if one
// is given.
func (p Plain) links(refs []causal.SpanRef, role string) bool {
	for _, l := range p.Span().Links().All() {
		ref := causal.SpanRef{TraceID: l.TraceID(), SpanID: l.SpanID()}
		has, _ := l.Attributes().Get(causal.AttrLinkRole)
		if !ref.IsZero() && slices.Contains(refs, ref) && (role == "" || has.Str() == role) {
			return true
		}
	}
	return false
}

// Referring implements store.Store.
func (m *Model) Referring(ctx context.Context, refs []causal.SpanRef, limit int) ([]store.Span, bool, error) {
	found, err := m.find(ctx, func(p Plain) bool { return p.names(refs) })
	return limited(found, limit, err)
}

// Correlation implements store.Store.
func (m *Model) Correlation(ctx context.Context, id string, limit int) ([]store.Span, bool, error) {
	found, err := m.find(ctx, func(p Plain) bool { return id != "" && p.Group() == id })
	slices.SortStableFunc(found, func(a, b *entry) int { return cmp.Compare(start(a), start(b)) })
	return limited(found, limit, err)
}

func start(e *entry) uint64 { return uint64(e.plain.Span().StartTimestamp()) }

func limited(found []*entry, limit int, err error) ([]store.Span, bool, error) {
	if err != nil {
		return nil, false, err
	}
	return encodeAll(found[:min(limit, len(found))]), len(found) > limit, nil
}
