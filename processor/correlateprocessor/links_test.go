package correlateprocessor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/correlate"
)

var linkRules = []correlate.Rule{
	{Name: "id", Type: causal.MessageFlow, Confidence: 1},
	{Name: "fail", Type: causal.ErrorPropagation, Confidence: 0.9},
	{Name: "parent", Type: causal.ParentChild, Confidence: 1},
}

// linked returns a span with links to these spans.
func linkedTo(spans ...uint64) ptrace.Span {
	span := ptrace.NewSpan()
	for _, s := range spans {
		l := span.Links().AppendEmpty()
		l.SetTraceID(ref(s).TraceID)
		l.SetSpanID(ref(s).SpanID)
	}
	return span
}

// attributesOf returns the attributes of a span's links.
func attributesOf(span ptrace.Span) (all []map[string]any) {
	for _, l := range span.Links().All() {
		all = append(all, l.Attributes().AsRaw())
	}
	return all
}

func TestEdgeOnASpan(t *testing.T) {
	w := &writer{rules: linkRules, maxLinks: 3}
	cause := map[string]any{"scope.link.type": "message_flow", "scope.link.confidence": 1.0, "scope.link.rule": "id"}
	effect := map[string]any{"scope.link.type": "message_flow", "scope.link.role": "effect", "scope.link.confidence": 0.7, "scope.link.rule": "id"}
	failure := map[string]any{"scope.link.type": "error_propagation", "scope.link.confidence": 0.9, "scope.link.rule": "fail"}
	none := map[string]any{}
	causedBy := correlate.Found{Confidence: 1, Other: ref(1), OtherIsCause: true}
	ledTo := correlate.Found{Confidence: 0.7, Other: ref(1)}
	failed := correlate.Found{Rule: 1, Confidence: 0.9, Other: ref(1), OtherIsCause: true}

	for _, c := range []struct {
		name    string
		span    ptrace.Span
		edges   []correlate.Found
		want    []map[string]any
		dropped uint32
	}{
		{"the cause came before", linkedTo(), []correlate.Found{causedBy}, []map[string]any{cause}, 0},
		{"the cause comes late", linkedTo(), []correlate.Found{ledTo}, []map[string]any{effect}, 0},
		{"the span came with the link", linkedTo(2, 1), []correlate.Found{causedBy}, []map[string]any{none, cause}, 0},
		{"the sender meant another direction", linkedTo(1), []correlate.Found{ledTo}, []map[string]any{none, effect}, 0},
		{"twice", linkedTo(), []correlate.Found{causedBy, causedBy}, []map[string]any{cause}, 0},
		{"two types between the same spans", linkedTo(1), []correlate.Found{causedBy, failed}, []map[string]any{cause, failure}, 0},
		{"both directions", linkedTo(), []correlate.Found{causedBy, ledTo}, []map[string]any{cause, effect}, 0},
		{"as many links as allowed", linkedTo(2, 3, 4, 5), []correlate.Found{causedBy, failed}, []map[string]any{none, none, none, none}, 2},
		{"one too many", linkedTo(2, 3), []correlate.Found{causedBy, ledTo}, []map[string]any{none, none, cause}, 1},
		{"what is there is enriched beyond the limit", linkedTo(2, 3, 4, 1), []correlate.Found{causedBy}, []map[string]any{none, none, none, cause}, 0},
		{"a parent needs no link", linkedTo(), []correlate.Found{{Rule: 2, Confidence: 1, Other: ref(1), OtherIsCause: true}}, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			tally := tally{rules: make([]found, len(linkRules))}
			for _, edge := range c.edges {
				w.edge(c.span, edge, &tally)
			}
			require.Equal(t, c.want, attributesOf(c.span))
			require.Equal(t, c.dropped, c.span.DroppedLinksCount())
			require.EqualValues(t, c.dropped, tally.dropped)
			sum := int64(0)
			for _, n := range tally.rules {
				sum += n.causes + n.effects
			}
			require.EqualValues(t, len(c.edges), sum)

			// A span that comes again with what it was given stays as it is.
			before := ptrace.NewSpan()
			c.span.CopyTo(before)
			tally.reset()
			if c.dropped == 0 {
				for _, edge := range c.edges {
					w.edge(c.span, edge, &tally)
				}
				require.Equal(t, before, c.span)
			}
			require.Equal(t, int64(0), tally.dropped)
		})
	}
}

func TestLinkThatNamesItsRole(t *testing.T) {
	w := &writer{rules: linkRules, maxLinks: 3}
	tally := tally{rules: make([]found, len(linkRules))}
	span := linkedTo(1)
	span.Links().At(0).Attributes().PutStr(causal.AttrLinkRole, causal.LinkRoleEffect)
	w.edge(span, correlate.Found{Confidence: 1, Other: ref(1)}, &tally)
	require.Equal(t, []map[string]any{{
		"scope.link.role": "effect", "scope.link.type": "message_flow", "scope.link.confidence": 1.0, "scope.link.rule": "id",
	}}, attributesOf(span))
}

func TestInherit(t *testing.T) {
	span := ptrace.NewSpan()
	inherit(span, correlate.Inherited{})
	require.Equal(t, ptrace.NewSpan(), span)

	inherit(span, correlate.Inherited{Correlation: "order-7", Randomness: 10, HasRandomness: true})
	require.Equal(t, map[string]any{"scope.correlation.id": "order-7"}, span.Attributes().AsRaw())
	require.Equal(t, "ot=rv:0000000000000a", span.TraceState().AsRaw())

	inherit(span, correlate.Inherited{Correlation: "other", Randomness: 11, HasRandomness: true})
	require.Equal(t, "order-7", span.Attributes().AsRaw()["scope.correlation.id"], "its own stays")
	require.Equal(t, "ot=rv:0000000000000a", span.TraceState().AsRaw())
}
