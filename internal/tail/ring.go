package tail

import (
	"sort"
	"sync"
	"unsafe"

	"github.com/otelscope/otelscope/internal/store"
)

// ring holds the latest commits. Spans are numbered from 0 as they come.
type ring struct {
	max     int64 // bytes; what one commit has beyond that is held all the same
	bytes   int64
	commits []*commit // the oldest first
	next    uint64    // number of the span that comes next
	before  ID        // of the last span that was given up
}

// commit is what one group commit added. It is immutable but for items and
// bytes, which the broker's mutex guards.
type commit struct {
	received int64
	base     uint32 // index of its first span
	first    uint64 // number of its first span
	spans    []store.Span
	items    []*item // of the spans that somebody takes; nil before the first
	bytes    int64
}

// item is a span that somebody takes.
type item struct {
	id   ID
	of   *commit
	span store.Span
	once sync.Once // of the encoding
	json []byte
	err  error
}

// What is held beside the bytes of spans and of their JSON.
const (
	spanBytes = int64(unsafe.Sizeof(store.Span{}))
	itemBytes = int64(unsafe.Sizeof(item{}) + unsafe.Sizeof(&item{}))
)

// push adds a commit, and gives up the oldest as is necessary.
func (r *ring) push(received int64, spans []store.Span) *commit {
	c := &commit{received: received, first: r.next, spans: spans}
	if n := len(r.commits); n > 0 && r.commits[n-1].received == received {
		c.base = r.commits[n-1].id(r.next-1).Index + 1
	}
	var origin *byte
	for i := range spans {
		c.bytes += spanBytes + int64(len(spans[i].Bytes))
		// Neighbours share their origin's memory.
		if o := unsafe.SliceData(spans[i].Origin); o != origin {
			origin = o
			c.bytes += int64(len(spans[i].Origin))
		}
	}
	r.commits = append(r.commits, c)
	r.bytes += c.bytes
	r.next += uint64(len(spans))
	r.shrink()
	return c
}

// shrink gives up what is too much, but never the newest commit.
func (r *ring) shrink() {
	for r.bytes > r.max && len(r.commits) > 1 {
		oldest := r.commits[0]
		r.commits[0] = nil
		r.commits = r.commits[1:]
		r.bytes -= oldest.bytes
		r.before = oldest.id(oldest.end() - 1)
	}
}

// first is the number of the oldest span that is held, next if there is none.
func (r *ring) first() uint64 {
	if len(r.commits) == 0 {
		return r.next
	}
	return r.commits[0].first
}

// behind is the id of the span in front of a number that is held or comes next.
func (r *ring) behind(number uint64) ID {
	if number == r.first() {
		return r.before
	}
	return r.at(number - 1).id(number - 1)
}

// grew says that a commit takes more than before.
func (r *ring) grew(c *commit, bytes int64) {
	if c.first < r.first() {
		return // it is the readers' own by now
	}
	c.bytes += bytes
	r.bytes += bytes
	r.shrink()
}

// at returns the commit of a number that is held.
func (r *ring) at(number uint64) *commit {
	return r.commits[sort.Search(len(r.commits), func(i int) bool { return r.commits[i].end() > number })]
}

// after returns the number of the first span behind id that is held. A reason
// says that, or why, others behind id may have been before that.
func (r *ring) after(id ID) (number uint64, reason string) {
	switch {
	case len(r.commits) == 0:
		return r.next, "nothing is held of what was committed before"
	case id.compare(r.behind(r.next)) > 0:
		return r.next, "no span that is held is as late as that"
	case id == r.before:
		return r.first(), ""
	case id.compare(r.commits[0].id(r.first())) < 0:
		return r.first(), "what followed is not held any more"
	}
	n := sort.Search(len(r.commits), func(i int) bool { return r.commits[i].id(r.commits[i].first).compare(id) > 0 })
	c := r.commits[n-1]
	if id.Received > c.received {
		return c.end(), ""
	}
	return min(c.first+uint64(id.Index-c.base)+1, c.end()), ""
}

// end is the number of the first span behind the commit.
func (c *commit) end() uint64 { return c.first + uint64(len(c.spans)) }

// id is that of one of the commit's spans.
func (c *commit) id(number uint64) ID {
	return ID{c.received, c.base + uint32(number-c.first)}
}

// item returns that of one of the commit's spans.
func (c *commit) item(number uint64) *item {
	if c.items == nil {
		c.items = make([]*item, len(c.spans))
	}
	i := number - c.first
	if c.items[i] == nil {
		c.items[i] = &item{id: c.id(number), of: c, span: c.spans[i]}
	}
	return c.items[i]
}
