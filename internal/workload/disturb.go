package workload

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// Disturbance says what befalls steps on their way. Shares are 0 to 1.
type Disturbance struct {
	Seed uint64
	// Reorder is the share of steps that are told late, by up to Delay later
	// steps; what their processes do meanwhile waits behind them.
	Reorder float64
	Delay   int
	// LoseSends and LoseReceives are the shares of sends and of receives,
	// arrivals among them, that are never told.
	LoseSends, LoseReceives float64
	// Skew is by how much at most each node's clock is off, Drift how much
	// faster or slower it runs: 1e-3 is a millisecond a second.
	Skew  time.Duration
	Drift float64
}

// Validate says which field holds what it may not.
func (d Disturbance) Validate() error {
	for _, share := range []struct {
		name  string
		value float64
	}{{"Reorder", d.Reorder}, {"LoseSends", d.LoseSends}, {"LoseReceives", d.LoseReceives}} {
		if !(share.value >= 0 && share.value <= 1) {
			return fmt.Errorf("%s: %v is no share (0 to 1)", share.name, share.value)
		}
	}
	switch {
	case d.Delay < 0:
		return fmt.Errorf("%s: %d is negative", "Delay", d.Delay)
	case d.Skew < 0:
		return fmt.Errorf("%s: %s is negative", "Skew", d.Skew)
	case !(d.Drift >= 0 && d.Drift < 1):
		return fmt.Errorf("%s: %v must be at least 0 and below 1", "Drift", d.Drift)
	}
	return nil
}

// Disturb is a stage between a source of steps and their encoder. It knows
// nothing of the source but the steps, and changes their truth to what is true
// of those that are told:
//
//   - What is lost neither causes nor is caused. What a lost arrival caused was
//     caused by the sending; what a spawn caused is the first event of the
//     child that is told.
//   - Who begins something with a lost receive seems to go on with what he did
//     before: the parents of what lies directly in it are undecided. So is
//     whether a process ended by a failed return when something between the
//     two may be lost.
//
// The order of each process's steps stays. Not safe for concurrent use.
type Disturb struct {
	config Disturbance
	source func() (Step, bool)
	rand   *rand.Rand
	taken  int64 // steps of the source
	ended  bool
	late   map[string]int64 // of a process: until which step it is held
	held   queue[Step]

	clocks  map[string]clock
	lost    recent[[]Cause]    // lost steps, and what caused them
	pending map[string][]Cause // of a process: what caused its next step
	gaps    map[string]bool    // of a process: its last step was lost
}

type clock struct {
	since  int64
	offset int64
	rate   float64
}

// NewDisturb returns a stage that draws from source.
func NewDisturb(source func() (Step, bool), d Disturbance) (*Disturb, error) {
	if err := d.Validate(); err != nil {
		return nil, err
	}
	return &Disturb{
		config: d, source: source, rand: rand.New(rand.NewPCG(d.Seed, 0xd157)),
		late: map[string]int64{}, clocks: map[string]clock{}, lost: newRecent[[]Cause](100_000),
		pending: map[string][]Cause{}, gaps: map[string]bool{},
	}, nil
}

// Next returns the next step as it is told. ok is false at the end.
func (d *Disturb) Next() (step Step, ok bool) {
	for !d.ended && (d.held.Len() == 0 || d.held.first() > d.taken) {
		if step, ok = d.source(); !ok {
			d.ended = true
			break
		}
		d.taken++
		if d.loses(&step) {
			continue
		}
		d.changeTruth(&step)
		d.skew(&step.Event)
		d.held.push(d.release(&step), step)
	}
	if d.held.Len() == 0 {
		return Step{}, false
	}
	_, step = d.held.pop()
	return step, true
}

// ProcessOf names the process of an event among all.
func ProcessOf(e *event.Event) string { return e.Service + "\x00" + e.Node + "\x00" + e.Process }

// loses decides whether the step is lost, and remembers it.
func (d *Disturb) loses(step *Step) bool {
	share := 0.0
	switch step.Event.Kind {
	case event.KindSend:
		share = d.config.LoseSends
	case event.KindReceive:
		share = d.config.LoseReceives
	}
	if share == 0 || d.rand.Float64() >= share {
		return false
	}
	d.changeTruth(step)
	process := ProcessOf(&step.Event)
	var hand []Cause
	for _, c := range step.Causes {
		switch c.Type {
		case causal.ProcessSpawn:
			d.pending[process] = append(d.pending[process], c)
		case causal.MessageFlow:
			if step.Event.Arrived {
				hand = append(hand, c)
			}
		}
	}
	d.lost.put(step.Event.ID, hand)
	d.gaps[process] = true
	return true
}

// changeTruth replaces causes that are lost.
func (d *Disturb) changeTruth(step *Step) {
	process := ProcessOf(&step.Event)
	causes := slices.Clip(d.pending[process])
	delete(d.pending, process)
	for _, c := range step.Causes {
		instead, lost := d.lost.get(c.ID)
		switch {
		case !lost:
			causes = append(causes, c)
		case c.Type == causal.MessageFlow:
			causes = append(causes, instead...)
		}
	}
	if _, lost := d.lost.get(step.Parent); lost {
		step.Parent = ""
		step.Undecided = append(step.Undecided, causal.ParentChild)
	}
	if _, lost := d.lost.get(step.Activity); lost {
		step.Activity = ""
	}
	if d.gaps[process] && step.Event.Kind == event.KindExit {
		step.Undecided = append(step.Undecided, causal.ErrorPropagation)
	}
	delete(d.gaps, process)
	step.Causes = causes
}

// skew tells the time by the clock of the event's node.
func (d *Disturb) skew(e *event.Event) {
	if d.config.Skew == 0 && d.config.Drift == 0 {
		return
	}
	node := e.Service + "\x00" + e.Node
	c, ok := d.clocks[node]
	if !ok {
		c = clock{
			since:  e.Time,
			offset: int64((2*d.rand.Float64() - 1) * float64(d.config.Skew)),
			rate:   (2*d.rand.Float64() - 1) * d.config.Drift,
		}
		d.clocks[node] = c
	}
	e.Time += c.offset + int64(c.rate*float64(e.Time-c.since))
}

// release is after which step of the source the step is told.
func (d *Disturb) release(step *Step) int64 {
	at := d.taken
	if d.config.Reorder > 0 && d.rand.Float64() < d.config.Reorder {
		at += d.rand.Int64N(int64(d.config.Delay) + 1)
	}
	process := ProcessOf(&step.Event)
	at = max(at, d.late[process])
	d.late[process] = at
	if len(d.late) > 100_000 {
		d.forget()
	}
	return at
}

// forget drops who is not held any more.
func (d *Disturb) forget() {
	for process, at := range d.late {
		if at <= d.taken {
			delete(d.late, process)
		}
	}
}
