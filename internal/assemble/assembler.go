package assemble

import (
	"strings"
	"time"

	"github.com/otelscope/otelscope/internal/event"
)

// Config bounds what an Assembler keeps. All of it must be set, and every
// bound be at least 1.
type Config struct {
	// StackDepth bounds the open calls of one process.
	StackDepth int
	// OpenCalls bounds the open calls and waiting returns of one process
	// together.
	OpenCalls int
	// EmitOpenCalls says whether End emits calls that are still open. Without
	// it, open calls do not survive a restart.
	EmitOpenCalls bool
	// DedupWindow is how long after its arrival an event is recognised.
	DedupWindow time.Duration
	// Dedup bounds the recognised events of all Assemblers that share it.
	Dedup *Budget
	// Processes bounds the processes whose state is kept, but for those
	// without open calls that the last transaction spoke of. The longest idle
	// are forgotten first, those with open calls last.
	Processes int
}

// Stats are figures of one Assembler at one moment: gauges, then counters
// since New. A transaction that was rolled back left no mark in them.
type Stats struct {
	Processes      int
	OpenCalls      int
	WaitingReturns int // returns that wait for a late call
	DedupEntries   int

	Duplicates       int64 // events that were recognised
	Orphans          int64 // returns emitted as spans of their own
	Unwound          int64 // calls closed by a return below them
	Abandoned        int64 // calls closed by an exit or a bound
	EvictedProcesses int64 // processes forgotten by Config.Processes
}

// Assembler turns events into spans. See the package documentation for the
// protocol and for what it owns.
type Assembler struct {
	cfg       Config
	dedup     dedup
	processes map[processKey]*process
	idle      list // processes without open calls, longest idle first
	busy      list // processes with open calls, longest idle first

	counters  counters
	tx        tx
	last      *process // of the event before, in this transaction
	lastEvent *event.Event
	hash      hasher
	restoring *restoration
}

// counters are what a rollback restores by value.
type counters struct {
	stats Stats
	seq   int64 // of the newest event that has one
}

// tx is the transaction under way: what is needed to take it back.
type tx struct {
	id      uint64 // never 0 in a transaction, never used twice
	now     int64
	before  counters
	dedup   int // entries before
	touched []undo
	frames  []*frame // the stacks of touched processes as they were, one after another
}

type undo struct {
	p       *process
	before  state // its stack is tx.frames[from:to]
	from    int
	to      int
	created bool
}

// New returns an Assembler that knows nothing yet.
func New(cfg Config) *Assembler {
	return &Assembler{
		cfg:       cfg,
		dedup:     newDedup(cfg.Dedup, cfg.DedupWindow),
		processes: make(map[processKey]*process),
	}
}

// Begin starts a transaction. One must not be under way.
func (a *Assembler) Begin() {
	a.tx.id++
	a.tx.before = a.counters
	a.tx.dedup = a.dedup.len()
}

// Add takes one event, which arrived at now (ns since the epoch), and adds the
// spans it completes to out. It returns false for an event that was recognised
// as one taken before: that yields nothing, its span exists.
// Until Commit or Rollback the Assembler may refer to ev and its strings;
// spans in out do so for good.
func (a *Assembler) Add(ev *event.Event, now int64, out *Output) bool {
	a.tx.now = now
	key := a.hash.event(ev.Service, ev.Node, ev.ID, ev.Time)
	if !ev.Assigned && !a.dedup.add(key, now) {
		a.counters.stats.Duplicates++
		return false
	}
	p := a.touchProcess(ev)
	a.step(p, ev, key, out)
	return true
}

// End emits what must be durable before the transaction's events may be
// acknowledged: each call that the transaction opened and that is still open,
// and each return of it that found no call. It is called once, after the last
// Add and before Commit.
func (a *Assembler) End(now int64, out *Output) {
	a.tx.now = now
	a.evictProcesses(out)
	for i := range a.tx.touched {
		p := a.tx.touched[i].p
		a.emitWaiting(p, out)
		if !a.cfg.EmitOpenCalls {
			continue
		}
		for _, f := range p.stack[a.opened(p):] {
			span := out.add(p.service, p.node)
			f.fill(span)
			openSpan(span)
		}
	}
}

// opened returns the index of the first call on p's stack that this
// transaction opened; those above it were opened by it too.
func (a *Assembler) opened(p *process) int {
	i := len(p.stack)
	for i > 0 && p.stack[i-1].tx == a.tx.id {
		i--
	}
	return i
}

// Commit makes the transaction final: what it emitted is durable.
func (a *Assembler) Commit() {
	for i := range a.tx.touched {
		p := a.tx.touched[i].p
		if p.gone {
			a.forget(p)
			continue
		}
		for _, f := range p.stack[a.opened(p):] {
			f.detach(p)
		}
		for _, w := range p.waiting {
			if w.tx == a.tx.id {
				w.detach(p)
			}
		}
		if p.act.tx == a.tx.id {
			p.act.correlation = strings.Clone(p.act.correlation)
		}
		a.use(p)
	}
	a.dedup.expire(a.tx.now)
	a.endTransaction()
}

// Rollback restores exactly the state before Begin: the transaction's events
// will come again, or be refused. It may be called at any point after Begin,
// also when Add panicked.
func (a *Assembler) Rollback() {
	a.counters = a.tx.before
	a.dedup.truncate(a.tx.dedup)
	for i := range a.tx.touched {
		u := &a.tx.touched[i]
		if u.created {
			delete(a.processes, u.p.key)
			continue
		}
		stack := append(u.p.stack[:0], a.tx.frames[u.from:u.to]...)
		u.p.state = u.before
		u.p.stack = stack
		dropRest(u.p.stack)
		dropRest(u.p.waiting)
	}
	a.endTransaction()
}

func (a *Assembler) endTransaction() {
	a.tx.touched, a.tx.frames = reuse(a.tx.touched), reuse(a.tx.frames)
	a.last, a.lastEvent = nil, nil
}

// dropRest frees what stands beyond the end of s: it came from the events of
// the transaction.
func dropRest[E any](s []E) { clear(s[len(s):cap(s)]) }

// reuse empties s for the next transaction, and gives it up if one
// transaction made it large.
func reuse[E any](s []E) []E {
	if cap(s) > 1024 {
		return nil
	}
	clear(s)
	return s[:0]
}

// Refuse remembers an event that was dead-lettered, so that its resend is
// recognised. It is called between transactions.
func (a *Assembler) Refuse(ev *event.Event, now int64) {
	if !ev.Assigned {
		a.dedup.add(a.hash.event(ev.Service, ev.Node, ev.ID, ev.Time), now)
	}
	a.dedup.expire(now)
}

// Expire forgets events older than the dedup window. Commit does so too; this
// is for Assemblers that see no events. It is called between transactions.
func (a *Assembler) Expire(now int64) { a.dedup.expire(now) }

// Stats returns the figures of the moment.
func (a *Assembler) Stats() Stats {
	s := a.counters.stats
	s.Processes = len(a.processes)
	s.DedupEntries = a.dedup.len()
	return s
}
