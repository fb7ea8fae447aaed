package query

import (
	"cmp"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

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
func (s *searcher) runRight(p *pipe, c *caused, want *wanted, estimate int64, enough func(visited int) (bool, error)) (done bool, _ error) {
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
		isEnough, err := enough(r.visited)
		if err != nil {
			return false, err
		}
		if isEnough {
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
	r.toLeft.Spans = int64(r.visited)
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
	var lefts []int
	for _, id := range r.leftTraces() {
		from, err := r.leftOf(id)
		if err != nil {
			return false, err
		}
		lefts = append(lefts, from...)
	}
	if err := r.explore(lefts, r.op.toLeft.other()); err != nil {
		return false, err
	}
	var rights []int
	for at := range r.nodes {
		n := &r.nodes[at]
		if len(n.right) > 0 && !r.isCandidate(n) && r.isLed(n) {
			rights = append(rights, at)
		}
	}
	r.toRight.Spans = int64(r.visited)
	return len(lefts)+len(rights) > 0, r.explore(rights, r.op.toLeft)
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

// leftOf returns the nodes of a trace that have left-hand spans.
func (r *rightward) leftOf(id pcommon.TraceID) ([]int, error) {
	if nodes := r.whole[id]; nodes != nil {
		return r.leftAmong(nodes)
	}
	t, err := r.s.load(id)
	if err != nil {
		return nil, err
	}
	_, undecided := r.left.(*led)
	var in []bool
	if !undecided {
		in = r.s.spansOf(r.op.left, t)
	}
	var from []int
	for i, rec := range t.records {
		if !undecided && !in[i] {
			continue
		}
		at, err := r.place(rec.Ref)
		if err != nil {
			return nil, err
		}
		from = append(from, at)
	}
	if undecided {
		if err := r.read(from); err != nil {
			return nil, err
		}
		from = slices.DeleteFunc(from, func(at int) bool { return len(r.nodes[at].left) == 0 })
	}
	return from, nil
}

// leftAmong returns those of some nodes that have left-hand spans.
func (r *rightward) leftAmong(nodes []int) (from []int, err error) {
	for _, at := range nodes {
		if len(r.nodes[at].left) == 0 {
			continue
		}
		if _, err := r.place(r.nodes[at].ref); err != nil {
			return nil, err
		}
		from = append(from, at)
	}
	return from, nil
}
