package store

import (
	"slices"

	"github.com/otelscope/otelscope/internal/store/manifest"
)

// retain drops the blocks that are too old, and then the oldest until what is
// left is small enough.
func (e *engine) retain() {
	begin := e.cfg.Now()
	keep, dropped := e.expired(e.catalog.Blocks, begin.UnixNano())
	if len(dropped) == 0 {
		return
	}
	if err := e.commitManifest(keep, e.catalog.FirstSegment); err != nil {
		e.failed(EventRetain, err)
		return
	}
	done := Event{Kind: EventRetain, Blocks: len(dropped)}
	gone := map[uint64]bool{}
	for _, b := range dropped {
		gone[b.Number] = true
		done.Spans += b.Rows
		done.Bytes += b.Bytes
	}
	e.views.swap(func(v *view) {
		v.blocks = slices.DeleteFunc(v.blocks, func(p *part) bool { return gone[p.info.Number] })
	})
	e.tellBlocks(0)
	e.trouble.clear(EventRetain)
	e.figures.dropped.Add(int64(len(dropped)))
	done.Duration = e.cfg.Now().Sub(begin)
	e.cfg.Observe(done)
}

// expired divides blocks, oldest first, by what Retention says.
func (e *engine) expired(blocks []manifest.Block, now int64) (keep, dropped []manifest.Block) {
	total := e.figures.logBytes.Load()
	for _, b := range blocks {
		total += b.Bytes
	}
	r := e.cfg.Retention
	for _, b := range blocks {
		tooOld := r.MaxAge > 0 && b.ReceivedMax < now-int64(r.MaxAge)
		tooMuch := r.MaxBytes > 0 && total > r.MaxBytes
		if tooOld || tooMuch {
			total -= b.Bytes
			dropped = append(dropped, b)
		} else {
			keep = append(keep, b)
		}
	}
	return keep, dropped
}
