package correlate

import "github.com/otelscope/otelscope/internal/causal"

// entry is one thing that is remembered. It holds no pointers, so that a
// million of them cost the garbage collector nothing.
type entry struct {
	key     uint64 // what it is found by, salted by its kind
	ref     causal.SpanRef
	start   int64
	aux     uint64
	clock   uint32
	arrived tick
	// Entries of one key form a circle: older of the oldest is the newest.
	older, newer number
	correlation  uint32 // the span's own, in the shard's words; 0: its trace's
	rule         uint16
	kind         kind
	flags        flags
}

// entryBytes is what an entry takes with its place in the index.
const entryBytes = 72 + 32

// kind says what an entry is for.
type kind uint8

const (
	kindDead       kind = iota // unlinked, waits for its turn to leave the ring
	kindOffer                  // a possible cause
	kindClaim                  // an effect that waits for its cause
	kindQueued                 // a message that no receive took yet
	kindQueueWaits             // a receive that waits for its message
	kindQueue                  // what is known of a queue's senders
	kindMailbox                // an arrival that waits to be handled
	kindLatest                 // the latest of its key
	kindFailed                 // what its process did last, a failure
	kindExited                 // a process's last exit
	kindAnswered               // an offer has its effect in a process
	kindSpawned                // a child and who started it
	kindShared                 // a role of which several live at once
	kindChild                  // a child in its role, alive or lately dead
	kindDied                   // a death that no spawn answered
	kindDiedEarly              // a death of a child whose spawn is not known
	kindTrace                  // a trace
	kindMemo                   // an edge that a span carries, or that it was seen
)

// salt makes the keys of one kind differ from those of others, but for offers
// and claims, which lie together: one look finds both. It is its own inverse.
// Keys are hashes: they need no more mixing.
func (k kind) salt(key uint64) uint64 {
	if k == kindClaim {
		k = kindOffer
	}
	return key ^ uint64(k)*0x9e3779b97f4a7c15
}

// flags depend on the kind.
type flags uint8

const (
	// Of offers: it has an effect. Of children: its spawn answers a death.
	// Of arrivals: one of several of which some are handled.
	flagMatched flags = 1 << iota
	// Of offers and memos: which versions of the span were seen. Of memos:
	// the other span is the cause.
	flagSeenOpen
	flagSeenComplete
	flagOtherIsCause
	// Of queues: several senders are known; it is not sure what is next.
	flagSeveral
	flagLost
	// Of traces: the sender's own randomness or threshold; inherited
	// randomness.
	flagSampled
	flagInherited
)

// flagTimed, of queues: start and clock say how long messages take.
const flagTimed = flagMatched

// flagDead, of children: aux is when it died.
const flagDead = flagLost

// Of claims that wait under several keys, the entries lie side by side: flags
// hold the place of this one and how many follow it.
func claimFlags(place, after int) flags { return flags(place | after<<4) }

func (f flags) place() number { return number(f & 15) }
func (f flags) after() number { return number(f >> 4) }

// tick is a time of arrival in hundredths of a second, modulo 2^32 (497 days):
// only differences count.
type tick uint32

const tickLength = 10_000_000 // nanoseconds

func tickOf(now int64) tick { return tick(now / tickLength) }

// since returns nanoseconds from t to now; 0 when t is later.
func (t tick) since(earlier tick) int64 {
	d := int32(t - earlier)
	if d < 0 {
		return 0
	}
	return int64(d) * tickLength
}

// number is an entry's number in its shard, in the order of arrival; 0 is none.
type number uint32

const (
	pageBits = 8
	pageSize = 1 << pageBits
)

type page [pageSize]entry

// ring holds entries in the order of their numbers. Pages come and go whole.
type ring struct {
	pages []*page
	base  number // of the first entry of the first page
	first number // the oldest
	next  number // the one that comes
	spare *page
}

func newRing() ring { return ring{base: 1, first: 1, next: 1} }

func (r *ring) len() int { return int(r.next - r.first) }

// holds says whether n is in the ring.
func (r *ring) holds(n number) bool { return n-r.first < r.next-r.first }

func (r *ring) at(n number) *entry {
	i := n - r.base
	return &r.pages[i>>pageBits][i&(pageSize-1)]
}

// push makes room for the next entry. Numbers wrap after 2^32; number 0, which
// means none, is given to a dead entry.
func (r *ring) push() (number, *entry) {
	n := r.grow()
	if n == 0 {
		*r.at(n) = entry{}
		n = r.grow()
	}
	return n, r.at(n)
}

func (r *ring) grow() number {
	n := r.next
	if int(n-r.base)>>pageBits == len(r.pages) {
		p := r.spare
		if r.spare = nil; p == nil {
			p = new(page)
		}
		r.pages = append(r.pages, p)
	}
	r.next++
	return n
}

// pop lets the oldest go.
func (r *ring) pop() {
	r.first++
	if r.first-r.base == pageSize {
		r.spare = r.pages[0]
		r.pages = append(r.pages[:0], r.pages[1:]...)
		r.base = r.first
	}
}
