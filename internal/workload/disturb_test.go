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

// from returns a source of the steps, with causes of its own.
func from(steps []Step) func() (Step, bool) {
	return func() (Step, bool) {
		if len(steps) == 0 {
			return Step{}, false
		}
		s := steps[0]
		s.Causes = slices.Clone(s.Causes)
		steps = steps[1:]
		return s, true
	}
}

func all(next func() (Step, bool)) (out []Step) {
	for s, ok := next(); ok; s, ok = next() {
		out = append(out, s)
	}
	return out
}

func disturbed(t require.TestingT, steps []Step, d Disturbance) []Step {
	stage, err := NewDisturb(from(steps), d)
	require.NoError(t, err)
	return all(stage.Next)
}

func TestNoDisturbanceChangesNothing(t *testing.T) {
	c := bigConfig()
	c.Orders = 40
	steps := run(t, c)
	require.Equal(t, steps, disturbed(t, steps, Disturbance{Seed: 1}))
}

func TestDisturbKeepsWhatItPromises(t *testing.T) {
	c := bigConfig()
	c.Orders = 10
	c.PaymentCrash, c.DeliveryFails = 0.3, 0.3
	steps := run(t, c)
	rapid.Check(t, func(t *rapid.T) {
		d := Disturbance{
			Seed:         rapid.Uint64().Draw(t, "seed"),
			Reorder:      rapid.Float64Range(0, 1).Draw(t, "reorder"),
			Delay:        rapid.IntRange(0, 300).Draw(t, "delay"),
			LoseSends:    rapid.Float64Range(0, 1).Draw(t, "sends"),
			LoseReceives: rapid.Float64Range(0, 1).Draw(t, "receives"),
			Skew:         time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "skew")),
			Drift:        rapid.Float64Range(0, 0.01).Draw(t, "drift"),
		}
		told := disturbed(t, steps, d)
		checkDisturbed(t, steps, told, d)
		again := disturbed(t, steps, d)
		must(t, slices.EqualFunc(told, again, func(a, b Step) bool { return a.Event.ID == b.Event.ID && a.Event.Time == b.Event.Time }), "the same seed, the same stream")
	})
}

func checkDisturbed(t *rapid.T, steps, told []Step, d Disturbance) {
	at := map[string]int{}
	for i, s := range told {
		_, twice := at[s.Event.ID]
		must(t, !twice, "once each")
		at[s.Event.ID] = i
	}
	last := map[string]int{}
	for _, s := range steps {
		i, kept := at[s.Event.ID]
		if !kept {
			must(t, s.Event.Kind == event.KindSend && d.LoseSends > 0 || s.Event.Kind == event.KindReceive && d.LoseReceives > 0, "only these are lost")
			continue
		}
		process := ProcessOf(&s.Event)
		before, ok := last[process]
		must(t, !ok || before < i, "a process keeps its order")
		last[process] = i
		off := time.Duration(told[i].Event.Time - s.Event.Time).Abs()
		must(t, off <= d.Skew+time.Duration(d.Drift*float64(time.Minute)), "clocks are off by no more than that")
	}
	first := map[string]bool{}
	for _, s := range told {
		process := ProcessOf(&s.Event)
		for _, c := range s.Causes {
			i, ok := at[c.ID]
			must(t, ok, "what is lost causes nothing")
			must(t, c.Type != causal.ProcessSpawn || !first[process], "a spawn causes the first event that is told")
			must(t, c.Type != causal.MessageFlow || told[i].Event.MessageID == s.Event.MessageID && told[i].Event.MessageHash == s.Event.MessageHash, "the same message")
		}
		first[process] = true
		_, ok := at[s.Parent]
		must(t, s.Parent == "" || ok, "no parent is lost")
		_, ok = at[s.Activity]
		must(t, s.Activity == "" || ok, "nor what began a trace")
	}
}

func TestDelayIsBoundedAndReal(t *testing.T) {
	c := bigConfig()
	c.Orders = 40
	steps := run(t, c)
	told := disturbed(t, steps, Disturbance{Seed: 3, Reorder: 0.04, Delay: 50})
	index := map[string]int{}
	for i, s := range steps {
		index[s.Event.ID] = i
	}
	moved := 0
	for i, s := range told {
		require.LessOrEqual(t, i-index[s.Event.ID], 50)
		if i != index[s.Event.ID] {
			moved++
		}
	}
	require.NotZero(t, moved)
	_, kept := at(told, "nobody")
	require.False(t, kept)
}

func at(steps []Step, id string) (*Step, bool) {
	i := slices.IndexFunc(steps, func(s Step) bool { return s.Event.ID == id })
	if i < 0 {
		return nil, false
	}
	return &steps[i], true
}

func step(process, id string, kind event.Kind, causes ...Cause) Step {
	return Step{Event: event.Event{ID: id, Kind: kind, Service: "s", Node: "n", Process: process}, Span: id, Activity: id, Causes: causes}
}

func TestTruthOfWhatIsLost(t *testing.T) {
	flow := func(id string) Cause { return Cause{Type: causal.MessageFlow, ID: id} }
	arrival := step("b", "a", event.KindReceive, flow("s"), Cause{Type: causal.ProcessSpawn, ID: "p"})
	arrival.Event.Arrived = true
	call := step("b", "c", event.KindCall, flow("a"))
	ret := step("b", "r", event.KindReturn)
	ret.Activity = "c"
	exit := step("b", "x", event.KindExit)

	told := disturbed(t, []Step{step("a", "p", event.KindSpawn), step("a", "s", event.KindMark), arrival, call, ret, exit}, Disturbance{LoseReceives: 1})
	c, _ := at(told, "c")
	require.Equal(t, []Cause{{Type: causal.ProcessSpawn, ID: "p"}, flow("s")}, c.Causes, "the sending, and the spawn, of the lost arrival")
	x, _ := at(told, "x")
	require.Empty(t, x.Undecided, "the return was told")

	taken := step("b", "t", event.KindReceive)
	inside := step("b", "i", event.KindMark, Cause{Type: causal.ParentChild, ID: "t"})
	inside.Parent, inside.Activity = "t", "t"
	told = disturbed(t, []Step{taken, inside, taken2("t2"), exit}, Disturbance{LoseReceives: 1})
	i, _ := at(told, "i")
	require.Equal(t, []causal.Type{causal.ParentChild}, i.Undecided)
	require.Empty(t, i.Causes)
	require.Empty(t, i.Parent+i.Activity)
	x, _ = at(told, "x")
	require.Equal(t, []causal.Type{causal.ErrorPropagation}, x.Undecided, "what is lost may have come between")
}

func taken2(id string) Step { return step("b", id, event.KindReceive) }

func TestDisturbForgetsWhoIsNotHeld(t *testing.T) {
	d, err := NewDisturb(from(nil), Disturbance{})
	require.NoError(t, err)
	d.taken = 10
	d.late["past"], d.late["future"] = 10, 11
	d.forget()
	require.Equal(t, map[string]int64{"future": 11}, d.late)
}

func TestDisturbanceNamesTheField(t *testing.T) {
	for field, d := range map[string]Disturbance{
		"Reorder: 2":         {Reorder: 2},
		"LoseSends: -1":      {LoseSends: -1},
		"LoseReceives: 1.01": {LoseReceives: 1.01},
		"Delay: -1":          {Delay: -1},
		"Skew: -1s":          {Skew: -time.Second},
		"Drift: 1":           {Drift: 1},
	} {
		_, err := NewDisturb(from(nil), d)
		require.ErrorContains(t, err, field)
	}
}

func TestRequestsHoldEveryStepOnce(t *testing.T) {
	c := bigConfig()
	c.Orders = 10
	steps := run(t, c)
	rapid.Check(t, func(t *rapid.T) {
		cutting := Cutting{
			Seed:      rapid.Uint64().Draw(t, "seed"),
			Lanes:     rapid.IntRange(1, 5).Draw(t, "lanes"),
			Most:      rapid.IntRange(1, 200).Draw(t, "most"),
			Duplicate: rapid.Float64Range(0, 1).Draw(t, "duplicate"),
			Later:     rapid.IntRange(0, 20).Draw(t, "later"),
		}
		requests, err := NewRequests(from(steps), cutting)
		require.NoError(t, err)
		lanes, seen := map[string]int{}, map[string]int{}
		var told []Step
		sent, again := 0, 0
		for r, ok := requests.Next(); ok; r, ok = requests.Next() {
			must(t, len(r.Steps) > 0 && len(r.Steps) <= cutting.Most, "the size")
			sent++
			if r.Again {
				again++
				must(t, seen[r.Steps[0].Event.ID] > 0, "it was sent before")
			} else {
				told = append(told, r.Steps...)
			}
			for _, s := range r.Steps {
				process := ProcessOf(&s.Event)
				lane, ok := lanes[process]
				must(t, !ok || lane == r.Lane, "a process keeps its lane")
				lanes[process] = r.Lane
				seen[s.Event.ID]++
			}
		}
		must(t, len(told) == len(steps), "all are sent")
		must(t, cutting.Duplicate < 1 || again*2 == sent, "all are sent again")
		must(t, cutting.Duplicate > 0 || again == 0, "none is sent again")
		checkDisturbed(t, steps, told, Disturbance{})
	})
}

func TestCuttingNamesTheField(t *testing.T) {
	good := Cutting{Lanes: 1, Most: 1}
	for field, spoil := range map[string]func(*Cutting){
		"Lanes: 0":     func(c *Cutting) { c.Lanes = 0 },
		"Most: 0":      func(c *Cutting) { c.Most = 0 },
		"Duplicate: 2": func(c *Cutting) { c.Duplicate = 2 },
		"Later: -1":    func(c *Cutting) { c.Later = -1 },
	} {
		c := good
		spoil(&c)
		_, err := NewRequests(from(nil), c)
		require.ErrorContains(t, err, field)
	}
}
