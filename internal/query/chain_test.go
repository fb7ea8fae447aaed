package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// order is a purchase over three traces: 1 asks, 2 charges the card and fails,
// 3 is the manager that hears of it. The clock of 2 is behind.
func order() []spec {
	return []spec{
		{ref: ref(1, 1), start: 100, event: "ask"},
		{ref: ref(1, 2), parent: 1, start: 101, kind: ptrace.SpanKindProducer},
		{ref: ref(1, 3), parent: 1, start: 102, links: []link{found(ref(3, 1), causal.ErrorPropagation).led()}},
		{ref: ref(2, 1), start: 50, kind: ptrace.SpanKindConsumer, links: []link{{to: ref(1, 2)}, found(ref(1, 2), causal.MessageFlow).at(0.9)}},
		{ref: ref(2, 2), parent: 1, start: 51, links: []link{found(ref(3, 1), causal.ErrorPropagation).led()}},
		{ref: ref(3, 1), start: 200, parent: 7},
		{ref: ref(3, 2), start: 210, links: []link{found(ref(3, 1), causal.StateTransition)}},
	}
}

func chainOptions(change func(*ChainOptions)) ChainOptions {
	opts := ChainOptions{Limit: 100, MaxBytes: math.MaxInt}
	change(&opts)
	return opts
}

func TestChain(t *testing.T) {
	cases := map[string]struct {
		root causal.SpanRef
		opts func(*ChainOptions)
		want string
	}{
		"what led to a failure, across traces": {
			ref(2, 2), func(o *ChainOptions) { o.Direction = Causes },
			"1.1 1.2 2.1 2.2\n" +
				"parent_child 1.1->1.2 parent 1\nmessage_flow 1.2->2.1 rule 0.9\nparent_child 2.1->2.2 parent 1",
		},
		"direct causes": {
			ref(2, 2), func(o *ChainOptions) { o.Direction, o.Depth = Causes, 1 },
			"2.1 2.2\nparent_child 2.1->2.2 parent 1\ntruncated",
		},
		"all depths there are": {
			ref(2, 2), func(o *ChainOptions) { o.Direction, o.Depth = Effects, 2 },
			"2.2 3.1 3.2\nerror_propagation 2.2->3.1 rule 1\nstate_transition 3.1->3.2 rule 1",
		},
		"past and future, not the past's other effects": {
			ref(2, 1), func(*ChainOptions) {},
			"1.1 1.2 2.1 2.2 3.1 3.2\n" +
				"parent_child 1.1->1.2 parent 1\nmessage_flow 1.2->2.1 rule 0.9\nparent_child 2.1->2.2 parent 1\n" +
				"error_propagation 2.2->3.1 rule 1\nstate_transition 3.1->3.2 rule 1",
		},
		"links on both sides, and a parent that is missing": {
			ref(3, 1), func(o *ChainOptions) { o.Depth = 1 },
			"(3.7) 2.2 1.3 3.1 3.2\n" +
				"parent_child 3.7->3.1 parent 1\nerror_propagation 2.2->3.1 rule 1\nerror_propagation 1.3->3.1 rule 1\nstate_transition 3.1->3.2 rule 1\ntruncated",
		},
		"some types": {
			ref(3, 1), func(o *ChainOptions) { o.Types = []causal.Type{causal.ErrorPropagation} },
			"2.2 1.3 3.1\nerror_propagation 2.2->3.1 rule 1\nerror_propagation 1.3->3.1 rule 1",
		},
		"certain edges only": {
			ref(2, 1), func(o *ChainOptions) { o.MinConfidence = 0.95 },
			"2.1 2.2 3.1 3.2\nparent_child 2.1->2.2 parent 1\nerror_propagation 2.2->3.1 rule 1\nstate_transition 3.1->3.2 rule 1",
		},
		"few nodes": {
			ref(3, 1), func(o *ChainOptions) { o.Limit = 2 },
			"1.3 3.1\nerror_propagation 1.3->3.1 rule 1\ntruncated",
		},
		"a root that is not stored": {
			ref(3, 7), func(o *ChainOptions) {},
			"(3.7) 3.1 3.2\nparent_child 3.7->3.1 parent 1\nstate_transition 3.1->3.2 rule 1",
		},
		"nothing": {ref(9, 9), func(o *ChainOptions) {}, "(9.9)\n"},
	}
	src := newSource(t, order()...)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g, err := Chain(t.Context(), src, []causal.SpanRef{c.root}, chainOptions(c.opts))
			require.NoError(t, err)
			require.Equal(t, c.want, g.text())
		})
	}
}

// TestCircle has spans that cause each other: 1 2, 2 3, and 3 1 again.
func TestCircle(t *testing.T) {
	src := newSource(t,
		spec{ref: ref(1, 1), start: 1, links: []link{found(ref(1, 3), causal.StateTransition)}},
		spec{ref: ref(1, 2), start: 2, links: []link{found(ref(1, 1), causal.StateTransition)}},
		spec{ref: ref(1, 3), start: 3, links: []link{found(ref(1, 2), causal.StateTransition)}},
	)
	const to2, to3, to1 = "\nstate_transition 1.1->1.2 rule 1", "\nstate_transition 1.2->1.3 rule 1", "\nstate_transition 1.3->1.1 rule 1"
	for depth, want := range map[int]string{
		1: "1.3 1.1 1.2" + to1 + to2 + "\ntruncated", // 2 is not in the near past, nor 3 in the near future
		2: "1.1 1.2 1.3" + to2 + to3 + to1,
		0: "1.1 1.2 1.3" + to2 + to3 + to1,
	} {
		g, err := Chain(t.Context(), src, []causal.SpanRef{ref(1, 1)}, chainOptions(func(o *ChainOptions) { o.Depth = depth }))
		require.NoError(t, err)
		require.Equal(t, want, g.text())
	}
}

func TestChainOfSeveralRoots(t *testing.T) {
	g, err := Chain(t.Context(), newSource(t, order()...), []causal.SpanRef{ref(3, 2), ref(1, 2), ref(3, 2)},
		chainOptions(func(o *ChainOptions) { o.Direction, o.Depth = Causes, 1 }))
	require.NoError(t, err)
	require.Equal(t, "1.1 1.2 3.1 3.2\nparent_child 1.1->1.2 parent 1\nstate_transition 3.1->3.2 rule 1\ntruncated", g.text())
}

func TestNodesSayWhatTheyAre(t *testing.T) {
	half := spec{ref: ref(1, 1), start: 7, kind: ptrace.SpanKindServer}
	src := newSource(t, spec{ref: ref(1, 1), start: 9, kind: ptrace.SpanKindClient, event: "e"}, half)
	g, err := Chain(t.Context(), src, []causal.SpanRef{ref(1, 1)}, chainOptions(func(*ChainOptions) {}))
	require.NoError(t, err)
	require.Len(t, g.Nodes, 1)
	n := g.Nodes[0]
	require.Equal(t, "e", n.Event)
	require.EqualValues(t, 7, n.Start)
	require.EqualValues(t, 14, n.End)
	require.Len(t, n.Spans, 2)
	require.Equal(t, half.encoded().Bytes, n.Spans[0].Bytes, "by kind: server before client")
	require.False(t, n.Missing())
}

func TestChainReadsEachLevelOnce(t *testing.T) {
	specs := []spec{{ref: ref(1, 1)}}
	for i := range 20 {
		specs = append(specs, spec{ref: ref(2, uint64(i+1)), links: []link{found(ref(1, 1), causal.MessageFlow)}},
			spec{ref: ref(3, uint64(i+1)), links: []link{found(ref(2, uint64(i+1)), causal.MessageFlow)}})
	}
	src := newSource(t, specs...)
	g, err := Chain(t.Context(), src, []causal.SpanRef{ref(1, 1)}, chainOptions(func(*ChainOptions) {}))
	require.NoError(t, err)
	require.Len(t, g.Nodes, 41)
	require.Equal(t, map[string]int{"Spans": 3, "Referring": 3}, src.calls)
}

// TestManyReferring has a cause with more effects than are read at once.
func TestManyReferring(t *testing.T) {
	specs := []spec{{ref: ref(1, 1)}}
	for i := range 3 * minReferring {
		specs = append(specs, spec{ref: ref(2, uint64(i+1)), links: []link{found(ref(1, 1), causal.MessageFlow)}})
	}
	src := newSource(t, specs...)
	options := func(change func(*ChainOptions)) ChainOptions {
		return chainOptions(func(o *ChainOptions) { o.Limit, o.Depth = 1000, 1; change(o) })
	}
	g, err := Chain(t.Context(), src, []causal.SpanRef{ref(1, 1)}, options(func(*ChainOptions) {}))
	require.NoError(t, err)
	require.Len(t, g.Nodes, len(specs))
	require.False(t, g.Truncated)

	src.calls = map[string]int{}
	g, err = Chain(t.Context(), src, []causal.SpanRef{ref(1, 1)}, options(func(o *ChainOptions) { o.Limit = 10 }))
	require.NoError(t, err)
	require.Len(t, g.Nodes, 10)
	require.True(t, g.Truncated)
	require.Equal(t, 2, src.calls["Referring"], "so many are not asked for twice")

	src.calls = map[string]int{}
	size := len(specs[1].encoded().Bytes) + len(specs[1].encoded().Origin)
	g, err = Chain(t.Context(), src, []causal.SpanRef{ref(1, 1)}, options(func(o *ChainOptions) { o.MaxBytes = 2 * minReferring * size }))
	require.NoError(t, err)
	require.Len(t, g.Nodes, 1+minReferring)
	require.True(t, g.Truncated, "more would be too much to read")
}

func TestManyEdges(t *testing.T) {
	var specs []spec
	const n = 40
	for i := range n {
		s := spec{ref: ref(1, uint64(i+1)), start: uint64(i)}
		for j := range i {
			s.links = append(s.links, found(ref(1, uint64(j+1)), causal.MessageFlow))
		}
		specs = append(specs, s)
	}
	src := newSource(t, specs...)
	g, err := Chain(t.Context(), src, []causal.SpanRef{ref(1, 1)}, chainOptions(func(o *ChainOptions) { o.Limit = n }))
	require.NoError(t, err)
	require.Len(t, g.Nodes, n)
	require.Len(t, g.Edges, edgesPerNode*n)
	require.True(t, g.Truncated)
}

func TestChainTooLarge(t *testing.T) {
	_, err := Chain(t.Context(), newSource(t, order()...), []causal.SpanRef{ref(1, 1)}, chainOptions(func(o *ChainOptions) { o.MaxBytes = 200 }))
	var large *SizeError
	require.ErrorAs(t, err, &large)
	require.Greater(t, large.Bytes, 200)
	require.Equal(t, fmt.Sprintf("the answer would be made of %d spans or more, of %d bytes", large.Spans, large.Bytes), err.Error())
}

func TestChainFailures(t *testing.T) {
	broken := errors.New("bad checksum")
	for _, method := range []string{"Spans", "Referring"} {
		src := newSource(t, order()...)
		src.fail[method] = broken
		_, err := Chain(t.Context(), src, []causal.SpanRef{ref(1, 1)}, chainOptions(func(*ChainOptions) {}))
		require.ErrorIs(t, err, broken, method)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Chain(ctx, newSource(t), []causal.SpanRef{ref(1, 1)}, chainOptions(func(*ChainOptions) {}))
	require.ErrorIs(t, err, context.Canceled)
}

// strays answers everything with spans that nobody asked for, or that are no
// spans.
type strays struct {
	*source
	spans, referring []store.Span
}

func (s strays) Spans(context.Context, []causal.SpanRef) ([]store.Span, error) { return s.spans, nil }

func (s strays) Referring(context.Context, []causal.SpanRef, int) ([]store.Span, bool, error) {
	return s.referring, false, nil
}

func TestChainOverStrays(t *testing.T) {
	stray, malformed := []store.Span{spec{ref: ref(5, 5), parent: 4}.encoded()}, []store.Span{{Bytes: []byte{1}}}
	g, err := Chain(t.Context(), strays{newSource(t), stray, stray}, []causal.SpanRef{ref(1, 1)}, chainOptions(func(*ChainOptions) {}))
	require.NoError(t, err)
	require.Equal(t, "(1.1)\n", g.text())
	for _, src := range []strays{{newSource(t), malformed, nil}, {newSource(t), nil, malformed}} {
		_, err := Chain(t.Context(), src, []causal.SpanRef{ref(1, 1)}, chainOptions(func(*ChainOptions) {}))
		require.ErrorContains(t, err, "stored span: malformed")
	}
}

// chained is a source with one chain of n spans, by a map: what the model
// store takes to find a span would be all that is measured.
type chained struct {
	*source
	spans  map[causal.SpanRef]store.Span
	naming map[causal.SpanRef]store.Span
}

func (c chained) Spans(_ context.Context, refs []causal.SpanRef) ([]store.Span, error) {
	return pick(c.spans, refs), nil
}

func (c chained) Referring(_ context.Context, refs []causal.SpanRef, _ int) ([]store.Span, bool, error) {
	return pick(c.naming, refs), false, nil
}

func pick(from map[causal.SpanRef]store.Span, refs []causal.SpanRef) (out []store.Span) {
	for _, r := range refs {
		if s, ok := from[r]; ok {
			out = append(out, s)
		}
	}
	return out
}

func BenchmarkChain1000(b *testing.B) {
	const n = 1000
	src := chained{newSource(b), map[causal.SpanRef]store.Span{}, map[causal.SpanRef]store.Span{}}
	for i := range uint64(n) {
		s := spec{ref: ref(i+1, 1), start: i, event: "e"}
		if i > 0 {
			s.links = []link{found(ref(i, 1), causal.MessageFlow)}
			src.naming[ref(i, 1)] = s.encoded()
		}
		src.spans[s.ref] = s.encoded()
	}
	b.ReportAllocs()
	for b.Loop() {
		g, err := Chain(b.Context(), src, []causal.SpanRef{ref(n/2, 1)}, ChainOptions{Limit: n, MaxBytes: math.MaxInt})
		if err != nil || len(g.Nodes) != n || len(g.Edges) != n-1 {
			b.Fatal(err, len(g.Nodes), len(g.Edges))
		}
	}
}
