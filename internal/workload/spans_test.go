package workload

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
)

type told struct {
	spans  map[causal.SpanRef]ptrace.Span
	truths []SpanTruth
	edges  []SpanEdge
	left   int
}

func tell(t *testing.T, propagate bool) told {
	s := NewSpans(propagate)
	out := told{spans: map[causal.SpanRef]ptrace.Span{}}
	s.OnSpan = func(x SpanTruth) { out.truths = append(out.truths, x) }
	s.OnEdge = func(x SpanEdge) { out.edges = append(out.edges, x) }
	take := func() {
		n := s.Len()
		td := s.Take()
		require.Equal(t, n, td.SpanCount())
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					ref := causal.SpanRef{TraceID: span.TraceID(), SpanID: span.SpanID()}
					_, twice := out.spans[ref]
					require.False(t, twice)
					out.spans[ref] = span
				}
			}
		}
	}
	for _, step := range run(t, bigConfig()) {
		s.Add(&step)
		if s.Len() >= 100 {
			take()
		}
	}
	take()
	require.Zero(t, s.Len())
	out.left = len(s.open)
	return out
}

func TestSpansOfTheShop(t *testing.T) {
	for name, propagate := range map[string]bool{"context travels": true, "context stays": false} {
		t.Run(name, func(t *testing.T) {
			got := tell(t, propagate)
			require.Zero(t, got.left, "every span ends")
			require.Len(t, got.spans, len(got.truths))
			for _, x := range got.truths {
				span, ok := got.spans[x.Ref]
				require.True(t, ok)
				require.Equal(t, x.Parent, span.ParentSpanID())
				require.Equal(t, x.Name, span.Name())
				require.LessOrEqual(t, span.StartTimestamp(), span.EndTimestamp())
			}
			apart, types := checkSpanEdges(t, got)
			require.NotZero(t, types[causal.ParentChild])
			require.NotZero(t, types[causal.MessageFlow])
			require.NotZero(t, types[causal.ErrorPropagation])
			require.Equal(t, propagate, apart < types[causal.MessageFlow]/2, "%d of %d messages cross traces", apart, types[causal.MessageFlow])
		})
	}
}

func checkSpanEdges(t *testing.T, got told) (apart int, types map[causal.Type]int) {
	types = map[causal.Type]int{}
	for _, e := range got.edges {
		types[e.Type]++
		cause, effect := got.spans[e.Cause], got.spans[e.Effect]
		require.LessOrEqual(t, cause.StartTimestamp(), effect.StartTimestamp())
		switch e.Type {
		case causal.ParentChild:
			require.Equal(t, e.Cause.TraceID, e.Effect.TraceID)
		case causal.MessageFlow:
			require.Equal(t, ptrace.SpanKindProducer, cause.Kind())
			require.Equal(t, ptrace.SpanKindConsumer, effect.Kind())
			if e.Cause.TraceID != e.Effect.TraceID {
				apart++
			}
			for _, key := range []string{"messaging.destination.name", "messaging.message.id"} {
				a, _ := cause.Attributes().Get(key)
				b, _ := effect.Attributes().Get(key)
				require.Equal(t, a.Str(), b.Str(), key)
			}
		case causal.ErrorPropagation:
			require.Equal(t, ptrace.StatusCodeError, cause.Status().Code())
			require.NotEqual(t, ptrace.StatusCodeError, effect.Status().Code())
		}
	}
	return apart, types
}

func TestTruthOfSpans(t *testing.T) {
	ref := causal.SpanRef{TraceID: [16]byte{1}, SpanID: [8]byte{2}}
	require.Equal(t, `{"span":{"trace_id":"01000000000000000000000000000000","span_id":"0200000000000000","parent_span_id":"0300000000000000","name":"x","service":"s","node":"n"}}`+"\n",
		string((&SpanTruth{Ref: ref, Parent: [8]byte{3}, Name: "x", Service: "s", Node: "n"}).AppendTruth(nil)))
	require.Equal(t, `{"edge":{"type":"message_flow","cause":{"trace_id":"01000000000000000000000000000000","span_id":"0200000000000000"},"effect":{"trace_id":"01000000000000000000000000000000","span_id":"0200000000000000"}}}`+"\n",
		string((&SpanEdge{Type: causal.MessageFlow, Cause: ref, Effect: ref}).AppendTruth(nil)))
}

func TestRecentForgetsTheOldest(t *testing.T) {
	r := newRecent[causal.SpanRef](2)
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		r.put(id, causal.SpanRef{TraceID: [16]byte{id[0]}})
	}
	_, ok := r.get("a")
	require.False(t, ok)
	for _, id := range []string{"d", "e"} {
		ref, ok := r.get(id)
		require.True(t, ok)
		require.Equal(t, id[0], ref.TraceID[0])
	}
}

func TestFlavoursOfMessages(t *testing.T) {
	send := script(t, "s send a id=m1\nt send a hash=h")
	receive := script(t, "r receive b id=m1 cause=s\nu receive b id=m9")
	for i := range send {
		send[i].Event.Name = "order"
	}
	for i := range receive {
		receive[i].Event.Name, receive[i].Ends = "order", true
	}
	cases := map[Flavour][2]map[string]any{
		RabbitMQ: {
			{"messaging.system": "rabbitmq", "messaging.operation.type": "send", "messaging.destination.name": "order", "messaging.message.id": "m1"},
			{"messaging.system": "rabbitmq", "messaging.operation.type": "process", "messaging.destination.name": "order", "messaging.message.id": "m1"},
		},
		Amqplib: {
			{"messaging.system": "rabbitmq", "messaging.destination": "", "messaging.destination_kind": "topic", "messaging.rabbitmq.routing_key": "order", "messaging.protocol": "AMQP", "messaging.message_id": "m1"},
			{"messaging.system": "rabbitmq", "messaging.destination": "", "messaging.destination_kind": "topic", "messaging.rabbitmq.routing_key": "order", "messaging.protocol": "AMQP", "messaging.message_id": "m1", "messaging.operation": "process"},
		},
		Kafka: {
			{"messaging.system": "kafka", "messaging.operation.type": "send", "messaging.destination.name": "order", "messaging.destination.partition.id": "1", "messaging.kafka.offset": int64(0)},
			{"messaging.system": "kafka", "messaging.operation.type": "process", "messaging.destination.name": "order", "messaging.destination.partition.id": "1", "messaging.kafka.offset": int64(0)},
		},
		KafkaOld: {
			{"messaging.system": "kafka", "messaging.operation": "publish", "messaging.destination": "order", "messaging.kafka.partition": int64(1), "messaging.kafka.message.offset": int64(0)},
			{"messaging.system": "kafka", "messaging.operation": "process", "messaging.destination": "order", "messaging.kafka.partition": int64(1), "messaging.kafka.message.offset": int64(0)},
		},
	}
	for flavour, want := range cases {
		s := NewSpans(false)
		s.Flavour = flavour
		exact := map[causal.SpanRef]bool{}
		s.OnEdge = func(e SpanEdge) { exact[e.Effect] = e.Exact }
		for _, step := range append(send[:1:1], receive[0]) {
			s.Add(&step)
		}
		got := map[ptrace.SpanKind]map[string]any{}
		for _, rs := range s.Take().ResourceSpans().All() {
			for _, span := range rs.ScopeSpans().At(0).Spans().All() {
				got[span.Kind()] = span.Attributes().AsRaw()
			}
		}
		require.Equal(t, want[0], got[ptrace.SpanKindProducer])
		require.Equal(t, want[1], got[ptrace.SpanKindConsumer])
		require.Len(t, exact, 1)
		for _, ok := range exact {
			require.True(t, ok)
		}
	}

	s := NewSpans(false)
	s.Flavour = Kafka
	for _, step := range []Step{send[0], send[1], receive[1]} {
		s.Add(&step)
	}
	for _, rs := range s.Take().ResourceSpans().All() {
		for _, span := range rs.ScopeSpans().At(0).Spans().All() {
			_, has := span.Attributes().Get("messaging.kafka.offset")
			require.Equal(t, span.Kind() == ptrace.SpanKindProducer, has, "of what nobody here sent the place is not known")
		}
	}
}
