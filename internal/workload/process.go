package workload

import (
	"fmt"
	"slices"
	"time"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// message is what one process sends another.
type message struct {
	name, id, hash string
	from           *process
	sent           string // the event of its sending; of a signal, of the exit
	arrived        string // the event of its arrival, where the receiver tells it
	signal         string
	failed         string // the event of an earlier delivery of it that failed
	order          *order
	body           string
	anonymous      bool // its receiver does not tell who sent it
}

// style is how a process tells that it handles a message.
type style uint8

const (
	styleTaken        style = iota // a receive when it takes the message
	styleArrivedTaken              // another when it reaches the mailbox
	styleArrivedCall               // arrival, then a call that bears the message's identity
	styleArrivedBlind              // arrival, then a call that does not
)

// process runs one thing at a time. Its clock may be ahead of the
// simulation's while it is busy; what comes meanwhile waits in the mailbox.
type process struct {
	world   *world
	shop    *Shop // nil outside the shop
	service string
	node    string
	id      string
	style   style
	handle  func(p *process, m message)
	await   func(m message) // set while a handler waits for a message
	waits   func(m message) bool

	clock    int64
	mailbox  []message
	awake    bool // a wake-up is scheduled
	dead     bool
	watchers []*process // told when it ends

	stack       []openCall
	began       string // the event that began the activity
	beganTaken  bool   // by a taken receive
	last        *Step  // its last step of its own doing
	spawned     string // the spawn that started it, until its first event
	correlation string
	lastFailure string // a failed return, until something else happens
}

type openCall struct{ id, name string }

// emit tells an event of this process at its clock, which it then moves on.
func (p *process) emit(e event.Event, causes ...Cause) *Step {
	p.clock = max(p.clock, p.world.now)
	step := p.step(p.clock, e, causes)
	p.clock += p.world.between(2*time.Microsecond, 60*time.Microsecond)
	p.last = step
	return step
}

func (p *process) step(t int64, e event.Event, causes []Cause) *Step {
	e.Time, e.ID = t, p.world.nextID(p)
	e.Service, e.Node, e.Process = p.service, p.node, p.id
	if e.CorrelationID == "" {
		e.CorrelationID = p.correlation
	}
	if p.spawned != "" {
		causes = append(causes, Cause{Type: causal.ProcessSpawn, ID: p.spawned})
		p.spawned = ""
	}
	step := &Step{Event: e, Span: e.ID, Activity: e.ID, Causes: causes}
	p.world.told.push(t, step)
	return step
}

// inside emits an event that lies in the current activity, if there is one.
func (p *process) inside(e event.Event, causes ...Cause) *Step {
	p.lastFailure = ""
	step := p.emit(e, causes...)
	p.place(step)
	return step
}

func (p *process) place(step *Step) {
	switch {
	case len(p.stack) > 0:
		step.Parent = p.stack[len(p.stack)-1].id
	case p.began != "":
		step.Parent = p.began
	default:
		return
	}
	step.Activity = p.began
	step.Causes = append(step.Causes, Cause{Type: causal.ParentChild, ID: step.Parent})
}

// begin emits an event that begins an activity.
func (p *process) begin(taken bool, e event.Event, causes ...Cause) *Step {
	p.lastFailure = ""
	step := p.emit(e, causes...)
	p.began, p.beganTaken = step.Event.ID, taken
	return step
}

func (p *process) call(name string, kv ...event.KeyValue) {
	p.open(event.Event{Kind: event.KindCall, Name: name, Attributes: kv})
}

func (p *process) open(e event.Event, causes ...Cause) {
	var step *Step
	if len(p.stack) == 0 && !p.beganTaken {
		step = p.begin(false, e, causes...)
	} else {
		step = p.inside(e, causes...)
	}
	p.stack = append(p.stack, openCall{step.Event.ID, e.Name})
}

// ret closes the innermost call; failure is nil when all went well.
func (p *process) ret(outcome string, failure *event.Error) {
	top := p.stack[len(p.stack)-1]
	p.stack = p.stack[:len(p.stack)-1]
	step := p.emit(event.Event{Kind: event.KindReturn, Name: top.name, CallID: top.id, Outcome: outcome, Error: failure},
		Cause{Type: causal.ParentChild, ID: top.id})
	step.Span, step.Activity = top.id, p.began
	p.lastFailure = ""
	if failure != nil {
		step.Event.Priority = event.PriorityHigh
		p.lastFailure = step.Event.ID
	}
}

// work is a call that takes from low to high and has nothing to tell.
func (p *process) work(name string, low, high time.Duration, kv ...event.KeyValue) {
	p.call(name, kv...)
	p.spend(low, high)
	p.ret("", nil)
}

func (p *process) spend(low, high time.Duration) { p.clock += p.world.between(low, high) }

// send tells the sending of m and delivers it to each of to after a moment.
// A single receiver is named in the event, several are not.
func (p *process) send(m message, to ...*process) {
	e := event.Event{Kind: event.KindSend, Name: m.name, MessageID: m.id, MessageHash: m.hash}
	if len(to) == 1 {
		e.Peer, e.PeerNode, e.PeerService = to[0].id, to[0].node, to[0].service
	}
	step := p.inside(e)
	m.from, m.sent = p, step.Event.ID
	for _, receiver := range to {
		p.world.deliver(m, receiver, p.world.arrival(step.Event.Time, p, receiver))
	}
}

// message makes a message with an identity of its own.
func (p *process) message(name string, o *order) message {
	p.world.messages++
	return message{name: name, id: fmt.Sprintf("%s-m%x", p.world.prefix, p.world.messages), order: o}
}

// spawn starts a child that will do run first.
func (p *process) spawn(name string, child *process, run func(c *process)) {
	step := p.inside(event.Event{Kind: event.KindSpawn, Name: name, Child: child.id, PeerNode: otherNode(p, child)}, p.respawned(name)...)
	child.spawned = step.Event.ID
	p.world.at(step.Event.Time+p.world.between(10*time.Microsecond, 200*time.Microsecond), func() {
		child.clock = max(child.clock, p.world.now)
		run(child)
		child.settle()
	})
}

// respawned says which crash, if any, made the supervisor spawn name again.
func (p *process) respawned(name string) []Cause {
	key := p.node + "/" + name
	crash, ok := p.world.crashes[key]
	if !ok {
		return nil
	}
	delete(p.world.crashes, key)
	return []Cause{{Type: causal.ErrorPropagation, ID: crash}}
}

func otherNode(p, other *process) string {
	if p.node == other.node {
		return ""
	}
	return other.node
}

// exit ends the process, abandons its calls and tells those who watch it.
func (p *process) exit(outcome string, failure *event.Error) {
	var causes []Cause
	if p.lastFailure != "" && outcome != "" {
		causes = append(causes, Cause{Type: causal.ErrorPropagation, ID: p.lastFailure})
	}
	e := event.Event{Kind: event.KindExit, Outcome: outcome, Error: failure}
	if outcome != "" {
		e.Priority = event.PriorityHigh
	}
	step := p.inside(e, causes...)
	p.dead, p.stack, p.mailbox, p.await = true, nil, nil, nil
	for _, w := range p.watchers {
		m := message{name: "down", signal: "down", from: p, body: outcome}
		if outcome != "" {
			m.sent = step.Event.ID
		}
		p.world.deliver(m, w, p.world.arrival(step.Event.Time, p, w))
	}
}

func (p *process) state(o *order, to string, causes ...Cause) {
	o.version++
	e := event.Event{Kind: event.KindState, Name: "order", Entity: o.id, Version: o.version, HasVersion: true, From: o.state, To: to}
	for _, c := range causes {
		e.Trigger = &event.Ref{ID: c.ID}
	}
	if o.stateEvent != "" {
		causes = append(causes, Cause{Type: causal.StateTransition, ID: o.stateEvent})
	}
	o.state, o.stateEvent = to, p.inside(e, causes...).Event.ID
}

func (p *process) fail(kind, text, entity string) string {
	return p.inside(event.Event{
		Kind: event.KindError, Entity: entity, Priority: event.PriorityHigh,
		Error: &event.Error{Type: kind, Message: text},
	}).Event.ID
}

// recovered answers the failure, by reference.
func (p *process) recovered(failure event.Ref, entity string) {
	p.inside(event.Event{Kind: event.KindRecover, Entity: entity, Recovers: &failure},
		Cause{Type: causal.ErrorPropagation, ID: failure.ID})
}

func (p *process) mark(name string, kv ...event.KeyValue) {
	p.inside(event.Event{Kind: event.KindMark, Name: name, Priority: event.PriorityLow, Attributes: kv})
}

// wait lets the handler go on with then when a message comes for which want
// holds; the calls it has open stay open.
func (p *process) wait(want func(m message) bool, then func(m message)) {
	p.waits, p.await = want, then
}

// deliver puts m into the mailbox of to at time t.
func (w *world) deliver(m message, to *process, t int64) {
	w.at(t, func() {
		if to.dead {
			return
		}
		if to.style != styleTaken && m.signal == "" {
			m.arrived = to.arrives(m)
		}
		to.mailbox = append(to.mailbox, m)
		to.settle()
	})
}

// arrives tells that m reached the mailbox, whatever the process is doing.
func (p *process) arrives(m message) string {
	e := p.receiveEvent(m)
	e.Arrived = true
	return p.step(p.world.now, e, []Cause{{Type: causal.MessageFlow, ID: m.sent}}).Event.ID
}

func (p *process) receiveEvent(m message) event.Event {
	e := event.Event{Kind: event.KindReceive, Name: m.name, MessageID: m.id, MessageHash: m.hash, Signal: m.signal}
	if m.from != nil && !m.anonymous {
		e.Peer, e.PeerNode, e.PeerService = m.from.id, m.from.node, m.from.service
	}
	return e
}

// settle ends what the process did, unless it waits for more, and wakes it
// for the next message that it can take.
func (p *process) settle() {
	if p.last != nil && len(p.stack) == 0 {
		p.last.Ends = true
	}
	if p.dead || p.awake || p.pick() < 0 {
		return
	}
	p.awake = true
	p.world.at(p.clock, func() {
		p.awake = false
		i := p.pick()
		if p.dead || i < 0 {
			return
		}
		m := p.mailbox[i]
		p.mailbox = slices.Delete(p.mailbox, i, i+1)
		p.take(m)
		p.settle()
	})
}

// pick returns which message the process would take now, -1 for none.
func (p *process) pick() int {
	if p.await == nil {
		return min(0, len(p.mailbox)-1)
	}
	return slices.IndexFunc(p.mailbox, p.waits)
}

func (p *process) take(m message) {
	if then := p.await; then != nil {
		p.await, p.waits = nil, nil
		if len(p.stack) > 0 {
			p.inside(p.receiveEvent(m), p.causesOf(m)...)
		} else {
			p.begin(true, p.receiveEvent(m), p.causesOf(m)...)
		}
		then(m)
		return
	}
	if p.style >= styleArrivedCall && m.signal == "" {
		e := event.Event{Kind: event.KindCall, Name: "handle_" + m.name}
		if p.style == styleArrivedCall {
			e.MessageID, e.MessageHash = m.id, m.hash
		}
		p.open(e, p.causesOf(m)...)
		p.handle(p, m)
		return
	}
	p.begin(true, p.receiveEvent(m), p.causesOf(m)...)
	p.handle(p, m)
}

func (p *process) causesOf(m message) []Cause {
	var causes []Cause
	switch {
	case m.signal != "" && m.sent != "":
		causes = append(causes, Cause{Type: causal.ErrorPropagation, ID: m.sent})
	case m.arrived != "":
		causes = append(causes, Cause{Type: causal.MessageFlow, ID: m.arrived})
	case m.sent != "":
		causes = append(causes, Cause{Type: causal.MessageFlow, ID: m.sent})
	}
	if m.failed != "" {
		causes = append(causes, Cause{Type: causal.ErrorPropagation, ID: m.failed, SpansOnly: true})
	}
	return causes
}
