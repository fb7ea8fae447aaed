package ring

import "fmt"

// core is the ring's state machine. Every method is a step that ends at once;
// times are nanoseconds of one monotonic clock that the caller reads.
//
// Invariants between steps:
//   - queued + flight is within limit;
//   - an entry waits (is in its partition's queue and in the age list of its
//     priority, and counts in queued), or is held (is in exactly one batch of
//     batches, and counts in flight), or has left;
//   - a partition is in ready when it is not claimed and its queue is not
//     empty; it may stay there after drops have emptied it (take skips it);
//   - readyItems are the items that wait in partitions that are not claimed.
type core[W any] struct {
	limit    size
	overflow Overflow

	partitions []partition[W] // the last is the shared one
	ready      fifo
	age        [levels]list[W]
	waiting    [levels]size // of the entries in age
	queued     size
	flight     size
	readyItems int64
	batches    map[*Batch[W]]struct{}
	blocked    []*blockedPush[W] // first come first
	outside    size              // of blocked
	seq        uint64
	closed     bool

	dropped  int64 // items, since start
	refused  int64 // items, since start
	accepted int64 // items, since start
}

type partition[W any] struct {
	queue   list[W]
	items   int64
	claimed bool // never true of the shared one
	listed  bool // is in ready
}

// blockedPush is a request that waits outside for space.
type blockedPush[W any] struct {
	parts  []Part[W]
	size   size
	answer *Completion
	decide chan error // gets the outcome once; has room for it
}

func newCore[W any](cfg Config) *core[W] {
	c := &core[W]{
		limit:      size{cfg.MaxItems, cfg.MaxBytes},
		overflow:   cfg.Overflow,
		partitions: make([]partition[W], cfg.Partitions+1),
		ready:      fifo{slots: make([]int, cfg.Partitions+1)},
		batches:    map[*Batch[W]]struct{}{},
	}
	for i := range c.partitions {
		c.partitions[i].queue.which = byOrder
	}
	for i := range c.age {
		c.age[i].which = byAge
	}
	return c
}

func (c *core[W]) used() size { return c.queued.plus(c.flight) }

func (c *core[W]) shared() int { return len(c.partitions) - 1 }

// index returns where in partitions the partition with this public number is.
func (c *core[W]) index(number int) int {
	if number == Shared {
		return c.shared()
	}
	if number < 0 || number >= c.shared() {
		panic(fmt.Sprintf("ring: no partition %d, there are %d", number, c.shared()))
	}
	return number
}

// enqueue takes a part in. The caller made room for it.
func (c *core[W]) enqueue(now int64, p *Part[W], e *Entry[W], answer *Completion) {
	at := c.index(p.Partition)
	c.seq++
	*e = Entry[W]{
		Work: p.Work, Partition: p.Partition, Items: p.Items, Bytes: p.Bytes,
		priority: p.Priority, seq: c.seq, at: now, answer: answer,
	}
	part := &c.partitions[at]
	part.queue.push(e)
	part.items += int64(e.Items)
	c.age[e.priority].push(e)
	c.waiting[e.priority] = c.waiting[e.priority].plus(e.size())
	c.queued = c.queued.plus(e.size())
	c.accepted += int64(e.Items)
	if !part.claimed {
		c.readyItems += int64(e.Items)
		c.list(at)
	}
}

// dequeue takes an entry off the lists of those that wait.
func (c *core[W]) dequeue(e *Entry[W]) {
	part := &c.partitions[c.index(e.Partition)]
	part.queue.remove(e)
	part.items -= int64(e.Items)
	c.age[e.priority].remove(e)
	c.waiting[e.priority] = c.waiting[e.priority].minus(e.size())
	c.queued = c.queued.minus(e.size())
	if !part.claimed {
		c.readyItems -= int64(e.Items)
	}
}

func (c *core[W]) drop(e *Entry[W]) {
	c.dequeue(e)
	c.dropped += int64(e.Items)
	e.answer.part(ErrDropped)
}

// list puts a partition that has something to hand out at the end of ready.
func (c *core[W]) list(at int) {
	part := &c.partitions[at]
	if part.listed || part.queue.front == nil {
		return
	}
	part.listed = true
	c.ready.push(at)
}

// take claims ready partitions and hands out their entries, up to want.Max
// items but at least one entry. Nil means that there is nothing to take now:
// ask again after wait nanoseconds, or when something changes if wait is 0.
func (c *core[W]) take(now int64, want Want) (b *Batch[W], wait int64) {
	c.skipEmptied()
	if c.readyItems == 0 {
		return nil, 0
	}
	if wait := c.hold(now, want); wait > 0 {
		return nil, wait
	}
	b = &Batch[W]{}
	for n := c.ready.len(); n > 0 && b.Items < want.Max; n-- {
		at := c.ready.pop()
		part := &c.partitions[at]
		part.listed = false
		if !c.fill(b, part, want.Max) {
			c.list(at)
			continue
		}
		if at == c.shared() {
			c.list(at)
			continue
		}
		part.claimed = true
		c.readyItems -= part.items
		b.claimed = append(b.claimed, at)
	}
	c.batches[b] = struct{}{}
	return b, 0
}

// hold says for how long a batch should wait to become bigger: never when no
// batch is under way, else until there are want.Min items or the first of them
// has waited for want.Delay.
func (c *core[W]) hold(now int64, want Want) int64 {
	if c.closed || len(c.batches) == 0 || c.readyItems >= int64(want.Min) {
		return 0
	}
	first := c.partitions[c.ready.peek()].queue.front
	return max(0, want.Delay.Nanoseconds()-(now-first.at))
}

// fill moves entries of one partition into b and reports whether it moved any.
func (c *core[W]) fill(b *Batch[W], part *partition[W], limit int) bool {
	moved := false
	for e := part.queue.front; e != nil; e = part.queue.front {
		if len(b.Entries) > 0 && b.Items+e.Items > limit {
			break
		}
		c.dequeue(e)
		c.flight = c.flight.plus(e.size())
		b.Entries = append(b.Entries, e)
		b.Items += e.Items
		b.Bytes += e.Bytes
		moved = true
	}
	return moved
}

func (c *core[W]) skipEmptied() {
	for c.ready.len() > 0 && c.partitions[c.ready.peek()].queue.front == nil {
		c.partitions[c.ready.pop()].listed = false
	}
}

// release ends a batch: partitions and memory are free again, its entries'
// requests have their results (err for what is not complete), and blocked
// requests come in.
func (c *core[W]) release(now int64, b *Batch[W], err error) {
	if _, ok := c.batches[b]; !ok {
		panic("ring: a batch was released twice")
	}
	delete(c.batches, b)
	for _, e := range b.Entries {
		c.flight = c.flight.minus(e.size())
		e.Complete(err)
		e.answer.part(e.result)
	}
	for _, at := range b.claimed {
		part := &c.partitions[at]
		part.claimed = false
		c.readyItems += part.items
		c.list(at)
	}
	c.admitBlocked(now)
}

// finished reports whether nothing will ever be taken again.
func (c *core[W]) finished() bool { return c.closed && c.queued.items == 0 }

// close refuses what comes from now on, and what waits outside.
func (c *core[W]) close() {
	c.closed = true
	for _, w := range c.blocked {
		c.refused += w.size.items
		w.decide <- ErrClosed
	}
	c.blocked, c.outside = nil, size{}
}

// fail completes everything that is unfinished. What waits leaves, and is
// returned.
func (c *core[W]) fail(err error) (discarded []*Entry[W]) {
	for level := range c.age {
		for e := c.age[level].front; e != nil; e = c.age[level].front {
			c.dequeue(e)
			e.answer.force(err)
			discarded = append(discarded, e)
		}
	}
	for b := range c.batches {
		for _, e := range b.Entries {
			e.answer.force(err)
		}
	}
	return discarded
}

// fifo is a queue of partition indexes. Each index is in it at most once, so
// it never outgrows its slots.
type fifo struct {
	slots       []int
	head, count int
}

func (f *fifo) len() int  { return f.count }
func (f *fifo) peek() int { return f.slots[f.head] }

func (f *fifo) push(v int) {
	f.slots[(f.head+f.count)%len(f.slots)] = v
	f.count++
}

func (f *fifo) pop() int {
	v := f.slots[f.head]
	f.head = (f.head + 1) % len(f.slots)
	f.count--
	return v
}
