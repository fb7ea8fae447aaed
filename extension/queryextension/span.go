package queryextension

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
)

// spanJSON is a span as the API's answers have it. The fields that only native
// events have are "" on others.
type spanJSON struct {
	TraceID       string         `json:"trace_id"`
	SpanID        string         `json:"span_id"`
	ParentSpanID  string         `json:"parent_span_id"` // "" for a root
	EventID       string         `json:"event_id"`
	EventKind     string         `json:"event_kind"`
	Name          string         `json:"name"`
	Kind          string         `json:"kind"`
	Service       string         `json:"service"`
	Node          string         `json:"node"`
	Process       string         `json:"process"`
	Start         string         `json:"start"` // nanoseconds since the epoch
	End           string         `json:"end"`
	Status        string         `json:"status"` // unset, ok, error
	StatusMessage string         `json:"status_message"`
	State         string         `json:"state"` // of a call: returned, open, ...
	Attributes    map[string]any `json:"attributes"`
	Links         []linkJSON     `json:"links"`
}

type linkJSON struct {
	TraceID    string         `json:"trace_id"`
	SpanID     string         `json:"span_id"`
	Attributes map[string]any `json:"attributes"`
}

// Attributes of the resource that say where a span comes from.
const (
	attrService = "service.name"
	attrNode    = "service.instance.id"
)

func newSpanJSON(resource pcommon.Resource, span ptrace.Span) spanJSON {
	attributes := span.Attributes()
	answer := spanJSON{
		TraceID:       span.TraceID().String(),
		SpanID:        span.SpanID().String(),
		ParentSpanID:  span.ParentSpanID().String(),
		EventID:       text(attributes, causal.AttrEventID),
		EventKind:     text(attributes, causal.AttrEventKind),
		Name:          span.Name(),
		Kind:          strings.ToLower(span.Kind().String()),
		Service:       text(resource.Attributes(), attrService),
		Node:          text(resource.Attributes(), attrNode),
		Process:       text(attributes, causal.AttrProcessID),
		Start:         nanoseconds(uint64(span.StartTimestamp())),
		End:           nanoseconds(uint64(span.EndTimestamp())),
		Status:        strings.ToLower(span.Status().Code().String()),
		StatusMessage: span.Status().Message(),
		State:         text(attributes, causal.AttrCallState),
		Attributes:    mapJSON(attributes),
		Links:         make([]linkJSON, 0, span.Links().Len()),
	}
	for _, link := range span.Links().All() {
		answer.Links = append(answer.Links, linkJSON{
			TraceID:    link.TraceID().String(),
			SpanID:     link.SpanID().String(),
			Attributes: mapJSON(link.Attributes()),
		})
	}
	return answer
}

// text returns an attribute as text, "" where there is none.
func text(attributes pcommon.Map, key string) string {
	value, ok := attributes.Get(key)
	if !ok {
		return ""
	}
	return value.AsString()
}

func nanoseconds(n uint64) string { return strconv.FormatUint(n, 10) }

func mapJSON(m pcommon.Map) map[string]any {
	answer := make(map[string]any, m.Len())
	for key, value := range m.All() {
		answer[key] = valueJSON(value)
	}
	return answer
}

// valueJSON is the plain JSON of a value: integers keep all their digits,
// bytes are base64, and doubles that JSON has no number for are text, as in
// OTLP JSON.
func valueJSON(v pcommon.Value) any {
	switch v.Type() {
	case pcommon.ValueTypeDouble:
		return doubleJSON(v.Double())
	case pcommon.ValueTypeInt:
		return integerJSON(v.Int())
	case pcommon.ValueTypeBool:
		return v.Bool()
	case pcommon.ValueTypeBytes:
		return v.Bytes().AsRaw()
	case pcommon.ValueTypeMap:
		return mapJSON(v.Map())
	case pcommon.ValueTypeSlice:
		list := make([]any, 0, v.Slice().Len())
		for _, element := range v.Slice().All() {
			list = append(list, valueJSON(element))
		}
		return list
	case pcommon.ValueTypeEmpty:
		return nil
	}
	return v.Str()
}

func doubleJSON(d float64) any {
	switch {
	case math.IsNaN(d):
		return "NaN"
	case math.IsInf(d, 1):
		return "Infinity"
	case math.IsInf(d, -1):
		return "-Infinity"
	}
	return d
}

func integerJSON(n int64) any { return json.Number(strconv.FormatInt(n, 10)) }
