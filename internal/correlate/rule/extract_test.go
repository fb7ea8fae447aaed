package rule

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/correlate"
)

func TestObservationFields(t *testing.T) {
	td := batch(t,
		spanOf{"at": 17, "scope.correlation.id": "order-1", "state": "x=y,ot=rv:0000000000000a;th:8"},
		spanOf{"parent": true, "scope.process.id": "p", "state": "ot=th:8"},
	)
	spans := td.ResourceSpans()
	for n := range byte(12) {
		link(spans.At(0).ScopeSpans().At(0).Spans().At(0), n+1, []string{"", "effect", "cause"}[n%3])
	}
	o := compile(t).NewExtractor().Extract(td)
	require.Len(t, o, 2)

	first := o[0]
	require.Equal(t, causal.SpanRef{TraceID: pcommon.TraceID{0: 1, 15: 1}, SpanID: pcommon.SpanID{0: 2, 7: 1}}, first.Span)
	require.EqualValues(t, 17, first.Start)
	require.True(t, first.Root)
	require.Equal(t, "order-1", first.Correlation)
	require.True(t, first.Sampled)
	require.EqualValues(t, 10, first.Randomness)
	require.Zero(t, first.Process)
	require.Zero(t, first.Clock)
	var linked []byte
	for _, l := range first.Links {
		linked = append(linked, l.TraceID[15])
	}
	require.Equal(t, []byte{1, 3, 4, 6, 7}, linked, "of the first eight those that are causes")

	second := o[1]
	require.False(t, second.Root)
	require.True(t, second.Sampled)
	require.EqualValues(t, 2, second.Randomness, "the trace id's low 56 bits")
	require.NotZero(t, second.Process)
	require.Empty(t, second.Links)
	require.Equal(t, correlate.Complete, second.Version)
}

// Randomness leaves out the first 9 bytes of the trace id.
func TestRandomnessOfTheTraceID(t *testing.T) {
	td := batch(t, spanOf{})
	td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetTraceID(pcommon.TraceID{8: 0xff, 9: 1, 15: 2})
	require.EqualValues(t, 1<<48|2, compile(t).NewExtractor().Extract(td)[0].Randomness)
}

func TestClocks(t *testing.T) {
	clock := func(of spanOf) uint32 { return extract(t, compile(t), of)[0].Clock }
	instance := spanOf{"resource:service.name": "s", "resource:service.instance.id": "i", "resource:host.name": "h"}
	require.Equal(t, clock(instance), clock(instance.with("resource:host.name", "g")))
	require.NotEqual(t, clock(instance), clock(instance.with("resource:service.instance.id", "j")))
	host := spanOf{"resource:service.name": "s", "resource:host.name": "h"}
	require.Equal(t, clock(host), clock(host.with("resource:service.name", "r")))
	require.NotEqual(t, clock(host), clock(host.with("resource:host.name", "g")))
	service := spanOf{"resource:service.name": "s"}
	require.NotEqual(t, clock(service), clock(spanOf{"resource:host.name": "s"}))
	require.Equal(t, clock(service), clock(service))
	require.Zero(t, clock(spanOf{}))
}

func TestOrderIsThatOfTheBatch(t *testing.T) {
	td := batch(t, spanOf{}, spanOf{}, spanOf{})
	rs := td.ResourceSpans().At(1)
	rs.ScopeSpans().At(0).Spans().AppendEmpty().SetSpanID(pcommon.SpanID{0: 2, 7: 10})
	rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetSpanID(pcommon.SpanID{0: 2, 7: 11})
	var got []byte
	for _, o := range compile(t).NewExtractor().Extract(td) {
		got = append(got, o.Span.SpanID[7])
	}
	require.Equal(t, []byte{1, 2, 10, 11, 3}, got)
}

// What was extracted before does not show in what is extracted next, though
// the buffers are used again.
func TestExtractorsAreUsedAgain(t *testing.T) {
	s := compile(t)
	x := s.NewExtractor()
	for n := range 20 {
		var spans []spanOf
		for i := range 3 * (n + 1) % 17 {
			switch i % 3 {
			case 0:
				spans = append(spans, native("send", spanOf{"scope.peer.id": fmt.Sprint(n), "messaging.message.id": fmt.Sprint(i), "scope.event.id": "e"}))
			case 1:
				spans = append(spans, spanOf{"kind": "internal"})
			case 2:
				spans = append(spans, spanOf{"kind": "producer", "messaging.system": "x", "messaging.destination.name": "d", "messaging.message.id": "m"})
			}
		}
		require.Equal(t, extract(t, s, spans...), append([]correlate.Observation(nil), x.Extract(batch(t, spans...))...))
	}
}

// What is extracted from is not kept alive.
func TestExtractorsKeepNothing(t *testing.T) {
	x := compile(t).NewExtractor()
	x.Extract(batch(t, native("send", spanOf{"resource:host.name": "h", "scope.peer.id": "q"})))
	for i := range x.span.all {
		require.Zero(t, x.span.all[i])
		require.Zero(t, x.resource.all[i])
	}
}

// Of attributes with one key the first counts.
func TestTheFirstAttributeCounts(t *testing.T) {
	td := batch(t, spanOf{"scope.process.id": "p", "scope.process.iX": "q"}, spanOf{"scope.process.id": "p"})
	encoded, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	td, err = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(bytes.ReplaceAll(encoded, []byte("process.iX"), []byte("process.id")))
	require.NoError(t, err)
	m := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
	require.Equal(t, 2, m.Len())
	first, _ := m.Get("scope.process.id")
	o := compile(t).NewExtractor().Extract(td)
	require.Equal(t, first.Str() == "p", o[0].Process == o[1].Process)
}

func TestOnlyWantedTypes(t *testing.T) {
	spans := []spanOf{
		native("spawn", spanOf{"scope.event.id": "a", "name": "spawn c", "scope.child.id": "c"}),
		native("send", spanOf{"scope.event.id": "b", "messaging.message.id": "m"}),
		native("send", spanOf{"scope.peer.id": "c", "scope.message.hash": "h"}),
		native("call", spanOf{"scope.process.id": "c", "scope.process.first": true, "messaging.message.id": "m", "scope.cause": "a", "scope.call.state": "returned", "scope.outcome": "error"}),
		native("receive", spanOf{"scope.process.id": "c", "scope.message.hash": "h", "scope.message.phase": "arrived"}),
		native("state", spanOf{"scope.entity.version": 1, "scope.trigger": "a"}),
		native("state", spanOf{"scope.state.from": "a", "scope.state.to": "b"}),
		native("error", nil), native("recover", nil),
		native("exit", spanOf{"scope.process.id": "c", "scope.outcome": "error"}),
		native("receive", spanOf{"scope.peer.id": "c", "scope.signal": "exit"}),
		{"kind": "producer", "messaging.system": "x", "messaging.destination.name": "d", "messaging.message.id": "m"},
	}
	for _, wanted := range [][]causal.Type{nil, {causal.ParentChild}} {
		s, err := Compile(wanted, nil, testWindow)
		require.NoError(t, err)
		require.Empty(t, s.Rules())
		for _, o := range extract(t, s, spans...) {
			require.Empty(t, o.Ops)
		}
	}
	for _, wanted := range linked {
		s, err := Compile([]causal.Type{wanted}, nil, testWindow)
		require.NoError(t, err)
		require.NotEmpty(t, s.Rules())
		for _, r := range s.Rules() {
			require.Equal(t, wanted, r.Type)
		}
		ops := 0
		for _, o := range extract(t, s, spans...) {
			for _, op := range o.Ops {
				require.Less(t, int(op.Rule), len(s.Rules()))
				ops++
			}
		}
		require.NotZero(t, ops, wanted)
	}
}

// Keys and shards are what the journal keeps: they must stay as they are.
func TestKeysStay(t *testing.T) {
	o := extract(t, compile(t), native("send", spanOf{"scope.event.id": "e", "scope.peer.id": "q", "messaging.message.id": "m"}))
	var got []string
	for _, op := range o[0].Ops {
		got = append(got, fmt.Sprintf("%d %016x %016x", op.Kind, op.Shard, op.Keys[0]))
	}
	require.Equal(t, []string{
		"1 a3373211bda304e6 a3373211bda304e6",
		"1 f0904807418c57fc 5f8f597d1787d859",
		"1 9e1b95d3406b8a25 9e1b95d3406b8a25",
	}, got)
}
