package tempoapi

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/traceql"
)

// Results sorts what a search found by traces, in the order in which they come.
// A spanset of a causal query may have spans of several; each gets its part.
type Results struct {
	fields []traceql.FieldExpr // that are shown of each span
	reader query.Reader
	wire   otlpwire.Span
	search Search
	order  []pcommon.TraceID
	sets   map[pcommon.TraceID][]SpanSet
}

// NewResults returns results of a search.
func NewResults(s Search) *Results {
	return &Results{fields: shown(s.Query), search: s, sets: map[pcommon.TraceID][]SpanSet{}}
}

// Add adds a spanset.
func (r *Results) Add(found query.Spanset) error {
	parts := map[pcommon.TraceID]*SpanSet{}
	var order []pcommon.TraceID
	for _, span := range found.Spans {
		record, err := r.reader.Read(span)
		if err != nil {
			return err
		}
		trace := record.Ref.TraceID
		if parts[trace] == nil {
			parts[trace] = &SpanSet{Attributes: common(found)}
			order = append(order, trace)
		}
		set := parts[trace]
		if set.Matched++; set.Matched > r.search.SpansPerSet {
			continue
		}
		shown, err := r.span(record)
		if err != nil {
			return err
		}
		set.Spans = append(set.Spans, shown)
	}
	for _, trace := range order {
		if len(order) == 1 {
			parts[trace].Matched = found.Matched
		}
		if r.sets[trace] == nil {
			r.order = append(r.order, trace)
		}
		r.sets[trace] = append(r.sets[trace], *parts[trace])
	}
	return nil
}

// Traces returns the traces that something was found in, no more than were
// asked for.
func (r *Results) Traces() []pcommon.TraceID { return r.order[:min(r.search.Limit, len(r.order))] }

// Trace returns what was found in a trace, of which summary tells.
func (r *Results) Trace(id pcommon.TraceID, summary query.Summary) (Trace, error) {
	root, err := r.reader.Read(summary.Root)
	if err != nil {
		return Trace{}, err
	}
	t := Trace{
		TraceID:      id.String(),
		Start:        summary.Start,
		SpanSets:     r.sets[id],
		ServiceStats: make(map[string]Service, len(summary.Services)),
	}
	t.RootName, _ = root.ValueOf(traceql.Name).(string)
	t.RootService, _ = root.ValueOf(&traceql.Attribute{Scope: traceql.ScopeResource, Name: "service.name"}).(string)
	if summary.End > summary.Start {
		t.DurationMillis = uint32(min((summary.End-summary.Start)/1e6, math.MaxUint32))
	}
	if len(t.SpanSets) == 1 {
		t.SpanSet = &t.SpanSets[0]
	}
	for name, of := range summary.Services {
		t.ServiceStats[name] = Service(of)
	}
	return t, nil
}

func (r *Results) span(record *query.Record) (Span, error) {
	if err := r.wire.Parse(record.Span.Bytes); err != nil {
		return Span{}, err
	}
	s := Span{SpanID: record.Ref.SpanID.String(), Name: string(r.wire.Name), Start: r.wire.Start}
	if r.wire.End > r.wire.Start {
		s.Duration = r.wire.End - r.wire.Start
	}
	for _, field := range r.fields {
		if value, ok := newValue(record.ValueOf(field)); ok {
			s.Attributes = append(s.Attributes, KeyValue{keyOf(field), value})
		}
	}
	return s, nil
}

// common are the attributes of a whole spanset.
func common(found query.Spanset) []KeyValue {
	var attributes []KeyValue
	for _, by := range found.By {
		if value, ok := newValue(by.Value); ok {
			attributes = append(attributes, KeyValue{"by(" + by.Field.String() + ")", value})
		}
	}
	for _, figure := range found.Figures {
		value, _ := newValue(figure.Value)
		attributes = append(attributes, KeyValue{figure.Aggregate.String(), value})
	}
	return attributes
}

// keyOf is what Tempo calls a field in an answer: an attribute has no scope.
func keyOf(field traceql.FieldExpr) string {
	if a, ok := field.(*traceql.Attribute); ok {
		return a.Name
	}
	return field.String()
}

func newValue(value any) (Value, bool) {
	switch v := value.(type) {
	case int64:
		return Value{Int: &v}, true
	case float64:
		if !math.IsNaN(v) && !math.IsInf(v, 0) { // JSON has no such numbers
			return Value{Double: &v}, true
		}
	case bool:
		return Value{Bool: &v}, true
	case string:
		return Value{String: &v}, true
	}
	if typed, ok := typedValue(value); ok {
		return Value{String: &typed.Value}, true
	}
	return Value{}, false
}

// shown are the fields that a query compares or selects, each once; but for
// name and duration, which have places of their own.
func shown(q *traceql.Query) []traceql.FieldExpr {
	w := walk{seen: map[string]bool{traceql.Name.String(): true, traceql.Duration.String(): true}}
	w.pipeline(q.Pipeline)
	return w.fields
}

type walk struct {
	seen   map[string]bool // by key
	fields []traceql.FieldExpr
}

func (w *walk) pipeline(p traceql.Pipeline) {
	w.source(p.Source)
	for _, stage := range p.Stages {
		switch s := stage.(type) {
		case *traceql.Filter:
			w.expr(s.Expr)
		case *traceql.AggregateFilter:
			w.expr(s.Aggregate.Arg)
		case *traceql.By:
			for _, f := range s.Fields {
				w.expr(f)
			}
		case *traceql.Select:
			for _, f := range s.Fields {
				w.expr(f)
			}
		}
	}
}

func (w *walk) source(e traceql.SpansetExpr) {
	switch e := e.(type) {
	case *traceql.Filter:
		w.expr(e.Expr)
	case *traceql.SpansetOperation:
		w.source(e.Left)
		w.source(e.Right)
	case *traceql.Nested:
		w.pipeline(e.Pipeline)
	}
}

func (w *walk) expr(e traceql.FieldExpr) {
	switch e := e.(type) {
	case *traceql.Logic:
		w.expr(e.Left)
		w.expr(e.Right)
	case *traceql.Not:
		w.expr(e.X)
	case *traceql.Comparison:
		w.expr(e.Left)
		w.expr(e.Right)
	case *traceql.Attribute, traceql.Intrinsic:
		if key := keyOf(e); !w.seen[key] {
			w.seen[key] = true
			w.fields = append(w.fields, e)
		}
	}
}
