package ring

import "fmt"

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
func (c *core[W]) push(now int64, parts []Part[W]) (answer *Completion, blocked *blockedPush[W], err error) {
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
	if len(c.blocked) == 0 && c.used().plus(total).within(c.limit) {
		return c.admit(now, parts), nil, nil
	}
	switch c.overflow {
	case Block:
		blocked, err = c.block(parts, total)
		return nil, blocked, err
	case DropOldest:
		answer, err = c.pushOverOldest(now, parts, total)
		return answer, nil, err
	case DropNewest:
		c.dropped += total.items
		answer = newCompletion(1)
		answer.part(ErrDropped)
		return answer, nil, nil
	case ByPriority:
		answer, err = c.pushByPriority(now, parts)
		return answer, nil, err
	default:
		return nil, nil, c.refuse(total, ErrFull)
	}
}

func (c *core[W]) refuse(s size, err error) error {
	c.refused += s.items
	return err
}

// admit enqueues all parts. There is room for them.
func (c *core[W]) admit(now int64, parts []Part[W]) *Completion {
	answer := newCompletion(len(parts))
	entries := make([]Entry[W], len(parts))
	for i := range parts {
		c.enqueue(now, &parts[i], &entries[i], answer)
	}
	return answer
}

func (c *core[W]) block(parts []Part[W], total size) (*blockedPush[W], error) {
	if !c.outside.plus(total).within(c.limit) {
		return nil, c.refuse(total, ErrFull)
	}
	w := &blockedPush[W]{parts: parts, size: total, decide: make(chan error, 1)}
	c.blocked = append(c.blocked, w)
	c.outside = c.outside.plus(total)
	return w, nil
}

// admitBlocked lets those in that waited longest, as far as there is room.
func (c *core[W]) admitBlocked(now int64) {
	for len(c.blocked) > 0 {
		w := c.blocked[0]
		if !c.used().plus(w.size).within(c.limit) {
			return
		}
		c.blocked = c.blocked[1:]
		c.outside = c.outside.minus(w.size)
		w.answer = c.admit(now, w.parts)
		w.decide <- nil
	}
}

// giveUp takes a blocked request off the list and reports whether it was still
// there; if not, its decision has been made.
func (c *core[W]) giveUp(now int64, w *blockedPush[W]) bool {
	for i, other := range c.blocked {
		if other != w {
			continue
		}
		c.blocked = append(c.blocked[:i], c.blocked[i+1:]...)
		c.outside = c.outside.minus(w.size)
		c.refused += w.size.items
		c.admitBlocked(now)
		return true
	}
	return false
}

func (c *core[W]) pushOverOldest(now int64, parts []Part[W], total size) (*Completion, error) {
	if !c.flight.plus(total).within(c.limit) {
		return nil, c.refuse(total, ErrFull)
	}
	for !c.used().plus(total).within(c.limit) {
		c.drop(c.oldest())
	}
	return c.admit(now, parts), nil
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
func (c *core[W]) pushByPriority(now int64, parts []Part[W]) (*Completion, error) {
	var taken size
	admitted := make([]Part[W], 0, len(parts))
	in := make([]bool, len(parts))
	for level := levels; level > 0; level-- {
		for i := range parts {
			if parts[i].Priority != level-1 {
				continue
			}
			need := taken.plus(parts[i].size())
			if in[i] = c.makeRoom(need, parts[i].Priority); in[i] {
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
	answer := c.admit(now, admitted)
	if len(admitted) < len(parts) {
		return answer, ErrFull
	}
	return answer, nil
}

// makeRoom drops entries less important than p, the least important and then
// the oldest first, until need fits; or drops none if that would not do.
func (c *core[W]) makeRoom(need size, p Priority) bool {
	var lower size
	for level := range p {
		lower = lower.plus(c.waiting[level])
	}
	if !c.used().plus(need).minus(lower).within(c.limit) {
		return false
	}
	level := Low
	for !c.used().plus(need).within(c.limit) {
		if e := c.age[level].front; e != nil {
			c.drop(e)
		} else {
			level++
		}
	}
	return true
}
