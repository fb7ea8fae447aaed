package main

import (
	"context"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/event"
)

const testNow = 1_800_000_000_123_456_789

// nothing takes whatever is sent.
type nothing struct{}

func (nothing) Send(context.Context, []byte) error { return nil }

func decodeOTLP(t require.TestingT, body []byte) (spans []ptrace.Span, service string) {
	req := ptraceotlp.NewExportRequest()
	require.NoError(t, req.UnmarshalProto(body))
	for _, rs := range req.Traces().ResourceSpans().All() {
		name, _ := rs.Resource().Attributes().Get("service.name")
		service = name.Str()
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				spans = append(spans, s)
			}
		}
	}
	return spans, service
}

func decodeNative(t require.TestingT, body []byte) []event.Event {
	res, err := event.Decode(event.FormatNDJSON, body, func() string { return "assigned" })
	require.NoError(t, err)
	require.Empty(t, res.Rejected)
	return res.Events
}

func TestPlacesAreWhatTheirNumbersSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := place{
			lane: rapid.IntRange(0, 254).Draw(t, "lane"), group: rapid.Uint64Range(0, groupMask).Draw(t, "group"),
			chain: rapid.IntRange(0, chainMask).Draw(t, "chain"), hop: rapid.IntRange(0, hops-1).Draw(t, "hop"), role: rapid.IntRange(0, backRole).Draw(t, "role"),
		}
		require.Equal(t, p, placeOf(p.number()))
		require.NotZero(t, p.number())
		first := p
		first.hop, first.role = 0, 0
		require.Equal(t, fails(first.number()), fails(p.number()))
		other := p
		other.role = (p.role + 1) % roles
		require.Equal(t, traceID(1, p.number()), traceID(1, other.number()))
		other.hop = (p.hop + 1) % hops
		require.NotEqual(t, traceID(1, p.number()), traceID(1, other.number()))
	})
}

func TestOneChainInAHundredFails(t *testing.T) {
	n := 0
	for g := range uint64(100_000) {
		if fails(place{lane: 3, group: g, chain: 7}.number()) {
			n++
		}
	}
	require.InDelta(t, 1000, n, 150)
}

func TestOTLPRequestsCarryOneHopOfFiveGroups(t *testing.T) {
	c := content{lane: 2, service: "orders", chains: 150, lag: 3, seed: 9, priority: event.PriorityHigh}
	tmpl := newTemplate(c).clone(1)
	n := c.first() + 1000
	spans, service := decodeOTLP(t, tmpl.fill(n, testNow))
	require.Equal(t, "orders", service)
	require.Len(t, spans, c.spans())
	require.Equal(t, c.spans(), c.items())
	seen := map[place]bool{}
	messages := map[string]int{}
	failures := 0
	for _, s := range spans {
		id := s.SpanID()
		p := numberOf(id)
		seen[p] = true
		require.Equal(t, c.lane, p.lane)
		require.Equal(t, n-uint64(p.hop*c.lag), p.group)
		require.Equal(t, traceID(9, p.number()), [16]byte(s.TraceID()))
		if p.role == enterRole {
			require.True(t, s.ParentSpanID().IsEmpty())
		} else {
			parent := p
			parent.role = enterRole
			require.Equal(t, parent, numberOf(s.ParentSpanID()))
		}
		require.Less(t, s.StartTimestamp(), s.EndTimestamp())
		require.InDelta(t, testNow, int64(s.StartTimestamp()), 1e7)
		require.Empty(t, s.TraceState().AsRaw())
		priority, _ := s.Attributes().Get("scope.priority")
		require.Equal(t, "high", priority.Str())
		id2, messaging := s.Attributes().Get("messaging.message.id")
		require.Equal(t, p.role == nextRole || p.role == enterRole && p.hop > 0, messaging)
		if messaging {
			sent := p
			if p.role == enterRole {
				sent.hop, sent.role = p.hop-1, nextRole
			}
			require.Equal(t, text(sent), id2.Str())
			messages[id2.Str()]++
		}
		if s.Status().Code() == ptrace.StatusCodeError {
			failures++
			require.True(t, fails(p.number()))
			require.Equal(t, hops-1, p.hop)
			require.Equal(t, workRole, p.role)
		} else if p.hop == hops-1 && p.role == workRole {
			require.Equal(t, ptrace.StatusCodeOk, s.Status().Code())
			require.False(t, fails(p.number()))
		}
	}
	require.Len(t, seen, c.spans())
	require.Positive(t, failures+countFailures(tmpl, 50, n))
}

// countFailures fills further requests until some chain of them fails.
func countFailures(tmpl *template, requests int, n uint64) (failures int) {
	for i := range requests {
		for k := range tmpl.chains {
			if fails(place{lane: tmpl.lane, group: n + uint64(i), chain: k}.number()) {
				failures++
			}
		}
	}
	return failures
}

func numberOf(id [8]byte) place {
	var n uint64
	for _, b := range id {
		n = n<<8 | uint64(b)
	}
	return placeOf(n)
}

func text(p place) string {
	var b [16]byte
	putHex(b[:], p.number())
	return string(b[:])
}

func TestNativeRequestsCarryOneHopOfFiveGroups(t *testing.T) {
	c := content{lane: 4, native: true, service: "stock", chains: 40, lag: 2}
	lane := newTemplate(c)
	n := c.first() + 77
	failures := 0
	for request := range uint64(10) {
		tmpl := lane.clone(int(request))
		events := decodeNative(t, tmpl.fill(n+request, testNow))
		require.Len(t, events, c.items())
		open := map[string]string{}
		kinds := map[event.Kind]int{}
		for i := range events {
			e := &events[i]
			kinds[e.Kind]++
			var p place
			for role := range roles + 1 {
				for hop := range hops {
					if candidate := (place{lane: c.lane, group: n + request - uint64(hop*c.lag), hop: hop, role: role}); candidate.number()&^(chainMask<<chainShift) == parseID(t, e.ID)&^(chainMask<<chainShift) {
						p = placeOf(parseID(t, e.ID))
					}
				}
			}
			require.Equal(t, e.ID, text(p))
			require.Equal(t, "stock", e.Service)
			switch e.Kind {
			case event.KindReceive:
				sent := p
				sent.hop, sent.role = p.hop-1, nextRole
				require.Equal(t, text(sent), e.MessageID)
				require.Empty(t, open[e.Process])
			case event.KindSend:
				require.Equal(t, e.ID, e.MessageID)
				require.NotEmpty(t, open[e.Process])
			case event.KindCall:
				open[e.Process] = e.ID
			case event.KindReturn:
				require.Equal(t, open[e.Process], e.CallID)
				delete(open, e.Process)
				if e.Outcome == "error" {
					failures++
				}
				require.Equal(t, p.hop == hops-1 && fails(p.number()), e.Outcome == "error")
			}
		}
		require.Empty(t, open)
		require.Equal(t, 4*c.chains, kinds[event.KindSend])
		require.Equal(t, 4*c.chains, kinds[event.KindReceive])
		require.Equal(t, 5*c.chains, kinds[event.KindCall])
		require.Equal(t, c.spans(), len(events)-kinds[event.KindReturn])
	}
	require.Positive(t, failures)
}

func parseID(t require.TestingT, id string) (n uint64) {
	require.Len(t, id, 16)
	for _, c := range []byte(id) {
		n <<= 4
		if c >= 'a' {
			n |= uint64(c-'a') + 10
		} else {
			n |= uint64(c - '0')
		}
	}
	return n
}

// Senders of a lane must not share processes, or one process would have two
// requests in flight.
func TestSendersHaveProcessesOfTheirOwn(t *testing.T) {
	tmpl := newTemplate(content{lane: 4, native: true, service: "stock", chains: 3, lag: 2})
	seen := map[string]int{}
	for sender := range 5 {
		for _, e := range decodeNative(t, tmpl.clone(sender).fill(100, testNow)) {
			if before, ok := seen[e.Process]; ok {
				require.Equal(t, before, sender)
			}
			seen[e.Process] = sender
		}
	}
	require.Len(t, seen, 5*3*hops)
}

func TestSpansOfAChainAreCounted(t *testing.T) {
	require.Equal(t, 18, chainSpans(true))
	require.Equal(t, 23, chainItems(true))
	require.Equal(t, 14, chainSpans(false))
	for hop := range hops {
		require.GreaterOrEqual(t, bits.OnesCount32(hopRoles(true, hop)), 3)
	}
}

func BenchmarkFill(b *testing.B) {
	for name, c := range map[string]content{"otlp": {chains: otlpChains, lag: 1, service: "orders"}, "native": {chains: nativeChains, lag: 1, service: "orders", native: true}} {
		b.Run(name, func(b *testing.B) {
			tmpl := newTemplate(c).clone(0)
			for n := c.first(); b.Loop(); n++ {
				tmpl.fill(n, testNow)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(c.items()), "ns/item")
		})
	}
}
