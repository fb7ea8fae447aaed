package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
	"github.com/otelscope/otelscope/internal/workload"
	"github.com/otelscope/otelscope/test/internal/collector"
)

func step(id, span, parent, activity string) workload.Step {
	return workload.Step{Event: event.Event{ID: id}, Span: span, Parent: parent, Activity: activity}
}

func TestCompareSeesWhatIsWrong(t *testing.T) {
	steps := []workload.Step{step("c", "c", "", "c"), step("m", "m", "c", "c"), step("r", "c", "", "c")}
	steps[1].Causes = []workload.Cause{{Type: causal.ParentChild, ID: "c"}, {Type: causal.MessageFlow, ID: "x"}}
	good := map[string]collector.EventSpan{
		"c": {TraceID: "t", SpanID: "1"}, "m": {TraceID: "t", SpanID: "2", ParentSpanID: "1"}, "r": {TraceID: "t", SpanID: "1"},
	}
	cases := map[string]struct {
		change func(map[string]collector.EventSpan)
		ok     bool
	}{
		"as it should be": {func(map[string]collector.EventSpan) {}, true},
		"a wrong parent": {func(m map[string]collector.EventSpan) {
			m["m"] = collector.EventSpan{TraceID: "t", SpanID: "2", ParentSpanID: "9"}
		}, false},
		"no parent": {func(m map[string]collector.EventSpan) { m["m"] = collector.EventSpan{TraceID: "t", SpanID: "2"} }, false},
		"a parent too many": {func(m map[string]collector.EventSpan) {
			m["c"] = collector.EventSpan{TraceID: "t", SpanID: "1", ParentSpanID: "2"}
		}, false},
		"another trace": {func(m map[string]collector.EventSpan) {
			m["m"] = collector.EventSpan{TraceID: "u", SpanID: "2", ParentSpanID: "1"}
		}, false},
		"a return in another span": {func(m map[string]collector.EventSpan) { m["r"] = collector.EventSpan{TraceID: "t", SpanID: "3"} }, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			spans := map[string]collector.EventSpan{}
			for id, s := range good {
				spans[id] = s
			}
			c.change(spans)
			got, err := compare(steps, func(id string) (*collector.EventSpan, error) { s := spans[id]; return &s, nil })
			require.NoError(t, err)
			require.Equal(t, 1, got.scores[causal.MessageFlow].truth)
			var out bytes.Buffer
			require.Equal(t, c.ok, got.print(&out) == nil, out.String())
		})
	}
}
