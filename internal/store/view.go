package store

import (
	"errors"
	"slices"
	"sync"

	"github.com/otelscope/otelscope/internal/store/block"
	"github.com/otelscope/otelscope/internal/store/head"
	"github.com/otelscope/otelscope/internal/store/manifest"
)

// part is one block as readers use it. views guards refs and dropped.
type part struct {
	info    manifest.Block
	block   *block.Block
	refs    int  // views that hold it
	dropped bool // the manifest does not name it any more: delete it with the last view
}

// view is what a read sees: it never changes, though live still grows. Age
// rises from the first block over frozen to live.
type view struct {
	blocks []*part
	frozen *head.Head // being cut, else nil
	live   *head.Head
	refs   int // readers, and one while it is the current view
}

// heads returns the heads, the older first.
func (v *view) heads() []*head.Head {
	if v.frozen == nil {
		return []*head.Head{v.live}
	}
	return []*head.Head{v.frozen, v.live}
}

// views hands out the current view and counts who uses it, so that a block is
// closed, and deleted if it was dropped, when nobody reads it any more.
type views struct {
	retire func(*part) // called without the lock, once for each part that nobody holds

	mu      sync.Mutex
	current *view // nil after close
}

// acquire returns the current view, which the caller releases, or nil after
// close.
func (vs *views) acquire() *view {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if vs.current != nil {
		vs.current.refs++
	}
	return vs.current
}

func (vs *views) release(v *view) {
	vs.mu.Lock()
	retired := vs.unref(v)
	vs.mu.Unlock()
	for _, p := range retired {
		vs.retire(p)
	}
}

// unref takes a reference off v and returns the parts that nobody holds now.
func (vs *views) unref(v *view) (retired []*part) {
	if v.refs--; v.refs > 0 {
		return nil
	}
	for _, p := range v.blocks {
		if p.refs--; p.refs == 0 {
			retired = append(retired, p)
		}
	}
	return retired
}

// swap makes what change makes of a copy of the current view the current one.
// Blocks that are not in it any more are deleted when nobody reads them.
func (vs *views) swap(change func(*view)) {
	vs.mu.Lock()
	old := vs.current
	next := &view{blocks: slices.Clone(old.blocks), frozen: old.frozen, live: old.live, refs: 1}
	change(next)
	for _, p := range next.blocks {
		p.refs++
	}
	for _, p := range old.blocks {
		p.dropped = p.dropped || !slices.Contains(next.blocks, p)
	}
	vs.current = next
	retired := vs.unref(old)
	vs.mu.Unlock()
	for _, p := range retired {
		vs.retire(p)
	}
}

// close ends the current view; those in use end with their readers.
func (vs *views) close() {
	vs.mu.Lock()
	var retired []*part
	if vs.current != nil {
		retired = vs.unref(vs.current)
		vs.current = nil
	}
	vs.mu.Unlock()
	for _, p := range retired {
		vs.retire(p)
	}
}

// retire closes a block that nobody reads, and deletes it if it was dropped.
func (e *engine) retire(p *part) {
	err := p.block.Close()
	if p.dropped {
		err = errors.Join(err, block.Remove(e.cfg.FS, e.blocksDir(), p.info.Number))
	}
	if err != nil {
		e.cfg.Observe(Event{Kind: EventRemove, Err: err})
	}
}
