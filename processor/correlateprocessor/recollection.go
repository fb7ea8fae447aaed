package correlateprocessor

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/otelscope/otelscope/internal/correlate"
	"github.com/otelscope/otelscope/internal/store"
)

// recollection is the newest of what is read from a store, within bounds. An
// observation is kept in its encoding, which is about 65 bytes and 30 for each
// op. Encodings lie one after another in pages, so that there are few pointers
// and nothing is copied when there are more.
type recollection struct {
	maxEntries int
	maxBytes   int

	pages   [][]byte
	kept    []recalled
	encoded []byte   // scratch
	entries int      // that kept makes at most
	bytes   int      // of kept and its encodings
	floor   recalled // the newest that was dropped; what is older is not kept
	dropped int
}

// recalled is one observation: when its span was received and began, both in
// nanoseconds since the epoch, how many entries it makes at most, and where it
// lies.
type recalled struct {
	received, start      int64
	entries              int32
	page, offset, length int32
}

const (
	pageBytes     = 1 << 20
	recalledBytes = 8 + 8 + 4*4
)

// take adds the observations of these spans, in their order.
func (r *recollection) take(x extractor, spans []store.Span) error {
	// Traces puts spans of one origin together, so they are given to it like
	// that; at[i] is where spans[i] lies then.
	order, at := make([]int, len(spans)), make([]int, len(spans))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return bytes.Compare(spans[a].Origin, spans[b].Origin) })
	together := make([]store.Span, len(spans))
	for n, i := range order {
		together[n], at[i] = spans[i], n
	}
	td, err := store.Traces(together)
	if err != nil {
		return err
	}
	unlink(td)
	observations := x.Extract(td)
	for i := range spans {
		o := &observations[at[i]]
		unsample(o)
		r.add(o, spans[i].Received)
	}
	return nil
}

func (r *recollection) add(o *correlate.Observation, received int64) {
	k := recalled{received: received, start: o.Start, entries: int32(len(o.Ops) + 1)}
	if compareTime(k, r.floor) < 0 {
		r.dropped++
		return
	}
	r.encoded = correlate.AppendBatch(r.encoded[:0], []correlate.Observation{*o}, received)
	k.length = int32(len(r.encoded))
	last := len(r.pages) - 1
	if last < 0 || cap(r.pages[last])-len(r.pages[last]) < len(r.encoded) {
		r.pages = append(r.pages, make([]byte, 0, max(pageBytes, len(r.encoded))))
		last++
	}
	k.page, k.offset = int32(last), int32(len(r.pages[last]))
	r.pages[last] = append(r.pages[last], r.encoded...)
	r.kept = append(r.kept, k)
	r.entries += int(k.entries)
	r.bytes += k.size()
	if r.entries > r.maxEntries+r.maxEntries/4 || r.bytes > r.maxBytes {
		r.trim()
	}
}

func (k *recalled) size() int { return recalledBytes + int(k.length) }

// at returns the encoding of one observation.
func (r *recollection) at(k recalled) []byte { return r.pages[k.page][k.offset:][:k.length] }

// sort brings what is kept into the order in which it is observed.
func (r *recollection) sort() {
	slices.SortFunc(r.kept, func(a, b recalled) int {
		return cmp.Or(compareTime(a, b), compareRead(a, b))
	})
}

func compareTime(a, b recalled) int {
	return cmp.Or(cmp.Compare(a.received, b.received), cmp.Compare(a.start, b.start))
}

// compareRead compares by the order of reading.
func compareRead(a, b recalled) int {
	return cmp.Or(cmp.Compare(a.page, b.page), cmp.Compare(a.offset, b.offset))
}

// trim drops the oldest, so much that it is not called for each observation.
func (r *recollection) trim() {
	r.sort()
	n := 0
	for ; n < len(r.kept) && (r.entries > r.maxEntries || r.bytes > r.maxBytes/4*3); n++ {
		k := &r.kept[n]
		r.floor = *k
		r.entries -= int(k.entries)
		r.bytes -= k.size()
	}
	r.dropped += n
	r.kept = append(r.kept[:0], r.kept[n:]...)
	r.compact()
}

// compact moves the encodings that are left together. None moves to a later
// place, so they can be moved within their pages.
func (r *recollection) compact() {
	slices.SortFunc(r.kept, compareRead)
	page, end := int32(0), int32(0)
	for i := range r.kept {
		k := &r.kept[i]
		for int32(cap(r.pages[page]))-end < k.length {
			r.pages[page] = r.pages[page][:end]
			page, end = page+1, 0
		}
		to := r.pages[page][:cap(r.pages[page])]
		copy(to[end:], r.at(*k))
		k.page, k.offset = page, end
		end += k.length
	}
	r.pages[page] = r.pages[page][:end]
	clear(r.pages[page+1:])
	r.pages = r.pages[:page+1]
}
