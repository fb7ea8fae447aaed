package head

import (
	"bytes"
	"slices"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/otelscope/otelscope/internal/otlpwire"
)

// Head holds spans in memory. Insert is for one goroutine at a time, all
// other methods for any number of them.
type Head struct {
	mu      sync.RWMutex
	chunks  [][]byte // payloads and united spans
	pages   []*page
	rows    int
	origins [][]byte

	byOrigin      map[uint64]uint32 // hash of an origin -> its number
	byTrace       table             // -> the trace's newest row
	byIdentity    table             // -> row
	byEvent       index
	byRef         index // of the spans that are named, as parents or in links
	byLeading     index // of those that are named in links with the role effect
	byCorrelation index
	byOddKind     index // of the ids of spans of a kind that OTLP does not know

	united       []byte // the newest chunk for united spans, of number unitedNumber
	unitedNumber uint32
	sizes        Sizes
	zones        []Zone
	census       census
}

// Sizes are a head's figures.
type Sizes struct {
	Spans      int
	OpenCalls  int
	Bytes      int64 // payloads and united spans
	Duplicates int64 // spans that were there already
	Oldest     int64 // arrival in nanoseconds since the epoch; 0 when empty
	Newest     int64
}

const (
	pageRows  = 1 << pageShift
	pageShift = 12
	pageMask  = pageRows - 1
)

type page [pageRows]row

// New returns an empty head with room for so many rows before its tables grow.
func New(rows int) *Head {
	return &Head{
		byOrigin:      map[uint64]uint32{},
		byTrace:       newTable(rows / 4),
		byIdentity:    newTable(rows),
		byEvent:       newIndex(0),
		byRef:         newIndex(rows / 2),
		byLeading:     newIndex(0),
		byCorrelation: newIndex(0),
		byOddKind:     newIndex(0),
	}
}

// Sizes returns the head's figures.
func (h *Head) Sizes() Sizes {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sizes
}

func (h *Head) row(number uint32) *row { return &h.pages[number>>pageShift][number&pageMask] }

// Insert adds the batch's spans, which arrived at received, nanoseconds since
// the epoch. It returns how many rows were added; the rest were versions of
// rows that are there. The batch must not be inserted twice.
func (h *Head) Insert(b *Batch, received int64) (added int) {
	return h.InsertNoting(b, received, nil)
}

// InsertNoting is Insert, and appends to changes, if that is not nil, what
// became of rows.
func (h *Head) InsertNoting(b *Batch, received int64, changes *[]Change) (added int) {
	if len(b.rows) == 0 {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.rows
	chunk := uint32(len(h.chunks))
	h.chunks = append(h.chunks, b.payload)
	h.sizes.Bytes += int64(len(b.payload))
	origins := h.internAll(b.origins)
	keys := b.keys
	for i := range b.rows {
		r := &b.rows[i]
		r.chunk, r.origin, r.received = chunk, origins[r.origin], received
		if b.Carried {
			r.flags |= flagCarried
		}
		p := h.place(r)
		if p.current {
			h.began(p.number, b.starts[i])
		}
		if changes != nil && p.changed() {
			*changes = append(*changes, Change{Row: p.number, Complete: p.complete, Start: b.starts[i]})
		}
		for len(keys) > 0 && keys[0].row == uint32(i) {
			if p.lacks(&keys[0]) {
				h.indexOf(keys[0].kind).add(keys[0].hash, p.number)
			}
			keys = keys[1:]
		}
	}
	h.arrived(received)
	added = h.rows - before
	h.sizes.Spans = h.rows
	h.sizes.Duplicates += int64(len(b.rows) - added)
	return added
}

func (h *Head) arrived(received int64) {
	if h.sizes.Oldest == 0 || received < h.sizes.Oldest {
		h.sizes.Oldest = received
	}
	h.sizes.Newest = max(h.sizes.Newest, received)
}

// internAll returns the head's number of each of a batch's origins. Batches
// have few, and nearly always ones that came before.
func (h *Head) internAll(origins [][]byte) []uint32 {
	numbers := make([]uint32, len(origins))
	for i, o := range origins {
		hash := xxh3.HashSeed(o, seed)
		n, ok := h.byOrigin[hash]
		if !ok || !bytes.Equal(h.origins[n], o) {
			n = uint32(len(h.origins))
			h.origins = append(h.origins, o)
			h.byOrigin[hash] = n
		}
		numbers[i] = n
	}
	return numbers
}

// Change is what a span of a batch made of its row.
type Change struct {
	Row uint32
	// Complete says that the row is a complete span by now and was none
	// before: it was not there, or an open call.
	Complete bool
	Start    uint64 // of the span, nanoseconds since the epoch
}

// changed reports whether the row is, or may be, another than before.
func (p *placed) changed() bool { return p.current || p.links }

// placed says where a span went.
type placed struct {
	number  uint32 // its row
	current bool   // all of the row but its links is the span's
	links   bool   // the row may have links of the span that it had not before
	// complete says that the row is a complete span, and was none before.
	complete bool
	// before are the keys that lead to the row already, of the version that the
	// span replaced.
	before [singleKeys]uint64
}

// lacks reports whether a key of the span does not lead to the row yet.
func (p *placed) lacks(k *key) bool {
	if k.kind >= keyLink {
		return p.links
	}
	return p.current && !slices.Contains(p.before[:], k.hash)
}

// place gives the span a row, or makes it a version of the row it has.
func (h *Head) place(r *row) placed {
	if !r.id.Exists() {
		return h.placeNew(r)
	}
	hash := identityHash(&r.id)
	slot, found := h.byIdentity.find(hash, func(n uint32) bool { return h.row(n).id == r.id })
	if found {
		return h.unite(h.byIdentity.number(slot), r)
	}
	p := h.placeNew(r)
	h.byIdentity.set(slot, hash, p.number)
	return p
}

func (h *Head) placeNew(r *row) placed {
	return placed{number: h.add(r), current: true, links: true, complete: r.flags&flagOpen == 0}
}

func (h *Head) add(r *row) (number uint32) {
	number = uint32(h.rows)
	if number&pageMask == 0 {
		h.pages = append(h.pages, new(page))
	}
	h.rows++
	if r.flags&flagOpen != 0 {
		h.sizes.OpenCalls++
	}
	if uint32(r.id.Kind) >= knownKinds {
		ref := r.id.Ref()
		h.byOddKind.add(refHash(&ref), number)
	}
	hash := traceHash(&r.id.Trace)
	slot, found := h.byTrace.find(hash, func(n uint32) bool { return h.row(n).id.Trace == r.id.Trace })
	r.next = 0
	if found {
		r.next = h.byTrace.number(slot) + 1
	}
	*h.row(number) = *r
	h.byTrace.set(slot, hash, number)
	return number
}

// unite makes fresh a version of the span that has a row. Of two open versions
// the earlier arrival is the first, though it may come later: carried.
func (h *Head) unite(number uint32, fresh *row) placed {
	old, p := h.row(number), placed{number: number}
	base, other := old, fresh
	if old.flags&flagOpen != 0 && (fresh.flags&flagOpen == 0 || fresh.received < old.received) {
		base, other = fresh, old
		info, _ := Peek(h.bytes(old)) // it went through Parse
		p.current, p.before = true, info.singleHashes()
		if int(number) < h.census.taken {
			h.census.replaced = append(h.census.replaced, number)
		}
	}
	if old.flags&^fresh.flags&flagOpen != 0 {
		h.sizes.OpenCalls--
		p.complete = true
	}
	p.links = fresh.flags&flagLinks != 0 && !bytes.Equal(h.bytes(old), h.bytes(fresh))
	united := *base
	united.next = old.next
	if other.flags&flagLinks != 0 {
		h.uniteLinks(&united, h.bytes(other))
	}
	*old = united
	return p
}

// uniteLinks gives r the links of the encoded span other too.
func (h *Head) uniteLinks(r *row, other []byte) {
	span := h.bytes(r)
	if bytes.Equal(span, other) {
		return
	}
	// Both went through Parse: they are well-formed.
	united, err := otlpwire.UnionLinks(nil, span, other)
	if err != nil || len(united) == len(span) {
		return
	}
	h.keep(r, united)
	r.flags |= flagLinks
}

// unitedChunk is the size of chunks for united spans.
const unitedChunk = 64 << 10

// keep copies a united span into the newest chunk for such, or begins another.
// A chunk is allocated whole at once: what was handed out never moves.
func (h *Head) keep(r *row, span []byte) {
	if cap(h.united)-len(h.united) < len(span) {
		h.united = make([]byte, 0, max(unitedChunk, len(span)))
		h.unitedNumber = uint32(len(h.chunks))
		h.chunks = append(h.chunks, nil)
	}
	r.chunk, r.offset, r.length = h.unitedNumber, uint32(len(h.united)), uint32(len(span))
	h.united = append(h.united, span...)
	h.chunks[h.unitedNumber] = h.united
	h.sizes.Bytes += int64(len(span))
}

func (h *Head) bytes(r *row) []byte {
	end := r.offset + r.length
	return h.chunks[r.chunk][r.offset:end:end]
}
