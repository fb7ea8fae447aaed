package query

import (
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/traceql"
)

// field is a field of spans, or a literal.
type field struct {
	place     place
	intrinsic traceql.Intrinsic
	attribute bool
	name      string // of an attribute
	literal   value
}

// place says where a field's values stand.
type place uint8

const (
	literalPlace place = iota
	intrinsicPlace
	eitherPlace // span or resource
	spanPlace
	resourcePlace
	scopePlace
	eventPlace // as many values as the span has events
	linkPlace  // as many values as the span has links
	tracePlace // an intrinsic of the trace as a whole
)

func fieldOf(expr traceql.FieldExpr) field {
	switch e := expr.(type) {
	case traceql.Literal:
		return field{literal: valueOfLiteral(e)}
	case *traceql.Attribute:
		return field{place: attributePlaces[e.Scope], attribute: true, name: e.Name}
	case traceql.Intrinsic:
		f := field{place: intrinsicPlace, intrinsic: e}
		switch e {
		case traceql.EventName, traceql.EventTimeSinceStart:
			f.place = eventPlace
		case traceql.LinkTraceID, traceql.LinkSpanID:
			f.place = linkPlace
		case traceql.TraceDuration, traceql.RootName, traceql.RootServiceName, traceql.ChildCount:
			f.place = tracePlace
		}
		return f
	}
	return field{} // what compiled has no other
}

var attributePlaces = map[traceql.Scope]place{
	traceql.ScopeNone:            eitherPlace,
	traceql.ScopeSpan:            spanPlace,
	traceql.ScopeResource:        resourcePlace,
	traceql.ScopeEvent:           eventPlace,
	traceql.ScopeLink:            linkPlace,
	traceql.ScopeInstrumentation: scopePlace,
}

// values returns how many values a field may have.
func (r *Record) values(f *field) int {
	switch f.place {
	case eventPlace:
		return r.readEvents()
	case linkPlace:
		return r.readLinks()
	}
	return 1
}

// value returns one of a field's values, nothing where it is not there. Ids
// are valid until the next one for the same side, 0 or 1.
func (r *Record) value(f *field, i, side int) value {
	switch f.place {
	case literalPlace:
		return f.literal
	case intrinsicPlace:
		return r.intrinsic(f.intrinsic, side)
	case eitherPlace:
		if v := attribute(r.wire.Attributes, f.name); v.kind != nothing {
			return v
		}
		return attribute(r.origin.resource, f.name)
	case spanPlace:
		return attribute(r.wire.Attributes, f.name)
	case resourcePlace:
		return attribute(r.origin.resource, f.name)
	case scopePlace:
		return attribute(r.origin.scope.Attributes, f.name)
	case eventPlace:
		return r.event(f, &r.eventViews[i])
	case linkPlace:
		return r.link(f, &r.linkViews[i], side)
	}
	return r.ofTrace(f.intrinsic)
}

func attribute(attrs []otlpwire.Attr, name string) value {
	v, ok := otlpwire.Find(attrs, name)
	if !ok {
		return value{}
	}
	return valueOfAttr(v)
}

func (r *Record) intrinsic(i traceql.Intrinsic, side int) value {
	switch i {
	case traceql.Name:
		return value{kind: textValue, text: r.wire.Name}
	case traceql.Status:
		return value{kind: statusValue, int: int64(r.wire.StatusCode)}
	case traceql.StatusMessage:
		return value{kind: textValue, text: r.wire.StatusMessage}
	case traceql.Kind:
		return value{kind: spanKindValue, int: int64(r.wire.Kind)}
	case traceql.Duration:
		return durationOf(r.duration())
	case traceql.SpanID:
		return r.id(r.wire.SpanID[:], side)
	case traceql.ParentID:
		return r.id(r.wire.ParentSpanID[:], side)
	case traceql.TraceID:
		return r.id(r.wire.TraceID[:], side)
	case traceql.InstrumentationName:
		return value{kind: textValue, text: r.origin.scope.Name}
	case traceql.InstrumentationVersion:
		return value{kind: textValue, text: r.origin.scope.Version}
	}
	return value{}
}

func (r *Record) event(f *field, e *otlpwire.Event) value {
	switch {
	case f.attribute:
		return attribute(e.Attributes, f.name)
	case f.intrinsic == traceql.EventName:
		return value{kind: textValue, text: e.Name}
	}
	return value{kind: durationValue, int: int64(e.Time - r.wire.Start)}
}

func (r *Record) link(f *field, l *otlpwire.Link, side int) value {
	switch {
	case f.attribute:
		return attribute(l.Attributes, f.name)
	case f.intrinsic == traceql.LinkTraceID:
		return r.id(l.TraceID[:], side)
	}
	return r.id(l.SpanID[:], side)
}

// ofTrace returns what is known of the whole trace.
func (r *Record) ofTrace(i traceql.Intrinsic) value {
	if r.trace == nil {
		return value{}
	}
	r.trace.know()
	switch i {
	case traceql.ChildCount:
		return value{kind: intValue, int: int64(r.trace.children[r.wire.SpanID])}
	case traceql.TraceDuration:
		return durationOf(r.trace.end - min(r.trace.start, r.trace.end))
	case traceql.RootName:
		return r.trace.rootName
	}
	return r.trace.rootService
}
