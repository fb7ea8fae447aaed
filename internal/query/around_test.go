package query

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// neighbours has trace 1 in the middle: caused by trace 2, leading to 3 and 4.
func neighbours() []spec {
	return []spec{
		{ref: ref(1, 1), links: []link{found(ref(2, 1), causal.MessageFlow)}},
		{ref: ref(1, 2), parent: 1, links: []link{found(ref(4, 1), causal.StateTransition).led(), {to: ref(9, 9)}}},
		{ref: ref(2, 1)},
		{ref: ref(2, 2), parent: 1, links: []link{found(ref(1, 2), causal.ErrorPropagation).led(), found(ref(3, 1), causal.MessageFlow)}},
		{ref: ref(3, 1), links: []link{found(ref(1, 2), causal.MessageFlow), found(ref(2, 1), causal.MessageFlow)}},
		{ref: ref(4, 1)},
		{ref: ref(1, 0), links: []link{found(ref(2, 1), causal.MessageFlow)}}, // it has no name
	}
}

func TestAround(t *testing.T) {
	src := newSource(t, neighbours()...)
	spans, err := src.Trace(t.Context(), ref(1, 1).TraceID)
	require.NoError(t, err)
	require.Len(t, spans, 3)
	edges, more, err := Around(t.Context(), src, spans, 10)
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, []string{
		"parent_child 1.1->1.2 parent 1",
		"message_flow 1.2->3.1 rule 1",
		"state_transition 1.2->4.1 rule 1",
		"message_flow 2.1->1.1 rule 1",
		"error_propagation 2.2->1.2 rule 1",
		"other 9.9->1.2 link 1",
	}, edgeTexts(edges))
}

func TestAroundIsBounded(t *testing.T) {
	specs := []spec{{ref: ref(1, 1)}, {ref: ref(1, 2), parent: 1}}
	for i := range uint64(5) {
		specs = append(specs, spec{ref: ref(2+i, 1), links: []link{found(ref(1, 1), causal.MessageFlow)}})
	}
	src := newSource(t, specs...)
	spans, err := src.Trace(t.Context(), ref(1, 1).TraceID)
	require.NoError(t, err)
	edges, more, err := Around(t.Context(), src, spans, 1)
	require.NoError(t, err)
	require.True(t, more)
	require.GreaterOrEqual(t, len(edges), 2)
	require.Less(t, len(edges), 6)

	_, more, err = Around(t.Context(), src, spans, 5)
	require.NoError(t, err)
	require.False(t, more)
	edges, _, err = Around(t.Context(), src, nil, 5)
	require.NoError(t, err)
	require.Empty(t, edges)
}

func TestAroundFailures(t *testing.T) {
	src := newSource(t, neighbours()...)
	ok, malformed := neighbours()[0].encoded(), store.Span{Bytes: []byte{1}}
	_, _, err := Around(t.Context(), src, []store.Span{malformed}, 1)
	require.ErrorContains(t, err, "stored span: malformed")
	_, _, err = Around(t.Context(), refers{src, malformed}, []store.Span{ok}, 1)
	require.ErrorContains(t, err, "stored span: malformed")
	src.fail["Referring"] = errors.New("bad checksum")
	_, _, err = Around(t.Context(), src, []store.Span{ok}, 1)
	require.ErrorIs(t, err, src.fail["Referring"])
}

// TestAroundIsWhatAllEdgesSay compares with the edges of everything.
func TestAroundIsWhatAllEdgesSay(tb *testing.T) {
	rapid.Check(tb, func(t *rapid.T) {
		anyRef := rapid.Custom(func(t *rapid.T) causal.SpanRef {
			return ref(rapid.Uint64Range(1, 3).Draw(t, "trace"), rapid.Uint64Range(1, 3).Draw(t, "span"))
		})
		src := newSource(tb)
		for range rapid.IntRange(1, 12).Draw(t, "spans") {
			s := spec{ref: anyRef.Draw(t, "ref"), parent: rapid.Uint64Range(0, 3).Draw(t, "parent")}
			for range rapid.IntRange(0, 3).Draw(t, "links") {
				l := found(anyRef.Draw(t, "to"), rapid.SampledFrom(causal.Types).Draw(t, "type"))
				l.effect = rapid.Bool().Draw(t, "effect")
				s.links = append(s.links, l)
			}
			require.NoError(t, src.Write(tb.Context(), s.traces()))
		}
		spans, err := src.Trace(tb.Context(), ref(1, 1).TraceID)
		require.NoError(t, err)
		got, more, err := Around(tb.Context(), src, spans, 100)
		require.NoError(t, err)
		require.False(t, more)

		ours := map[causal.SpanRef]bool{}
		for _, span := range spans {
			var r reader
			told, err := r.read(span.Bytes)
			require.NoError(t, err)
			ours[told.ref] = true
		}
		var want []string
		for batch, err := range Edges(tb.Context(), src, Filter{}, Range{}) {
			require.NoError(t, err)
			for _, e := range batch {
				if ours[e.Cause.Ref] || ours[e.Effect.Ref] {
					want = append(want, edgeText(causal.Edge{Type: e.Type, Cause: e.Cause.Ref, Effect: e.Effect.Ref, Rule: e.Rule, Confidence: e.Confidence}))
				}
			}
		}
		require.ElementsMatch(t, want, edgeTexts(got))
	})
}

// refers is a source whose spans are referred to by a given one.
type refers struct {
	*source
	by store.Span
}

func (r refers) Referring(context.Context, []causal.SpanRef, int) ([]store.Span, bool, error) {
	return []store.Span{r.by}, false, nil
}
