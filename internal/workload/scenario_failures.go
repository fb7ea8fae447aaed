package workload

import (
	"fmt"
	"time"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// supervision: several children die at once; each death is told to the
// supervisor and to a process that is linked, and each child is started again
// under its name. Failures are overcome by reference, or by what failed.
func supervision(w *world, rounds int) {
	for n := range 2 {
		supervisor := w.process("tree", n, styleTaken)
		links := w.process("tree", n, styleTaken)
		children := make([]*process, 4)
		name := func(i int) string { return fmt.Sprintf("child_%d", i) }
		born := func() *process {
			c := w.process("tree", n, styleTaken)
			c.watchers = []*process{supervisor, links}
			return c
		}
		links.handle = func(p *process, m message) { p.work("linked", 10*time.Microsecond, 100*time.Microsecond) }
		supervisor.handle = func(p *process, m message) {
			for i, c := range children {
				if c != m.from {
					continue
				}
				crash, crashed := w.crashes[p.node+"/"+name(i)]
				children[i] = born()
				p.call("restart_child")
				p.spawn(name(i), children[i], (*process).workerStarts)
				if crashed {
					p.recovered(event.Ref{ID: crash}, name(i))
				}
				p.ret("", nil)
			}
		}
		supervisor.call("supervisor:init")
		for i := range children {
			children[i] = born()
			supervisor.spawn(name(i), children[i], (*process).workerStarts)
		}
		supervisor.ret("", nil)
		supervisor.settle()

		fate := w.process("fate", n, styleTaken)
		w.repeat(fate, rounds/4+1, 10*time.Millisecond, 50*time.Millisecond, func(int) {
			fate.work("strikes", time.Microsecond, 5*time.Microsecond)
			for i, c := range children {
				if c.dead || c.last == nil || !w.chance(0.6) {
					continue
				}
				c.clock = max(c.clock, w.now)
				w.dies(c, name(i))
			}
		})
		w.failing(w.process("tree", n, styleTaken), rounds)
	}
}

// dies ends a supervised child, mostly abnormally.
func (w *world) dies(c *process, name string) {
	c.call("serve")
	c.spend(10*time.Microsecond, time.Millisecond)
	if w.chance(0.15) {
		c.ret("", nil)
		c.exit("", nil)
		return
	}
	failure := failureOf("noproc", "the database is gone", "tree:serve")
	switch {
	case w.chance(0.3):
		c.exit("exit", failure) // with the call open
	case w.chance(0.3):
		c.ret("exception", failure)
		c.mark("last words")
		c.exit("exit", failure)
	default:
		c.ret("exception", failure)
		c.exit("exit", failure)
	}
	w.crashes[c.node+"/"+name] = c.last.Event.ID
}

// failing fails over and over, at several things, and overcomes it.
func (w *world) failing(p *process, rounds int) {
	last := map[string]string{}
	w.repeat(p, rounds, time.Millisecond, 8*time.Millisecond, func(int) {
		thing := fmt.Sprintf("thing-%d of %s", w.rand.IntN(3), p.node)
		p.call("attempt")
		switch {
		case last[thing] == "" || w.chance(0.3):
			last[thing] = p.fail("unavailable", "no answer", thing)
		case w.chance(0.5):
			p.recovered(event.Ref{ID: last[thing]}, thing)
			last[thing] = ""
		default:
			p.overcome(last[thing], thing)
			last[thing] = ""
		}
		p.ret("", nil)
	})
}

// references: the sender knows what caused what, and says so.
func references(w *world, rounds int) {
	a, b := w.process("knowing", 0, styleTaken), w.process("knowing", 1, styleTaken)
	c := w.process("known", 0, styleTaken)
	w.repeat(a, rounds, time.Millisecond, 6*time.Millisecond, func(round int) {
		a.mark("asked")
		ref := &event.Ref{Service: a.service, Node: a.node, ID: a.last.Event.ID}
		for i, p := range []*process{b, c} {
			t := []causal.Type{causal.MessageFlow, causal.ErrorPropagation, causal.StateTransition}[(round+i)%3]
			w.at(a.clock+w.between(100*time.Microsecond, 4*time.Millisecond), func() {
				e := event.Event{Kind: event.KindMark, Name: "answered", Cause: ref, CauseType: string(t)}
				if t == causal.MessageFlow {
					e.CauseType = ""
				}
				p.inside(e, Cause{Type: t, ID: ref.ID})
				p.settle()
			})
		}
	})
}
