package pressureprocessor

import (
	"strings"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/sample"
)

// Names in Config.Key that are no attributes.
const (
	keySpanName = "span.name"
	keySpanKind = "span.kind"
)

// value returns what a span has of a part of the key: its name or kind, else
// its resource's attribute, else its own; "" without.
func value(part string, resource pcommon.Map, span ptrace.Span) string {
	switch part {
	case keySpanName:
		return span.Name()
	case keySpanKind:
		return span.Kind().String()
	}
	v, ok := resource.Get(part)
	if !ok {
		if v, ok = span.Attributes().Get(part); !ok {
			return ""
		}
	}
	return v.AsString()
}

// rootOf tells of the chain that begins with a span.
func rootOf(parts []string, resource pcommon.Map, span ptrace.Span) sample.Root {
	var h xxh3.Hasher
	for _, part := range parts {
		_, _ = h.WriteString(value(part, resource, span))
		_, _ = h.Write([]byte{0xff}) // in no UTF-8
	}
	return sample.Root{Key: h.Sum64(), Class: classOf(span)}
}

func classOf(span ptrace.Span) sample.Class {
	if v, ok := span.Attributes().Get(causal.AttrPriority); ok {
		switch v.AsString() {
		case "low":
			return sample.Low
		case "high":
			return sample.Important
		}
	}
	return sample.Ordinary
}

// maxLabel bounds the labels of keys, which metrics and status pages repeat.
const maxLabel = 120

func labelOf(parts []string, resource pcommon.Map, span ptrace.Span) string {
	values := make([]string, len(parts))
	for i, part := range parts {
		values[i] = value(part, resource, span)
	}
	label := strings.ToValidUTF8(strings.Join(values, " / "), "\ufffd")
	if len(label) > maxLabel {
		label = strings.ToValidUTF8(label[:maxLabel], "") + "…"
	}
	return label
}
