package store

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/otelscope/otelscope/internal/store/block"
	"github.com/otelscope/otelscope/internal/store/log"
	"github.com/otelscope/otelscope/internal/store/manifest"
)

// engine is the store over log, head, blocks and manifest. Who owns what:
//
//   - the committer (commit.go) owns the log and alone inserts into the live
//     head and rotates;
//   - the keeper (keeper.go) owns manifest and writer: it alone makes, merges
//     and drops blocks;
//   - callers of Write hand over through the intake, readers go through views.
//
// The protocol between them is docs/adr/0002-store-protocol.md.
type engine struct {
	cfg     Config
	views   views
	in      intake
	trouble trouble
	figures figures
	space   space
	// reading has a place for each zone that selections read at once: half the
	// processors are left to what comes in.
	reading chan struct{}

	log      *log.Log    // the committer's
	live     liveHead    // the committer's
	frozen   chan frozen // from committer to keeper: the head to cut; holds one
	backlog  atomic.Bool // there is a frozen head
	commands chan command

	catalog        manifest.Manifest // the keeper's, as are the next three
	writer         *block.Writer
	orphans        []uint64 // blocks that an uncertain commit may have named
	cutParts       int      // parts that were cut into blocks since Open, for the follower
	keeperCommands chan command

	blocks        *block.Set
	folder        io.Closer     // the folder's lock
	stop          chan struct{} // closed by Close
	committerGone chan struct{}
	keeperGone    chan struct{}
	stopped       chan struct{} // closed when all is released
	once          sync.Once
	err           error // of releasing; read after stopped
}

func (e *engine) blocksDir() string { return filepath.Join(e.cfg.Directory, "blocks") }

// Close implements Store.
func (e *engine) Close(ctx context.Context) error {
	e.once.Do(func() {
		e.in.close()
		close(e.stop)
		go e.shutDown()
	})
	select {
	case <-e.stopped:
		return e.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shutDown ends the goroutines and releases everything. What is in the log is
// what a start finds.
func (e *engine) shutDown() {
	<-e.committerGone
	<-e.keeperGone
	e.views.close()
	e.err = errors.Join(e.log.Close(), e.folder.Close())
	close(e.stopped)
}
