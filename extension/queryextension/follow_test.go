package queryextension

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
	"github.com/otelscope/otelscope/internal/views"
)

const (
	waitFor = time.Minute
	tick    = time.Millisecond
)

// following is a follower of a store, with its goroutine.
func following(t *testing.T, logger *zap.Logger, consumers ...consumer) (*follower, store.Store) {
	return followingOn(t, memfs.New(), logger, consumers...)
}

func followingOn(t *testing.T, fs *memfs.FS, logger *zap.Logger, consumers ...consumer) (*follower, store.Store) {
	f := newFollower(logger, consumers...)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f.run(ctx) })
	s, err := store.Open(store.Config{Directory: "/data", FS: fs, CutSpans: 10, ReserveBytes: -1, Follower: f})
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

// TestLookingUpDoesNotRunAhead looks an end up that is stored but that the
// follower has not come to: an edge that both of its spans tell counts once.
func TestLookingUpDoesNotRunAhead(t *testing.T) {
	slow := &listener{wait: make(chan struct{})}
	f, s := following(t, zap.NewNop(), slow)
	child := storetest.Spec{Service: "a", Trace: 1, Span: 2, Parent: 1}
	write(t, s, storetest.Traces(child))
	require.Eventually(t, func() bool {
		f.views.mu.Lock()
		defer f.views.mu.Unlock()
		return f.views.live.Unsure() == 1
	}, waitFor, tick) // and it is stuck in the consumer
	parent := storetest.Traces(storetest.Spec{Service: "a", Trace: 1, Span: 1, Links: []uint64{2}})
	link := parent.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Links().At(0)
	link.Attributes().PutStr(causal.AttrLinkRole, causal.LinkRoleEffect)
	link.Attributes().PutStr(causal.AttrLinkType, string(causal.ParentChild))
	write(t, s, parent)
	f.views.lookUp(t.Context(), 9, 0)
	close(slow.wait)
	require.NoError(t, f.settled(t.Context()))
	f.views.with(func(of []*views.Summary) {
		edges := views.Edges(views.Query[views.EdgeKey]{Limit: 9}, of...).Rows
		require.Len(t, edges, 1)
		require.EqualValues(t, 1, edges[0].Values.Count)
	})
}

// TestWhatIsNotKnownIsLookedUpBySeconds without anybody asking.
func TestWhatIsNotKnownIsLookedUpBySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, s := following(t, zap.NewNop())
		write(t, s, storetest.Traces(storetest.Spec{Service: "a", Trace: 1, Span: 1}))
		require.NoError(t, f.caughtUp(t.Context()))
		f.views.mu.Lock()
		f.views.live = views.New() // it has forgotten the parent
		f.views.mu.Unlock()
		write(t, s, storetest.Traces(storetest.Spec{Service: "a", Trace: 1, Span: 2, Parent: 1}, storetest.Spec{Service: "a", Trace: 1, Span: 3, Parent: 4}))
		edges := func() (n int) {
			f.views.with(func(of []*views.Summary) { n = views.Count(of...)[views.ServiceGraph] })
			return n
		}
		require.NoError(t, f.caughtUp(t.Context()))
		require.Zero(t, edges())
		time.Sleep(2*unsureFor + 1)
		require.Equal(t, 1, edges())
	})
}

// TestFailuresOfTheDiskAreLogged: what could not be read is not counted.
func TestFailuresOfTheDiskAreLogged(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	fs := memfs.New()
	f, s := followingOn(t, fs, zap.New(core))
	for n := range uint64(12) {
		write(t, s, storetest.Traces(storetest.Spec{Service: "a", Trace: 1, Span: 1 + n, Start: 5}))
	}
	require.Eventually(t, func() bool { return s.Stats().Blocks == 1 }, waitFor, tick)
	require.NoError(t, f.settled(t.Context()))
	fs.SetHook(func(op memfs.Op, _ string) error {
		if op == memfs.OpRead {
			return syscall.EIO
		}
		return nil
	})
	write(t, s, storetest.Traces(storetest.Spec{Service: "a", Trace: 1, Span: 1, Start: 5})) // is it new?
	require.NoError(t, f.caughtUp(t.Context()))
	fs.SetHook(nil)
	require.Equal(t, 1, logged.FilterMessageSnippet("just stored").Len())

	f.views.mu.Lock()
	f.views.live = views.New()
	f.views.mu.Unlock()
	write(t, s, storetest.Traces(storetest.Spec{Service: "a", Trace: 1, Span: 50, Parent: 2, Start: 100}))
	fs.SetHook(func(op memfs.Op, _ string) error {
		if op == memfs.OpRead {
			return syscall.EIO
		}
		return nil
	})
	require.NoError(t, f.settled(t.Context()))
	fs.SetHook(nil)
	require.Equal(t, 1, logged.FilterMessageSnippet("looked up").Len())
}

// TestSpansThatCannotBeRead are none that a store gives.
func TestSpansThatCannotBeRead(t *testing.T) {
	core, logged := observer.New(zap.WarnLevel)
	v := newViewSums(zap.New(core))
	bad := []byte{0xff}
	resource := []byte{0x0a, 0x02, 0x0a, 0x7f} // with an attribute that ends too late
	badLink := slices.Concat([]byte{0x0a, 16}, bytes.Repeat([]byte{1}, 16), []byte{0x12, 8}, bytes.Repeat([]byte{1}, 8), []byte{0x6a, 1, 0xff})
	v.addSome([]store.Span{{Bytes: bad}, {Origin: bad}, {Origin: resource}, {Bytes: badLink}})
	require.Equal(t, 4, logged.Len())
}
