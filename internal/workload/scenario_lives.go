package workload

import (
	"fmt"
	"time"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// outside: things whose causes nobody here tells, beside others that look
// alike and have theirs.
func outside(w *world, rounds int) {
	inner := w.process("inner", 0, styleTaken)
	target := w.listens("target", 0, styleTaken, 20*time.Microsecond, 200*time.Microsecond)
	other := w.listens("target", 1, styleArrivedTaken, 20*time.Microsecond, 200*time.Microsecond)
	w.repeat(inner, rounds, time.Millisecond, 10*time.Millisecond, func(round int) {
		inner.send(message{name: "in", id: fmt.Sprintf("in-%d", round)}, target)
		inner.send(message{name: "in", hash: "h-in"}, target)
		child := w.process("inner", 0, styleTaken)
		inner.spawn("job", child, func(c *process) {
			c.work("job", 20*time.Microsecond, time.Millisecond)
			c.exit("", nil)
		})
	})
	strange := event.Event{Name: "in", Peer: "<0.999.0>", PeerNode: "far@10.9.9.9", PeerService: "far"}
	for _, p := range []*process{target, other} {
		w.repeat(p, rounds, time.Millisecond, 12*time.Millisecond, func(round int) {
			e := strange
			e.Arrived = p == other
			switch round % 3 {
			case 0:
				e.MessageID = fmt.Sprintf("out-%d", round)
			case 1:
				e.MessageHash = "h-in" // equal to what others send, from a stranger
			default:
				e.MessageID = fmt.Sprintf("in-%d", round)
				if p == target {
					e.MessageID = fmt.Sprintf("far-%d", round)
				}
			}
			p.abroad(e)
		})
	}
	w.repeat(w.process("inner", 1, styleTaken), rounds, time.Millisecond, 12*time.Millisecond, func(round int) {
		p := w.process("inner", 1, styleTaken)
		p.work("appears", 20*time.Microsecond, 200*time.Microsecond)
		p.inside(event.Event{Kind: event.KindRecover, Entity: fmt.Sprintf("old-%d", round)})
		p.inside(event.Event{Kind: event.KindState, Name: "old", Entity: fmt.Sprintf("old-%d", round), Version: 7, HasVersion: true, From: "a", To: "b"})
		p.begin(true, event.Event{Kind: event.KindReceive, Name: "down", Signal: "down", Peer: "<0.998.0>", PeerNode: "far@10.9.9.9", PeerService: "far"})
		p.exit([]string{"", "exit"}[round%2], nil)
	})
}

// lives: process ids that come back, with messages on the way to who had them
// before, and workers that nobody supervises: all bear one name, and another
// comes when there is more work, not because one crashed.
func lives(w *world, rounds int) {
	parent := w.process("cradle", 0, styleTaken)
	visitor := w.process("cradle", 0, styleTaken)
	var living *process
	expected := false
	w.repeat(parent, rounds, 2*time.Millisecond, 8*time.Millisecond, func(round int) {
		if expected || living != nil && (!living.dead || living.clock > w.now) {
			return
		}
		expected = true
		child := w.process("cradle", 0, styleTaken)
		if living != nil {
			child = living.again()
		}
		child.handle = handler(10*time.Microsecond, 400*time.Microsecond)
		born := func(c *process) {
			living, expected = c, false
			c.work("born", 10*time.Microsecond, 100*time.Microsecond)
			w.at(c.clock+w.between(2*time.Millisecond, 20*time.Millisecond), func() {
				if !c.dead {
					c.exit("", nil)
				}
			})
		}
		if round%5 == 0 { // nobody tells who spawned it
			w.at(w.now+int64(time.Millisecond), func() { born(child); child.settle() })
			return
		}
		parent.call("start")
		parent.spawn("life", child, born)
		parent.ret("", nil)
	})
	w.repeat(visitor, rounds*3, 200*time.Microsecond, 4*time.Millisecond, func(round int) {
		switch {
		case living == nil:
		case round%2 == 0:
			visitor.send(message{name: "visit", hash: "h-visit"}, living)
		default:
			visitor.send(visitor.message("call", nil), living)
		}
	})
	listener := w.process("pool", 0, styleTaken)
	w.repeat(listener, rounds, time.Millisecond, 4*time.Millisecond, func(int) {
		worker := w.process("pool", 0, styleTaken)
		listener.call("accept")
		listener.spawn("worker", worker, func(c *process) {
			c.call("serve")
			c.spend(time.Millisecond, 30*time.Millisecond)
			if !w.chance(0.2) {
				c.ret("", nil)
				c.exit("", nil)
				return
			}
			failure := failureOf("badarg", "it was not to be", "pool:serve")
			c.ret("exception", failure)
			c.exit("exception", failure)
		})
		listener.ret("", nil)
	})
}

// states: machines without versions, with gaps in their versions, with names
// that others use too, and that begin anew.
func states(w *world, rounds int) {
	path := []string{"idle", "busy", "done"}
	for i := range 4 {
		service := []string{"machine", "engine"}[i%2]
		p := w.process(service, 0, styleTaken)
		last := ""
		w.repeat(p, rounds, 500*time.Microsecond, 3*time.Millisecond, func(round int) {
			done := rounds - round
			e := event.Event{Kind: event.KindState, Name: "machine", From: path[done%3], To: path[(done+1)%3]}
			if i < 2 {
				e.Entity = fmt.Sprintf("common-%d", done/50) // in both services
				e.Version, e.HasVersion = int64(done%50+1), true
			}
			switch {
			case i < 2 && done%50 == 0:
				last = "" // another entity
			case last != "" && w.chance(0.05):
				last = "" // this one is never told, and the next does not fit
				return
			}
			var causes []Cause
			if last != "" {
				causes = []Cause{{Type: causal.StateTransition, ID: last}}
			}
			last = p.inside(e, causes...).Event.ID
		})
	}
	reborn := w.process("machine", 1, styleTaken)
	last := ""
	w.repeat(reborn, rounds, 500*time.Microsecond, 3*time.Millisecond, func(round int) {
		done := rounds - round
		e := event.Event{Kind: event.KindState, Name: "machine", Entity: "phoenix", Version: int64(done%20 + 1), HasVersion: true, To: path[done%3]}
		if done%20 == 0 {
			last = ""
		}
		var causes []Cause
		if last != "" {
			causes = []Cause{{Type: causal.StateTransition, ID: last}}
		}
		last = reborn.inside(e, causes...).Event.ID
	})
}
