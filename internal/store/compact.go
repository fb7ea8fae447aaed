package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/otelscope/otelscope/internal/store/block"
	"github.com/otelscope/otelscope/internal/store/head"
	"github.com/otelscope/otelscope/internal/store/manifest"
)

// Blocks that are cut by age or at a start are small; a read asks each. So
// neighbours by arrival are merged, at least compactRun of them, none larger
// than the others together: then each row is rewritten about log2 times, and
// a block that is a quarter full, as under load all are, never.
const (
	compactRun      = 4
	compactFraction = 4
	// compressed is how many times smaller a block is than its spans' OTLP
	// bytes, at least; only used to guess a full block's size on disk.
	compressed = 4
	// blockOverhead is more than a block takes up for few rows.
	blockOverhead = 64 << 10
)

// levelHasOpen is set in a manifest's Block.Level when open calls are among
// the block's rows; the rest of Level counts compactions.
const (
	levelHasOpen   = 1
	levelCompacted = 2
)

// compactAll merges as long as there is something to merge and no head waits
// to be cut.
func (e *engine) compactAll() {
	for !e.stopping() && !e.backlog.Load() {
		run := e.pickRun(e.catalog.Blocks)
		if run == nil || e.compact(run) != nil {
			return
		}
	}
}

// small reports whether a block is worth merging.
func (e *engine) small(b manifest.Block) bool {
	return b.Rows <= int64(e.cfg.CutSpans)/compactFraction && b.Bytes <= e.cfg.CutBytes/compressed/compactFraction+blockOverhead
}

// pickRun returns the oldest run of neighbours to merge, or nil.
func (e *engine) pickRun(blocks []manifest.Block) []manifest.Block {
	for first := 0; first+compactRun <= len(blocks); first++ {
		if run := e.runFrom(blocks[first:]); run != nil {
			return run
		}
	}
	return nil
}

// runFrom returns the longest run at the front of blocks that may be merged.
func (e *engine) runFrom(blocks []manifest.Block) []manifest.Block {
	var rows, size, largest int64
	best := 0
	for n, b := range blocks {
		rows, size, largest = rows+b.Rows, size+b.Bytes, max(largest, b.Rows)
		// An old block would be kept for as long as the youngest in it.
		tooLong := e.cfg.Retention.MaxAge > 0 && b.ReceivedMax-blocks[0].ReceivedMin > int64(e.cfg.Retention.MaxAge/8)
		if !e.small(b) || rows > int64(e.cfg.CutSpans) || size > e.cfg.CutBytes/compressed+blockOverhead*int64(n+1) || tooLong {
			break
		}
		if n+1 >= compactRun && largest <= rows-largest {
			best = n + 1
		}
	}
	if best == 0 {
		return nil
	}
	return blocks[:best]
}

// compact merges a run into one block. A head does the merging: it unites
// duplicates by the same rules, and its size is bounded as any head's.
func (e *engine) compact(run []manifest.Block) error {
	begin := e.cfg.Now()
	fresh, err := e.merge(run)
	if err != nil {
		if e.interrupted() {
			return errStopped
		}
		e.failed(EventCompact, err)
		return err
	}
	inRun := func(b manifest.Block) bool {
		return slices.ContainsFunc(run, func(r manifest.Block) bool { return r.Number == b.Number })
	}
	at := slices.IndexFunc(e.catalog.Blocks, inRun)
	blocks := slices.Replace(slices.Clone(e.catalog.Blocks), at, at+len(run), fresh.info)
	if err := e.commitManifest(blocks, e.catalog.FirstSegment); err != nil {
		// A restart may find either manifest, so neither's blocks may go.
		e.orphans = append(e.orphans, fresh.info.Number)
		e.failed(EventCompact, err)
		return fmt.Errorf("%w, %w", err, fresh.block.Close())
	}
	e.views.swap(func(v *view) {
		at := slices.IndexFunc(v.blocks, func(p *part) bool { return inRun(p.info) })
		v.blocks = slices.Replace(v.blocks, at, at+len(run), fresh)
	})
	e.tellBlocks(0)
	e.trouble.clear(EventCompact)
	e.figures.compactions.Add(1)
	e.cfg.Observe(Event{
		Kind: EventCompact, Spans: fresh.info.Rows, Bytes: fresh.info.Bytes,
		Blocks: len(run), Duration: e.cfg.Now().Sub(begin),
	})
	return nil
}

// interrupted reports whether there is something more urgent than merging.
func (e *engine) interrupted() bool { return e.stopping() || e.backlog.Load() }

func (e *engine) merge(run []manifest.Block) (*part, error) {
	v := e.views.acquire()
	defer e.views.release(v)
	h := head.New(e.cfg.CutSpans)
	info := manifest.Block{ReceivedMin: run[0].ReceivedMin}
	var parts []*part
	for _, b := range run {
		i := slices.IndexFunc(v.blocks, func(p *part) bool { return p.info.Number == b.Number })
		if err := e.load(h, v.blocks[i].block); err != nil {
			return nil, err
		}
		parts = append(parts, v.blocks[i])
		info.ReceivedMin = min(info.ReceivedMin, b.ReceivedMin)
		info.ReceivedMax = max(info.ReceivedMax, b.ReceivedMax)
		info.Level = max(info.Level, b.Level&^levelHasOpen)
	}
	info.Level += levelCompacted
	sizes := h.Sizes()
	if sizes.OpenCalls > 0 {
		info.Level |= levelHasOpen
	}
	rows := make([]block.Row, 0, sizes.Spans)
	for _, s := range h.Rows(nil, 0, sizes.Spans, false) {
		rows = append(rows, block.Row{Origin: s.Origin, Span: s.Bytes})
	}
	summary, err := e.mergeSummaries(parts)
	if err != nil {
		return nil, err
	}
	return e.writeBlock(rows, info, summary)
}

// load inserts a block's rows into a head, some at a time.
func (e *engine) load(h *head.Head, b *block.Block) error {
	var c head.Collector
	for row, err := range b.Scan(context.Background()) {
		if err == nil {
			err = c.Add(row.Origin, row.Span)
		}
		if err != nil {
			return err
		}
		if c.Len() == scanChunk {
			h.Insert(c.Batch(), int64(time.Nanosecond))
			if e.interrupted() {
				return errStopped
			}
		}
	}
	h.Insert(c.Batch(), int64(time.Nanosecond))
	return nil
}
