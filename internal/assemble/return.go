package assemble

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// addReturn adds to a call's span what its return says: the outcome, and all
// other fields as far as the call did not say the same.
func addReturn(span ptrace.Span, ev *event.Event) {
	m := span.Attributes()
	m.PutStr(causal.AttrReturnEventID, ev.ID)
	if ev.Outcome != "" {
		m.PutStr(causal.AttrOutcome, ev.Outcome)
	}
	addFailure(span, ev)
	w := writer{m: m, merge: true}
	w.str(causal.AttrCorrelationID, ev.CorrelationID)
	w.operation(ev)
	w.fields(ev)
	w.attributes(ev.Attributes)
}

// addStoredReturn does the same from the orphan span that the return was
// stored as.
func addStoredReturn(span ptrace.Span, orphan ptrace.Span) {
	m, said := span.Attributes(), orphan.Attributes()
	m.PutStr(causal.AttrReturnEventID, str(said, causal.AttrEventID))
	for i := range orphan.Events().Len() {
		orphan.Events().At(i).CopyTo(span.Events().AppendEmpty())
	}
	failed := orphan.Status().Code() == ptrace.StatusCodeError
	if failed {
		setFailed(span, str(said, attrErrorType), orphan.Status().Message())
	}
	w := writer{m: m, merge: true}
	for key, v := range said.All() {
		if !ofOrphan(key) && !(failed && key == attrErrorType) {
			w.value(key, v.CopyTo)
		}
	}
}

// ofOrphan reports whether an attribute speaks of the orphan span itself, or
// is treated apart.
func ofOrphan(key string) bool {
	switch key {
	case causal.AttrEventID, causal.AttrEventKind, causal.AttrEventSeq, causal.AttrProcessID,
		causal.AttrProcessFirst, causal.AttrCallID, causal.AttrCallState:
		return true
	}
	return false
}

// str returns a string attribute, "" where there is none.
func str(m pcommon.Map, key string) string {
	v, ok := m.Get(key)
	if !ok || v.Type() != pcommon.ValueTypeStr {
		return ""
	}
	return v.Str()
}

// retainCorrelation returns correlation without keeping its event's memory:
// ev is a retained event.
func retainCorrelation(ev *event.Event, correlation string) string {
	if ev.CorrelationID == correlation {
		return ev.CorrelationID
	}
	return strings.Clone(correlation)
}
