package assemble

import (
	"cmp"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// restoration collects what Restore was given until FinishRestore.
type restoration struct {
	arrivals  []stamped
	processes map[processKey]*remains
	// closed holds the calls, and answered the returns, of complete call
	// spans: either may be stored a second time, open or as an orphan.
	closed, answered map[eventKey]struct{}
	seq              int64
}

// stamped is an arrival with what orders arrivals of the same time.
type stamped struct {
	arrival
	seq int64
}

// remains is what is stored of one process.
type remains struct {
	service, node, name string
	latest, exit        int64 // seq of its last event, of its last exit; 0: none
	lastTime            int64
	act                 activity // the last that began, at seq began
	began               int64
	open                []*frame
	orphans             []*waiting
}

// stored is one stored span, as far as it must be understood.
type stored struct {
	span                                   ptrace.Span
	received                               int64
	service, node, process                 string
	id, kind, state, callID, returnID, fun string
	correlation, phase                     string
	seq, returnTime                        int64
	first, begin                           bool
}

// Restore takes one span from the store, in any order; it may come in several
// versions. Spans that no native event made are passed over. received is when
// it was stored, ns since the epoch. What is kept of span is copied, but for
// its strings.
func (a *Assembler) Restore(resource pcommon.Map, span ptrace.Span, received int64) {
	s := stored{span: span, received: received}
	if !s.read(resource) {
		return
	}
	if a.restoring == nil {
		a.restoring = &restoration{
			processes: make(map[processKey]*remains),
			closed:    make(map[eventKey]struct{}),
			answered:  make(map[eventKey]struct{}),
		}
	}
	a.restoring.seq = max(a.restoring.seq, s.seq)
	key := a.hash.event(s.service, s.node, s.id, int64(span.StartTimestamp()))
	a.restoreArrivals(&s, key)
	a.restoreProcess(&s, key)
}

// RestoreKey returns the PartitionKey of the process that a stored span
// belongs to; ok is false if no native event made the span.
func RestoreKey(resource pcommon.Map, span ptrace.Span) (key uint64, ok bool) {
	process := str(span.Attributes(), causal.AttrProcessID)
	if process == "" || str(span.Attributes(), causal.AttrEventID) == "" {
		return 0, false
	}
	return PartitionKey(str(resource, attrServiceName), str(resource, attrServiceInstanceID), process), true
}

// read reports whether a native event made the span.
func (s *stored) read(resource pcommon.Map) bool {
	s.service, s.node = str(resource, attrServiceName), str(resource, attrServiceInstanceID)
	for key, v := range s.span.Attributes().All() {
		if to := s.text(key); to != nil {
			*to = v.Str()
			continue
		}
		switch key {
		case causal.AttrEventSeq:
			s.seq = v.Int()
		case causal.AttrReturnTime:
			s.returnTime = v.Int()
		case causal.AttrProcessFirst:
			s.first = v.Bool()
		case causal.AttrActivityBegin:
			s.begin = v.Bool()
		}
	}
	if s.returnTime == 0 {
		s.returnTime = int64(s.span.EndTimestamp())
	}
	return s.id != "" && s.kind != "" && s.process != "" && s.seq > 0
}

func (s *stored) text(key string) *string {
	switch key {
	case causal.AttrEventID:
		return &s.id
	case causal.AttrEventKind:
		return &s.kind
	case causal.AttrProcessID:
		return &s.process
	case causal.AttrCallState:
		return &s.state
	case causal.AttrCallID:
		return &s.callID
	case causal.AttrReturnEventID:
		return &s.returnID
	case causal.AttrCorrelationID:
		return &s.correlation
	case causal.AttrMessagePhase:
		return &s.phase
	case attrFunctionName:
		return &s.fun
	}
	return nil
}

// restoreArrivals collects what the events are recognised by that the span
// came from.
func (a *Assembler) restoreArrivals(s *stored, key eventKey) {
	r := a.restoring
	r.arrivals = append(r.arrivals, stamped{arrival{key, s.received}, s.seq})
	if s.kind != kindCall || s.state == causal.CallOpen {
		return
	}
	r.closed[key] = struct{}{}
	if s.returnID != "" {
		back := a.hash.event(s.service, s.node, s.returnID, s.returnTime)
		r.arrivals = append(r.arrivals, stamped{arrival{back, s.received}, s.seq})
		r.answered[back] = struct{}{}
	}
}

var (
	kindCall    = event.KindCall.String()
	kindReceive = event.KindReceive.String()
	kindExit    = event.KindExit.String()
)

func (a *Assembler) restoreProcess(s *stored, key eventKey) {
	id := a.hash.process(s.service, s.node, s.process)
	p := a.restoring.processes[id]
	if p == nil {
		p = &remains{service: s.service, node: s.node, name: s.process}
		a.restoring.processes[id] = p
	}
	if s.seq > p.latest {
		p.latest, p.lastTime = s.seq, int64(s.span.StartTimestamp())
	}
	if s.kind == kindExit {
		p.exit = max(p.exit, s.seq)
	}
	// The complete version may know a correlation that the open one did not.
	newer := s.seq > p.began || s.seq == p.began && s.state != causal.CallOpen
	if by := s.beganBy(key); by != beganNone && newer {
		p.began = s.seq
		p.act = activity{began: by, trace: s.span.TraceID(), root: s.span.SpanID(), correlation: strings.Clone(s.correlation)}
	}
	switch s.state {
	case causal.CallOpen:
		p.open = append(p.open, s.frame(key))
	case causal.CallOrphan:
		if s.callID != "" {
			p.orphans = append(p.orphans, s.waiting(key))
		}
	}
}

// beganBy says what kind of activity the span's event began. A trace that
// bears the event's own hash says so; one of the sender's needs a mark.
func (s *stored) beganBy(key eventKey) began {
	switch {
	case !s.begin && s.span.TraceID() != traceID(key):
	case s.kind == kindCall:
		return beganCall
	case s.kind == kindReceive && s.phase == "":
		return beganReceive
	}
	return beganNone
}

func (s *stored) place() place {
	return place{
		trace:       s.span.TraceID(),
		span:        s.span.SpanID(),
		parent:      s.span.ParentSpanID(),
		correlation: s.correlation,
		first:       s.first,
		seq:         s.seq,
	}
}

func (s *stored) frame(key eventKey) *frame {
	f := &frame{place: s.place(), key: key, stored: ptrace.NewSpan(), id: s.callID, name: s.fun, start: int64(s.span.StartTimestamp())}
	if f.id == "" {
		f.id = s.id
	}
	s.span.CopyTo(f.stored)
	// What the complete span shall not take over from the open one: its
	// state, and what the pipeline added on the way, which it does again.
	f.stored.Attributes().Remove(causal.AttrCallState)
	f.stored.TraceState().FromRaw("")
	f.stored.Links().RemoveIf(func(ptrace.SpanLink) bool { return true })
	return f
}

func (s *stored) waiting(key eventKey) *waiting {
	w := &waiting{place: s.place(), key: key, stored: ptrace.NewSpan(), id: s.callID, time: int64(s.span.StartTimestamp())}
	s.span.CopyTo(w.stored)
	return w
}

// FinishRestore ends what Restore began: from here on the Assembler behaves as
// the one did whose spans were stored. It is called once, before the first
// Begin, also when no span was restored.
func (a *Assembler) FinishRestore(now int64) {
	r := a.restoring
	if r == nil {
		return
	}
	a.restoring = nil
	a.counters.seq = r.seq
	slices.SortFunc(r.arrivals, func(x, y stamped) int {
		return cmp.Or(cmp.Compare(x.at, y.at), cmp.Compare(x.seq, y.seq))
	})
	for _, s := range r.arrivals {
		a.dedup.add(s.key, s.at)
	}
	a.dedup.expire(now)

	var alive []*remains
	for _, p := range r.processes {
		if p.latest > p.exit {
			alive = append(alive, p)
		}
	}
	slices.SortFunc(alive, func(x, y *remains) int { return cmp.Compare(x.latest, y.latest) })
	for _, p := range alive {
		a.use(a.revived(r, p))
	}
	for len(a.processes) > a.cfg.Processes {
		p := a.idle.first
		if p == nil {
			p = a.busy.first
		}
		a.counters.stats.OpenCalls -= len(p.stack)
		a.counters.stats.WaitingReturns -= len(p.waiting)
		a.forget(p)
	}
}

// revived returns the process that left the remains.
func (a *Assembler) revived(r *restoration, from *remains) *process {
	p := newProcess(a.hash.process(from.service, from.node, from.name), from.service, from.node, from.name)
	a.processes[p.key] = p
	p.fresh = false
	p.lastTime = from.lastTime
	if from.began > from.exit {
		p.act = from.act
	}
	// No call was open when an activity began, nor after an exit.
	since := max(from.exit+1, from.began)
	p.stack = unclosed(from.open, since, r.closed)
	p.stack = newest(p.stack, min(a.cfg.StackDepth, a.cfg.OpenCalls))
	p.waiting = unanswered(from.orphans, from.exit+1, r.answered)
	p.waiting = newest(p.waiting, a.cfg.OpenCalls-len(p.stack))
	a.counters.stats.OpenCalls += len(p.stack)
	a.counters.stats.WaitingReturns += len(p.waiting)
	if p.act.began == beganNone && len(p.stack) > 0 {
		p.act = p.stack[0].activity()
	}
	return p
}

// activity guesses what activity a top-level call belongs to whose beginning
// is not stored any more: one that began with a receive, its parent.
func (f *frame) activity() activity {
	return activity{began: beganReceive, trace: f.trace, root: f.parent, correlation: f.correlation}
}

// unclosed returns the calls that are still open, each once, outermost first.
func unclosed(open []*frame, since int64, closed map[eventKey]struct{}) []*frame {
	slices.SortFunc(open, func(x, y *frame) int { return cmp.Compare(x.seq, y.seq) })
	open = slices.CompactFunc(open, func(x, y *frame) bool { return x.seq == y.seq })
	return slices.DeleteFunc(open, func(f *frame) bool {
		_, done := closed[f.key]
		return done || f.seq < since
	})
}

// unanswered returns the returns that still wait, each once, oldest first.
func unanswered(orphans []*waiting, since int64, answered map[eventKey]struct{}) []*waiting {
	slices.SortFunc(orphans, func(x, y *waiting) int { return cmp.Compare(x.seq, y.seq) })
	orphans = slices.CompactFunc(orphans, func(x, y *waiting) bool { return x.seq == y.seq })
	return slices.DeleteFunc(orphans, func(w *waiting) bool {
		_, done := answered[w.key]
		return done || w.seq < since
	})
}

func newest[E any](s []E, n int) []E { return s[max(0, len(s)-n):] }
