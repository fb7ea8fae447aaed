package queryextension

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/store"
)

// consumer is told of what is stored.
type consumer interface {
	// committed is called for one commit after the other, by one goroutine.
	// spans are what Commit.Spans returns: what is complete and new. It holds up
	// the other consumers, and in the end cuts of the store.
	committed(c *store.Commit, spans []store.Span)
}

// follower implements store.Follower: what the store says is queued, and a
// goroutine tells the consumers. The queue is bounded since the store does not
// cut a part before all of it was taken, and a part is bounded.
type follower struct {
	views     *viewSums
	consumers []consumer
	logger    *zap.Logger

	mu    sync.Mutex
	queue []followed
	told  uint64        // commits that were queued
	seen  uint64        // and taken by all consumers
	wake  chan struct{} // holds one
}

// followed is an entry of the queue: one of its fields is set.
type followed struct {
	commit  *store.Commit
	rotated bool
	settle  chan struct{} // closed when all before is in the views
	reached chan struct{} // closed when all before was taken
}

func newFollower(logger *zap.Logger, consumers ...consumer) *follower {
	return &follower{views: newViewSums(logger), consumers: consumers, logger: logger, wake: make(chan struct{}, 1)}
}

func (f *follower) put(entry followed) {
	f.mu.Lock()
	f.queue = append(f.queue, entry)
	if entry.commit != nil {
		f.told++
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Committed implements store.Follower.
func (f *follower) Committed(c *store.Commit) { f.put(followed{commit: c}) }

// Rotated implements store.Follower.
func (f *follower) Rotated() { f.put(followed{rotated: true}) }

// Summary implements store.Follower.
func (f *follower) Summary(stop <-chan struct{}) ([]byte, error) { return f.views.summary(stop) }

// Merge implements store.Follower.
func (f *follower) Merge(summaries [][]byte) ([]byte, error) { return f.views.merge(summaries) }

// Blocks implements store.Follower.
func (f *follower) Blocks(parts int, blocks []store.BlockSummary) { f.views.setBlocks(parts, blocks) }

// run takes the queue until ctx ends.
func (f *follower) run(ctx context.Context) {
	ticks := time.NewTicker(unsureFor)
	defer ticks.Stop()
	for {
		f.mu.Lock()
		queue := f.queue
		f.queue = nil
		f.mu.Unlock()
		for _, entry := range queue {
			if ctx.Err() != nil {
				return
			}
			f.take(ctx, entry)
		}
		if len(queue) > 0 {
			continue
		}
		select {
		case <-f.wake:
		case <-ticks.C:
			f.views.lookBack(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (f *follower) take(ctx context.Context, entry followed) {
	switch {
	case entry.commit != nil:
		f.commit(ctx, entry.commit)
	case entry.rotated:
		f.views.rotate(ctx)
	case entry.settle != nil:
		f.views.settle(ctx)
		close(entry.settle)
	default:
		close(entry.reached)
	}
}

func (f *follower) commit(ctx context.Context, c *store.Commit) {
	spans, err := c.Spans()
	if err != nil && !errors.Is(err, store.ErrClosed) {
		f.logger.Warn("Views, tails and caches miss spans that were just stored", zap.Error(err))
	}
	f.views.add(ctx, c, spans)
	for _, to := range f.consumers {
		to.committed(c, spans)
	}
	f.mu.Lock()
	f.seen++
	f.mu.Unlock()
}

// position returns how many commits all consumers have taken, and how many
// were acknowledged, at least.
func (f *follower) position() (seen, told uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen, f.told
}

// caughtUp waits until what was acknowledged before was taken by all consumers.
func (f *follower) caughtUp(ctx context.Context) error {
	if seen, told := f.position(); seen == told {
		return nil
	}
	reached := make(chan struct{})
	f.put(followed{reached: reached})
	return await(ctx, reached)
}

// settled waits until what was acknowledged before is in the views, edges too;
// under load edges to what came long before may follow a second later.
func (f *follower) settled(ctx context.Context) error {
	settle := make(chan struct{})
	f.put(followed{settle: settle})
	return await(ctx, settle)
}

func await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
