package query

import (
	"cmp"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
)

// wholeTraces are traces that a reach read whole: what leads on from a span is
// mostly in its trace, and a trace is found once where its spans would be one by
// one. Each has the places of its nodes; nil are those that are not to be read
// whole.
type wholeTraces map[pcommon.TraceID][]int

// Bounds of reading traces whole.
const (
	wholeRows    = 64   // of a trace
	tracesAtOnce = 32   // so that little is held
	notVisited   = 4    // nodes that were only met, for each that is gone over,
	someMet      = 4096 // and at least
)

// split tells spans of traces that were read whole from others.
func (w wholeTraces) split(refs []causal.SpanRef) (whole, apart []causal.SpanRef) {
	for _, ref := range refs {
		if w[ref.TraceID] != nil {
			whole = append(whole, ref)
		} else {
			apart = append(apart, ref)
		}
	}
	return whole, apart
}

// readWhole reads the traces of some spans, and returns the spans that have to
// be read apart.
func (g *reach) readWhole(refs []causal.SpanRef) (apart []causal.SpanRef, err error) {
	if _, undecided := g.left.(*led); undecided {
		return refs, nil // each span that it meets costs a search
	}
	var ids []pcommon.TraceID
	for _, ref := range refs {
		if _, known := g.whole[ref.TraceID]; known {
			continue
		}
		g.whole[ref.TraceID] = nil
		ids = append(ids, ref.TraceID)
	}
	for len(ids) > 0 && len(g.nodes) <= notVisited*g.visited+someMet {
		n := min(len(ids), tracesAtOnce)
		if err := g.readTraces(ids[:n]); err != nil {
			return nil, err
		}
		ids = ids[n:]
	}
	_, apart = g.whole.split(refs)
	return apart, nil
}

func (g *reach) readTraces(ids []pcommon.TraceID) error {
	spans, large, err := g.s.src.Traces(g.s.ctx, ids, cmp.Or(g.s.opts.whole, wholeRows))
	if err != nil {
		return err
	}
	for _, id := range ids {
		g.whole[id] = []int{}
	}
	for _, id := range large {
		g.whole[id] = nil
	}
	g.s.plan.Traces += len(ids) - len(large)
	return g.addAll(spans)
}

// tellCauses lets the causes of a span of a whole trace know of it that are in
// the trace.
func (g *reach) tellCauses(t *told) error {
	for _, e := range t.edges {
		if e.Cause == t.ref || e.Cause.TraceID != t.ref.TraceID {
			continue
		}
		n := &g.nodes[g.node(e.Cause)]
		n.told = append(n.told, e)
		if err := g.keep(1); err != nil {
			return err
		}
	}
	return nil
}
