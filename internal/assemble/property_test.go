package assemble

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/event"
)

// history draws events of a few processes, in the order of their arrival.
// Names, call ids and times are few, so that they meet: ambiguous names,
// unknown and repeated call ids, equal times and clocks that go back.
func history(t *rapid.T) []*event.Event {
	n := rapid.IntRange(1, 40).Draw(t, "events")
	events := make([]*event.Event, n)
	for i := range events {
		events[i] = drawEvent(t, i)
	}
	return events
}

func drawEvent(t *rapid.T, i int) *event.Event {
	pick := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	ev := &event.Event{
		ID:      fmt.Sprint("e", i),
		Kind:    rapid.SampledFrom(kindsByWeight).Draw(t, "kind"),
		Time:    rapid.Int64Range(1, 20).Draw(t, "time") + int64(i/4),
		Service: "s",
		Node:    pick("node", "n1", "n1", "n2"),
		Process: pick("process", "p", "p", "q"),
		Name:    pick("name", "f", "g", "h"),
	}
	ev.CorrelationID = pick("correlation", "", "", "", "c1", "c2")
	switch ev.Kind {
	case event.KindCall:
		ev.CallID = pick("call", "", "", "1", "2")
	case event.KindReturn:
		ev.CallID = pick("call", "", "1", "2", "3", fmt.Sprint("e", rapid.IntRange(0, i).Draw(t, "of")))
		if ev.CallID != "" {
			ev.Name = pick("name", "", "f")
		}
		fallthrough
	case event.KindExit:
		ev.Outcome = pick("outcome", "", "", "error", "throw")
		if ev.Outcome != "" {
			ev.Error = rapid.SampledFrom([]*event.Error{nil, {Message: "m"}, {Type: "t", Message: "m", Stacktrace: "s"}}).Draw(t, "error")
		}
	case event.KindReceive:
		ev.Arrived = rapid.Bool().Draw(t, "arrived")
	case event.KindError:
		ev.Error = &event.Error{Type: "t"}
	case event.KindSpawn:
		ev.Child = "c"
	case event.KindState:
		ev.To, ev.HasVersion, ev.Version = "x", true, int64(i)
	}
	if pick("context", "no", "no", "no", "yes") == "yes" {
		ev.TraceID[0] = byte(rapid.IntRange(0, 2).Draw(t, "trace"))
		ev.SpanID[0] = byte(rapid.SampledFrom([]int{0, i + 1}).Draw(t, "span"))
		ev.ParentSpanID[0] = byte(rapid.SampledFrom([]int{0, 200}).Draw(t, "parent"))
	}
	for range rapid.IntRange(0, 2).Draw(t, "attributes") {
		key := pick("key", "k", "j", "scope.call.state", "event.k")
		ev.Attributes = append(ev.Attributes, event.KeyValue{Key: key, Value: event.Value{Type: event.ValueString, Str: pick("value", "v", "w")}})
	}
	if len(ev.Attributes) == 2 && ev.Attributes[0].Key == ev.Attributes[1].Key {
		ev.Attributes = ev.Attributes[:1]
	}
	return ev
}

var kindsByWeight = []event.Kind{
	event.KindCall, event.KindCall, event.KindCall, event.KindCall, event.KindCall,
	event.KindReturn, event.KindReturn, event.KindReturn, event.KindReturn, event.KindReturn,
	event.KindReceive, event.KindReceive, event.KindSend, event.KindExit, event.KindMark,
	event.KindError, event.KindState, event.KindSpawn, event.KindRecover,
}

// oneByOne is the plainest way to take a history.
func oneByOne(cfg Config, events []*event.Event) *stage {
	s := newStage(cfg)
	for _, ev := range events {
		s.run(ev)
	}
	return s
}

// storm takes a history in random transactions, some of which are rolled back
// and repeated, with events that come again, and restarts in between.
func storm(t *rapid.T, cfg Config, events []*event.Event, crashes bool) *stage {
	s := newStage(cfg)
	for taken := 0; taken < len(events); {
		n := rapid.IntRange(1, len(events)-taken).Draw(t, "transaction")
		batch := slices.Clone(events[taken : taken+n])
		if taken > 0 && rapid.Bool().Draw(t, "again") {
			at := rapid.IntRange(0, taken-1).Draw(t, "of")
			batch = append([]*event.Event{events[at]}, batch...)
		}
		if rapid.Bool().Draw(t, "twice") {
			batch = append(batch, events[taken:taken+n]...)
		}
		s.now++
		if !s.rehearse(t, batch) {
			continue
		}
		taken += n
		if crashes && rapid.Bool().Draw(t, "crash") {
			s.crash(rapid.Int64().Draw(t, "order"))
		}
	}
	return s
}

// rehearse runs a transaction and reports whether its events need not come
// again.
func (s *stage) rehearse(t *rapid.T, batch []*event.Event) bool {
	switch rapid.SampledFrom([]string{"commit", "commit", "rollback", "rollback in the middle", "stored, but rolled back"}).Draw(t, "end") {
	case "rollback":
		before := s.picture()
		s.attempt(batch...)
		s.Rollback()
		require.Equal(t, before, s.picture())
	case "rollback in the middle":
		before := s.picture()
		s.Begin()
		s.Add(batch[0], s.now, s.out)
		s.Rollback()
		s.out.Traces()
		require.Equal(t, before, s.picture())
	case "stored, but rolled back":
		emitted, _ := s.attempt(batch...)
		s.store.write(emitted, s.now)
		s.Rollback()
	default:
		s.run(batch...)
		return true
	}
	return false
}

// picture is all of an assembler's state that matters, as text.
func (s *stage) picture() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v %+v %d %d\n", s.Stats(), s.counters, s.dedup.len(), s.cfg.Dedup.Used())
	for _, e := range s.dedup.queue[s.dedup.head:] {
		fmt.Fprintln(&b, e, s.dedup.seen.slots[s.dedup.seen.find(e.key)] == e.key)
	}
	for _, l := range []*list{&s.idle, &s.busy} {
		for p := l.first; p != nil; p = p.laterUsed {
			fmt.Fprintln(&b, p.service, p.node, p.name, s.processes[p.key] == p, p.act, p.fresh, p.gone, p.lastTime)
			for _, f := range p.stack {
				fmt.Fprintln(&b, *f)
			}
			for _, w := range p.waiting {
				fmt.Fprintln(&b, *w)
			}
		}
	}
	return b.String()
}

func checkStorm(t *testing.T, cfg func(t *rapid.T) Config, crashes bool) {
	rapid.Check(t, func(t *rapid.T) {
		events := history(t)
		cfg := cfg(t)
		want := oneByOne(cfg, events)
		cfg.Dedup = NewBudget(int(cfg.Dedup.max))
		got := storm(t, cfg, events, crashes)
		require.Equal(t, want.store.final(), got.store.final())
		require.Equal(t, want.Stats().OpenCalls, got.Stats().OpenCalls)
		require.Equal(t, want.Stats().WaitingReturns, got.Stats().WaitingReturns)
		require.Equal(t, want.Stats().Processes, got.Stats().Processes)
	})
}

// Where transactions end, which are repeated, and what is sent again, changes
// no span.
func TestTransactionsDoNotMatter(t *testing.T) {
	checkStorm(t, func(t *rapid.T) Config {
		cfg := testConfig()
		cfg.StackDepth = rapid.IntRange(1, 5).Draw(t, "stack")
		cfg.OpenCalls = rapid.IntRange(1, 8).Draw(t, "open")
		cfg.EmitOpenCalls = rapid.Bool().Draw(t, "emit")
		return cfg
	}, false)
}

// Nor do restarts. (Waiting returns that were given up may wait again, so
// their bound is out of reach.)
func TestRestartsDoNotMatter(t *testing.T) {
	checkStorm(t, func(t *rapid.T) Config {
		cfg := testConfig()
		cfg.StackDepth = rapid.IntRange(1, 5).Draw(t, "stack")
		return cfg
	}, true)
}

// All is emitted that must be durable: after each transaction, each of its
// events is found in a span.
func TestEveryEventIsInASpan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := history(t)
		s := storm(t, testConfig(), events, true)
		found := map[string]bool{}
		for _, v := range s.store.best() {
			found[str(v.span.Attributes(), "scope.event.id")] = true
			found[str(v.span.Attributes(), "scope.return.event.id")] = true
		}
		for _, ev := range events {
			require.True(t, found[ev.ID], ev.ID)
		}
		require.False(t, s.Add(events[0], s.now, s.out))
	})
}
