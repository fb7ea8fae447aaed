package query

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
)

func TestEdgesOf(t *testing.T) {
	cause := ref(2, 1)
	cases := map[string]struct {
		spec spec
		want []string
	}{
		"nothing":                 {spec{}, nil},
		"a parent":                {spec{parent: 5}, []string{"parent_child 1.5->1.9 parent 1"}},
		"itself as parent":        {spec{parent: 9}, nil},
		"a plain link":            {spec{links: []link{{to: cause}}}, []string{"other 2.1->1.9 link 1"}},
		"a consumer's plain link": {spec{kind: ptrace.SpanKindConsumer, links: []link{{to: cause}}}, []string{"message_flow 2.1->1.9 link 1"}},
		"a consumer's plain link to an effect": {
			spec{kind: ptrace.SpanKindConsumer, links: []link{{to: cause, effect: true}}},
			[]string{"other 1.9->2.1 link 1"},
		},
		"a link to nowhere":     {spec{links: []link{{to: ref(0, 1)}, {to: ref(1, 0)}, {}}}, nil},
		"a link to itself":      {spec{links: []link{{to: ref(1, 9)}}}, nil},
		"a found link":          {spec{links: []link{found(cause, causal.ProcessSpawn).at(0.9)}}, []string{"process_spawn 2.1->1.9 rule 0.9"}},
		"a found effect":        {spec{links: []link{found(cause, causal.ProcessSpawn).led()}}, []string{"process_spawn 1.9->2.1 rule 1"}},
		"a type alone":          {spec{links: []link{{to: cause, linkType: "error_propagation"}}}, []string{"error_propagation 2.1->1.9 link 1"}},
		"other, by a rule":      {spec{links: []link{{to: cause, linkType: "other", rule: "mine"}}}, []string{"other 2.1->1.9 mine 1"}},
		"an integer confidence": {spec{links: []link{{to: cause, linkType: "message_flow", confidence: 1}}}, []string{"message_flow 2.1->1.9 link 1"}},
		"an unknown type":       {spec{links: []link{{to: cause, linkType: "magic", rule: "r", confidence: 0.5}}}, []string{"other 2.1->1.9 link 1"}},
		"the same twice": {
			spec{links: []link{found(cause, causal.MessageFlow).at(0.6), found(cause, causal.MessageFlow).at(0.8)}},
			[]string{"message_flow 2.1->1.9 rule 0.8"},
		},
		"a plain link that a rule finds as well": {
			spec{kind: ptrace.SpanKindConsumer, links: []link{{to: cause}, found(cause, causal.MessageFlow).at(0.7)}},
			[]string{"message_flow 2.1->1.9 rule 0.7"},
		},
		"a plain link where a rule finds another type": {
			spec{links: []link{{to: cause}, found(cause, causal.StateTransition)}},
			[]string{"state_transition 2.1->1.9 rule 1"},
		},
		"a consumer's plain link where a rule finds another type": {
			spec{kind: ptrace.SpanKindConsumer, links: []link{{to: cause}, found(cause, causal.ErrorPropagation)}},
			[]string{"error_propagation 2.1->1.9 rule 1"},
		},
		"a plain link the other way round": {
			spec{links: []link{{to: cause, effect: true}, found(cause, causal.StateTransition)}},
			[]string{"other 1.9->2.1 link 1", "state_transition 2.1->1.9 rule 1"},
		},
		"two types": {
			spec{links: []link{found(cause, causal.ErrorPropagation), found(cause, causal.MessageFlow)}},
			[]string{"message_flow 2.1->1.9 rule 1", "error_propagation 2.1->1.9 rule 1"},
		},
		"a link to the parent":            {spec{parent: 1, links: []link{{to: ref(1, 1)}}}, []string{"parent_child 1.1->1.9 parent 1"}},
		"a consumer's link to its parent": {spec{parent: 1, kind: ptrace.SpanKindConsumer, links: []link{{to: ref(1, 1)}}}, []string{"parent_child 1.1->1.9 parent 1", "message_flow 1.1->1.9 link 1"}},
	}
	for _, bad := range []any{0.0, -0.5, 1.01, math.NaN(), math.Inf(1), "1", 0, 2} {
		cases[fmt.Sprintf("the confidence %#v", bad)] = struct {
			spec spec
			want []string
		}{spec{links: []link{{to: cause, linkType: "process_spawn", rule: "r", confidence: bad}}}, []string{"other 2.1->1.9 link 1"}}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.spec.ref = ref(1, 9)
			got, err := EdgesOf(c.spec.encoded().Bytes)
			require.NoError(t, err)
			require.ElementsMatch(t, c.want, edgeTexts(got))
		})
	}
}

func TestSpansWithoutNameTellNothing(t *testing.T) {
	for _, r := range []causal.SpanRef{ref(0, 9), ref(1, 0)} {
		got, err := EdgesOf(spec{ref: r, parent: 4, links: []link{{to: ref(2, 1)}}}.encoded().Bytes)
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

func TestMalformedSpans(t *testing.T) {
	whole := spec{ref: ref(1, 9), links: []link{found(ref(2, 1), causal.MessageFlow)}}.encoded().Bytes
	_, err := EdgesOf(whole[:len(whole)-1])
	require.ErrorContains(t, err, "stored span: malformed OTLP protobuf: Span")
	_, err = EdgesOf([]byte{13<<3 | 2, 2, 1<<3 | 2, 9}) // a link whose trace id is longer than the link
	require.NoError(t, err, "nothing names the span, so its links are not read")
	named := append(spec{ref: ref(1, 9)}.encoded().Bytes, 13<<3|2, 2, 1<<3|2, 9)
	_, err = EdgesOf(named)
	require.ErrorContains(t, err, "stored span: malformed OTLP protobuf: Span.Link")
}

func TestRulesAreKeptOnce(t *testing.T) {
	var r reader
	for i := range 3 * maxRules {
		require.Equal(t, fmt.Sprint(i%(2*maxRules)), r.rule([]byte(fmt.Sprint(i%(2*maxRules)))))
		require.LessOrEqual(t, len(r.rules), maxRules)
	}
	require.Zero(t, testing.AllocsPerRun(10, func() { r.rule([]byte("7")) }))
}

func FuzzEdgesOf(f *testing.F) {
	f.Add(spec{ref: ref(1, 9), parent: 3, links: []link{found(ref(2, 1), causal.MessageFlow), {to: ref(2, 2), effect: true}}}.encoded().Bytes)
	f.Add([]byte{13<<3 | 2, 2, 1<<3 | 2, 9})
	f.Fuzz(func(t *testing.T, span []byte) {
		edges, err := EdgesOf(span)
		if err != nil {
			require.Empty(t, edges)
		}
		for i, e := range edges {
			require.Contains(t, allTypes, e.Type)
			require.False(t, e.Cause.IsZero() || e.Effect.IsZero() || e.Cause == e.Effect)
			require.True(t, e.Confidence > 0 && e.Confidence <= 1)
			require.NotEmpty(t, e.Rule)
			require.True(t, i == 0 || compareEdges(edges[i-1], e) < 0 && !sameEdge(edges[i-1], e))
		}
	})
}
