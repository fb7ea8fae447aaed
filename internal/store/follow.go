package store

import (
	"context"
	"sync"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store/head"
)

// Follower is told of the spans that become part of the store, part by part,
// and gives each part a summary that is kept with it. A part is what one head
// holds; it becomes one block, or several beyond the bound on a block's rows.
//
// Committed and Rotated are called in order, before the writers are answered,
// by the goroutine that all writers wait for: they must only take note. During
// Open they are called for what is recovered. The other methods are called by
// the goroutine that makes and drops blocks, one at a time; while one of them
// runs no block is made or dropped.
type Follower interface {
	// Committed says what one group commit changed.
	Committed(c *Commit)
	// Rotated says that the part is complete: what is committed from now on
	// belongs to the next.
	Rotated()
	// Summary returns the summary of the oldest part that was rotated and that
	// it was not asked for yet, not nil. It is called once for each part, and
	// may wait until the follower has caught up: that holds back cuts, and
	// writers only where the head reaches its bound. It must return, with an
	// error, when stop is closed. After any other error the part has none.
	Summary(stop <-chan struct{}) ([]byte, error)
	// Merge returns the summary of several parts together, the oldest first,
	// not nil; nil stands for one that has none.
	Merge(summaries [][]byte) ([]byte, error)
	// Blocks says that of the parts that Summary was called for since Open the
	// first so many are in blocks now, and which blocks there are. Open calls
	// it before it recovers the log.
	Blocks(parts int, blocks []BlockSummary)
}

// BlockSummary is a block as a Follower sees it.
type BlockSummary struct {
	Number uint64 // no other block of the store ever has it
	// Read returns the block's summary: nil if it has none, empty if its
	// part's stands with another block. It may be called until Blocks returns.
	Read func() ([]byte, error)
}

// Commit is what one group commit changed.
type Commit struct {
	// Received is the commit's time, nanoseconds since the epoch; each
	// commit's is later than that of the one before.
	Received int64

	engine  *engine
	head    *head.Head
	resends *resends
	changes []head.Change
	asked   sync.Once
}

// Spans returns what the commit made complete, in the order of arrival: spans
// that no part of the store had complete before, and the same start time. Open
// calls are left out until they are complete. It may read blocks. The slices
// of the spans are immutable and may be kept.
//
// It must be called before Summary is answered for the part: until then the
// part has not become a block, where the commit's spans would be found.
func (c *Commit) Spans() ([]Span, error) {
	known, err := c.engine.knownBefore(c.head, c.changes)
	if err != nil {
		return nil, err
	}
	c.asked.Do(func() { c.resends.asked(c.changes, known) })
	rows := make([]uint32, 0, len(c.changes))
	for i, change := range c.changes {
		if change.Complete && !known[i] {
			rows = append(rows, change.Row)
		}
	}
	return c.read(rows), nil
}

// Changed returns every span that is not as it was before the commit, as it is
// now: new ones, open calls among them, and those that have other links. Spans
// that only were sent again may be among them.
func (c *Commit) Changed() []Span {
	rows := make([]uint32, 0, len(c.changes))
	for _, change := range c.changes {
		rows = append(rows, change.Row)
	}
	return c.read(rows)
}

func (c *Commit) read(rows []uint32) []Span {
	spans := make([]Span, 0, len(rows))
	for _, s := range c.head.At(make([]head.Span, 0, len(rows)), rows) {
		spans = append(spans, fromHead(s))
	}
	return spans
}

// Named is the store's method Spans, which during Open nobody has yet.
func (c *Commit) Named(ctx context.Context, refs []causal.SpanRef) ([]Span, error) {
	return c.engine.Spans(ctx, refs)
}

// newCommit returns what a group commit into the head tells its follower, nil
// if there is none.
func (e *engine) newCommit(into *liveHead, received int64) *Commit {
	if e.cfg.Follower == nil {
		return nil
	}
	return &Commit{Received: received, engine: e, head: into.head, resends: into.resends}
}

// noting is where inserts note changes; nil where nobody asks.
func (c *Commit) noting() *[]head.Change {
	if c == nil {
		return nil
	}
	return &c.changes
}

// tell hands the commit to the follower, if it has anything to say.
func (c *Commit) tell() {
	if c != nil && len(c.changes) > 0 {
		c.resends.told()
		c.engine.cfg.Follower.Committed(c)
	}
}

// rotated tells the follower that a part is complete.
func (e *engine) rotated() {
	if e.cfg.Follower != nil {
		e.cfg.Follower.Rotated()
	}
}

// summary asks the follower for the summary of a part; nil is none. The only
// error is errStopped: a part without a summary is better than none.
func (e *engine) summary() ([]byte, error) {
	if e.cfg.Follower == nil {
		return nil, nil
	}
	summary, err := e.cfg.Follower.Summary(e.stop)
	if err != nil && e.stopping() {
		return nil, errStopped
	}
	return e.summarized(summary, err), nil
}

// summarized takes a summary, or notes why there is none.
func (e *engine) summarized(summary []byte, err error) []byte {
	if err != nil {
		e.cfg.Observe(Event{Kind: EventSummary, Err: err})
		return nil
	}
	return summary
}

// mergeSummaries returns the summary of a merge of blocks.
func (e *engine) mergeSummaries(parts []*part) (_ []byte, err error) {
	if e.cfg.Follower == nil {
		return nil, nil
	}
	summaries := make([][]byte, len(parts))
	for i, p := range parts {
		if summaries[i], err = p.block.Summary(); err != nil {
			return nil, err
		}
	}
	return e.summarized(e.cfg.Follower.Merge(summaries)), nil
}

// tellBlocks tells the follower which blocks there are. parts more than before
// are in blocks.
func (e *engine) tellBlocks(parts int) {
	if e.cfg.Follower == nil {
		return
	}
	e.cutParts += parts
	v := e.views.acquire()
	defer e.views.release(v)
	blocks := make([]BlockSummary, len(v.blocks))
	for i, p := range v.blocks {
		blocks[i] = BlockSummary{Number: p.info.Number, Read: p.block.Summary}
	}
	e.cfg.Follower.Blocks(e.cutParts, blocks)
}
