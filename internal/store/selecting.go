package store

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/otelscope/otelscope/internal/store/head"
)

// Select implements Store.
func (e *engine) Select(ctx context.Context, sel Selection) iter.Seq2[Span, error] {
	return func(yield func(Span, error) bool) {
		v, err := e.view(ctx)
		if err != nil {
			yield(Span{}, err)
			return
		}
		defer e.views.release(v)
		s := newSelecting(ctx, e, v, &sel)
		defer s.end()
		if err := s.run(yield); err != nil {
			yield(Span{}, err)
		}
	}
}

// selecting is one Select under way.
//
// What may have wanted spans are zones of the parts: runs of rows of which is
// known between what times they began. The zone that goes furthest up is always
// next; a few goroutines read zones ahead, and what they found waits in a heap
// until no zone that is to come can have a later span. So the answer is in
// order, no more is read than that takes, and nothing is held but spans that
// match.
type selecting struct {
	engine *engine
	sel    *Selection
	filter *filter
	parts  []*selectPart // the oldest first, as sources

	ctx     context.Context
	cancel  context.CancelFunc
	tasks   chan *task
	readers sync.WaitGroup
	started int     // readers
	pending []*task // given to readers, in order
	hits    hits

	matched      int64
	spans, bytes atomic.Int64 // that were looked at
}

// selectPart is a part of the store with the zones that are left to read, the
// one that goes furthest up last.
type selectPart struct {
	source
	bound uint64 // no span in the zones that are left began later
	open  bool   // zones is known
	zones []selectZone
	rows  int   // of a head: those that count
	asOf  int64 // of a head: later arrivals do not count
	total int   // zones, of a block
	read  int   // of them
}

type selectZone struct {
	number uint32
	bound  uint64
}

// task is a zone to read. done is closed when hits and err are there.
type task struct {
	part int
	zone selectZone
	hits []merged
	err  error
	done chan struct{}
}

const maxReaders = 4

func newSelecting(ctx context.Context, e *engine, v *view, sel *Selection) *selecting {
	s := &selecting{engine: e, sel: sel, filter: newFilter(sel), tasks: make(chan *task, 2*maxStarted())}
	s.ctx, s.cancel = context.WithCancel(ctx)
	for _, p := range v.sources() {
		s.parts = append(s.parts, newSelectPart(p, s.filter))
	}
	return s
}

// maxStarted is how many readers there may be.
func maxStarted() int { return min(runtime.GOMAXPROCS(0), maxReaders) }

func newSelectPart(p source, f *filter) *selectPart {
	if p.part == nil {
		return newHeadPart(p.head, f)
	}
	info := p.part.info
	s := &selectPart{source: p, bound: f.bound(info.StartMax)}
	s.open = info.Rows == 0 || !f.overlaps(info.StartMin, info.StartMax)
	return s
}

func newHeadPart(h *head.Head, f *filter) *selectPart {
	zones, sizes := h.Zones(nil)
	s := &selectPart{source: source{head: h}, open: true, rows: sizes.Spans, asOf: sizes.Newest}
	for i, z := range zones {
		if f.overlaps(z.MinStart, z.MaxStart) {
			s.zones = append(s.zones, selectZone{uint32(i), f.bound(z.MaxStart)})
		}
	}
	slices.SortStableFunc(s.zones, func(a, b selectZone) int { return cmp.Compare(a.bound, b.bound) })
	s.setBound()
	return s
}

// overlaps reports whether spans that began between the two may be wanted.
func (f *filter) overlaps(earliest, latest uint64) bool {
	return latest >= f.start && (f.end == 0 || earliest < f.end)
}

// bound returns when the latest wanted span began, if none did after latest.
func (f *filter) bound(latest uint64) uint64 {
	if f.end == 0 {
		return latest
	}
	return min(latest, f.end-1)
}

func (p *selectPart) setBound() {
	if n := len(p.zones); n > 0 {
		p.bound = p.zones[n-1].bound
	}
}

// done reports whether no zone is left.
func (p *selectPart) done() bool { return p.open && len(p.zones) == 0 }

// find looks for a block's zones.
func (p *selectPart) find(f *filter, c Condition) error {
	b := p.part.block
	zones, err := b.Zones()
	if err != nil {
		return err
	}
	x := candidates{block: b, zones: zones}
	set, err := x.of(c, false)
	if err != nil {
		return err
	}
	p.open, p.total = true, len(zones)
	for i, z := range zones {
		if set.has(i) && f.overlaps(z.MinStart, z.MaxStart) {
			p.zones = append(p.zones, selectZone{uint32(i), f.bound(z.MaxStart)})
		}
	}
	p.setBound()
	return nil
}

// next returns the part whose zone is to be read next, nil at the end.
func (s *selecting) next() (int, error) {
	for {
		best := -1
		for i, p := range s.parts {
			if !p.done() && (best < 0 || p.bound > s.parts[best].bound) {
				best = i
			}
		}
		if best < 0 || s.parts[best].open {
			return best, nil
		}
		if err := s.parts[best].find(s.filter, s.sel.Where); err != nil {
			return -1, err
		}
	}
}

// run yields what there is. It returns an error that is yet to be yielded.
func (s *selecting) run(yield func(Span, error) bool) error {
	for {
		frontier, more, err := s.readAhead()
		if err != nil {
			return err
		}
		for len(s.hits) > 0 && (!more || s.hits[0].start > frontier) {
			if err := s.ctx.Err(); err != nil {
				return err
			}
			hit := heap.Pop(&s.hits).(merged)
			s.matched++
			if !yield(hit.Span, nil) {
				return nil
			}
		}
		if !more {
			return nil
		}
		if err := s.take(); err != nil {
			return err
		}
	}
}

// readAhead gives zones to the readers as long as they have room. It returns
// when the latest span began that may not be in hits yet, if there may be any.
func (s *selecting) readAhead() (frontier uint64, more bool, err error) {
	for len(s.pending) < cap(s.tasks) {
		best, err := s.next()
		if err != nil {
			return 0, false, err
		}
		if best < 0 {
			break
		}
		if s.started < cap(s.tasks)/2 {
			s.started++
			s.readers.Go(s.read)
		}
		t := &task{part: best, zone: s.parts[best].pop(), done: make(chan struct{})}
		s.tasks <- t
		s.pending = append(s.pending, t)
	}
	if len(s.pending) == 0 {
		return 0, false, nil
	}
	return s.pending[0].zone.bound, true, nil
}

// pop takes the next zone.
func (p *selectPart) pop() selectZone {
	last := len(p.zones) - 1
	z := p.zones[last]
	p.zones = p.zones[:last]
	p.read++
	p.setBound()
	return z
}

// take waits for the zone that was given to the readers first.
func (s *selecting) take() error {
	t := s.pending[0]
	select {
	case <-t.done:
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	if t.err != nil {
		return t.err
	}
	s.pending = append(s.pending[:0], s.pending[1:]...)
	for _, hit := range t.hits {
		heap.Push(&s.hits, hit)
	}
	return nil
}

// read reads zones until there are no more tasks.
func (s *selecting) read() {
	r := newZoneReader(s)
	for t := range s.tasks {
		select {
		case s.engine.reading <- struct{}{}:
			t.hits, t.err = r.read(t)
			<-s.engine.reading
		case <-s.ctx.Done():
			t.err = s.ctx.Err()
		}
		close(t.done)
		runtime.Gosched() // a zone is some tenths of a millisecond's work
	}
}

// end stops the readers and says what they read.
func (s *selecting) end() {
	s.cancel()
	close(s.tasks)
	s.readers.Wait()
	r := s.sel.Reading
	if r == nil {
		return
	}
	for _, p := range s.parts {
		r.Parts++
		if p.read == 0 {
			r.PartsSkipped++
			continue
		}
		r.Zones += int64(p.total)
		r.ZonesSkipped += int64(max(0, p.total-p.read))
	}
	r.Spans += s.spans.Load()
	r.Bytes += s.bytes.Load()
	r.Matched += s.matched
}

// hits is a heap of spans, the first in the answer's order on top.
type hits []merged

func (h hits) Len() int { return len(h) }

func (h hits) Less(i, j int) bool { return compareHits(&h[i], &h[j]) < 0 }

func compareHits(a, b *merged) int {
	return cmp.Or(cmp.Compare(b.start, a.start), bytes.Compare(a.id.Trace[:], b.id.Trace[:]),
		bytes.Compare(a.id.Span[:], b.id.Span[:]), cmp.Compare(a.id.Kind, b.id.Kind))
}

func (h hits) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *hits) Push(x any) { *h = append(*h, x.(merged)) }

func (h *hits) Pop() any {
	last := len(*h) - 1
	hit := (*h)[last]
	(*h)[last] = merged{} // lets go of its bytes
	*h = (*h)[:last]
	return hit
}
