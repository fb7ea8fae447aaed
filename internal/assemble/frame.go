package assemble

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// frame is an open call. It holds what its span is made of: the call's event,
// or, after a restart, the span that was stored open. It never changes but for
// detach, which changes only where its strings live.
type frame struct {
	place
	key    eventKey     // of a restored call
	ev     *event.Event // nil: restored
	stored ptrace.Span  // of a restored call: its span without state and links

	id, name string // what returns name it by
	start    int64
	tx       uint64 // the transaction that opened it
}

// fill writes the call's span, without state and end.
func (f *frame) fill(span ptrace.Span) {
	if f.ev == nil {
		f.stored.CopyTo(span)
		return
	}
	fillEvent(span, f.ev, &f.place)
}

// detach frees f of the event's memory: an open call may stay long, and the
// event's strings may share one copy of a whole request.
func (f *frame) detach(p *process) {
	f.ev = retain(f.ev, p)
	f.id, f.name = callID(f.ev), f.ev.Name
	f.correlation = retainCorrelation(f.ev, f.correlation)
}

// waiting is a return that has not found its call: by event, or after a
// restart by the orphan span that was stored for it. Its correlation is its own.
type waiting struct {
	place
	key    eventKey     // of a restored return
	ev     *event.Event // nil: restored
	stored ptrace.Span  // of a restored return: its orphan span
	id     string       // of the call
	time   int64
	tx     uint64 // the transaction it came in
}

// returned is a return that closes a call at once: it has no place of its own.
func returned(ev *event.Event) *waiting {
	return &waiting{place: place{correlation: ev.CorrelationID}, ev: ev, time: ev.Time}
}

func (w *waiting) detach(p *process) {
	w.ev = retain(w.ev, p)
	w.id = w.ev.CallID
	w.correlation = w.ev.CorrelationID
}

// takeWaiting removes and returns the oldest waiting return that names the
// call, nil if there is none.
func (a *Assembler) takeWaiting(p *process, id string) *waiting {
	for i, w := range p.waiting {
		if w.id == id {
			rest := make([]*waiting, 0, len(p.waiting)-1)
			rest = append(rest, p.waiting[:i]...)
			p.waiting = append(rest, p.waiting[i+1:]...)
			a.counters.stats.WaitingReturns--
			return w
		}
	}
	return nil
}

// boundWaiting gives up the oldest waiting returns that are beyond the bound.
func (a *Assembler) boundWaiting(p *process, out *Output) {
	for len(p.waiting) > 0 && len(p.stack)+len(p.waiting) > a.cfg.OpenCalls {
		w := p.waiting[0]
		if w.tx == a.tx.id {
			a.emitOrphan(p, w, out)
			p.waiting[0] = nil // no saved state has it; its event must not be held
		}
		p.waiting = p.waiting[1:]
		a.counters.stats.WaitingReturns--
	}
}

// emitWaiting emits the returns of this transaction that still wait. Older
// ones were emitted by theirs.
func (a *Assembler) emitWaiting(p *process, out *Output) {
	for _, w := range p.waiting {
		if w.tx == a.tx.id {
			a.emitOrphan(p, w, out)
		}
	}
}

func (a *Assembler) emitOrphan(p *process, w *waiting, out *Output) {
	a.counters.stats.Orphans++
	span := out.add(p.service, p.node)
	fillEvent(span, w.ev, &w.place)
	span.Attributes().PutStr(causal.AttrCallState, causal.CallOrphan)
}

// openSpan completes the span of a call that is still open.
func openSpan(span ptrace.Span) {
	span.Attributes().PutStr(causal.AttrCallState, causal.CallOpen)
}

// closing says how a call ends.
type closing struct {
	state     string
	end       int64    // by the sender's clock, may lie before the start
	by        *waiting // nil: not by a return
	ambiguous bool
}

// apply completes the span of f.
func (c closing) apply(span ptrace.Span, f *frame) {
	end := max(c.end, f.start)
	span.SetEndTimestamp(pcommon.Timestamp(end))
	m := span.Attributes()
	m.PutStr(causal.AttrCallState, c.state)
	if c.ambiguous {
		m.PutStr(causal.AttrCallMatch, causal.CallMatchName)
	}
	if c.by == nil {
		return
	}
	if end != c.end {
		m.PutInt(causal.AttrReturnTime, c.end)
	}
	if c.by.ev != nil {
		addReturn(span, c.by.ev)
	} else {
		addStoredReturn(span, c.by.stored)
	}
}
