package queryextension

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
	"github.com/otelscope/otelscope/internal/views"
)

const (
	waitFor = 10 * time.Second
	tick    = time.Millisecond
)

// following is a follower of a store, with its goroutine.
func following(t *testing.T, logger *zap.Logger, consumers ...consumer) (*follower, store.Store) {
	f := newFollower(logger, consumers...)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f.run(ctx) })
	s, err := store.Open(store.Config{Directory: "/data", FS: memfs.New(), CutSpans: 10, ReserveBytes: -1, Follower: f})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Close(context.Background()))
		cancel()
		running.Wait()
	})
	return f, s
}

// listener notes how many spans it was told of, and may be slow.
type listener struct {
	mu    sync.Mutex
	spans []int
	wait  chan struct{} // nil: it does not
}

func (l *listener) committed(_ *store.Commit, spans []store.Span) {
	if l.wait != nil {
		<-l.wait
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spans = append(l.spans, len(spans))
}

func (l *listener) told() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]int(nil), l.spans...)
}

func TestConsumersAreToldOfEachCommit(t *testing.T) {
	first, second := &listener{}, &listener{}
	f, s := following(t, zap.NewNop(), first, second)
	for n := range uint64(3) {
		write(t, s, storetest.Request(n, 1+int(n)))
	}
	require.NoError(t, f.caughtUp(t.Context()))
	require.Equal(t, []int{1, 2, 3}, first.told())
	require.Equal(t, []int{1, 2, 3}, second.told())
	seen, told := f.position()
	require.EqualValues(t, 3, seen)
	require.EqualValues(t, 3, told)
	require.NoError(t, f.caughtUp(t.Context()), "at once")
}

func TestWaitingForASlowConsumerEnds(t *testing.T) {
	slow := &listener{wait: make(chan struct{})}
	f, s := following(t, zap.NewNop(), slow)
	write(t, s, storetest.Request(1, 1))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, f.caughtUp(ctx), context.DeadlineExceeded)
	require.ErrorIs(t, f.settled(ctx), context.DeadlineExceeded)
	seen, told := f.position()
	require.Zero(t, seen)
	require.EqualValues(t, 1, told)
	close(slow.wait)
	require.NoError(t, f.caughtUp(t.Context()))
}

// TestFollowerEndsWithWorkLeft ends it while a consumer is stuck and a part
// ended whose summary nobody asks for.
func TestFollowerEndsWithWorkLeft(t *testing.T) {
	f := newFollower(zap.NewNop())
	ctx, cancel := context.WithCancel(context.Background())
	f.Rotated()
	f.Rotated()
	f.Rotated()
	done := make(chan struct{})
	go func() {
		f.run(ctx)
		close(done)
	}()
	require.Eventually(t, func() bool { return len(f.views.ready) == 1 }, waitFor, tick)
	cancel()
	<-done
	stop := make(chan struct{})
	close(stop)
	<-f.views.ready
	_, err := f.Summary(stop)
	require.ErrorContains(t, err, "closing")
}

func TestDamagedSummariesAreMissed(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	v := newViewSums(zap.New(core))
	good, err := views.NewSummary().Encode()
	require.NoError(t, err)
	reads := func(b []byte, err error) func() ([]byte, error) { return func() ([]byte, error) { return b, err } }
	blocks := []store.BlockSummary{
		{Number: 1, Read: reads(good, nil)},
		{Number: 2, Read: reads(nil, errors.New("checksum"))},
		{Number: 3, Read: reads([]byte("junk"), nil)},
		{Number: 4, Read: reads(nil, nil)},
		{Number: 5, Read: reads([]byte{}, nil)},
	}
	v.setBlocks(0, blocks[:2])
	v.setBlocks(0, blocks)
	require.EqualValues(t, 3, v.blocks.Missing)
	require.Equal(t, 2, logged.FilterMessageSnippet("incomplete").Len())
	v.setBlocks(0, blocks[3:])
	require.EqualValues(t, 1, v.blocks.Missing)
	_, err = v.merge([][]byte{[]byte("junk")})
	require.Error(t, err)
	merged, err := v.merge([][]byte{good, nil})
	require.NoError(t, err)
	sum, err := views.Decode(merged)
	require.NoError(t, err)
	require.EqualValues(t, 1, sum.Missing)
}
