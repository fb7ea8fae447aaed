package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/otelscope/otelscope/internal/store/block"
	"github.com/otelscope/otelscope/internal/store/manifest"
	"github.com/otelscope/otelscope/internal/vfs"
)

// cut makes a frozen head a block. Each step may fail and is then tried again;
// the steps before it are not. See docs/adr/0002-store-protocol.md, "Cutting".
type cut struct {
	*engine
	frozen
	followed bool
	summary  []byte  // of the part, when followed
	plan     *plan   // nil until made
	fresh    []*part // the blocks, open: one, none for no rows, more beyond block.MaxRows
	written  bool
	carried  bool

	committed bool
}

func newCut(e *engine, f frozen) *cut { return &cut{engine: e, frozen: f} }

// run does what is left to do.
func (c *cut) run() error {
	begin := c.cfg.Now()
	for _, step := range []func() error{c.follow, c.decide, c.write, c.carry, c.commit} {
		if c.stopping() {
			return errStopped
		}
		if err := step(); err != nil {
			if errors.Is(err, errStopped) {
				return err
			}
			if vfs.IsNoSpace(err) {
				c.noSpace(err)
			}
			c.failed(EventCut, err)
			return err
		}
	}
	c.trouble.clear(EventCut)
	c.figures.cuts.Add(1)
	done := Event{Kind: EventCut, Duration: c.cfg.Now().Sub(begin)}
	for _, p := range c.fresh {
		done.Spans += p.info.Rows
		done.Bytes += p.info.Bytes
		done.Blocks++
	}
	c.cfg.Observe(done)
	return c.removeSegments()
}

// follow waits for the follower's summary.
func (c *cut) follow() (err error) {
	if c.followed {
		return nil
	}
	c.summary, err = c.engine.summary()
	c.followed = err == nil
	return err
}

func (c *cut) decide() error {
	if c.plan != nil {
		return nil
	}
	p, err := c.planOf(c.head, c.resends, true)
	if err != nil {
		return fmt.Errorf("look for open calls: %w", err)
	}
	c.plan = p
	return nil
}

// write writes and opens the block. It is not in the manifest yet.
func (c *cut) write() error {
	if c.written {
		return nil
	}
	var err error
	if c.fresh, err = c.writeBlocks(c.plan, c.summary); err != nil {
		c.discard()
		return err
	}
	c.written, c.plan.rows = true, nil
	return nil
}

// discard closes blocks that are not committed; a start deletes their files,
// if no commit before does.
func (c *cut) discard() {
	for _, p := range c.fresh {
		c.orphans = append(c.orphans, p.info.Number)
		if err := p.block.Close(); err != nil {
			c.cfg.Observe(Event{Kind: EventRemove, Err: err})
		}
	}
	c.fresh = nil
}

// carry puts the open calls into the live head and its log segment.
func (c *cut) carry() error {
	if c.carried {
		return nil
	}
	if err := c.carryOver(c.plan.carry); err != nil {
		return fmt.Errorf("carry open calls over: %w", err)
	}
	c.carried = true
	return nil
}

// commit lets the block count instead of the segments. From here on readers
// find the spans in the block.
func (c *cut) commit() error {
	blocks := slices.Clone(c.catalog.Blocks)
	for _, p := range c.fresh {
		blocks = append(blocks, p.info)
	}
	if err := c.commitManifest(blocks, c.below); err != nil {
		return err
	}
	c.committed = true
	c.views.swap(func(v *view) {
		v.blocks = append(v.blocks, c.fresh...)
		v.frozen = nil
	})
	c.tellBlocks(1)
	c.figures.carried.Store(0)
	c.backlog.Store(false)
	c.in.signal() // the live head may be due already
	return nil
}

// removeSegments deletes what the manifest does not name any more. A failure
// costs disk space until the next cut or start.
func (c *cut) removeSegments() error {
	err := c.onCommitter(func() error {
		err := c.log.Remove(c.below)
		c.logFigures()
		return err
	})
	if err != nil && !errors.Is(err, errStopped) {
		c.cfg.Observe(Event{Kind: EventRemove, Err: err})
	}
	return nil
}

// commitManifest commits a new list of blocks and the first segment that
// counts, and then deletes blocks that a commit before may have named.
func (e *engine) commitManifest(blocks []manifest.Block, first uint64) error {
	next := e.catalog
	next.Blocks, next.FirstSegment = blocks, first
	if err := manifest.Commit(e.cfg.FS, e.cfg.Directory, next); err != nil {
		return err
	}
	e.catalog = next
	for _, number := range e.orphans {
		if err := block.Remove(e.cfg.FS, e.blocksDir(), number); err != nil {
			e.cfg.Observe(Event{Kind: EventRemove, Err: err})
		}
	}
	e.orphans = nil
	return nil
}

// writeBlocks writes what a plan has for blocks. The first has the part's
// summary. After an error those that were written are returned too.
func (e *engine) writeBlocks(p *plan, summary []byte) (fresh []*part, err error) {
	for rows := range slices.Chunk(p.rows, block.MaxRows) {
		b, err := e.writeBlock(rows, p.info, summary)
		if err != nil {
			return fresh, fmt.Errorf("write block: %w", err)
		}
		fresh = append(fresh, b)
		summary = summary[:0]
	}
	return fresh, nil
}

// writeBlock writes rows as a block and opens it. info says what the rows do
// not.
func (e *engine) writeBlock(rows []block.Row, info manifest.Block, summary []byte) (*part, error) {
	number := e.catalog.NextBlock
	e.catalog.NextBlock++ // used up, whatever happens
	meta, err := e.writer.WriteSummarized(number, rows, summary)
	if err != nil {
		return nil, err
	}
	b, err := e.blocks.Open(number)
	if err != nil {
		e.orphans = append(e.orphans, number)
		return nil, err
	}
	info.Number, info.Rows = number, meta.Rows
	info.StartMin, info.StartMax = meta.MinStart, meta.MaxStart
	info.Bytes = meta.ParquetBytes + meta.IDsBytes
	info.Files = []manifest.File{
		{Name: block.ParquetName(number), Bytes: meta.ParquetBytes},
		{Name: block.IDsName(number), Bytes: meta.IDsBytes},
	}
	return &part{info: info, block: b}, nil
}
