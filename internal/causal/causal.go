// Package causal is the vocabulary that all of Scope shares: the kinds of
// cause and effect, the attribute keys that carry what correlation needs, and
// the types Edge and SpanRef. It holds no behaviour beyond conversions, so any
// package may import it.
package causal

import (
	"bytes"
	"cmp"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Type is one of the kinds of causal relation; its text form stands in
// scope.link.type.
type Type string

// The five kinds that Scope finds, and Other for links that came with a span
// and say nothing of their kind.
const (
	ParentChild      Type = "parent_child"
	MessageFlow      Type = "message_flow"
	StateTransition  Type = "state_transition"
	ErrorPropagation Type = "error_propagation"
	ProcessSpawn     Type = "process_spawn"
	Other            Type = "other"
)

// Types are the kinds that Scope finds itself, in the order of the
// documentation.
var Types = []Type{ParentChild, MessageFlow, StateTransition, ErrorPropagation, ProcessSpawn}

// Known reports whether t is one of Types.
func (t Type) Known() bool {
	for _, k := range Types {
		if t == k {
			return true
		}
	}
	return false
}

// SpanRef names one span. The zero value names none.
type SpanRef struct {
	TraceID pcommon.TraceID
	SpanID  pcommon.SpanID
}

// IsZero reports whether r names no span: a span needs both ids.
func (r SpanRef) IsZero() bool { return r.TraceID.IsEmpty() || r.SpanID.IsEmpty() }

// Compare orders by trace id, then by span id.
func (r SpanRef) Compare(o SpanRef) int {
	return cmp.Or(bytes.Compare(r.TraceID[:], o.TraceID[:]), bytes.Compare(r.SpanID[:], o.SpanID[:]))
}

// Edge is one causal relation, from cause to effect. Which of the two spans
// carried the link is not part of it.
type Edge struct {
	Type       Type
	Cause      SpanRef
	Effect     SpanRef
	Confidence float64 // 0 < Confidence <= 1; 1 is an exact identity
	Rule       string  // the rule that found it; "link" for links that came with a span
}
