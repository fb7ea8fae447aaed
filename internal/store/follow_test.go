package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

// followed is a store with a recorder.
type followed struct {
	store.Store
	t        *testing.T
	cfg      store.Config
	recorder *recorder
}

func follow(t *testing.T) *followed {
	f := &followed{t: t, cfg: store.Config{Directory: "/data", FS: memfs.New(), ReserveBytes: -1}}
	f.open()
	t.Cleanup(func() { require.NoError(t, f.Close(context.Background())) })
	return f
}

func (f *followed) open() {
	var err error
	f.recorder = newRecorder()
	f.cfg.Follower = f.recorder
	f.Store, err = store.Open(f.cfg)
	require.NoError(f.t, err)
}

func (f *followed) reopen() {
	require.NoError(f.t, f.Close(context.Background()))
	f.open()
}

func (f *followed) write(specs ...storetest.Spec) {
	require.NoError(f.t, f.Write(context.Background(), storetest.Traces(specs...)))
}

func (f *followed) cut() { require.NoError(f.t, store.Cut(f.Store)) }

// news returns what the last commit told, as short names.
func (f *followed) news() (names []string) {
	r := f.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	require.NotEmpty(f.t, r.queue)
	spans, err := r.queue[len(r.queue)-1].Spans()
	require.NoError(f.t, err)
	return f.names(spans)
}

func (f *followed) names(spans []store.Span) (names []string) {
	for _, s := range spans {
		p, err := storetest.Decode(s)
		require.NoError(f.t, err)
		names = append(names, p.Span().Name())
	}
	return names
}

// queued is how many entries wait to be looked at.
func (f *followed) queued() int {
	f.recorder.mu.Lock()
	defer f.recorder.mu.Unlock()
	return len(f.recorder.queue)
}

func (f *followed) consistent() { require.NoError(f.t, f.recorder.check(f.Store)) }

func span(name string, id uint64) storetest.Spec {
	return storetest.Spec{Service: "a", Trace: 1, Span: id, Name: name, Start: 10 * id}
}

func open(name string, id uint64) storetest.Spec {
	s := span(name, id)
	s.State = causal.CallOpen
	return s
}

func TestFollowerIsToldInTheOrderOfArrival(t *testing.T) {
	f := follow(t)
	f.write(span("c", 3), span("a", 1))
	require.Equal(t, []string{"c", "a"}, f.news())
	f.write(span("b", 2))
	require.Equal(t, []string{"b"}, f.news())
	f.consistent()
}

func TestFollowerIsToldOfOpenCallsWhenTheyAreComplete(t *testing.T) {
	f := follow(t)
	f.write(open("call", 1), span("b", 2))
	require.Equal(t, []string{"b"}, f.news())
	f.cut() // carries it
	f.write(span("call", 1))
	require.Equal(t, []string{"call"}, f.news())
	f.write(open("call", 1))
	f.consistent()
	f.cut()
	f.write(open("call", 1)) // late, and complete in a block
	require.Empty(t, f.news())
	f.cut()
	f.consistent()
}

func TestFollowerIsToldOnce(t *testing.T) {
	f := follow(t)
	f.write(span("a", 1), span("a", 1), span("b", 2))
	require.Equal(t, []string{"a", "b"}, f.news())
	n := f.queued()
	f.write(span("a", 1))
	require.Equal(t, n, f.queued(), "nothing is new")
	require.NoError(t, store.Rotate(f.Store))
	f.write(span("a", 1), span("c", 3)) // while the first is frozen, or just cut
	require.Equal(t, []string{"c"}, f.news())
	require.NoError(t, store.AwaitCut(f.Store))
	f.write(span("a", 1), span("b", 2), span("d", 4))
	require.Equal(t, []string{"d"}, f.news())
	before := f.Stats().Duplicates
	f.cut()
	require.Equal(t, before+2, f.Stats().Duplicates, "a and b are dropped at the cut")
	require.EqualValues(t, 4, f.Stats().Spans)
	f.consistent()
}

func TestLinksThatOnlyALaterVersionHasAreKept(t *testing.T) {
	f := follow(t)
	f.write(span("a", 1))
	f.cut()
	linked := span("a", 1)
	linked.Links = []uint64{7}
	f.write(linked)
	require.Empty(t, f.news())
	require.Equal(t, []string{"a"}, f.names(f.recorder.queue[0].Changed()))
	f.cut()
	require.EqualValues(t, 2, f.Stats().Spans)
	f.write(linked) // both blocks together have it all
	f.cut()
	require.EqualValues(t, 2, f.Stats().Spans)
	f.consistent()
}

func TestChangedTellsOfOpenCallsToo(t *testing.T) {
	f := follow(t)
	f.write(open("call", 1), span("b", 2))
	require.Equal(t, []string{"call", "b"}, f.names(f.recorder.queue[0].Changed()))
	found, err := f.recorder.queue[0].Named(context.Background(), []causal.SpanRef{{TraceID: storetest.TraceID(1), SpanID: storetest.SpanID(2)}})
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, f.names(found))
}

// silent is a follower that asks for nothing.
type silent struct{}

func (silent) Committed(*store.Commit)                 {}
func (silent) Rotated()                                {}
func (silent) Summary(<-chan struct{}) ([]byte, error) { return []byte{}, nil }
func (silent) Merge([][]byte) ([]byte, error)          { return []byte{}, nil }
func (silent) Blocks(int, []store.BlockSummary)        {}

// TestWhatIsSentAgainIsNotStoredAgain after a cut, whether the follower asked
// what was new or not; what has other links is.
func TestWhatIsSentAgainIsNotStoredAgain(t *testing.T) {
	for name, asks := range map[string]bool{"asked": true, "not asked": false} {
		t.Run(name, func(t *testing.T) {
			f := follow(t)
			if !asks {
				require.NoError(t, f.Close(t.Context()))
				f.cfg.Follower = silent{}
				var err error
				f.Store, err = store.Open(f.cfg)
				require.NoError(t, err)
			}
			f.write(span("a", 1), span("b", 2), span("late", 9))
			f.cut()
			linked := span("b", 2)
			linked.Links = []uint64{1}
			f.write(span("a", 1), linked, span("c", 3))
			f.cut()
			require.EqualValues(t, 3+2, f.Stats().Spans, "b with its link, and c")
			require.EqualValues(t, 1, f.Stats().Duplicates)
			f.write(span("a", 1), span("b", 2), span("c", 3))
			f.cut()
			require.EqualValues(t, 3+2, f.Stats().Spans)
			spans, err := f.Trace(t.Context(), storetest.TraceID(1))
			require.NoError(t, err)
			require.ElementsMatch(t, []string{"a", "b", "c", "late"}, f.names(spans))
		})
	}
}

func TestFollowerIsToldAgainOfWhatIsRecovered(t *testing.T) {
	f := follow(t)
	f.write(span("a", 1))
	f.cut()
	f.write(span("b", 2), open("call", 3), span("a", 1))
	f.write(span("call", 3))
	first, err := f.recorder.told()
	require.NoError(t, err)
	f.reopen()
	again, err := f.recorder.told()
	require.NoError(t, err)
	require.Equal(t, first, again)
	f.consistent()
}

// TestRecoveryThatCuts recovers more than a head holds.
func TestRecoveryThatCuts(t *testing.T) {
	f := follow(t)
	for i := range uint64(30) {
		f.write(span("a", 1+i), open("call", 100+i))
	}
	require.NoError(t, store.Rotate(f.Store))
	f.write(span("a", 50))
	require.NoError(t, f.Close(context.Background()))
	// The cut may have come to its end; what it left is cut again in a start.
	f.cfg.CutSpans = 10
	f.open()
	f.consistent()
	f.cut()
	f.consistent()
	f.reopen()
	f.consistent()
}

func TestSummariesFollowTheBlocks(t *testing.T) {
	f := follow(t)
	for i := range uint64(4) {
		f.write(span("a", 1+i))
		f.cut()
	}
	require.Len(t, f.recorder.numbers, 4)
	f.consistent()
	require.NoError(t, store.Compact(f.Store))
	require.Len(t, f.recorder.numbers, 1)
	f.consistent()
	f.reopen()
	require.Len(t, f.recorder.numbers, 1)
	f.consistent()
	require.NoError(t, f.Close(context.Background()))
	f.cfg.Retention.MaxBytes = 1
	f.open()
	require.NoError(t, store.Retain(f.Store))
	require.Empty(t, f.recorder.numbers)
	f.consistent()
}

// stuck is a follower whose summaries do not come.
type stuck struct {
	*recorder
	asked chan struct{}
	err   error // instead
}

func (s *stuck) Summary(stop <-chan struct{}) ([]byte, error) {
	if s.err != nil {
		_, err := s.recorder.Summary(stop)
		return nil, errors.Join(s.err, err)
	}
	close(s.asked)
	<-stop
	return nil, errors.New("stopped")
}

// TestSlowFollowerHoldsBackCuts lets writers go on.
func TestSlowFollowerHoldsBackCuts(t *testing.T) {
	slow := &stuck{recorder: newRecorder(), asked: make(chan struct{})}
	st, err := store.Open(store.Config{Directory: "/data", FS: memfs.New(), ReserveBytes: -1, Follower: slow})
	require.NoError(t, err)
	require.NoError(t, st.Write(context.Background(), storetest.Traces(span("a", 1))))
	require.NoError(t, store.Rotate(st))
	<-slow.asked
	require.NoError(t, st.Write(context.Background(), storetest.Traces(span("b", 2))))
	require.True(t, store.Backlog(st))
	require.NoError(t, st.Close(context.Background()))
	_, err = slow.queue[0].Spans()
	require.ErrorIs(t, err, store.ErrClosed)
}

func TestPartGoesWithoutASummary(t *testing.T) {
	events := make(chan store.Event, 100)
	failing := &stuck{recorder: newRecorder(), err: errors.New("no summary today")}
	cfg := store.Config{
		Directory: "/data", FS: memfs.New(), ReserveBytes: -1, Follower: failing,
		Observe: func(e store.Event) { events <- e },
	}
	st, err := store.Open(cfg)
	require.NoError(t, err)
	for i := range uint64(4) {
		require.NoError(t, st.Write(context.Background(), storetest.Traces(span("a", 1+i))))
		require.NoError(t, store.Cut(st))
	}
	require.NoError(t, store.Compact(st)) // Merge fails for want of summaries
	require.NoError(t, st.Close(context.Background()))
	failed := 0
	for len(events) > 0 {
		if e := <-events; e.Kind == store.EventSummary {
			require.Error(t, e.Err)
			failed++
		}
	}
	require.Equal(t, 5, failed)
}

func TestCommitsAreLaterThanEachOther(t *testing.T) {
	f := follow(t)
	require.NoError(t, f.Close(context.Background()))
	f.cfg.Now = func() time.Time { return time.Unix(5, 0) }
	f.open()
	for i := range uint64(5) {
		f.write(span("a", 1+i))
	}
	f.reopen()
	f.consistent()
}
