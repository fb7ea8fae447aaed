package query

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/traceql"
)

// oracle answers queries by their definition, over all spans at once. It
// shares no code with the search but the edges of spans.
type oracle struct {
	spans   []*ospan
	edges   []causal.Edge
	options SearchOptions
}

// ospan is a span, decoded.
type ospan struct {
	ptrace.Span
	resource pcommon.Map
	scope    pcommon.InstrumentationScope
	ref      causal.SpanRef
	encoded  storetest.Plain
}

// oset is a spanset.
type oset struct {
	spans   []*ospan
	by      []any
	figures []float64
	path    string
}

func newOracle(specs []storetest.Plain, edges []causal.Edge) *oracle {
	o := &oracle{edges: edges}
	for _, p := range specs {
		if p.Ref().IsZero() {
			continue
		}
		rs := p.Traces.ResourceSpans().At(0)
		o.spans = append(o.spans, &ospan{
			Span: p.Span(), resource: rs.Resource().Attributes(), scope: rs.ScopeSpans().At(0).Scope(), ref: p.Ref(), encoded: p,
		})
	}
	slices.SortFunc(o.spans, inSpanset)
	return o
}

func inSpanset(a, b *ospan) int {
	return cmp.Or(cmp.Compare(a.StartTimestamp(), b.StartTimestamp()), a.ref.Compare(b.ref), cmp.Compare(a.Kind(), b.Kind()))
}

func byLatest(a, b *ospan) int {
	return cmp.Or(cmp.Compare(b.StartTimestamp(), a.StartTimestamp()), a.ref.Compare(b.ref), cmp.Compare(a.Kind(), b.Kind()))
}

// search returns all spansets in order.
func (o *oracle) search(q *traceql.Query) []oset {
	sets := o.pipeline(q.Pipeline)
	latest := func(s oset) *ospan { return slices.MinFunc(s.spans, byLatest) }
	slices.SortFunc(sets, func(a, b oset) int { return byLatest(latest(a), latest(b)) })
	if op, ok := pathOf(q.Pipeline, false); ok {
		for i := range sets {
			sets[i].path = o.path(op, sets[i].spans)
		}
	}
	return sets
}

// pathOf returns the causal operator whose paths are asked for, if any.
func pathOf(p traceql.Pipeline, asked bool) (*traceql.SpansetOperation, bool) {
	for _, stage := range p.Stages {
		s, ok := stage.(*traceql.Select)
		asked = asked || ok && s.Path
	}
	switch e := p.Source.(type) {
	case *traceql.SpansetOperation:
		return e, asked && e.Op.Causal()
	case *traceql.Nested:
		return pathOf(e.Pipeline, asked)
	}
	return nil, false
}

func (o *oracle) pipeline(p traceql.Pipeline) []oset {
	sets := o.spansets(p.Source)
	for _, stage := range p.Stages {
		switch s := stage.(type) {
		case *traceql.Filter:
			for i := range sets {
				sets[i].spans = o.keep(sets[i].spans, func(x *ospan) bool { return o.holds(x, s.Expr) })
			}
			sets = slices.DeleteFunc(sets, func(s oset) bool { return len(s.spans) == 0 })
		case *traceql.AggregateFilter:
			sets = slices.DeleteFunc(sets, func(set oset) bool { _, ok := o.figure(set, s); return !ok })
			for i := range sets {
				f, _ := o.figure(sets[i], s)
				sets[i].figures = append(slices.Clone(sets[i].figures), f)
			}
		case *traceql.By:
			sets = o.by(sets, s)
		}
	}
	return sets
}

func (o *oracle) keep(spans []*ospan, is func(*ospan) bool) []*ospan {
	var kept []*ospan
	for _, x := range spans {
		if is(x) {
			kept = append(kept, x)
		}
	}
	return kept
}

func (o *oracle) spansets(e traceql.SpansetExpr) []oset {
	if n, ok := e.(*traceql.Nested); ok {
		return o.pipeline(n.Pipeline)
	}
	if op, ok := e.(*traceql.SpansetOperation); ok && op.Op.Causal() {
		return o.connected(op)
	}
	byTrace := map[pcommon.TraceID][]*ospan{}
	for _, x := range o.set(e) {
		byTrace[x.ref.TraceID] = append(byTrace[x.ref.TraceID], x)
	}
	var sets []oset
	for _, spans := range byTrace {
		sets = append(sets, oset{spans: spans})
	}
	return sets
}

// set returns the spans that an expression stands for, in order.
func (o *oracle) set(e traceql.SpansetExpr) []*ospan {
	switch e := e.(type) {
	case *traceql.Filter:
		return o.keep(o.spans, func(x *ospan) bool { return o.inRange(x) && o.holds(x, e.Expr) })
	case *traceql.Nested:
		in := map[*ospan]bool{}
		for _, set := range o.pipeline(e.Pipeline) {
			for _, x := range set.spans {
				in[x] = true
			}
		}
		return o.keep(o.spans, func(x *ospan) bool { return in[x] })
	}
	op := e.(*traceql.SpansetOperation)
	left, right := o.set(op.Left), o.set(op.Right)
	in := func(set []*ospan, x *ospan) bool { return slices.Contains(set, x) }
	ofTrace := func(set []*ospan, x *ospan) bool {
		return slices.ContainsFunc(set, func(y *ospan) bool { return y.ref.TraceID == x.ref.TraceID })
	}
	switch op.Op {
	case traceql.OpAnd:
		return o.keep(o.spans, func(x *ospan) bool {
			return (in(left, x) || in(right, x)) && ofTrace(left, x) && ofTrace(right, x)
		})
	case traceql.OpOr:
		return o.keep(o.spans, func(x *ospan) bool { return in(left, x) || in(right, x) })
	}
	return o.keep(right, func(r *ospan) bool {
		return slices.ContainsFunc(left, func(l *ospan) bool { return o.related(op, l, r) })
	})
}

func (o *oracle) inRange(x *ospan) bool {
	at, r := uint64(x.StartTimestamp()), o.options.Range
	return at >= r.Start && (r.End == 0 || at < r.End)
}

// related reports whether an operator's relation is between two spans.
func (o *oracle) related(op *traceql.SpansetOperation, l, r *ospan) bool {
	switch op.Op {
	case traceql.OpChild:
		return isChild(r, l)
	case traceql.OpParent:
		return isChild(l, r)
	case traceql.OpDescendant:
		return o.reaches(l, r, isChildOf)
	case traceql.OpAncestor:
		return o.reaches(r, l, isChildOf)
	case traceql.OpSibling:
		return l.ref.TraceID == r.ref.TraceID && l.ref != r.ref && hasParent(l) && hasParent(r) && l.ParentSpanID() == r.ParentSpanID()
	case traceql.OpCaused, traceql.OpLedTo:
		return o.within(op, l, r) && o.leads(op, l.ref, r.ref)
	default:
		return o.within(op, r, l) && o.leads(op, r.ref, l.ref)
	}
}

func hasParent(x *ospan) bool { return !x.ParentSpanID().IsEmpty() && x.ParentSpanID() != x.SpanID() }

func isChild(x, of *ospan) bool {
	return hasParent(x) && x.ref.TraceID == of.ref.TraceID && x.ParentSpanID() == of.SpanID()
}

func isChildOf(parent, child *ospan) bool { return isChild(child, parent) }

// reaches reports whether one step or more lead from a to b.
func (o *oracle) reaches(a, b *ospan, step func(a, b *ospan) bool) bool {
	reached := map[*ospan]bool{}
	for again := true; again; {
		again = false
		for _, x := range o.spans {
			if reached[x] {
				continue
			}
			for _, y := range o.spans {
				if (y == a || reached[y]) && step(y, x) {
					reached[x], again = true, true
				}
			}
		}
	}
	return reached[b]
}

func (o *oracle) within(op *traceql.SpansetOperation, cause, effect *ospan) bool {
	if op.Within == 0 || effect.StartTimestamp() <= cause.StartTimestamp() {
		return true
	}
	return uint64(effect.StartTimestamp()-cause.StartTimestamp()) <= uint64(op.Within)
}

// allowed are the edges that an operator goes along.
func (o *oracle) allowed(op *traceql.SpansetOperation) []causal.Edge {
	var edges []causal.Edge
	for _, e := range o.edges {
		byQuery := len(op.Types) == 0 || slices.Contains(op.Types, string(e.Type))
		byCaller := len(o.options.Types) == 0 || slices.Contains(o.options.Types, e.Type)
		if byQuery && byCaller && e.Confidence >= o.options.MinConfidence {
			edges = append(edges, e)
		}
	}
	return edges
}

// leads reports whether one edge leads from a to b, or, for ->> and <<-, any
// number of them.
func (o *oracle) leads(op *traceql.SpansetOperation, a, b causal.SpanRef) bool {
	d, ok := o.distances(op, a, true)[b]
	direct := op.Op == traceql.OpCaused || op.Op == traceql.OpCausedBy
	return ok && (d == 1 || !direct)
}

// distances are how many edges, one at least, lead from a span to others, or
// to a span from others.
func (o *oracle) distances(op *traceql.SpansetOperation, from causal.SpanRef, forward bool) map[causal.SpanRef]int {
	edges := o.allowed(op)
	far := map[causal.SpanRef]int{}
	level := []causal.SpanRef{from}
	for d := 1; len(level) > 0; d++ {
		var next []causal.SpanRef
		for _, e := range edges {
			a, b := e.Cause, e.Effect
			if !forward {
				a, b = b, a
			}
			if _, known := far[b]; !known && slices.Contains(level, a) {
				far[b] = d
				next = append(next, b)
			}
		}
		level = next
	}
	return far
}

// connected are the spansets of a causal operator: right-hand spans are in one
// if left-hand spans of one trace are on the other end of both, or if others
// join them so.
func (o *oracle) connected(op *traceql.SpansetOperation) []oset {
	left, right := o.set(op.Left), o.set(op.Right)
	var sets []oset
	var traces []map[pcommon.TraceID]bool // of the sets' left-hand spans
	for _, r := range right {
		of := map[pcommon.TraceID]bool{}
		for _, l := range left {
			if o.related(op, l, r) {
				of[l.ref.TraceID] = true
			}
		}
		if len(of) == 0 {
			continue
		}
		joined := oset{spans: []*ospan{r}}
		for i := len(sets) - 1; i >= 0; i-- {
			for id := range of {
				if traces[i][id] {
					joined.spans = append(joined.spans, sets[i].spans...)
					for id := range traces[i] {
						of[id] = true
					}
					sets, traces = slices.Delete(sets, i, i+1), slices.Delete(traces, i, i+1)
					break
				}
			}
		}
		slices.SortFunc(joined.spans, inSpanset)
		sets, traces = append(sets, joined), append(traces, of)
	}
	return sets
}

// path is the union of shortest paths, one for each span: its nodes, then its
// edges, sorted. Of several that are as short it is the one that begins at the
// least span, and goes on from each to the least.
func (o *oracle) path(op *traceql.SpansetOperation, spans []*ospan) string {
	forward := op.Op == traceql.OpCaused || op.Op == traceql.OpLedTo // the way from left to right
	left := o.set(op.Left)
	nodes := map[string]bool{}
	pairs := map[[2]causal.SpanRef]bool{}
	for _, r := range spans[:min(len(spans), o.options.MaxSpans)] {
		// How far each span is from r.
		far := o.distances(op, r.ref, !forward)
		best, at := math.MaxInt, causal.SpanRef{}
		for _, l := range left {
			d, ok := far[l.ref]
			if ok && o.related(op, l, r) && (d < best || d == best && l.ref.Compare(at) < 0) {
				best, at = d, l.ref
			}
		}
		nodes[name(at)] = true
		for d := best; d > 0; d-- {
			var next causal.SpanRef
			for _, e := range o.allowed(op) {
				a, b := e.Cause, e.Effect
				if !forward {
					a, b = b, a
				}
				step := a == at && (d == 1 && b == r.ref || d > 1 && far[b] == d-1)
				if step && (next.IsZero() || b.Compare(next) < 0) {
					next = b
				}
			}
			if forward {
				pairs[[2]causal.SpanRef{at, next}] = true
			} else {
				pairs[[2]causal.SpanRef{next, at}] = true
			}
			at = next
			nodes[name(at)] = true
		}
	}
	var lines []string
	for n := range nodes {
		lines = append(lines, n)
	}
	for _, e := range o.allowed(op) {
		if pairs[[2]causal.SpanRef{e.Cause, e.Effect}] {
			lines = append(lines, edgeText(e))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (o *oracle) by(sets []oset, s *traceql.By) []oset {
	var out []oset
	for _, set := range sets {
		var values [][]any
		var parts []oset
		for _, x := range set.spans {
			var of []any
			for _, f := range s.Fields {
				of = append(of, o.first(x, f))
			}
			at := slices.IndexFunc(values, func(v []any) bool { return slices.Equal(v, of) })
			if at < 0 {
				at = len(values)
				values = append(values, of)
				parts = append(parts, oset{by: append(slices.Clone(set.by), of...), figures: set.figures})
			}
			parts[at].spans = append(parts[at].spans, x)
		}
		out = append(out, parts...)
	}
	return out
}

func (o *oracle) figure(set oset, s *traceql.AggregateFilter) (float64, bool) {
	var numbers []float64
	for _, x := range set.spans {
		if s.Aggregate.Fn == traceql.Count {
			numbers = append(numbers, 1)
		} else if f, ok := number(o.first(x, s.Aggregate.Arg)); ok {
			numbers = append(numbers, f)
		}
	}
	sum := 0.0
	for _, f := range numbers {
		sum += f
	}
	figure := sum
	switch s.Aggregate.Fn {
	case traceql.Count, traceql.Sum:
	case traceql.Avg:
		figure = sum / float64(len(numbers))
	case traceql.Min:
		if len(numbers) > 0 {
			figure = slices.Min(numbers)
		}
	case traceql.Max:
		if len(numbers) > 0 {
			figure = slices.Max(numbers)
		}
	}
	right, _ := number(literal(s.Right))
	return figure, len(numbers) > 0 && ordered(s.Op, cmp.Compare(figure, right))
}

func ordered(op traceql.CompareOp, c int) bool {
	return map[traceql.CompareOp]bool{
		traceql.Equal: c == 0, traceql.NotEqual: c != 0, traceql.Less: c < 0, traceql.LessEqual: c <= 0,
		traceql.Greater: c > 0, traceql.GreaterEqual: c >= 0,
	}[op]
}
