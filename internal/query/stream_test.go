package query

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

func (e End) text() string {
	switch {
	case e.Missing:
		return "(" + name(e.Ref) + ")"
	case e.Event != "":
		return name(e.Ref) + "=" + e.Event
	}
	return name(e.Ref)
}

func streamed(t *testing.T, src Source, filter Filter, within Range) []string {
	texts := []string{}
	for batch, err := range Edges(t.Context(), src, filter, within) {
		require.NoError(t, err)
		for _, e := range batch {
			texts = append(texts, fmt.Sprintf("%s %s->%s %s %v", e.Type, e.Cause.text(), e.Effect.text(), e.Rule, e.Confidence))
		}
	}
	slices.Sort(texts)
	return texts
}

func TestEdges(t *testing.T) {
	src := newSource(t, order()...)
	all := []string{
		"error_propagation 1.3->3.1 rule 1",
		"error_propagation 2.2->3.1 rule 1",
		"message_flow 1.2->2.1 rule 0.9",
		"parent_child (3.7)->3.1 parent 1",
		"parent_child 1.1=ask->1.2 parent 1",
		"parent_child 1.1=ask->1.3 parent 1",
		"parent_child 2.1->2.2 parent 1",
		"state_transition 3.1->3.2 rule 1",
	}
	require.Equal(t, all, streamed(t, src, Filter{}, Range{}))
	require.Equal(t, [][]causal.SpanRef{{ref(3, 7)}}, src.asked, "what was just read is not asked for")
	require.Equal(t, []string{all[2], all[7]}, streamed(t, src, Filter{Types: []causal.Type{causal.MessageFlow, causal.StateTransition}}, Range{}))
	require.Equal(t, slices.Delete(slices.Clone(all), 2, 3), streamed(t, src, Filter{MinConfidence: 1}, Range{}))
	require.Equal(t, all[:2], streamed(t, src, Filter{Types: []causal.Type{causal.ErrorPropagation}}, Range{Start: 200, End: 201}), "the effect's time counts")
	require.Empty(t, streamed(t, src, Filter{}, Range{Start: 211}))
}

// TestEffectsThatAreMissing has an edge that a cause carries to a span that is
// not stored.
func TestEffectsThatAreMissing(t *testing.T) {
	src := newSource(t, spec{ref: ref(1, 1), start: 5, links: []link{found(ref(2, 2), causal.MessageFlow).led()}})
	require.Equal(t, []string{"message_flow 1.1->(2.2) rule 1"}, streamed(t, src, Filter{}, Range{}))
	require.Empty(t, streamed(t, src, Filter{}, Range{End: 100}))
}

func TestOneEdgeThoughBothCarryIt(t *testing.T) {
	src := newSource(t,
		spec{ref: ref(1, 1), links: []link{found(ref(2, 1), causal.MessageFlow).led().at(0.8), found(ref(2, 2), causal.MessageFlow).led()}},
		spec{ref: ref(2, 1), kind: ptrace.SpanKindConsumer, links: []link{found(ref(1, 1), causal.MessageFlow)}},
		spec{ref: ref(2, 2), kind: ptrace.SpanKindConsumer, links: []link{{to: ref(1, 1)}}},
	)
	want := []string{"message_flow 1.1->2.1 rule 1", "message_flow 1.1->2.2 rule 1"}
	require.Equal(t, want, streamed(t, src, Filter{}, Range{}))
}

// TestOneEdgeThoughBothAreFarApart has so many edges between that what came
// first is forgotten.
func TestOneEdgeThoughBothAreFarApart(t *testing.T) {
	const between = 2 * batchEdges
	specs := []spec{{ref: ref(1, 1), links: []link{found(ref(2, 1), causal.MessageFlow).led()}}}
	scanned := []store.Span{specs[0].encoded()}
	for i := range between {
		scanned = append(scanned, spec{ref: ref(3, uint64(i+1)), parent: uint64(i + 2)}.encoded())
	}
	specs = append(specs, spec{ref: ref(2, 1), links: []link{found(ref(1, 1), causal.MessageFlow)}})
	src := newSource(t, specs...)
	scanned = append(scanned, specs[1].encoded())
	s := stream{ctx: t.Context(), src: listing{src, scanned}, recent: newRecent(100 * entryBytes), seen: newSeen(seenWays)}
	var flows []Edge
	s.run(func(batch []Edge, err error) bool {
		require.NoError(t, err)
		for _, e := range batch {
			if e.Type == causal.MessageFlow {
				flows = append(flows, e)
			}
		}
		return true
	})
	require.Len(t, flows, 1)
}

// listing scans given spans.
type listing struct {
	*source
	scanned []store.Span
}

func (l listing) Scan(ctx context.Context, opts store.ScanOptions) iter.Seq2[store.Span, error] {
	return scans{scanned: l.scanned}.Scan(ctx, opts)
}

// TestSpansInTwoParts has a store that yields everything twice.
func TestSpansInTwoParts(t *testing.T) {
	src := newSource(t, order()...)
	src.again = 2
	require.Len(t, streamed(t, src, Filter{}, Range{}), 8)
}

// flood yields generated spans: span i is caused by span i-reach.
type flood struct {
	*source
	spans, reach uint64
}

func floodRef(i uint64) (r causal.SpanRef) {
	binary.BigEndian.PutUint64(r.TraceID[:], i*0x9e3779b97f4a7c15+1)
	binary.BigEndian.PutUint64(r.SpanID[:], i+1)
	return r
}

func (f flood) span(template spec, i uint64) store.Span {
	template.ref = floodRef(i)
	template.links[0].to = floodRef((i + f.spans - f.reach) % f.spans)
	return template.encoded()
}

func (f flood) Scan(context.Context, store.ScanOptions) iter.Seq2[store.Span, error] {
	return func(yield func(store.Span, error) bool) {
		template := spec{event: "event-1", links: []link{found(causal.SpanRef{}, causal.MessageFlow)}}
		for i := range f.spans {
			if !yield(f.span(template, i), nil) {
				return
			}
		}
	}
}

func (f flood) Spans(_ context.Context, refs []causal.SpanRef) (out []store.Span, err error) {
	f.calls["Spans"]++
	if len(refs) > batchEdges {
		return nil, errors.New("too many at once")
	}
	template := spec{event: "event-1", links: []link{found(causal.SpanRef{}, causal.MessageFlow)}}
	for _, r := range refs {
		out = append(out, f.span(template, binary.BigEndian.Uint64(r.SpanID[:])-1))
	}
	return out, nil
}

func TestManyBatches(t *testing.T) {
	const n = 3*batchEdges + 5
	f := flood{newSource(t), n, 2 * batchEdges}
	count := 0
	for batch, err := range Edges(t.Context(), f, Filter{}, Range{}) {
		require.NoError(t, err)
		require.LessOrEqual(t, len(batch), batchEdges)
		for _, e := range batch {
			require.Equal(t, "event-1", e.Cause.Event)
		}
		count += len(batch)
	}
	require.Equal(t, n, count)
}

func TestLookupsAreBounded(t *testing.T) {
	s := spec{ref: ref(1, 1)}
	for i := range 3 * batchEdges {
		s.links = append(s.links, found(ref(2, uint64(i+1)), causal.MessageFlow))
	}
	src := newSource(t, s)
	require.Len(t, streamed(t, src, Filter{}, Range{}), 3*batchEdges)
	require.Len(t, src.asked, 3)
	for _, refs := range src.asked {
		require.Len(t, refs, batchEdges)
	}
}

func TestReaderThatLeaves(t *testing.T) {
	f := flood{newSource(t), 3 * batchEdges, 1}
	for batch, err := range Edges(t.Context(), f, Filter{}, Range{}) {
		require.NoError(t, err)
		require.Len(t, batch, batchEdges)
		break
	}
}

func TestStreamFailures(t *testing.T) {
	broken := errors.New("bad checksum")
	failed := func(src Source) error {
		var last error
		for batch, err := range Edges(t.Context(), src, Filter{}, Range{}) {
			require.NoError(t, last, "nothing comes after an error")
			require.Nil(t, batch)
			last = err
		}
		return last
	}
	for _, method := range []string{"Scan", "Spans"} {
		src := newSource(t, order()...)
		src.fail[method] = broken
		require.ErrorIs(t, failed(src), broken, method)
	}
	ok, malformed := order()[1].encoded(), store.Span{Bytes: []byte{1}}
	require.ErrorContains(t, failed(scans{source: newSource(t), scanned: []store.Span{ok, malformed}}), "stored span: malformed")
	require.ErrorContains(t, failed(scans{source: newSource(t), scanned: []store.Span{ok}, found: []store.Span{malformed}}), "stored span: malformed")
}

// scans yields and finds given spans.
type scans struct {
	*source
	scanned, found []store.Span
}

func (s scans) Spans(context.Context, []causal.SpanRef) ([]store.Span, error) { return s.found, nil }

func (s scans) Scan(context.Context, store.ScanOptions) iter.Seq2[store.Span, error] {
	return func(yield func(store.Span, error) bool) {
		for _, span := range s.scanned {
			if !yield(span, nil) {
				return
			}
		}
	}
}

func TestRecentIsBounded(t *testing.T) {
	r := newRecent(100 * entryBytes)
	put := func(i uint64) { r.put(&told{ref: floodRef(i), event: "event", edges: make([]causal.Edge, 1)}) }
	for i := range uint64(1000) {
		put(i)
		put(i)
		require.LessOrEqual(t, r.bytes, r.most)
		require.LessOrEqual(t, len(r.order), 2*len(r.told)+1)
	}
	sum := 0
	for _, entry := range r.told {
		sum += entry.bytes()
	}
	require.Equal(t, sum, r.bytes)
	require.NotNil(t, r.get(floodRef(999)))
	require.Nil(t, r.get(floodRef(900)))
	r.put(&told{ref: floodRef(0), edges: make([]causal.Edge, 1000)}) // more than it may hold
	require.Empty(t, r.told)
	require.Zero(t, r.bytes)
}

func TestSeenIsBounded(t *testing.T) {
	const n = 1 << 12
	s := newSeen(n)
	add := func(i uint64) bool { return s.add(floodRef(i), floodRef(i+1), causal.MessageFlow) }
	for i := range uint64(n / 4) {
		require.True(t, add(i))
	}
	again := 0
	for i := range uint64(n / 4) {
		if add(i) {
			again++
		}
	}
	require.LessOrEqual(t, again, n/100)
	require.True(t, s.add(floodRef(1), floodRef(2), causal.StateTransition))
	for i := range uint64(100 * n) {
		add(i)
	}
	require.True(t, add(0), "it was long ago")
}

func TestJoined(t *testing.T) {
	a := &told{ref: ref(1, 1), start: 7, edges: []causal.Edge{{Type: causal.Other, Cause: ref(2, 1), Effect: ref(1, 1), Confidence: 1, Rule: RuleLink}}}
	b := &told{ref: ref(1, 1), start: 5, event: "e"}
	missing := &told{ref: ref(1, 1), missing: true}
	require.Equal(t, a, joined(nil, a))
	require.Equal(t, a, joined(missing, a))
	require.Equal(t, a, joined(a, missing))
	for _, both := range []*told{joined(a, b), joined(b, a)} {
		require.Equal(t, "e", both.event)
		require.EqualValues(t, 5, both.start)
		require.Equal(t, a.edges, both.edges)
	}
}

// BenchmarkEdges reports how many edges a second come out of spans of which
// each has a cause, near or too far away to be remembered.
func BenchmarkEdges(b *testing.B) {
	for name, reach := range map[string]uint64{"near": 10, "far": 50_000} {
		b.Run(name, func(b *testing.B) {
			const n = 100_000
			f := flood{newSource(b), n, reach}
			byRef := map[causal.SpanRef]store.Span{}
			var spans []store.Span
			for span := range f.Scan(b.Context(), store.ScanOptions{}) {
				spans = append(spans, span)
				byRef[floodRef(uint64(len(spans)-1))] = span
			}
			src := kept{newSource(b), spans, byRef}
			b.ReportAllocs()
			count := 0
			for b.Loop() {
				for batch, err := range Edges(b.Context(), src, Filter{}, Range{}) {
					if err != nil {
						b.Fatal(err)
					}
					count += len(batch)
				}
			}
			if count != b.N*n {
				b.Fatal(count)
			}
			b.ReportMetric(float64(count)/b.Elapsed().Seconds(), "edges/s")
		})
	}
}

type kept struct {
	*source
	spans []store.Span
	byRef map[causal.SpanRef]store.Span
}

func (k kept) Scan(context.Context, store.ScanOptions) iter.Seq2[store.Span, error] {
	return func(yield func(store.Span, error) bool) {
		for _, span := range k.spans {
			if !yield(span, nil) {
				return
			}
		}
	}
}

func (k kept) Spans(_ context.Context, refs []causal.SpanRef) ([]store.Span, error) {
	return pick(k.byRef, refs), nil
}
