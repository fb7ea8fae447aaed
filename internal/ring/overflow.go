package ring

import (
	"fmt"
	"slices"
)

// Overflow says what happens to a request for which there is no room.
type Overflow uint8

// The five behaviours; see the package comment.
const (
	Refuse Overflow = iota
	Block
	DropOldest
	DropNewest
	ByPriority
)

var overflowNames = [...]string{"refuse", "block", "drop_oldest", "drop_newest", "by_priority"}

func (o Overflow) String() string { return overflowNames[o] }

// ParseOverflow returns the behaviour with this name.
func ParseOverflow(name string) (Overflow, error) {
	for i, n := range overflowNames {
		if n == name {
			return Overflow(i), nil
		}
	}
	return 0, fmt.Errorf("%q is not one of refuse, block, drop_oldest, drop_newest, by_priority", name)
}

// push takes a request in or says why not. A non-nil blocked means that the
// caller has to wait for its decision.
func (c *core[W]) push(now int64, id uint64, parts []Part[W]) (answer *Completion, blocked *blockedPush[W], err error) {
	var total size
	for i := range parts {
		total = total.plus(parts[i].size())
	}
	if c.closed {
		return nil, nil, c.refuse(total, ErrClosed)
	}
	if !total.within(c.limit) {
		return nil, nil, c.refuse(total, &TooLargeError{total.items, total.bytes, c.limit.items, c.limit.bytes})
	}
	cl := c.clients.see(now, id)
	if c.overflow == Block {
		if c.mayEnter(cl, total, len(c.blocked) > 0) && !c.behind(cl) {
			return c.admit(now, cl, parts), nil, nil
		}
		blocked, err = c.block(cl, parts, total)
		return nil, blocked, err
	}
	answer, err = c.decide(now, cl, parts, total)
	return answer, nil, err
}

// decide takes a request in or says why not, where nobody waits.
func (c *core[W]) decide(now int64, cl *client, parts []Part[W], total size) (*Completion, error) {
	if c.overflow == Refuse {
		if c.mayEnter(cl, total, false) {
			return c.admit(now, cl, parts), nil
		}
		return nil, c.refuseFull(total)
	}
	if c.fits(total) {
		return c.admit(now, cl, parts), nil
	}
	switch c.overflow {
	case DropOldest:
		return c.pushOverOldest(now, cl, parts, total)
	case DropNewest:
		c.dropped += total.items
		answer := newCompletion(1)
		answer.part(ErrDropped)
		return answer, nil
	default:
		return c.pushByPriority(now, cl, parts)
	}
}

// fits reports whether there is room. What is not larger than the whole ring
// must have a chance to come in, whatever bound is: it has when the ring is
// empty.
func (c *core[W]) fits(request size) bool {
	used := c.used()
	return used == size{} || used.plus(request).within(c.bound)
}

// mayEnter reports whether there is room for a request that does not take it
// from others. line: others wait, and only who is within its share goes first.
func (c *core[W]) mayEnter(cl *client, request size, line bool) bool {
	if !c.fits(request) {
		return false
	}
	if c.clients.fair(cl, request, c.bound) {
		return true
	}
	used := c.used()
	return !line && (used == size{} || used.plus(request).within(c.clients.ceiling(c.bound)))
}

func (c *core[W]) refuse(s size, err error) error {
	c.refused += s.items
	return err
}

func (c *core[W]) refuseFull(s size) error {
	if c.fits(s) {
		c.unfair += s.items
	}
	return c.refuse(s, ErrFull)
}

// admit enqueues all parts. There is room for them.
func (c *core[W]) admit(now int64, cl *client, parts []Part[W]) *Completion {
	answer := newCompletion(len(parts))
	entries := make([]Entry[W], len(parts))
	for i := range parts {
		c.enqueue(now, cl, &parts[i], &entries[i], answer)
	}
	return answer
}

// behind reports whether a newcomer has to wait although there is room: a
// request of its own is in the line, or the line waits for plain room.
func (c *core[W]) behind(cl *client) bool {
	if len(c.blocked) == 0 {
		return false
	}
	first := c.blocked[0]
	return cl.outside > 0 || c.clients.fair(first.client, first.size, c.bound)
}

func (c *core[W]) block(cl *client, parts []Part[W], total size) (*blockedPush[W], error) {
	if !c.outside.plus(total).within(c.limit) {
		return nil, c.refuseFull(total)
	}
	w := &blockedPush[W]{client: cl, parts: parts, size: total, decide: make(chan error, 1)}
	c.blocked = append(c.blocked, w)
	c.outside = c.outside.plus(total)
	cl.outside++
	return w, nil
}

// unblock takes a request out of the line.
func (c *core[W]) unblock(now int64, i int) {
	w := c.blocked[i]
	c.blocked = slices.Delete(c.blocked, i, i+1)
	c.outside = c.outside.minus(w.size)
	w.client.outside--
	c.clients.touch(now, w.client)
}

// admitBlocked lets those in that waited longest, as far as there is room.
// Who waits because it is beyond its share is passed over, by requests of
// others that are within theirs.
func (c *core[W]) admitBlocked(now int64) {
	c.admissions++
	line := false
	for i := 0; i < len(c.blocked); {
		w := c.blocked[i]
		if w.client.passed != c.admissions && c.mayEnter(w.client, w.size, line) {
			c.unblock(now, i)
			w.answer = c.admit(now, w.client, w.parts)
			w.decide <- nil
			continue
		}
		if !line && c.clients.fair(w.client, w.size, c.bound) {
			return
		}
		line = true
		w.client.passed = c.admissions
		i++
	}
}

// giveUp takes a blocked request off the list and reports whether it was still
// there; if not, its decision has been made.
func (c *core[W]) giveUp(now int64, w *blockedPush[W]) bool {
	i := slices.Index(c.blocked, w)
	if i < 0 {
		return false
	}
	c.unblock(now, i)
	c.refused += w.size.items
	c.admitBlocked(now)
	return true
}

// setOverflow changes the behaviour. Requests that wait for space are decided
// by the new one.
func (c *core[W]) setOverflow(now int64, o Overflow) {
	c.overflow = o
	for o != Block && len(c.blocked) > 0 {
		w := c.blocked[0]
		c.unblock(now, 0)
		var err error
		w.answer, err = c.decide(now, w.client, w.parts, w.size)
		w.decide <- err
	}
}

// setBound changes how much of the limit is used.
func (c *core[W]) setBound(now int64, fraction float64) {
	if !(fraction > 0 && fraction <= 1) {
		panic(fmt.Sprintf("ring: a bound of %v is not within (0, 1]", fraction))
	}
	part := func(of int64) int64 {
		if fraction == 1 {
			return of
		}
		return max(1, int64(float64(of)*fraction))
	}
	c.fraction, c.bound = fraction, size{part(c.limit.items), part(c.limit.bytes)}
	c.admitBlocked(now)
}

// goal is up to where requests may push others out. Where the bound was
// lowered under what is in the ring, they take the place of as much as they
// are, and no more.
func (c *core[W]) goal() size {
	used := c.used()
	return size{max(c.bound.items, used.items), max(c.bound.bytes, used.bytes)}
}

func (c *core[W]) pushOverOldest(now int64, cl *client, parts []Part[W], total size) (*Completion, error) {
	goal := c.goal()
	if !c.flight.plus(total).within(goal) {
		return nil, c.refuse(total, ErrFull)
	}
	for !c.used().plus(total).within(goal) {
		c.drop(now, c.oldest())
	}
	return c.admit(now, cl, parts), nil
}

// oldest returns the entry that has waited longest, nil if none waits.
func (c *core[W]) oldest() *Entry[W] {
	var first *Entry[W]
	for level := range c.age {
		if e := c.age[level].front; e != nil && (first == nil || e.seq < first.seq) {
			first = e
		}
	}
	return first
}

// pushByPriority makes room for the more important parts first. Parts that
// find none are refused; the others are taken, in their order.
func (c *core[W]) pushByPriority(now int64, cl *client, parts []Part[W]) (*Completion, error) {
	goal := c.goal()
	var taken size
	admitted := make([]Part[W], 0, len(parts))
	in := make([]bool, len(parts))
	for level := levels; level > 0; level-- {
		for i := range parts {
			if parts[i].Priority != level-1 {
				continue
			}
			need := taken.plus(parts[i].size())
			if in[i] = c.makeRoom(now, need, goal, parts[i].Priority); in[i] {
				taken = need
			} else {
				c.refused += int64(parts[i].Items)
			}
		}
	}
	for i := range parts {
		if in[i] {
			admitted = append(admitted, parts[i])
		}
	}
	answer := c.admit(now, cl, admitted)
	if len(admitted) < len(parts) {
		return answer, ErrFull
	}
	return answer, nil
}

// makeRoom drops entries less important than p, the least important and then
// the oldest first, until need fits into goal; or drops none if that would not
// do.
func (c *core[W]) makeRoom(now int64, need, goal size, p Priority) bool {
	var lower size
	for level := range p {
		lower = lower.plus(c.waiting[level])
	}
	if !c.used().plus(need).minus(lower).within(goal) {
		return false
	}
	level := Low
	for !c.used().plus(need).within(goal) {
		if e := c.age[level].front; e != nil {
			c.drop(now, e)
		} else {
			level++
		}
	}
	return true
}
