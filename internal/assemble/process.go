package assemble

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/event"
)

// process is one process that events spoke of. Its strings are its own.
type process struct {
	state
	key                   processKey
	service, node, name   string
	tx                    uint64 // the transaction that touched it last
	list                  *list  // where it stands while no transaction holds it
	longerIdle, laterUsed *process
}

// state is what a transaction may change of a process.
type state struct {
	act      activity
	stack    []*frame   // open calls, innermost last
	waiting  []*waiting // oldest first; what a saved state has of it is never overwritten
	lastTime int64      // of the last event, by the sender's clock
	fresh    bool       // no event of it was taken yet
	gone     bool       // it exited or was evicted
}

// began says what began an activity.
type began uint8

const (
	beganNone    began = iota // there is no activity
	beganCall                 // a top-level call: the next one ends it
	beganReceive              // a taken receive: top-level calls belong to it
)

// activity is what a process does in response to one thing: one trace.
type activity struct {
	began       began
	trace       pcommon.TraceID
	root        pcommon.SpanID // span of the event that began it
	correlation string
	tx          uint64 // the transaction that set correlation
}

// touchProcess returns the event's process, after saving its state if this
// transaction touches it for the first time. Events of one process usually
// follow each other, so the one before is tried first.
func (a *Assembler) touchProcess(ev *event.Event) *process {
	if l := a.lastEvent; l != nil && l.Process == ev.Process && l.Node == ev.Node && l.Service == ev.Service {
		a.revive(a.last)
		return a.last
	}
	key := a.hash.process(ev.Service, ev.Node, ev.Process)
	p, ok := a.processes[key]
	if !ok {
		p = newProcess(key, ev.Service, ev.Node, ev.Process)
		a.processes[key] = p
	}
	a.touch(p, !ok)
	a.revive(p)
	a.last, a.lastEvent = p, ev
	return p
}

func newProcess(key processKey, service, node, name string) *process {
	var b strings.Builder
	b.Grow(len(service) + len(node) + len(name))
	b.WriteString(service)
	b.WriteString(node)
	b.WriteString(name)
	own := b.String()
	p := &process{key: key}
	p.service, own = own[:len(service)], own[len(service):]
	p.node, p.name = own[:len(node)], own[len(node):]
	p.fresh = true
	return p
}

// revive makes a process that exited in this transaction a new one.
func (a *Assembler) revive(p *process) {
	if p.gone {
		p.state = state{stack: p.stack[:0], fresh: true}
	}
}

// touch saves the state of p, once in a transaction, before it may change.
func (a *Assembler) touch(p *process, created bool) {
	if p.tx == a.tx.id {
		return
	}
	p.tx = a.tx.id
	from := len(a.tx.frames)
	a.tx.frames = append(a.tx.frames, p.stack...)
	a.tx.touched = append(a.tx.touched, undo{p: p, before: p.state, from: from, to: len(a.tx.frames), created: created})
}

// evictProcesses forgets processes beyond the bound that this transaction did
// not touch, the longest idle first. Those with open calls, whose calls are
// abandoned, go only when they alone are too many.
func (a *Assembler) evictProcesses(out *Output) {
	all, busy := len(a.processes), a.busy.n
	for i := range a.tx.touched {
		p := a.tx.touched[i].p
		if p.gone {
			all--
		}
		if p.list == &a.busy {
			busy--
		}
		if len(p.stack) > 0 {
			busy++
		}
	}
	a.evict(&a.idle, all-a.cfg.Processes, out)
	a.evict(&a.busy, busy-a.cfg.Processes, out)
}

func (a *Assembler) evict(l *list, n int, out *Output) {
	for p := l.first; p != nil && n > 0; p = p.laterUsed {
		if p.tx == a.tx.id {
			continue
		}
		a.touch(p, false)
		a.abandon(p, len(p.stack), out)
		a.end(p, out)
		a.counters.stats.EvictedProcesses++
		n--
	}
}

// end makes p one that exited. Its open calls must be closed.
func (a *Assembler) end(p *process, out *Output) {
	a.emitWaiting(p, out)
	a.counters.stats.WaitingReturns -= len(p.waiting)
	p.state = state{stack: p.stack[:0], gone: true}
}

// list is a list of processes by use; each process is in at most one.
type list struct {
	first, last *process
	n           int
}

// use makes p the one used last, of those with or without open calls.
func (a *Assembler) use(p *process) {
	p.unlink()
	l := &a.idle
	if len(p.stack) > 0 {
		l = &a.busy
	}
	p.list, p.longerIdle = l, l.last
	if l.last != nil {
		l.last.laterUsed = p
	} else {
		l.first = p
	}
	l.last = p
	l.n++
}

func (a *Assembler) forget(p *process) {
	p.unlink()
	delete(a.processes, p.key)
}

func (p *process) unlink() {
	if p.list == nil {
		return
	}
	if p.longerIdle != nil {
		p.longerIdle.laterUsed = p.laterUsed
	} else {
		p.list.first = p.laterUsed
	}
	if p.laterUsed != nil {
		p.laterUsed.longerIdle = p.longerIdle
	} else {
		p.list.last = p.longerIdle
	}
	p.list.n--
	p.list, p.longerIdle, p.laterUsed = nil, nil, nil
}
