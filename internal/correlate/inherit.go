package correlate

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
)

// maxInherit is how many effects of one activity inherit from it. A process
// that starts everything must not become the root of everything.
const maxInherit = 64

// A trace's entry holds: in aux the randomness of its causal root, in start
// the tick of that root's arrival, in clock how many traces inherited from
// this one, in ref the trace's id and, as the span, the batch that it was
// first seen in.

// inherit decides for each trace that begins in the batch what it inherits,
// and tells every span what its trace has.
func (e *Engine) inherit(batch []Observation, now tick, out *Result) {
	out.index(batch)
	for i := range batch {
		if batch[i].Root {
			e.settle(batch, i, now, out)
		}
	}
	var last Inherited
	for i := range batch {
		o := &batch[i]
		if o.Span.TraceID.IsEmpty() {
			continue
		}
		if i == 0 || o.Span.TraceID != batch[i-1].Span.TraceID {
			last = e.inherited(o.Span.TraceID, now)
		}
		in := last
		if o.Correlation != "" {
			in.Correlation = ""
		}
		out.spans[i].inherited = in
	}
}

func traceHash(id pcommon.TraceID) uint64 { return xxh3.Hash(id[:]) }

// lockTrace returns the shard of a trace, locked, and its entry, 0 for none.
func (e *Engine) lockTrace(hash uint64, now tick) (*shard, number) {
	s := e.lock(hash, now)
	return s, s.find(kindTrace, hash)
}

// meeting makes sure that the traces of a batch have entries. It remembers the
// last span, since spans of one trace mostly come together.
type meeting struct {
	e      *Engine
	number uint64 // of the batch
	now    tick
	last   *Observation
	fresh  bool
	own    string
}

// meet returns the span's correlation id if it is not its trace's.
func (m *meeting) meet(o *Observation, c *carried) (own string) {
	if o.Span.TraceID.IsEmpty() {
		return o.Correlation
	}
	if l := m.last; l != nil && l.Span.TraceID == o.Span.TraceID && l.Correlation == o.Correlation && !o.Root && !o.Sampled {
		c.fresh = m.fresh
		return m.own
	}
	h := traceHash(o.Span.TraceID)
	s, n := m.e.lockTrace(h, m.now)
	defer s.mu.Unlock()
	var batch pcommon.SpanID
	binary.LittleEndian.PutUint64(batch[:], m.number)
	if n == 0 {
		t := entry{kind: kindTrace, ref: causal.SpanRef{TraceID: o.Span.TraceID, SpanID: batch}, aux: o.Randomness, start: int64(m.now), arrived: m.now}
		n = s.insert(h, t)
	}
	t := s.ring.at(n)
	c.fresh = t.ref.SpanID == batch
	if o.Sampled {
		t.flags |= flagSampled
		if c.fresh {
			t.aux = o.Randomness
		}
	}
	if o.Root && t.correlation == 0 {
		s.groups(n, o.Correlation)
	}
	if o.Correlation != "" && string(s.words.get(t.correlation)) != o.Correlation {
		own = o.Correlation
	}
	m.last, m.fresh, m.own = o, c.fresh, own
	return own
}

// groups gives the trace of entry n its correlation id.
func (s *shard) groups(n number, correlation string) {
	t := s.ring.at(n)
	if t.correlation = s.word(correlation); t.correlation != 0 {
		s.words.refer(t.correlation, n)
	}
}

// settle lets the trace that begins with span i inherit from what caused it.
// A cause whose trace begins in the same batch is settled first.
func (e *Engine) settle(batch []Observation, i int, now tick, out *Result) {
	c := &out.spans[i]
	if c.settled {
		return
	}
	c.settled = true
	o := &batch[i]
	cause, correlation, ok := e.causeOf(batch, out, i)
	if !ok {
		e.adopt(o, c, now, out)
		return
	}
	if !c.fresh && e.grouped(o, now) {
		return
	}
	if j, ok := out.roots[cause.TraceID]; ok {
		e.settle(batch, j, now, out)
	}
	from, ok := e.bequeath(cause.TraceID, now)
	if !ok {
		return
	}
	if correlation == "" {
		correlation = from.correlation
	}
	s, n := e.lockTrace(traceHash(o.Span.TraceID), now)
	defer s.mu.Unlock()
	if n == 0 {
		return
	}
	t := s.ring.at(n)
	if t.correlation == 0 {
		s.groups(n, correlation)
	}
	if c.fresh && t.flags&flagSampled == 0 {
		t.aux, t.start = from.randomness, from.began
		t.flags |= flagInherited
	}
}

// adopt lets a trace without a cause of its own, whose effect has come before
// it, have the randomness of that: the effect's spans have passed, so this is how
// the two can still be kept or dropped together.
func (e *Engine) adopt(o *Observation, c *carried, now tick, out *Result) {
	effect, ok := out.effects[o.Span.TraceID]
	if !ok || !c.fresh || e.firstSeen(effect, now) == e.firstSeen(o.Span.TraceID, now) {
		return // an effect that has not passed yet inherits from this one
	}
	from, ok := e.bequeath(effect, now)
	if !ok {
		return
	}
	s, n := e.lockTrace(traceHash(o.Span.TraceID), now)
	defer s.mu.Unlock()
	if n == 0 {
		return
	}
	if t := s.ring.at(n); t.flags&flagSampled == 0 {
		t.aux, t.start = from.randomness, from.began
		t.flags |= flagInherited
	}
}

// firstSeen returns the batch that a trace was first seen in.
func (e *Engine) firstSeen(id pcommon.TraceID, now tick) (batch pcommon.SpanID) {
	s, n := e.lockTrace(traceHash(id), now)
	defer s.mu.Unlock()
	if n == 0 {
		return batch
	}
	return s.ring.at(n).ref.SpanID
}

// causeOf returns the span that the trace of span i inherits from: of the sure
// causes in other traces the first, messages before all else.
func (e *Engine) causeOf(batch []Observation, out *Result, i int) (cause causal.SpanRef, correlation string, ok bool) {
	o := &batch[i]
	edges := out.found[out.spans[i].first:][:out.spans[i].count]
	for j := range edges {
		f := &edges[j]
		if !f.OtherIsCause || f.Confidence < 1 || f.Other.TraceID == o.Span.TraceID {
			continue
		}
		if message := e.edgeType(f.Rule) == causal.MessageFlow; message || !ok {
			cause, correlation, ok = f.Other, f.correlation, true
			if message {
				return cause, correlation, ok
			}
		}
	}
	if ok {
		return cause, correlation, ok
	}
	if j, ok := out.late[o.Span]; ok && batch[j].Span.TraceID != o.Span.TraceID {
		return batch[j].Span, batch[j].Correlation, true
	}
	for _, link := range o.Links {
		if link.TraceID != o.Span.TraceID && !link.IsZero() {
			return link, "", true
		}
	}
	return causal.SpanRef{}, "", false
}

// grouped says whether the span's trace has a group already. Where spans of a
// trace have gone before, that is all it can still inherit.
func (e *Engine) grouped(o *Observation, now tick) bool {
	s, n := e.lockTrace(traceHash(o.Span.TraceID), now)
	defer s.mu.Unlock()
	return n == 0 || s.ring.at(n).correlation != 0
}

// index notes where in the batch traces begin that may inherit, which of their
// first spans have their cause later in the batch, and in which trace an effect
// is that came before its cause.
func (r *Result) index(batch []Observation) {
	if r.roots == nil {
		r.roots, r.late = map[pcommon.TraceID]int{}, map[causal.SpanRef]int{}
		r.effects = map[pcommon.TraceID]pcommon.TraceID{}
	}
	clear(r.roots)
	clear(r.late)
	clear(r.effects)
	for i := range batch {
		c := &r.spans[i]
		for _, f := range r.found[c.first:][:c.count] {
			if !f.OtherIsCause && f.Confidence == 1 {
				r.late[f.Other] = i
				if _, ok := r.effects[batch[i].Span.TraceID]; !ok {
					r.effects[batch[i].Span.TraceID] = f.Other.TraceID
				}
			}
		}
	}
	for i := range batch {
		o := &batch[i]
		_, late := r.late[o.Span]
		if o.Root && (late || r.spans[i].count > 0 || len(o.Links) > 0) {
			r.roots[o.Span.TraceID] = i
		}
	}
}

// legacy is what a trace hands down.
type legacy struct {
	randomness  uint64
	began       int64 // the tick of the causal root's arrival
	correlation string
}

// bequeath returns what a trace hands down to one more effect; ok is false
// when it is not known, too old, or has handed down enough.
func (e *Engine) bequeath(id pcommon.TraceID, now tick) (legacy, bool) {
	s, n := e.lockTrace(traceHash(id), now)
	defer s.mu.Unlock()
	if n == 0 {
		return legacy{}, false
	}
	t := s.ring.at(n)
	if t.clock >= maxInherit || now.since(tick(t.start)) > e.config.Window.Nanoseconds() {
		return legacy{}, false
	}
	t.clock++
	return legacy{t.aux, t.start, string(s.words.get(t.correlation))}, true
}

// inherited returns what spans of a trace take over from it.
func (e *Engine) inherited(id pcommon.TraceID, now tick) (in Inherited) {
	s, n := e.lockTrace(traceHash(id), now)
	defer s.mu.Unlock()
	if n == 0 {
		return in
	}
	t := s.ring.at(n)
	in.Correlation = string(s.words.get(t.correlation))
	if t.flags&flagInherited != 0 && t.flags&flagSampled == 0 {
		in.Randomness, in.HasRandomness = t.aux, true
	}
	return in
}
