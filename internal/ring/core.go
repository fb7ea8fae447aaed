package ring

import "fmt"

// core is the ring's state machine. Every method is a step that ends at once;
// times are nanoseconds of one monotonic clock that the caller reads.
//
// Invariants between steps:
//   - queued + flight is within limit;
//   - an entry waits (is in its partition's queue and in two lists by age, and
//     counts in queued), or is held (is in exactly one batch of batches, and
//     counts in flight), or has left; until then it counts for its client;
//   - a partition is in ready exactly when it is not claimed and its queue is
//     not empty;
//   - readyItems are the items that wait in partitions that are not claimed;
//   - requests wait outside only while overflow is Block.
type core[W any] struct {
	limit    size
	fraction float64 // of limit, that bound is
	bound    size    // up to which requests come in; what is there already may be more
	overflow Overflow

	clients    clients
	service    service
	partitions []partition[W] // the last is the shared one
	ready      heap[*partition[W]]
	unfilled   []*partition[W] // of a take that is under way: ready, but with nothing that fits
	age        [levels]list[W]
	waiting    [levels]size // of the entries in age
	queued     size
	flight     size
	readyItems int64
	batches    map[*Batch[W]]struct{}
	blocked    []*blockedPush[W] // in order of arrival
	outside    size              // of blocked
	admissions uint64            // of blocked; how often they were looked through
	seq        uint64
	closed     bool

	dropped  int64 // items, since start
	refused  int64 // items, since start
	unfair   int64 // items of refused for which there was room
	accepted int64 // items, since start
}

type partition[W any] struct {
	number   int
	slot     int // in ready, -1 if it is not there
	queue    heap[*Entry[W]]
	arrived  list[W] // of queue, the longest waiting first
	sequence sequence
	items    int64
	claimed  bool // never true of the shared one
}

// before is for partitions in which something waits: the one whose first entry
// comes first.
func (p *partition[W]) before(o *partition[W]) bool { return p.queue[0].before(o.queue[0]) }

func (p *partition[W]) place() *int { return &p.slot }

// blockedPush is a request that waits outside for space.
type blockedPush[W any] struct {
	client *client
	parts  []Part[W]
	size   size
	answer *Completion
	decide chan error // gets the outcome once; has room for it
}

func newCore[W any](cfg Config) *core[W] {
	c := &core[W]{
		limit:      size{cfg.MaxItems, cfg.MaxBytes},
		overflow:   cfg.Overflow,
		clients:    newClients(),
		partitions: make([]partition[W], cfg.Partitions+1),
		batches:    map[*Batch[W]]struct{}{},
	}
	c.setBound(0, 1)
	for i := range c.partitions {
		p := &c.partitions[i]
		p.number, p.slot, p.arrived.which = i, -1, inPartition
	}
	for i := range c.age {
		c.age[i].which = byPriority
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
func (c *core[W]) enqueue(now int64, cl *client, p *Part[W], e *Entry[W], answer *Completion) {
	part := &c.partitions[c.index(p.Partition)]
	c.seq++
	start := c.service.start(&cl.flows[p.Priority], p.Items, p.Priority)
	*e = Entry[W]{
		Work: p.Work, Partition: p.Partition, Items: p.Items, Bytes: p.Bytes,
		priority: p.Priority, seq: c.seq, start: start, turn: part.sequence.turn(start, p.Keys),
		at: now, client: cl, answer: answer,
	}
	part.queue.push(e)
	part.arrived.push(e)
	part.items += int64(e.Items)
	c.age[e.priority].push(e)
	c.waiting[e.priority] = c.waiting[e.priority].plus(e.size())
	c.queued = c.queued.plus(e.size())
	c.clients.take(cl, e.size())
	c.accepted += int64(e.Items)
	if !part.claimed {
		c.readyItems += int64(e.Items)
		c.list(part)
	}
}

// dequeue takes an entry off the lists of those that wait.
func (c *core[W]) dequeue(e *Entry[W]) {
	part := &c.partitions[c.index(e.Partition)]
	part.queue.remove(e)
	part.arrived.remove(e)
	part.items -= int64(e.Items)
	if len(part.queue) == 0 {
		part.sequence.reset()
	}
	c.age[e.priority].remove(e)
	c.waiting[e.priority] = c.waiting[e.priority].minus(e.size())
	c.queued = c.queued.minus(e.size())
	if c.queued.items == 0 {
		c.service.idle()
	}
	if !part.claimed {
		c.readyItems -= int64(e.Items)
	}
}

// discard ends an entry that waits.
func (c *core[W]) discard(now int64, e *Entry[W]) {
	c.dequeue(e)
	if part := &c.partitions[c.index(e.Partition)]; part.slot >= 0 {
		if len(part.queue) == 0 {
			c.unlist(part)
		} else {
			c.ready.fix(part)
		}
	}
	c.clients.give(now, e.client, e.size())
}

func (c *core[W]) drop(now int64, e *Entry[W]) {
	c.discard(now, e)
	c.dropped += int64(e.Items)
	e.answer.part(ErrDropped)
}

// list puts a partition that has something to hand out into ready, or where it
// belongs there when it has got something more.
func (c *core[W]) list(part *partition[W]) {
	switch {
	case part.slot >= 0:
		c.ready.fix(part)
	case len(part.queue) > 0:
		c.ready.push(part)
	}
}

func (c *core[W]) unlist(part *partition[W]) {
	c.ready.remove(part)
	part.slot = -1
}

// take claims ready partitions, the one with the best entry first, and hands
// out their entries, up to want.Max items but at least one entry. Nil means
// that there is nothing to take now: ask again after wait nanoseconds, or when
// something changes if wait is 0.
func (c *core[W]) take(now int64, want Want) (b *Batch[W], wait int64) {
	if c.readyItems == 0 {
		return nil, 0
	}
	if wait := c.hold(now, want); wait > 0 {
		return nil, wait
	}
	c.service.begin(c.ready[0].queue[0].start)
	b = &Batch[W]{}
	for len(c.ready) > 0 && b.Items < want.Max {
		part := c.ready[0]
		c.unlist(part)
		moved := c.fill(b, part, want.Max)
		if !moved || part.number == c.shared() {
			c.unfilled = append(c.unfilled, part)
			continue
		}
		part.claimed = true
		c.readyItems -= part.items
		b.claimed = append(b.claimed, part.number)
	}
	for _, part := range c.unfilled {
		c.list(part)
	}
	c.unfilled = c.unfilled[:0]
	c.service.serve(b.Items)
	c.batches[b] = struct{}{}
	return b, 0
}

// hold says for how long a batch should wait to become bigger: never when no
// batch is under way, else until there are want.Min items or one of them has
// waited for want.Delay. It looks at fewer than want.Min partitions.
func (c *core[W]) hold(now int64, want Want) int64 {
	if c.closed || len(c.batches) == 0 || c.readyItems >= int64(want.Min) {
		return 0
	}
	first := now
	for _, part := range c.ready {
		first = min(first, part.arrived.front.at)
	}
	return max(0, want.Delay.Nanoseconds()-(now-first))
}

// fill moves the first entries of one partition into b and reports whether it
// moved any.
func (c *core[W]) fill(b *Batch[W], part *partition[W], limit int) bool {
	moved := false
	for len(part.queue) > 0 {
		e := part.queue[0]
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
		c.clients.give(now, e.client, e.size())
		e.Complete(err)
		e.answer.part(e.result)
	}
	for _, at := range b.claimed {
		part := &c.partitions[at]
		part.claimed = false
		c.readyItems += part.items
		c.list(part)
	}
	c.admitBlocked(now)
}

// finished reports whether nothing will ever be taken again.
func (c *core[W]) finished() bool { return c.closed && c.queued.items == 0 }

// close refuses what comes from now on, and what waits outside.
func (c *core[W]) close(now int64) {
	c.closed = true
	for len(c.blocked) > 0 {
		w := c.blocked[0]
		c.unblock(now, 0)
		w.decide <- c.refuse(w.size, ErrClosed)
	}
}

// fail completes everything that is unfinished. What waits leaves, and is
// returned.
func (c *core[W]) fail(now int64, err error) (discarded []*Entry[W]) {
	for level := range c.age {
		for e := c.age[level].front; e != nil; e = c.age[level].front {
			c.discard(now, e)
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
