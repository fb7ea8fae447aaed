package workload

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// Trial is a small simulation made to be hard to understand from outside.
type Trial struct {
	Seed   uint64
	Start  time.Time
	Rounds int // about how often each of its processes acts
}

// Scenario plays a trial. Like Shop it yields steps in order of time, the same
// ones for the same trial. Not safe for concurrent use.
type Scenario struct{ world *world }

// scenarios by name.
var scenarios = map[string]func(w *world, rounds int){
	"ticks":       ticks,
	"mailboxes":   mailboxes,
	"crowd":       crowd,
	"counters":    counters,
	"redelivery":  redelivery,
	"outside":     outside,
	"lives":       lives,
	"states":      states,
	"supervision": supervision,
	"references":  references,
}

// Scenarios returns the names that NewScenario knows, sorted.
func Scenarios() []string { return slices.Sorted(maps.Keys(scenarios)) }

// NewScenario returns the scenario of that name.
func NewScenario(name string, t Trial) (*Scenario, error) {
	build, ok := scenarios[name]
	if !ok {
		return nil, fmt.Errorf("unknown scenario %q: one of %q", name, Scenarios())
	}
	if t.Rounds < 1 {
		return nil, fmt.Errorf("%s: %d must be at least 1", "Rounds", t.Rounds)
	}
	w := newWorld(t.Seed, t.Start)
	w.prefix = name + "-" + w.prefix
	w.place = len(name)
	w.fifo = map[[2]*process]int64{}
	build(w, t.Rounds)
	return &Scenario{w}, nil
}

// Next returns the next step in order of time. ok is false once all is over.
func (s *Scenario) Next() (Step, bool) { return s.world.Next() }

// Merge returns the steps of all sources in order of time.
func Merge(sources ...func() (Step, bool)) func() (Step, bool) {
	var heads queue[int]
	next := make([]Step, len(sources))
	draw := func(i int) {
		if step, ok := sources[i](); ok {
			next[i] = step
			heads.push(step.Event.Time, i)
		}
	}
	for i := range sources {
		draw(i)
	}
	return func() (Step, bool) {
		if heads.Len() == 0 {
			return Step{}, false
		}
		_, i := heads.pop()
		step := next[i]
		draw(i)
		return step, true
	}
}

// repeat lets p do something rounds times, with pauses from low to high.
func (w *world) repeat(p *process, rounds int, low, high time.Duration, do func(round int)) {
	w.at(w.now+w.between(low, high), func() {
		p.clock = max(p.clock, w.now)
		do(rounds)
		p.settle()
		if rounds > 1 && !p.dead {
			w.repeat(p, rounds-1, low, high, do)
		}
	})
}

// handler does a little, and says so.
func handler(low, high time.Duration) func(*process, message) {
	return func(p *process, m message) {
		if len(p.stack) == 0 {
			p.work("handle "+m.name, low, high)
			return
		}
		p.spend(low, high)
		p.ret("", nil)
	}
}

// listens makes a process that handles what it gets.
func (w *world) listens(service string, n int, st style, low, high time.Duration) *process {
	p := w.process(service, n, st)
	p.handle = handler(low, high)
	return p
}

// again makes a new process with the id of one that ended.
func (p *process) again() *process {
	return &process{world: p.world, service: p.service, node: p.node, id: p.id, style: p.style, handle: p.handle}
}

// overcome tells that the last failure of the entity is.
func (p *process) overcome(failure, entity string) {
	p.inside(event.Event{Kind: event.KindRecover, Entity: entity}, Cause{Type: causal.ErrorPropagation, ID: failure})
}

// abroad tells a receive of what nobody here sent.
func (p *process) abroad(e event.Event) {
	e.Kind = event.KindReceive
	if e.Arrived {
		p.step(max(p.clock, p.world.now), e, nil)
		return
	}
	p.begin(true, e)
	p.work("handle "+e.Name, 20*time.Microsecond, 200*time.Microsecond)
}
