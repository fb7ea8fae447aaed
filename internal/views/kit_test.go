package views

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ref(n int) (r causal.SpanRef) {
	r.TraceID[15], r.SpanID[7] = byte(1+n%3), byte(1+n)
	return r
}

// drawSpans draws spans of different names, which tell edges among each other
// and to some that never come.
func drawSpans(t *rapid.T, n int) []Span {
	spans := make([]Span, n)
	for i := range spans {
		s := Span{
			Ref:     ref(i),
			Kind:    rapid.Int32Range(0, 2).Draw(t, "kind"),
			Start:   rapid.Uint64Range(1, 1000).Draw(t, "start"),
			Failed:  rapid.Bool().Draw(t, "failed"),
			Service: rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "service"),
			Node:    rapid.SampledFrom([]string{"n1", ""}).Draw(t, "node"),
			Process: rapid.SampledFrom([]string{"", "p1", "p2", "p3"}).Draw(t, "process"),
			Name:    rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "name"),
			Exit:    rapid.IntRange(0, 5).Draw(t, "exit") == 0,
		}
		s.End = s.Start + rapid.Uint64Range(0, 5000).Draw(t, "duration")
		if s.Failed {
			s.Error = rapid.SampledFrom([]string{"timeout", ""}).Draw(t, "error")
		}
		if rapid.IntRange(0, 20).Draw(t, "nameless") == 0 {
			s.Ref = causal.SpanRef{}
		}
		for range rapid.IntRange(0, 3).Draw(t, "edges") {
			if e, ok := drawEdge(t, &s, n+3); ok {
				s.Edges = append(s.Edges, e)
			}
		}
		s.Edges = together(s.Edges)
		spans[i] = s
	}
	return spans
}

func drawEdge(t *rapid.T, s *Span, others int) (causal.Edge, bool) {
	other := ref(rapid.IntRange(0, others-1).Draw(t, "other"))
	e := causal.Edge{
		Type: rapid.SampledFrom(types).Draw(t, "type"), Cause: other, Effect: s.Ref,
		Rule: rapid.SampledFrom([]string{ruleLink, "r"}).Draw(t, "rule"),
	}
	switch rapid.IntRange(0, 2).Draw(t, "way") {
	case 0:
		e.Type, e.Rule = causal.ParentChild, ruleParent
	case 1:
		e.Cause, e.Effect = e.Effect, e.Cause
	}
	return e, !s.Ref.IsZero() && other != s.Ref
}

// together orders edges so that those between the same spans are neighbours.
func together(edges []causal.Edge) (out []causal.Edge) {
	for len(edges) > 0 {
		first := edges[0]
		var rest []causal.Edge
		for _, e := range edges {
			if e.Cause == first.Cause && e.Effect == first.Effect {
				out = append(out, e)
			} else {
				rest = append(rest, e)
			}
		}
		edges = rest
	}
	return out
}

// recomputed sums up spans all at once.
func recomputed(spans []Span) *Summary {
	sum := NewSummary()
	ends := map[causal.SpanRef]End{}
	for i := range spans {
		sum.add(&spans[i])
		ends[spans[i].Ref] = spans[i].asEnd()
	}
	told := map[[2]causal.SpanRef]mask{}
	for _, s := range spans {
		for i, e := range s.Edges {
			told[[2]causal.SpanRef{e.Cause, e.Effect}] |= maskOf(s.Edges[i : i+1])
		}
	}
	for pair, m := range told {
		cause, ok := ends[pair[0]]
		effect, also := ends[pair[1]]
		if ok && also && !pair[0].IsZero() && !pair[1].IsZero() {
			sum.join(&cause, &effect, m)
		}
	}
	return sum
}

// requireSame compares what summaries count, but not what waits.
func requireSame(t require.TestingT, want, got *Summary) {
	require.Equal(t, counts(t, want), counts(t, got))
}

func counts(t require.TestingT, s *Summary) string {
	sum := NewSummary()
	sum.Add(s)
	sum.Pending = nil
	encoded, err := sum.Encode()
	require.NoError(t, err)
	text, err := decompressor.DecodeAll(encoded, nil)
	require.NoError(t, err)
	return string(text)
}
