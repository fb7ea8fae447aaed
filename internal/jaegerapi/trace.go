package jaegerapi

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
)

// Tags that Jaeger makes of what OTLP has fields for.
const (
	tagKind         = "span.kind"
	tagError        = "error"
	tagStatus       = "otel.status_code"
	tagDescription  = "otel.status_description"
	tagScopeName    = "otel.scope.name"
	tagScopeVersion = "otel.scope.version"
	tagState        = "w3c.tracestate"
	// tagCauses and tagEffects say in JSON what the references cannot: type,
	// confidence and rule of each.
	tagCauses  = "scope.causes"
	tagEffects = "scope.effects"
)

const (
	attrService = "service.name"
	// noService is what OpenTelemetry calls a service that says no name.
	noService = "unknown_service"
)

// NewTraces makes Jaeger's traces of spans that package crosslink decoded, in the
// order in which the traces come.
func NewTraces(td ptrace.Traces) []Trace {
	traces := []Trace{}
	at := map[pcommon.TraceID]int{}
	for i, rs := range td.ResourceSpans().All() {
		process := newProcess(rs.Resource())
		id := "p" + strconv.Itoa(i+1)
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				n, ok := at[span.TraceID()]
				if !ok {
					n = len(traces)
					at[span.TraceID()] = n
					traces = append(traces, Trace{TraceID: traceID(span.TraceID()), Processes: map[string]Process{}})
				}
				traces[n].Processes[id] = process
				traces[n].Spans = append(traces[n].Spans, newSpan(ss.Scope(), span, id))
			}
		}
	}
	for i := range traces {
		breakCycles(traces[i].Spans)
	}
	return traces
}

// Jaeger's ids are hex in full, all zero where there is none.
func traceID(id pcommon.TraceID) string {
	if id.IsEmpty() {
		return strings.Repeat("0", 32)
	}
	return id.String()
}

func spanID(id pcommon.SpanID) string {
	if id.IsEmpty() {
		return strings.Repeat("0", 16)
	}
	return id.String()
}

func newProcess(resource pcommon.Resource) Process {
	p := Process{Service: noService, Tags: []KeyValue{}}
	for key, value := range resource.Attributes().All() {
		if key == attrService {
			p.Service = value.AsString()
			continue
		}
		p.Tags = append(p.Tags, newTag(key, value))
	}
	return p
}

func newSpan(scope pcommon.InstrumentationScope, span ptrace.Span, process string) Span {
	s := Span{
		TraceID:    traceID(span.TraceID()),
		SpanID:     spanID(span.SpanID()),
		Flags:      1, // sampled: it is here
		Operation:  span.Name(),
		References: references(span),
		Start:      uint64(span.StartTimestamp()) / 1000,
		Tags:       tags(scope, span),
		Logs:       []Log{},
		ProcessID:  process,
	}
	if end := uint64(span.EndTimestamp()) / 1000; end > s.Start {
		s.Duration = end - s.Start
	}
	for _, event := range span.Events().All() {
		fields := []KeyValue{text("event", event.Name())}
		for key, value := range event.Attributes().All() {
			fields = append(fields, newTag(key, value))
		}
		s.Logs = append(s.Logs, Log{uint64(event.Timestamp()) / 1000, fields})
	}
	if attribute(span.Attributes(), causal.AttrCallState) == causal.CallOpen {
		s.Warnings = append(s.Warnings, "the call has not returned yet")
	}
	return s
}

func tags(scope pcommon.InstrumentationScope, span ptrace.Span) []KeyValue {
	tags := []KeyValue{}
	for key, value := range span.Attributes().All() {
		tags = append(tags, newTag(key, value))
	}
	add := func(key, value string) {
		if value != "" {
			tags = append(tags, text(key, value))
		}
	}
	if kind := span.Kind(); kind != ptrace.SpanKindUnspecified {
		add(tagKind, strings.ToLower(kind.String()))
	}
	switch span.Status().Code() {
	case ptrace.StatusCodeError:
		add(tagStatus, "ERROR")
		tags = append(tags, KeyValue{tagError, "bool", true})
	case ptrace.StatusCodeOk:
		add(tagStatus, "OK")
	}
	add(tagDescription, span.Status().Message())
	add(tagScopeName, scope.Name())
	add(tagScopeVersion, scope.Version())
	add(tagState, span.TraceState().AsRaw())
	causes, effects := relations(span.Links())
	add(tagCauses, causes)
	add(tagEffects, effects)
	return tags
}

// relation is an element of the tags scope.causes and scope.effects.
type relation struct {
	Type       string `json:"type,omitempty"`
	Confidence any    `json:"confidence,omitempty"`
	Rule       string `json:"rule,omitempty"`
	TraceID    string `json:"trace_id"`
	SpanID     string `json:"span_id"`
}

// relations tells of links what references have no place for; "" where there
// are none.
func relations(links ptrace.SpanLinkSlice) (causes, effects string) {
	var of [2][]relation
	for _, link := range links.All() {
		if leadsNowhere(link) {
			continue
		}
		side := 0
		if isEffect(link) {
			side = 1
		}
		r := relation{
			Type:    attribute(link.Attributes(), causal.AttrLinkType),
			Rule:    attribute(link.Attributes(), causal.AttrLinkRule),
			TraceID: traceID(link.TraceID()),
			SpanID:  spanID(link.SpanID()),
		}
		if confidence, ok := link.Attributes().Get(causal.AttrLinkConfidence); ok {
			r.Confidence = newTag("", confidence).Value
		}
		of[side] = append(of[side], r)
	}
	return asJSON(of[0]), asJSON(of[1])
}

func leadsNowhere(link ptrace.SpanLink) bool {
	return link.TraceID().IsEmpty() || link.SpanID().IsEmpty()
}

func isEffect(link ptrace.SpanLink) bool {
	return attribute(link.Attributes(), causal.AttrLinkRole) == causal.LinkRoleEffect
}

// attribute is a text, "" where there is none.
func attribute(m pcommon.Map, key string) string {
	value, ok := m.Get(key)
	if !ok {
		return ""
	}
	return value.AsString()
}

func asJSON(relations []relation) string {
	if len(relations) == 0 {
		return ""
	}
	encoded, _ := json.Marshal(relations) // strings, and what newTag makes JSON of
	return string(encoded)
}

func text(key, value string) KeyValue { return KeyValue{key, "string", value} }

// Integers beyond these lose digits in JavaScript.
const maxSafe, minSafe = 1<<53 - 1, -(1<<53 - 1)

func newTag(key string, value pcommon.Value) KeyValue {
	switch value.Type() {
	case pcommon.ValueTypeBool:
		return KeyValue{key, "bool", value.Bool()}
	case pcommon.ValueTypeInt:
		if n := value.Int(); n < minSafe || n > maxSafe {
			return KeyValue{key, "int64", strconv.FormatInt(n, 10)}
		}
		return KeyValue{key, "int64", value.Int()}
	case pcommon.ValueTypeDouble:
		if d := value.Double(); !math.IsNaN(d) && !math.IsInf(d, 0) {
			return KeyValue{key, "float64", d}
		}
	case pcommon.ValueTypeBytes:
		return KeyValue{key, "binary", value.Bytes().AsRaw()}
	}
	return text(key, value.AsString())
}
