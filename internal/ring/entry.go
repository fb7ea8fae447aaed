package ring

// Shared is the partition whose entries need no order: any number of workers
// may hold entries of it at once.
const Shared = -1

// Priority says what is served sooner, and what ByPriority drops first.
type Priority uint8

// Priorities, the least important first.
const (
	Low Priority = iota
	Normal
	High
	levels
)

// Part is the share of a request that goes to one partition. Several parts of
// one request may go to the same partition.
type Part[W any] struct {
	Partition int // 0 <= Partition < Config.Partitions, or Shared
	Work      W
	Items     int   // at least 1
	Bytes     int64 // of memory that Work stands for, at least 0
	Priority  Priority
	// Keys is a set, one bit for each thing in Work that has an order of its
	// own, such as a process. Of two parts in one partition that have a key in
	// common the one that was pushed first is handed out first.
	Keys uint64
}

func (p *Part[W]) size() size { return size{int64(p.Items), p.Bytes} }

// Entry is a part in the ring. Its exported fields do not change.
type Entry[W any] struct {
	Work      W
	Partition int // as in Part
	Items     int
	Bytes     int64

	priority Priority
	complete bool   // owned by the worker that holds the entry
	seq      uint64 // order of arrival over all partitions
	start    uint64 // its place in its flow; see service
	turn     uint64 // its place in its partition; see sequence
	slot     int    // in its partition's queue
	at       int64  // when it was pushed, nanoseconds of the ring's clock
	client   *client
	answer   *Completion
	result   error // once complete
	links    [2]link[W]
}

// before is the order of service: by turn, then by arrival.
func (e *Entry[W]) before(o *Entry[W]) bool {
	return e.turn < o.turn || e.turn == o.turn && e.seq < o.seq
}

func (e *Entry[W]) place() *int { return &e.slot }

// Complete says what became of the entry: nil, or what the client has to be
// told, which it is when the batch is released. Only the first call counts. It
// belongs to the worker that holds the batch.
func (e *Entry[W]) Complete(err error) {
	if !e.complete {
		e.complete, e.result = true, err
	}
}

// Completed reports whether Complete was called.
func (e *Entry[W]) Completed() bool { return e.complete }

func (e *Entry[W]) size() size { return size{int64(e.Items), e.Bytes} }

// size is an amount of work, in both units that are bounded.
type size struct{ items, bytes int64 }

func (s size) plus(o size) size  { return size{s.items + o.items, s.bytes + o.bytes} }
func (s size) minus(o size) size { return size{s.items - o.items, s.bytes - o.bytes} }

// within reports whether s exceeds limit in neither unit.
func (s size) within(limit size) bool { return s.items <= limit.items && s.bytes <= limit.bytes }

// of returns what fraction of limit s is, in the unit in which it is more.
func (s size) of(limit size) float64 {
	return max(float64(s.items)/float64(max(1, limit.items)), float64(s.bytes)/float64(max(1, limit.bytes)))
}

// The two lists that an entry may be in at once.
const (
	inPartition = 0 // those that wait in its partition
	byPriority  = 1 // those of its priority that wait
)

type link[W any] struct{ prev, next *Entry[W] }

// list is a doubly linked list through Entry.links[which], oldest first.
type list[W any] struct {
	which       int
	front, back *Entry[W]
}

func (l *list[W]) push(e *Entry[W]) {
	e.links[l.which] = link[W]{prev: l.back}
	if l.back == nil {
		l.front = e
	} else {
		l.back.links[l.which].next = e
	}
	l.back = e
}

func (l *list[W]) remove(e *Entry[W]) {
	at := e.links[l.which]
	if at.prev == nil {
		l.front = at.next
	} else {
		at.prev.links[l.which].next = at.next
	}
	if at.next == nil {
		l.back = at.prev
	} else {
		at.next.links[l.which].prev = at.prev
	}
	e.links[l.which] = link[W]{}
}
