package views

import (
	"encoding/binary"
	"math/bits"

	"github.com/otelscope/otelscope/internal/causal"
)

// recent remembers spans that came lately, in sets of a few: a span's ids say
// which set, and the oldest of the set gives way. Ids are random; somebody who
// makes them collide only has his own spans looked up.
type recent struct {
	sets []recentSet // a power of two of them
	ends []End       // recentWays for each set
}

const recentWays = 8

type recentSet struct {
	tags [recentWays]uint32 // hashes of the ways' refs; 0: free
	next uint8              // the way that gives way next
}

// newRecent returns a memory of about so many spans.
func newRecent(most int) recent {
	sets := 1
	for sets*recentWays < most {
		sets *= 2
	}
	return recent{sets: make([]recentSet, sets), ends: make([]End, sets*recentWays)}
}

// place returns the number of the set that a ref belongs to, and its tag there.
func (r *recent) place(ref *causal.SpanRef) (set int, tag uint32) {
	h := binary.LittleEndian.Uint64(ref.SpanID[:]) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(ref.TraceID[8:]), 31)
	h *= 0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0x9e3779b97f4a7c15
	return int(h>>40) & (len(r.sets) - 1), uint32(h) | 1
}

// put remembers a span. Of several with one name the first counts.
func (r *recent) put(e *End) {
	set, tag := r.place(&e.Ref)
	if r.find(set, tag, &e.Ref) != nil {
		return
	}
	s := &r.sets[set]
	way := s.next
	s.next = (way + 1) % recentWays
	s.tags[way] = tag
	r.ends[set*recentWays+int(way)] = *e
}

func (r *recent) get(ref *causal.SpanRef) *End {
	set, tag := r.place(ref)
	return r.find(set, tag, ref)
}

func (r *recent) find(set int, tag uint32, ref *causal.SpanRef) *End {
	for way, t := range r.sets[set].tags {
		if e := &r.ends[set*recentWays+way]; t == tag && e.Ref == *ref {
			return e
		}
	}
	return nil
}

// waiting are edges whose other end has not come, the latest ones, by that end.
type waiting struct {
	slots []slot
	next  int
	at    map[causal.SpanRef]chain
}

type slot struct {
	Pending
	next int  // the chain's next slot
	part int  // the number of the part of its teller
	used bool // it waits
	// looked says that the other end was looked up and was not there: it can
	// only come. If it is found by looking up all the same, it came to a part
	// that is in a block, and was counted there.
	looked bool
}

// chain is the slots that wait for one span, the oldest first. Slots are taken
// and given up in one order, so the first of a chain is always the next to go.
type chain struct{ first, last int }

func newWaiting(most int) waiting {
	return waiting{slots: make([]slot, most), at: map[causal.SpanRef]chain{}}
}

// put lets an edge wait; lost says that another, the oldest, gave way.
func (w *waiting) put(p Pending, part int, looked bool) (lost bool) {
	s := &w.slots[w.next]
	if lost = s.used; lost {
		w.drop(s.Missing)
	}
	*s = slot{Pending: p, part: part, looked: looked, used: true}
	c, found := w.at[p.Missing]
	if found {
		w.slots[c.last].next = w.next
	} else {
		c.first = w.next
	}
	c.last = w.next
	w.at[p.Missing] = c
	w.next = (w.next + 1) % len(w.slots)
	return lost
}

// drop takes the first slot off a chain.
func (w *waiting) drop(ref causal.SpanRef) {
	c := w.at[ref]
	w.slots[c.first].used = false
	if c.first == c.last {
		delete(w.at, ref)
		return
	}
	c.first = w.slots[c.first].next
	w.at[ref] = c
}

// take appends to dst the edges that wait for a span, which wait no more.
func (w *waiting) take(dst []slot, ref causal.SpanRef) []slot {
	c, found := w.at[ref]
	if !found {
		return dst
	}
	delete(w.at, ref)
	for i := c.first; ; i = w.slots[i].next {
		dst = append(dst, w.slots[i])
		w.slots[i].used = false
		if i == c.last {
			return dst
		}
	}
}

// unknown reports whether something waits for a span that was not looked up.
func (w *waiting) unknown(ref causal.SpanRef) bool {
	c, found := w.at[ref]
	return found && !w.slots[c.last].looked
}

// absent notes that a span was looked up and is not there.
func (w *waiting) absent(ref causal.SpanRef) {
	c, found := w.at[ref]
	if !found {
		return
	}
	for i := c.first; ; i = w.slots[i].next {
		w.slots[i].looked = true
		if i == c.last {
			return
		}
	}
}

// of returns what waits of the spans of a part, the oldest first.
func (w *waiting) of(part int) (list []Pending) {
	for i := range w.slots {
		if s := &w.slots[(w.next+i)%len(w.slots)]; s.used && s.part == part {
			list = append(list, s.Pending)
		}
	}
	return list
}
