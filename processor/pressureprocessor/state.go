package pressureprocessor

import (
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// readState returns what a span's tracestate, or else its trace id, says of
// sampling: its number, and the threshold that it came with, 0 if none. A
// tracestate that is none counts as empty, as W3C Trace Context has it.
func readState(span ptrace.Span) (number, threshold uint64) {
	raw := span.TraceState().AsRaw()
	if raw == "" {
		return numberOf(span.TraceID()), 0
	}
	state, err := sampling.NewW3CTraceState(raw)
	if err != nil {
		return numberOf(span.TraceID()), 0
	}
	ot := state.OTelValue()
	if th, ok := ot.TValueThreshold(); ok {
		threshold = th.Unsigned()
	}
	if rv, ok := ot.RValueRandomness(); ok {
		return rv.Unsigned(), threshold
	}
	return numberOf(span.TraceID()), threshold
}

func numberOf(id pcommon.TraceID) uint64 { return sampling.TraceIDToRandomness(id).Unsigned() }

// withThreshold returns the tracestate with this threshold instead of its own;
// all else stays. One that is no tracestate is replaced.
func withThreshold(raw string, threshold uint64) string {
	th, err := sampling.UnsignedToThreshold(threshold)
	if err != nil {
		return raw // out of range: nothing keeps such a span
	}
	state, err := sampling.NewW3CTraceState(raw)
	if err != nil {
		state = sampling.W3CTraceState{}
	}
	state.OTelValue().ClearTValue() // it may be higher, where the number contradicts it
	if err := state.OTelValue().UpdateTValueWithSampling(th); err != nil {
		return raw
	}
	return write(&state, raw)
}

// withoutThreshold returns the tracestate without a threshold: the span counts
// as nothing.
func withoutThreshold(raw string) string {
	state, err := sampling.NewW3CTraceState(raw)
	if err != nil || state.OTelValue().TValue() == "" {
		return raw
	}
	state.OTelValue().ClearTValue()
	return write(&state, raw)
}

func write(state *sampling.W3CTraceState, otherwise string) string {
	var b strings.Builder
	if err := state.Serialize(&b); err != nil {
		return otherwise
	}
	return b.String()
}
