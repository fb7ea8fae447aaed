package assemble

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// place is where an event's span stands.
type place struct {
	trace       pcommon.TraceID
	span        pcommon.SpanID
	parent      pcommon.SpanID // empty: none
	correlation string         // own or inherited
	begins      bool           // the event begins an activity
	first       bool           // the event is its process's first
	seq         int64
}

// step takes one event that was not taken before.
func (a *Assembler) step(p *process, ev *event.Event, key eventKey, out *Output) {
	p.lastTime = ev.Time
	switch ev.Kind {
	case event.KindCall:
		a.takeCall(p, ev, key, out)
	case event.KindReturn:
		a.takeReturn(p, ev, key, out)
	case event.KindExit:
		pl := a.place(p, ev, key)
		a.abandon(p, len(p.stack), out)
		fillEvent(out.add(ev.Service, ev.Node), ev, &pl)
		a.end(p, out)
	default:
		pl := a.place(p, ev, key)
		fillEvent(out.add(ev.Service, ev.Node), ev, &pl)
	}
}

// place finds the event's place by the state before it, and begins an activity
// if the event does.
func (a *Assembler) place(p *process, ev *event.Event, key eventKey) place {
	a.counters.seq++
	pl := place{
		span:        spanID(key),
		correlation: ev.CorrelationID,
		first:       p.fresh,
		seq:         a.counters.seq,
	}
	p.fresh = false
	sendersTrace := pcommon.TraceID(ev.TraceID)
	if !sendersTrace.IsEmpty() {
		pl.trace = sendersTrace
	}
	// A return's own context is its call's; two spans must not share an id.
	if id := pcommon.SpanID(ev.SpanID); !id.IsEmpty() && ev.Kind != event.KindReturn {
		pl.span = id
	}
	if by := p.begins(ev); by != beganNone {
		if pl.trace.IsEmpty() {
			pl.trace = traceID(key)
		}
		pl.begins = true
		p.act = activity{began: by, trace: pl.trace, root: pl.span, correlation: pl.correlation, tx: a.tx.id}
	} else if p.act.began != beganNone && !arrived(ev) {
		p.placeInside(&pl)
	} else if pl.trace.IsEmpty() {
		pl.trace = traceID(key)
	}
	if id := pcommon.SpanID(ev.ParentSpanID); !id.IsEmpty() {
		pl.parent = id
	}
	if pl.parent == pl.span {
		pl.parent = pcommon.SpanID{}
	}
	return pl
}

func arrived(ev *event.Event) bool { return ev.Kind == event.KindReceive && ev.Arrived }

// begins says what kind of activity the event begins, if any. There is no way
// but these two.
func (p *process) begins(ev *event.Event) began {
	switch {
	case len(p.stack) > 0:
	case ev.Kind == event.KindReceive && !ev.Arrived:
		return beganReceive
	case ev.Kind == event.KindCall && p.act.began != beganReceive:
		return beganCall
	}
	return beganNone
}

// placeInside gives the event its place in the current activity. The parent is
// the innermost open call, else the event that began the activity: of those
// that are in the span's trace, since senders may put single spans elsewhere.
func (p *process) placeInside(pl *place) {
	if pl.trace.IsEmpty() {
		pl.trace = p.act.trace
	}
	inherited := p.act.correlation
	if n := len(p.stack); n > 0 {
		inherited = p.stack[n-1].correlation
	}
	if pl.correlation == "" {
		pl.correlation = inherited
	}
	for i := len(p.stack) - 1; i >= 0; i-- {
		if f := p.stack[i]; f.trace == pl.trace {
			pl.parent = f.span
			return
		}
	}
	if p.act.trace == pl.trace {
		pl.parent = p.act.root
	}
}

func (a *Assembler) takeCall(p *process, ev *event.Event, key eventKey, out *Output) {
	pl := a.place(p, ev, key)
	f := &frame{place: pl, ev: ev, id: callID(ev), name: ev.Name, start: ev.Time, tx: a.tx.id}
	if w := a.takeWaiting(p, f.id); w != nil {
		// The return's span may never be emitted: what it bore of its process
		// goes to the call's.
		f.first = f.first || w.first
		a.close(p, f, closing{state: causal.CallReturned, end: w.time, by: w}, out)
		return
	}
	a.abandon(p, 1+len(p.stack)-min(a.cfg.StackDepth, a.cfg.OpenCalls), out)
	p.stack = append(p.stack, f)
	a.counters.stats.OpenCalls++
	a.boundWaiting(p, out)
}

// callID is what a return names to close the call.
func callID(ev *event.Event) string {
	if ev.CallID != "" {
		return ev.CallID
	}
	return ev.ID
}

func (a *Assembler) takeReturn(p *process, ev *event.Event, key eventKey, out *Output) {
	i, ambiguous := p.find(ev)
	if i >= 0 {
		a.unwind(p, i+1, ev.Time, out)
		f := p.pop()
		a.counters.stats.OpenCalls--
		a.close(p, f, closing{state: causal.CallReturned, end: ev.Time, by: returned(ev), ambiguous: ambiguous}, out)
		return
	}
	pl := a.place(p, ev, key)
	pl.correlation = ev.CorrelationID
	w := &waiting{place: pl, ev: ev, id: ev.CallID, time: ev.Time, tx: a.tx.id}
	if w.id == "" {
		a.emitOrphan(p, w, out)
		return
	}
	p.waiting = append(p.waiting, w)
	a.counters.stats.WaitingReturns++
	a.boundWaiting(p, out)
}

// find returns the index of the open call that a return closes, -1 if there is
// none, and whether only an ambiguous name says so.
func (p *process) find(ev *event.Event) (index int, ambiguous bool) {
	for i := len(p.stack) - 1; i >= 0; i-- {
		f := p.stack[i]
		if ev.CallID != "" {
			if f.id == ev.CallID {
				return i, false
			}
		} else if f.name == ev.Name {
			return i, p.named(i, ev.Name)
		}
	}
	return -1, false
}

// named reports whether a call below index bears the name.
func (p *process) named(index int, name string) bool {
	for _, f := range p.stack[:index] {
		if f.name == name {
			return true
		}
	}
	return false
}

func (p *process) pop() *frame {
	n := len(p.stack) - 1
	f := p.stack[n]
	p.stack[n] = nil
	p.stack = p.stack[:n]
	return f
}

// unwind closes the calls above the depth, innermost first.
func (a *Assembler) unwind(p *process, depth int, end int64, out *Output) {
	for len(p.stack) > depth {
		f := p.pop()
		a.counters.stats.OpenCalls--
		a.counters.stats.Unwound++
		a.close(p, f, closing{state: causal.CallUnwound, end: end}, out)
	}
}

// abandon closes the n oldest open calls, innermost of them first, at the time
// of the process's last event.
func (a *Assembler) abandon(p *process, n int, out *Output) {
	if n <= 0 {
		return
	}
	for i := n - 1; i >= 0; i-- {
		f := p.stack[i]
		p.stack[i] = nil
		a.close(p, f, closing{state: causal.CallAbandoned, end: p.lastTime}, out)
	}
	p.stack = p.stack[n:]
	a.counters.stats.OpenCalls -= n
	a.counters.stats.Abandoned += int64(n)
}

// close emits the complete span of f. The group that a return names is the
// activity's if its beginning named none, as it is the span's.
func (a *Assembler) close(p *process, f *frame, c closing, out *Output) {
	span := out.add(p.service, p.node)
	f.fill(span)
	c.apply(span, f)
	if c.by != nil && f.span == p.act.root && f.trace == p.act.trace && p.act.correlation == "" {
		p.act.correlation, p.act.tx = c.by.correlation, a.tx.id
	}
}
