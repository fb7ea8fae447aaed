package correlate

import (
	"math"

	"github.com/otelscope/otelscope/internal/causal"
)

// look is the work on one observation.
type look struct {
	e     *Engine
	o     *Observation
	now   tick
	out   *Result
	first int // where its edges begin in out.found
	self  uint64
	own   string // its correlation id where its trace has another
}

// edges does the observation's ops, as far as the span was not seen before,
// and reports what it shall carry. A span that was seen is recognised by its
// first op, if that is an offer, else by the mark that was left.
func (l look) edges() {
	ops := l.o.Ops
	if len(ops) == 0 {
		l.passed()
		return
	}
	l.self = refHash(l.o.Span)
	var seen flags
	lead := ops[0].Kind == Offer
	if lead {
		seen = l.offer(&ops[0])
	}
	if seen != 0 || !lead {
		seen |= l.recall()
	}
	replayed := l.first
	if seen != 0 {
		replayed = len(l.out.found)
	}
	for i := range ops {
		op := &ops[i]
		switch {
		case lead && i == 0:
		case op.Kind == Offer:
			l.offer(op)
		case seen&flagSeenComplete != 0, seen != 0 && !op.End:
		default:
			l.do(op)
		}
	}
	if seen == 0 {
		l.passed()
	}
	l.remember(!lead && seen&l.version() == 0, replayed)
}

// version returns the mark of the observed version.
func (l *look) version() flags {
	if l.o.Version == Open {
		return flagSeenOpen
	}
	return flagSeenComplete
}

func (l *look) do(op *Op) {
	switch op.Kind {
	case Claim:
		l.claim(op)
	case QueueOffer:
		l.queueOffer(op)
	case QueueClaim:
		l.queueClaim(op)
	case Arrive:
		l.arrive(op)
	case Take:
		l.take(op)
	case Fail:
		l.fail(op)
	case AtOnce:
		l.atOnce(op)
	case Exited:
		l.exited(op)
	case Set:
		l.set(op)
	case Previous:
		l.previous(op)
	case Spawned:
		l.spawned(op)
	case Died:
		l.died(op)
	}
}

// recall reports the edges that the span carried before, and which versions of
// it were seen.
func (l *look) recall() (seen flags) {
	s := l.e.lock(l.self, l.now)
	defer s.mu.Unlock()
	for n := s.oldest(kindMemo, l.self); n != 0; n = s.newer(n) {
		m := s.ring.at(n)
		seen |= m.flags & (flagSeenOpen | flagSeenComplete)
		if !m.ref.IsZero() {
			l.out.found = append(l.out.found, found{
				Found: Found{Rule: m.rule, Confidence: math.Float64frombits(m.aux), Other: m.ref, OtherIsCause: m.flags&flagOtherIsCause != 0},
			})
		}
	}
	return seen
}

// remember notes the edges that are new and, where mark is set, the version.
func (l *look) remember(mark bool, replayed int) {
	fresh := l.out.found[replayed:]
	if len(fresh) == 0 && !mark {
		return
	}
	s := l.e.lock(l.self, l.now)
	defer s.mu.Unlock()
	m := entry{kind: kindMemo, arrived: l.now}
	if mark {
		m.flags = l.version()
	}
	if len(fresh) == 0 {
		s.insert(l.self, m)
	}
	for i := range fresh {
		f := &fresh[i]
		m.ref, m.rule, m.aux = f.Other, f.Rule, math.Float64bits(f.Confidence)
		m.flags &^= flagOtherIsCause
		if f.OtherIsCause {
			m.flags |= flagOtherIsCause
		}
		s.insert(l.self, m)
	}
}

// found is a Found with what its cause hands down.
type found struct {
	Found
	correlation string // the cause's own
}

// add reports an edge unless a better one of its type is known between the
// two spans.
func (l *look) add(rule uint16, confidence float64, other causal.SpanRef, otherIsCause bool, correlation string) {
	if confidence < l.e.config.MinConfidence || other == l.o.Span {
		return
	}
	f := found{Found{rule, confidence, other, otherIsCause}, correlation}
	mine := l.out.found[l.first:]
	for i := range mine {
		g := &mine[i]
		if g.Other == other && g.OtherIsCause == otherIsCause && l.e.edgeType(g.Rule) == l.e.edgeType(rule) {
			if confidence > g.Confidence {
				*g = f
			}
			return
		}
	}
	l.out.found = append(l.out.found, f)
}

func (l *look) confidence(rule uint16) float64 { return l.e.config.Rules[rule].Confidence }
