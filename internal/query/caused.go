package query

import (
	"cmp"
	"errors"
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
		visited, held := s.visited, s.held-s.loaded.bytes
		err := s.runLeft(p, c, want, left)
		if tooMuch := (*BoundError)(nil); want.given > 0 || !errors.As(err, &tooMuch) {
			return err
		}
		s.visited, s.held, want.pending = visited, held+s.loaded.bytes, nil
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

// sides makes the operands of a causal operator ready, and estimates them. A
// causal operator on the left is not gone through yet: from the right it need
// not be.
func (s *searcher) sides(c *caused) (left, right int64, err error) {
	if inner, ok := c.left.(*caused); ok && inner.known == nil {
		innerLeft, innerRight, err := s.sides(inner)
		if err != nil {
			return 0, 0, err
		}
		left = min(innerLeft, innerRight)
	} else if left, err = s.ready(c.left); err != nil {
		return 0, 0, err
	}
	right, err = s.ready(c.right)
	return left, right, err
}

func (s *searcher) ready(o operand) (estimate int64, err error) {
	if err := s.know(o); err != nil {
		return 0, err
	}
	needed, err := s.needed(o)
	return needed.estimate, err
}

// setOf returns the spans that come out of a pipeline over a causal operator.
func (s *searcher) setOf(p *pipe, c *caused) (spanSet, error) {
	left, right, err := s.sides(c)
	if err != nil {
		return nil, err
	}
	if left < right {
		err = s.know(c.left)
	}
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
	step.Spans = int64(g.visited)
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
	if err := s.know(c.left); err != nil {
		return err
	}
	g := s.newReach(c)
	defer g.forget()
	if err := g.fromLeft(estimate); err != nil {
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
