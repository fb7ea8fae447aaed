package query

import "errors"

// runCaused gives the spansets of a pipeline over a causal operator. There are
// two ways, with the same answer:
//
//   - from the right: right-hand spans come the latest first, in batches, and
//     what leads to them is searched; then, so that spansets are whole, what
//     else the left-hand traces lead to. It stops when enough are found.
//   - from the left: from all left-hand spans on. So it goes where these are
//     much rarer, or rarer and soon found, or where the other way took long.
func (s *searcher) runCaused(p *pipe, c *caused, want *wanted) error {
	left, right, err := s.sides(c)
	if err != nil {
		return err
	}
	if left <= int64(s.opts.MaxVisited) && (left < right/rarer || left < right/2 && left <= rowsPerVisit*leastVisits) {
		visited, held := s.visited, s.held-s.loaded.bytes
		err := s.runLeft(p, c, want, left)
		if tooMuch := (*BoundError)(nil); want.given > 0 || !errors.As(err, &tooMuch) {
			return err
		}
		s.visited, s.held, want.pending = visited, held+s.loaded.bytes, nil
		_, err = s.runRight(p, c, want, right, func(int) (bool, error) { return false, nil })
		return err
	}
	if done, err := s.runRight(p, c, want, right, s.insteadFromLeft(c, left, right)); done || err != nil {
		return err
	}
	return s.runLeft(p, c, want, left)
}

// When it is looked whether to go from the left after all.
const (
	leastVisits   = 1024 // so many spans were gone over from the right, then four times as many
	rowsPerVisit  = 64   // that may have to be looked at to find the left-hand spans, for each visit
	visitsPerLeft = 4    // that make up for a left-hand span
)

// insteadFromLeft says after some visits from the right whether to go from the
// left: if the right promised to have more spans and there are few on the left
// for what was spent, which these are found for. Or, where that cannot be, if
// half of what is allowed is spent.
func (s *searcher) insteadFromLeft(c *caused, left, right int64) func(visited int) (bool, error) {
	next, rows, visits := leastVisits, int64(rowsPerVisit), visitsPerLeft
	if s.opts.patience > 0 {
		next, rows, visits = s.opts.patience, right, 1
	}
	inner, is := c.left.(*caused)
	undecided := is && inner.known == nil
	return func(visited int) (bool, error) {
		switch {
		case left >= right:
			return false, nil
		case visited > s.opts.MaxVisited/2:
			return true, nil
		case visited <= next || undecided || left > rows*int64(visited):
			return false, nil
		}
		next = 4 * visited
		var keys []spanKey
		for key, err := range s.spans(c.left, nil) {
			if err != nil {
				return false, err
			}
			if keys = append(keys, key); len(keys) > visited/visits {
				return false, nil
			}
		}
		s.found = map[operand][]spanKey{c.left: keys}
		return true, nil
	}
}

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
