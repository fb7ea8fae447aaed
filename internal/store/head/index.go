package head

import (
	"slices"

	"github.com/zeebo/xxh3"

	"github.com/otelscope/otelscope/internal/causal"
)

// index leads from the hash of a key to the rows that have the key, and now
// and then to a row that does not: one whose key has the same hash, or one that
// had the key before a later version of it came. Who reads looks at the row.
type index struct {
	table   table // -> the key's newest entry
	entries []entry
}

// entry is a row of a key; a key's entries form a chain, the newest first.
type entry struct {
	row  uint32
	next uint32 // the entry before, plus one; 0 ends the chain
}

func newIndex(hint int) index {
	return index{table: newTable(hint), entries: make([]entry, 0, hint)}
}

func (x *index) add(hash uint64, row uint32) {
	short := uint32(hash >> 32)
	slot, found := x.table.first(short)
	next := uint32(0)
	if found {
		next = x.table.number(slot) + 1
		if x.entries[next-1].row == row { // its call and its return are one event
			return
		}
	}
	x.table.set(slot, short, uint32(len(x.entries)))
	x.entries = append(x.entries, entry{row, next})
}

// rows appends the rows of a key to dst, those that were last added first. A
// row may be there twice.
func (x *index) rows(dst []uint32, hash uint64) []uint32 {
	slot, found := x.table.first(uint32(hash >> 32))
	if !found {
		return dst
	}
	for next := x.table.number(slot) + 1; next != 0; next = x.entries[next-1].next {
		dst = append(dst, x.entries[next-1].row)
	}
	return dst
}

// keyKind says what a row is found by beside its ids.
type keyKind uint8

const (
	keyEvent keyKind = iota
	keyReturn
	keyParent
	keyCorrelation
	singleKeys // how many kinds there are of which a span has one at most
	keyLink
	keyLeading // of a link with the role effect
)

// key is what a row of a batch is found by.
type key struct {
	hash uint64
	row  uint32
	kind keyKind
}

// singleHashes are the hashes of the keys of which a span has one at most; 0
// where it has none.
func (i *Info) singleHashes() (hashes [singleKeys]uint64) {
	if len(i.Event) > 0 {
		hashes[keyEvent] = textHash(i.Event)
	}
	if len(i.Return) > 0 {
		hashes[keyReturn] = textHash(i.Return)
	}
	if parent := i.parent(); !parent.IsZero() {
		hashes[keyParent] = refHash(&parent)
	}
	if len(i.Correlation) > 0 {
		hashes[keyCorrelation] = textHash(i.Correlation)
	}
	return hashes
}

func textHash(id []byte) uint64 { return xxh3.HashSeed(id, seed) }

func (h *Head) indexOf(kind keyKind) *index {
	switch kind {
	case keyEvent, keyReturn:
		return &h.byEvent
	case keyCorrelation:
		return &h.byCorrelation
	case keyLeading:
		return &h.byLeading
	default:
		return &h.byRef
	}
}

// SpanRows returns the rows that have one of the ids, rising, and perhaps some
// that do not.
func (h *Head) SpanRows(refs []causal.SpanRef) []uint32 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var rows []uint32
	for i := range refs {
		id := Identity{Trace: refs[i].TraceID, Span: refs[i].SpanID}
		for id.Kind = range knownKinds {
			if n, found := h.find(&id); found {
				rows = append(rows, n)
			}
		}
		rows = h.byOddKind.rows(rows, refHash(&refs[i]))
	}
	return rising(rows)
}

// TraceRows returns the rows of a trace, rising.
func (h *Head) TraceRows(id [16]byte) (rows []uint32) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for next := h.newestOf(id); next != 0; next = h.row(next - 1).next {
		rows = append(rows, next-1)
	}
	slices.Reverse(rows)
	return rows
}

// ReferringRows returns the rows that name one of refs as their parent or in a
// link, rising, and perhaps some that do not.
func (h *Head) ReferringRows(refs []causal.SpanRef) []uint32 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var rows []uint32
	for i := range refs {
		rows = h.byRef.rows(rows, refHash(&refs[i]))
	}
	return rising(rows)
}

// CausingRows returns the rows that name one of refs in a link with the role
// effect, rising, and perhaps some that do not.
func (h *Head) CausingRows(refs []causal.SpanRef) []uint32 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var rows []uint32
	for i := range refs {
		rows = h.byLeading.rows(rows, refHash(&refs[i]))
	}
	return rising(rows)
}

// CorrelationRows returns the rows whose scope.correlation.id is id, rising,
// and perhaps some whose is not.
func (h *Head) CorrelationRows(id string) []uint32 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return rising(h.byCorrelation.rows(nil, textHash([]byte(id))))
}

func rising(rows []uint32) []uint32 {
	slices.Sort(rows)
	return slices.Compact(rows)
}
