package workload

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

func run(t require.TestingT, c Config) []Step {
	shop, err := New(c)
	require.NoError(t, err)
	var steps []Step
	for {
		step, ok := shop.Next()
		if !ok {
			return steps
		}
		steps = append(steps, step)
	}
}

func bigConfig() Config {
	c := DefaultConfig()
	c.Orders, c.OrdersPerSecond = 400, 20
	return c
}

func TestSameSeedSameSteps(t *testing.T) {
	c := bigConfig()
	c.Orders = 50
	require.Equal(t, run(t, c), run(t, c))
	other := c
	other.Seed++
	require.NotEqual(t, run(t, c), run(t, other))
}

func TestShopTellsEveryKindAndEveryType(t *testing.T) {
	steps := run(t, bigConfig())
	require.InDelta(t, EventsPerOrder, len(steps)/400, EventsPerOrder/3)
	kinds := map[event.Kind]int{}
	types := map[causal.Type]int{}
	for _, s := range steps {
		kinds[s.Event.Kind]++
		for _, c := range s.Causes {
			types[c.Type]++
		}
	}
	for k := event.KindCall; k <= event.KindMark; k++ {
		require.NotZero(t, kinds[k], k.String())
	}
	for _, typ := range causal.Types {
		require.NotZero(t, types[typ], typ)
	}
	t.Log(len(steps), kinds, types)
}

// The stream must keep what senders promise, and the truth must be possible:
// no effect before its cause, stacks that balance, one activity at a time.
func TestStreamAndTruthHoldTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := DefaultConfig()
		c.Seed = rapid.Uint64().Draw(t, "seed")
		c.Orders = rapid.IntRange(1, 30).Draw(t, "orders")
		c.OrdersPerSecond = rapid.Float64Range(0.5, 400).Draw(t, "rate")
		c.Nodes = rapid.IntRange(1, 3).Draw(t, "nodes")
		c.PaymentWorkers = rapid.IntRange(1, 4).Draw(t, "workers")
		c.PaymentCrash = rapid.Float64Range(0, 0.5).Draw(t, "crash")
		c.DeliveryFails = rapid.Float64Range(0, 0.5).Draw(t, "redelivery")
		c.MailServerDown = rapid.Float64Range(0, 0.5).Draw(t, "mail")
		c.Declined = rapid.Float64Range(0, 0.5).Draw(t, "declined")
		check(t, run(t, c))
	})
}

type seen struct {
	index int
	event event.Event
}

// must is require.True for loops that run a million times.
func must(t *rapid.T, ok bool, what string) {
	if !ok {
		t.Fatal(what)
	}
}

func check(t *rapid.T, steps []Step) {
	byID := map[string]seen{}
	stacks := map[string][]string{}
	activity := map[string]string{}
	taken := map[string]bool{}
	gone := map[string]bool{}
	var last int64
	for i, s := range steps {
		e := s.Event
		must(t, e.Time >= last, "in order of time")
		last = e.Time
		must(t, byID[e.ID].event.Time == 0, "an id is used once")
		byID[e.ID] = seen{i, e}
		proc := e.Node + e.Process
		must(t, !gone[proc], "nobody speaks after his exit")
		for _, c := range s.Causes {
			must(t, byID[c.ID].event.Time != 0, "a cause is told before its effect")
		}
		stack := stacks[proc]
		wantParent := activity[proc]
		if len(stack) > 0 {
			wantParent = stack[len(stack)-1]
		}
		begins := len(stack) == 0 && (e.Kind == event.KindReceive && !e.Arrived || e.Kind == event.KindCall && !taken[proc])
		switch {
		case e.Kind == event.KindReturn:
			must(t, stack[len(stack)-1] == e.CallID, "stacks balance")
			must(t, e.CallID == s.Span, "a return is its call's span")
			stacks[proc] = stack[:len(stack)-1]
			continue
		case e.Kind == event.KindReceive && e.Arrived:
			must(t, s.Parent == "", "no parent")
			continue
		case begins:
			activity[proc], taken[proc] = e.ID, e.Kind == event.KindReceive
			must(t, s.Parent == "", "no parent")
			must(t, e.ID == s.Activity, "it begins an activity")
		default:
			must(t, wantParent == s.Parent, "the innermost call is the parent")
		}
		if e.Kind == event.KindCall {
			stacks[proc] = append(stacks[proc], e.ID)
		}
		gone[proc] = e.Kind == event.KindExit
	}
	checkEdges(t, steps, byID)
}

func checkEdges(t *rapid.T, steps []Step, byID map[string]seen) {
	firsts := map[string]bool{}
	for _, s := range steps {
		e := s.Event
		proc := e.Node + e.Process
		spawned := slices.ContainsFunc(s.Causes, func(c Cause) bool { return c.Type == causal.ProcessSpawn })
		must(t, !spawned || !firsts[proc], "only a first event is caused by a spawn")
		firsts[proc] = true
		for _, c := range s.Causes {
			cause := byID[c.ID].event
			switch c.Type {
			case causal.ProcessSpawn:
				must(t, cause.Child == e.Process, "the spawned child")
			case causal.MessageFlow:
				must(t, cause.MessageID == e.MessageID && cause.MessageHash == e.MessageHash, "the same message")
			case causal.StateTransition:
				if cause.Kind == event.KindState {
					must(t, cause.Version+1 == e.Version, "consecutive versions")
					must(t, cause.To == e.From, "states join")
				} else {
					must(t, e.Trigger.ID == c.ID, "the trigger")
				}
			}
		}
	}
}

func TestEventsAreValid(t *testing.T) {
	c := bigConfig()
	c.Orders = 60
	var body []byte
	steps := run(t, c)
	for _, s := range steps {
		body = append(s.Event.AppendJSON(body), '\n')
	}
	decoded, err := event.Decode(event.FormatNDJSON, body, func() string { return "assigned" })
	require.NoError(t, err)
	require.Empty(t, decoded.Rejected)
	require.Len(t, decoded.Events, len(steps))
	for i, s := range steps {
		require.Equal(t, s.Event, decoded.Events[i])
	}
}

func TestUnendingShopGoesOn(t *testing.T) {
	shop, err := New(DefaultConfig())
	require.NoError(t, err)
	for range 20_000 {
		_, ok := shop.Next()
		require.True(t, ok)
	}
	require.Equal(t, DefaultConfig(), shop.Config())
}

func TestValidateNamesTheField(t *testing.T) {
	for field, spoil := range map[string]func(*Config){
		"OutOfStock: 1.5":     func(c *Config) { c.OutOfStock = 1.5 },
		"Declined: -1":        func(c *Config) { c.Declined = -1 },
		"Orders: -1":          func(c *Config) { c.Orders = -1 },
		"OrdersPerSecond: 0":  func(c *Config) { c.OrdersPerSecond = 0 },
		"Nodes: 0":            func(c *Config) { c.Nodes = 0 },
		"PaymentWorkers: 0":   func(c *Config) { c.PaymentWorkers = 0 },
		"MailServerDown: 2":   func(c *Config) { c.MailServerDown = 2 },
		"PaymentCrash: -0.1":  func(c *Config) { c.PaymentCrash = -0.1 },
		"DeliveryFails: 1.01": func(c *Config) { c.DeliveryFails = 1.01 },
	} {
		c := DefaultConfig()
		spoil(&c)
		_, err := New(c)
		require.ErrorContains(t, err, field)
	}
}

func TestTruthOfSteps(t *testing.T) {
	step := Step{
		Event: event.Event{Kind: event.KindSend, ID: "e2", Service: "s", Node: "n", Process: "p"}, Span: "e2", Parent: "e1", Activity: "e0",
		Causes: []Cause{{Type: causal.ParentChild, ID: "e1"}, {Type: causal.ErrorPropagation, ID: "e0", SpansOnly: true}},
	}
	require.Equal(t, `{"event":{"event_id":"e2","kind":"send","service":"s","node":"n","process":"p","span":"e2","parent":"e1","activity":"e0"}}`+"\n"+
		`{"edge":{"type":"parent_child","cause":{"event_id":"e1"},"effect":{"event_id":"e2"}}}`+"\n",
		string(step.AppendTruth(nil)))
}

func BenchmarkNextAndEncode(b *testing.B) {
	c := DefaultConfig()
	c.Start = time.Unix(1_700_000_000, 0)
	shop, err := New(c)
	require.NoError(b, err)
	var body []byte
	b.ReportAllocs()
	for b.Loop() {
		step, _ := shop.Next()
		body = step.Event.AppendJSON(body[:0])
	}
}
