package workload

import (
	"math"
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// Decide marks in steps, given in the order in which they are told, the edges
// of messages that nobody can be sure of who sees only what is told, in that
// order; steps less than slack apart may be told the other way round.
//
//   - Equal messages without identity: while a message of another sender, or
//     one of which the other end is never told, may be meant as well. What a
//     process has not received when it ends it never will.
//   - Ids that are used again: where the cause is not the latest of its id, or
//     comes after its effect and others came before.
//     So is a handler where two messages of its id wait.
//   - A handler that does not say what it handles: unless exactly one message
//     waits, and has since the mailbox was last empty.
func Decide(steps []Step, slack int) {
	d := decider{steps: steps, slack: slack, at: make(map[string]int, len(steps)), groups: map[string]*group{}, boxes: map[string]*box{}, exits: map[string][]int{}}
	for i := range steps {
		d.at[steps[i].Event.ID] = i
	}
	for i := range steps {
		e := &steps[i].Event
		switch {
		case e.Kind == event.KindSend:
			d.sent(i)
		case e.Kind == event.KindReceive && e.Signal == "":
			d.received(i)
		case e.Kind == event.KindCall:
			d.called(i)
		case e.Kind == event.KindExit:
			delete(d.boxes, ProcessOf(e))
			d.exits[ProcessOf(e)] = append(d.exits[ProcessOf(e)], i)
		}
	}
	for _, g := range d.groups {
		d.judge(g)
	}
}

// never is after all steps.
const never = math.MaxInt / 2

type decider struct {
	steps  []Step
	slack  int
	at     map[string]int    // where an event is told
	groups map[string]*group // equal messages
	boxes  map[string]*box
	exits  map[string][]int
}

// group are messages that look alike: to one receiver, with one content or id,
// from one sender where the receiver tells the sender.
type group struct {
	receiver string
	hashed   bool
	sends    []int
	effects  []int
}

// box is a mailbox as it is told.
type box struct {
	waiting   []int
	uncertain bool            // which of them were handled is not known
	shifted   map[string]bool // of equal ones, which is not known
}

func (d *decider) group(key, receiver string, hashed bool) *group {
	g := d.groups[key]
	if g == nil {
		g = &group{receiver: receiver, hashed: hashed}
		d.groups[key] = g
	}
	return g
}

func content(e *event.Event) (key string, hashed bool) {
	if e.MessageID != "" {
		return "\x00id\x00" + e.MessageID, false
	}
	return "\x00hash\x00" + e.MessageHash, true
}

// alike is what e shows of its message, as far as the handler shows it too.
func alike(e, handler *event.Event) (key string, hashed bool) {
	key, hashed = content(e)
	if handler.Peer != "" && e.Peer != "" {
		key += "\x00" + peerOf(e)
	}
	return key, hashed
}

// peerOf names the process at the other side as an event tells it.
func peerOf(e *event.Event) string {
	peer := event.Event{Service: e.PeerService, Node: e.PeerNode, Process: e.Peer}
	if peer.Service == "" {
		peer.Service = e.Service
	}
	if peer.Node == "" {
		peer.Node = e.Node
	}
	return ProcessOf(&peer)
}

func (d *decider) sent(i int) {
	e := &d.steps[i].Event
	if e.Peer == "" {
		return // to several: by ids that nobody uses twice
	}
	receiver := peerOf(e)
	what, hashed := content(e)
	for _, key := range []string{receiver + what, receiver + what + "\x00" + ProcessOf(e)} {
		g := d.group(key, receiver, hashed)
		g.sends = append(g.sends, i)
	}
}

// messageCause returns the step whose message the step handles, -1 for none.
func (d *decider) messageCause(i int) int {
	for _, c := range d.steps[i].Causes {
		if at, ok := d.at[c.ID]; ok && c.Type == causal.MessageFlow {
			return at
		}
	}
	return -1
}

func (d *decider) received(i int) {
	e := &d.steps[i].Event
	if e.Cause != nil {
		return
	}
	if e.Arrived {
		b := d.box(e)
		b.waiting = append(b.waiting, i)
	} else if d.takesOut(i) {
		return
	}
	d.effect(i)
}

func (d *decider) called(i int) {
	e := &d.steps[i].Event
	if e.MessageID == "" && e.MessageHash == "" {
		d.blind(i)
		return
	}
	if !d.takesOut(i) {
		d.effect(i)
	}
}

// effect notes what a sending caused.
func (d *decider) effect(i int) {
	e := &d.steps[i].Event
	what, hashed := content(e)
	key := ProcessOf(e) + what
	if e.Peer != "" {
		key += "\x00" + peerOf(e)
	}
	g := d.group(key, ProcessOf(e), hashed)
	g.effects = append(g.effects, i)
}

func (d *decider) box(e *event.Event) *box {
	b := d.boxes[ProcessOf(e)]
	if b == nil {
		b = &box{shifted: map[string]bool{}}
		d.boxes[ProcessOf(e)] = b
	}
	return b
}

// takesOut lets a handler that says what it handles take it out of the
// mailbox, and reports whether it was seen to arrive.
func (d *decider) takesOut(i int) bool {
	e := &d.steps[i].Event
	b := d.boxes[ProcessOf(e)]
	if b == nil {
		return false
	}
	what, hashed := alike(e, e)
	cause := d.messageCause(i)
	at := slices.Index(b.waiting, cause)
	same := func(w int) bool { key, _ := alike(&d.steps[w].Event, e); return key == what }
	first := slices.IndexFunc(b.waiting, same)
	if hashed && first != at || !hashed && first >= 0 && slices.ContainsFunc(b.waiting[first+1:], same) {
		b.shifted[what] = true
	}
	if b.shifted[what] {
		d.undecided(i)
	}
	if at >= 0 {
		b.waiting = slices.Delete(b.waiting, at, at+1)
	}
	if !slices.ContainsFunc(b.waiting, same) {
		delete(b.shifted, what)
	}
	b.uncertain = b.uncertain && len(b.waiting) > 0
	return at >= 0
}

// blind is a call that says nothing of a message, and may handle one.
func (d *decider) blind(i int) {
	if d.steps[i].Parent != "" {
		return
	}
	b := d.boxes[ProcessOf(&d.steps[i].Event)]
	cause := d.messageCause(i)
	if b == nil || len(b.waiting) == 0 {
		if cause >= 0 {
			d.undecided(i)
		}
		return
	}
	at := slices.Index(b.waiting, cause)
	if at < 0 || len(b.waiting) > 1 || b.uncertain {
		d.undecided(i)
		b.uncertain = true
	}
	if at >= 0 {
		b.waiting = slices.Delete(b.waiting, at, at+1)
	}
	b.uncertain = b.uncertain && len(b.waiting) > 0
}

func (d *decider) undecided(i int) {
	s := &d.steps[i]
	if !slices.Contains(s.Undecided, causal.MessageFlow) {
		s.Undecided = append(s.Undecided, causal.MessageFlow)
	}
}

func (d *decider) judge(g *group) {
	if len(g.effects) == 0 {
		return
	}
	if g.hashed {
		d.judgeEqual(g)
		return
	}
	for _, r := range g.effects {
		if d.ambiguousID(g, r, d.messageCause(r)) {
			d.undecided(r)
		}
	}
}

// ambiguousID says whether another message of the same id may be taken for the
// cause s, -1 for none, of the receive r.
func (d *decider) ambiguousID(g *group, r, s int) bool {
	receive := &d.steps[r].Event
	for _, other := range g.sends {
		send := &d.steps[other].Event
		sameClock := send.Service == receive.Service && send.Node == receive.Node
		switch {
		case other == s, sameClock && send.Time > receive.Time, s >= 0 && other > r+d.slack:
		case s >= 0 && other+d.slack <= s && s+d.slack <= r:
		default:
			return true
		}
	}
	return false
}

// pairing is a message as far as both its ends are told: from lo until hi one
// of them is outstanding.
type pairing struct {
	lo, hi int
	sender string
	effect int // -1: none is told
	whole  bool
	unsure bool
}

func (d *decider) judgeEqual(g *group) {
	var all []pairing
	taken := map[int]bool{}
	boxed := d.arrives(g)
	for _, r := range g.effects {
		s := d.messageCause(r)
		direct := boxed && !d.steps[r].Event.Arrived
		if s < 0 || direct || !slices.Contains(g.sends, s) {
			all = append(all, pairing{lo: r, hi: never, effect: r})
			continue
		}
		taken[s] = true
		all = append(all, pairing{lo: min(r, s), hi: max(r, s), sender: ProcessOf(&d.steps[s].Event), effect: r, whole: true})
	}
	for _, s := range g.sends {
		if taken[s] {
			continue
		}
		all = append(all, pairing{lo: s, hi: d.unreceived(g, s), effect: -1})
	}
	for i := range all {
		all[i].unsure = d.meets(all, i)
	}
	d.spread(all)
	d.persist(g, all)
	for i := range all {
		if all[i].effect >= 0 && all[i].unsure {
			d.undecided(all[i].effect)
		}
	}
}

// spread makes unsure what is outstanding together with what is: who took the
// one for the other goes on to be wrong until nothing is outstanding.
func (d *decider) spread(all []pairing) {
	for again := true; again; {
		again = false
		for i := range all {
			p := &all[i]
			if p.unsure {
				continue
			}
			p.unsure = slices.ContainsFunc(all, func(q pairing) bool { return q.unsure && q.whole && d.overlap(p, &q) })
			again = again || p.unsure
		}
	}
}

// persist makes unsure what comes after what is, where a message is never
// taken: who is one behind stays so until the receiver ends and nothing is
// outstanding.
func (d *decider) persist(g *group, all []pairing) {
	if !slices.ContainsFunc(all, func(p pairing) bool { return !p.whole }) {
		return
	}
	slices.SortFunc(all, func(a, b pairing) int { return a.lo - b.lo })
	exits := d.exits[g.receiver]
	unsure, until := false, 0 // until when something is outstanding
	for i := range all {
		p := &all[i]
		for len(exits) > 0 && exits[0] < p.lo {
			unsure = unsure && exits[0] < until
			exits = exits[1:]
		}
		unsure = unsure || p.unsure
		p.unsure = unsure
		if p.effect >= 0 || p.hi == never {
			until = max(until, p.hi)
		}
	}
}

// unreceived is when it is clear that the message s, which nobody took, will
// never be taken: when its receiver has ended.
func (d *decider) unreceived(g *group, s int) int {
	send := &d.steps[s].Event
	for _, i := range d.exits[g.receiver] {
		exit := &d.steps[i].Event
		if i > s && (exit.Service != send.Service || exit.Node != send.Node || exit.Time > send.Time) {
			return i
		}
	}
	return never
}

// arrives says whether the receiver of the group tells arrivals.
func (d *decider) arrives(g *group) bool {
	return slices.ContainsFunc(g.effects, func(r int) bool { return d.steps[r].Event.Arrived })
}

// meets says whether another message is outstanding while all[i] is: whoever
// takes the one for the other is wrong of both. Messages of one sender come in
// their order.
func (d *decider) meets(all []pairing, i int) bool {
	p := &all[i]
	for j := range all {
		q := &all[j]
		switch {
		case j == i, p.whole && q.whole && p.sender == q.sender, !p.sent() && !q.sent():
		case d.overlap(p, q):
			return true
		}
	}
	return false
}

func (d *decider) overlap(p, q *pairing) bool {
	return q.lo <= p.hi+d.slack && p.lo <= q.hi+d.slack
}

// sent says whether the sending is told.
func (p *pairing) sent() bool { return p.whole || p.effect < 0 }
