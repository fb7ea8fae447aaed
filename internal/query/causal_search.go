package query

import (
	"cmp"
	"errors"
	"iter"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// runCaused gives the spansets of a pipeline over a causal operator. There are
// two ways, with the same answer:
//
//   - from the right: right-hand spans come the latest first, in batches, and
//     what leads to them is searched; then, so that spansets are whole, what
//     else the left-hand traces lead to. It stops when enough are found.
//   - from the left: from all left-hand spans on. So it goes where these are
//     much rarer, or where they are rarer and the other way took long.
func (s *searcher) runCaused(p *pipe, c *caused, want *wanted) error {
	left, right, err := s.sides(c)
	if err != nil {
		return err
	}
	if left < right/rarer && left <= int64(s.opts.MaxVisited) {
		err := s.runLeft(p, c, want, left)
		if tooMuch := (*BoundError)(nil); want.given > 0 || !errors.As(err, &tooMuch) {
			return err
		}
		_, err = s.runRight(p, c, want, right, s.opts.MaxVisited)
		return err
	}
	patience := s.opts.MaxVisited
	if left < right {
		patience = min(cmp.Or(s.opts.patience, int(min(left, int64(patience)))*visitsPerLeft+leastVisits), patience/2)
	}
	if done, err := s.runRight(p, c, want, right, patience); done || err != nil {
		return err
	}
	return s.runLeft(p, c, want, left)
}

// How many spans are gone over from the right before it is tried from the
// left: for each span that may be on the left, and at least.
const (
	visitsPerLeft = 4
	leastVisits   = 4096
)

// sides makes the operands of a causal operator ready, and estimates them.
func (s *searcher) sides(c *caused) (left, right int64, err error) {
	for _, side := range []struct {
		operand  operand
		estimate *int64
	}{{c.left, &left}, {c.right, &right}} {
		if err := s.know(side.operand); err != nil {
			return 0, 0, err
		}
		needed, err := s.needed(side.operand)
		if err != nil {
			return 0, 0, err
		}
		*side.estimate = needed.estimate
	}
	return left, right, nil
}

// setOf returns the spans that come out of a pipeline over a causal operator.
func (s *searcher) setOf(p *pipe, c *caused) (spanSet, error) {
	left, right, err := s.sides(c)
	if err != nil {
		return nil, err
	}
	g := s.newReach(c)
	defer g.forget()
	if left < right {
		err = g.fromLeft(left)
	} else {
		err = g.fromRight(right)
	}
	if err != nil {
		return nil, err
	}
	all, err := g.components(func(*reachNode) bool { return true })
	if err != nil {
		return nil, err
	}
	set := spanSet{}
	for _, part := range all {
		if len(p.stages) == 0 {
			for _, key := range part.spans {
				set[key.identity()] = key.start
			}
			continue
		}
		bunches, held, err := s.causedBunches(p, part)
		if err != nil {
			return nil, err
		}
		s.held -= held
		for _, b := range bunches {
			for _, r := range b.records {
				set[r.key().identity()] = r.wire.Start
			}
		}
	}
	return set, nil
}

// fromLeft explores what all left-hand spans lead to.
func (g *reach) fromLeft(estimate int64) error {
	return g.fromAll(g.op.left, estimate, g.op.toLeft.other())
}

// fromRight explores what leads to all right-hand spans.
func (g *reach) fromRight(estimate int64) error {
	return g.fromAll(g.op.right, estimate, g.op.toLeft)
}

func (s side) other() side { return sides[1-s.index] }

func (g *reach) fromAll(o operand, estimate int64, d side) error {
	selected := g.s.step("select", o.text(), estimate)
	var from []int
	for key, err := range g.s.spans(o, nil) {
		if err != nil {
			return err
		}
		selected.Spans++
		at, err := g.place(key.ref)
		if err != nil {
			return err
		}
		from = append(from, at)
	}
	step := g.step(d)
	err := g.explore(from, d)
	step.Spans = int64(len(g.nodes))
	return err
}

func (g *reach) step(d side) *Step {
	detail := g.op.text()
	if d.direction == Causes {
		return g.s.step("causes", detail, 0)
	}
	return g.s.step("effects", detail, 0)
}

// runLeft goes from all left-hand spans to the right.
func (s *searcher) runLeft(p *pipe, c *caused, want *wanted, estimate int64) error {
	g := s.newReach(c)
	if err := g.fromLeft(estimate); err != nil {
		g.leave()
		return err
	}
	all, err := g.components(func(*reachNode) bool { return true })
	if err != nil {
		return err
	}
	give := s.giver(p, g, want)
	for _, part := range all {
		if more, err := give(part); err != nil || !more {
			return err
		}
	}
	return want.finish()
}

// Bounds of the batches of right-hand spans. If there are no more than are
// read ahead, all are one batch.
const (
	firstBatch = 32
	mostBatch  = 8192
	readAhead  = 256
)

// fewRight is up to how many right-hand spans to look at all of them are gone
// over for each page of an answer.
const fewRight = 4096

// runRight goes from right-hand spans to the left. It is not done if it took
// more visits than it should; what is still wanted then comes after what was
// given.
func (s *searcher) runRight(p *pipe, c *caused, want *wanted, estimate int64, visits int) (done bool, _ error) {
	selected := s.step("select", c.right.text(), estimate)
	r := rightward{reach: s.newReach(c), want: want, closed: traceIDs{}, given: map[spanKey]bool{}}
	r.toLeft, r.toRight = r.step(c.toLeft), r.step(c.toLeft.other())
	r.give = s.giver(p, r.reach, want)
	from := want.after
	if estimate <= min(fewRight, int64(s.opts.MaxVisited/edgesPerNode)) {
		from = nil
	}
	size, ahead := cmp.Or(s.opts.batch, firstBatch), cmp.Or(s.opts.batch, readAhead)
	var keys []spanKey
	for key, err := range s.spans(c.right, from) {
		if err != nil {
			return false, err
		}
		selected.Spans++
		if keys = append(keys, key); len(keys) < size+ahead {
			continue
		}
		more, err := r.process(keys[:size], true)
		if err != nil || !more {
			return true, err
		}
		if len(r.nodes) > visits {
			want.restart(keys[size-1])
			r.leave()
			return false, nil
		}
		keys, size = slices.Delete(keys, 0, size), min(2*size, mostBatch)
	}
	// If the right-hand side was gone over from its beginning, no other span of
	// it can be part of what is found.
	if _, err := r.process(keys, from != nil); err != nil {
		return false, err
	}
	return true, want.finish()
}

// rightward is a search from the right under way.
type rightward struct {
	*reach
	closed          traceIDs // left-hand traces of which all is known that they lead to
	want            *wanted
	given           map[spanKey]bool
	give            func(component) (more bool, err error)
	toLeft, toRight *Step
}

// process gives the spansets of a batch of right-hand spans. Others may be
// part of them.
func (r *rightward) process(keys []spanKey, others bool) (more bool, err error) {
	if len(keys) == 0 {
		return true, nil
	}
	batch := make([]int, len(keys))
	for i, key := range keys {
		if batch[i], err = r.place(key.ref); err != nil {
			return false, err
		}
	}
	last := keys[len(keys)-1]
	if err := r.explore(batch, r.op.toLeft); err != nil {
		return false, err
	}
	r.toLeft.Spans = int64(len(r.nodes))
	for others {
		if others, err = r.close(); err != nil {
			return false, err
		}
	}
	parts, err := r.components(r.isCandidate)
	if err != nil {
		return false, err
	}
	for _, part := range parts {
		if r.given[part.key] || part.key.latestFirst(last) > 0 {
			continue // given, or to be given in its turn
		}
		r.given[part.key] = true
		if more, err = r.give(part); err != nil || !more {
			return false, err
		}
	}
	return r.want.advance(last)
}

// isCandidate reports whether it is known what leads to a node.
func (r *rightward) isCandidate(n *reachNode) bool { return n.gone[r.op.toLeft.index] }

// close explores what else the left-hand traces lead to that were found, and
// what leads there; false says that there was nothing more.
func (r *rightward) close() (more bool, err error) {
	for _, id := range r.leftTraces() {
		from, err := r.leftOf(id)
		if err != nil {
			return false, err
		}
		if err := r.explore(from, r.op.toLeft.other()); err != nil {
			return false, err
		}
		more = true
	}
	var rights []int
	for at := range r.nodes {
		n := &r.nodes[at]
		if len(n.right) > 0 && !r.isCandidate(n) && r.isLed(n) {
			rights = append(rights, at)
		}
	}
	r.toRight.Spans = int64(len(r.nodes))
	return more || len(rights) > 0, r.explore(rights, r.op.toLeft)
}

// isLed reports whether something on the left may lead to a node.
func (r *rightward) isLed(n *reachNode) bool {
	return slices.ContainsFunc(n.back, func(at int) bool { return !r.op.direct || len(r.nodes[at].left) > 0 })
}

// leftTraces returns the traces of left-hand spans that lead to candidates and
// that are not closed, and closes them.
func (r *rightward) leftTraces() []pcommon.TraceID {
	var rights []int
	for at := range r.nodes {
		if n := &r.nodes[at]; len(n.right) > 0 && r.isCandidate(n) {
			rights = append(rights, at)
		}
	}
	var leads []bool
	if r.op.direct {
		leads = make([]bool, len(r.nodes))
		for _, at := range rights {
			for _, to := range r.nodes[at].back {
				leads[to] = true
			}
		}
	} else {
		leads = spread(rights, len(r.nodes), func(at int) []int { return r.nodes[at].back })
	}
	var traces []pcommon.TraceID
	for at := range r.nodes {
		n := &r.nodes[at]
		if leads[at] && len(n.left) > 0 && r.closed.add(n.ref.TraceID) {
			traces = append(traces, n.ref.TraceID)
		}
	}
	return traces
}

// leftOf returns the left-hand spans of a trace.
func (r *rightward) leftOf(id pcommon.TraceID) ([]int, error) {
	t, err := r.s.load(id)
	if err != nil {
		return nil, err
	}
	var from []int
	for i, is := range r.s.spansOf(r.op.left, t) {
		if !is {
			continue
		}
		at, err := r.place(t.records[i].Ref)
		if err != nil {
			return nil, err
		}
		from = append(from, at)
	}
	return from, nil
}

// spans yields the spans that an operand stands for, from a key on, the latest
// first.
func (s *searcher) spans(o operand, from *spanKey) iter.Seq2[spanKey, error] {
	return func(yield func(spanKey, error) bool) {
		listed, err := s.listed(o)
		if err != nil {
			yield(spanKey{}, err)
			return
		}
		member := s.member(o)
		traced, _ := member.(*traced)
		for key, err := range s.keys(listed, from) {
			if err == nil && traced != nil {
				var set spanSet
				if set, err = traced.of(key.ref.TraceID); err == nil {
					if _, is := set[key.identity()]; !is {
						continue
					}
				}
			}
			if !yield(key, err) || err != nil {
				return
			}
		}
	}
}
