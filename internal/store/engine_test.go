package store_test

import (
	"context"

	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

var ctx = context.Background()

// observed collects events.
type observed struct {
	mu     sync.Mutex
	events []store.Event
}

func (o *observed) add(e store.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, e)
}

// of returns the events of one kind so far.
func (o *observed) of(kind store.EventKind) (found []store.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// inBubble plays f with a store on a file system in memory and a clock that
// moves only when everybody waits.
func inBubble(t *testing.T, change func(*store.Config), f func(t *testing.T, st store.Store, cfg store.Config, seen *observed)) {
	synctest.Test(t, func(t *testing.T) {
		seen := &observed{}
		cfg := store.Config{Directory: "/data/store", FS: memfs.New(), CutBytes: 64 << 10, ReserveBytes: -1, Observe: seen.add}
		if change != nil {
			change(&cfg)
		}
		st, err := store.Open(cfg)
		require.NoError(t, err)
		defer func() { require.NoError(t, st.Close(ctx)) }()
		f(t, st, cfg, seen)
	})
}

func write(t *testing.T, st store.Store, specs ...storetest.Spec) {
	t.Helper()
	require.NoError(t, st.Write(ctx, storetest.Traces(specs...)))
}

func trace(t *testing.T, st store.Store, id uint64) []store.Span {
	t.Helper()
	spans, err := st.Trace(ctx, storetest.TraceID(id))
	require.NoError(t, err)
	return spans
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		cfg  store.Config
		want string
	}{
		{store.Config{}, "directory: is empty"},
		{store.Config{CutBytes: -1}, "CutBytes: -1 is too small, at least 1 is allowed"},
		{store.Config{CutSpans: -2}, "CutSpans: -2"},
		{store.Config{CutAge: -3}, "CutAge: -3"},
		{store.Config{MaxOpenCalls: -1}, "MaxOpenCalls: -1 is too small, at least 0"},
		{store.Config{Retention: store.Retention{MaxAge: -5}}, "max_age: -5"},
		{store.Config{Retention: store.Retention{MaxBytes: -6}}, "max_bytes: -6"},
	} {
		_, err := store.Open(c.cfg)
		require.ErrorContains(t, err, c.want)
	}
}

func TestTooLargeRequestIsInvalid(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, st store.Store, _ store.Config, _ *observed) {
		td := storetest.Traces(storetest.Spec{Trace: 1, Span: 1, Name: strings.Repeat("x", 256<<20)})
		var invalid *store.InvalidError
		require.ErrorAs(t, st.Write(ctx, td), &invalid)
		require.ErrorContains(t, invalid, "at most 268435456 are allowed")
	})
}

func TestHeadIsCutBySizeAndAge(t *testing.T) {
	for name, change := range map[string]func(*store.Config){
		"bytes": func(c *store.Config) { c.CutBytes = 20_000 },
		"spans": func(c *store.Config) { c.CutSpans = 50 },
		"age":   func(c *store.Config) { c.CutAge = time.Minute },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, change, func(t *testing.T, st store.Store, _ store.Config, seen *observed) {
				require.NoError(t, st.Write(ctx, storetest.Request(1, 60)))
				if name == "age" {
					synctest.Wait()
					require.Zero(t, st.Stats().Blocks)
					time.Sleep(2 * time.Minute)
				}
				synctest.Wait()
				require.Equal(t, 1, st.Stats().Blocks)
				require.Zero(t, st.Stats().HeadSpans)
				require.EqualValues(t, 60, st.Stats().Spans)
				require.EqualValues(t, 60, seen.of(store.EventCut)[0].Spans)
				require.Equal(t, 1, st.Stats().LogSegments)
			})
		})
	}
}

// TestIdleStoreDoesNotCarryForEver: open calls alone are no reason to cut.
func TestIdleStoreDoesNotCarryForEver(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, st store.Store, _ store.Config, _ *observed) {
		write(t, st, storetest.Spec{Trace: 1, Span: 1, State: causal.CallOpen})
		time.Sleep(time.Hour)
		require.EqualValues(t, 1, st.Stats().Cuts)
		require.Zero(t, st.Stats().Blocks, "an open call makes no block")
		require.EqualValues(t, 1, st.Stats().OpenCalls)
		require.Len(t, trace(t, st, 1), 1)
	})
}

func TestOpenCallsBeyondTheBound(t *testing.T) {
	inBubble(t, func(c *store.Config) { c.MaxOpenCalls = 2 }, func(t *testing.T, st store.Store, cfg store.Config, seen *observed) {
		for i := range uint64(5) {
			write(t, st, storetest.Spec{Trace: 1, Span: i + 1, State: causal.CallOpen, Event: "e"})
			time.Sleep(time.Millisecond)
		}
		require.NoError(t, store.Cut(st))
		require.EqualValues(t, 3, seen.of(store.EventOverflow)[0].Spans)
		require.EqualValues(t, 2, st.Stats().HeadSpans)
		require.EqualValues(t, 5, st.Stats().Spans)
		open, err := collect(st, store.ScanOptions{OpenCalls: true})
		require.NoError(t, err)
		require.Len(t, open, 5)

		// The oldest, which is in the block, returns.
		write(t, st, storetest.Spec{Trace: 1, Span: 1, State: causal.CallReturned, Event: "e"})
		open, err = collect(st, store.ScanOptions{OpenCalls: true})
		require.NoError(t, err)
		require.Len(t, open, 4)
		require.Len(t, trace(t, st, 1), 5)

		// Once more it is said to be open: the block says otherwise.
		require.NoError(t, store.Cut(st))
		write(t, st, storetest.Spec{Trace: 1, Span: 1, State: causal.CallOpen, Event: "e"})
		require.NoError(t, store.Cut(st))
		require.EqualValues(t, 2, st.Stats().HeadSpans, "it is not carried")
		require.Len(t, trace(t, st, 1), 5)
	})
}

func TestCompaction(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, st store.Store, cfg store.Config, seen *observed) {
		for i := range uint64(6) {
			write(t, st,
				storetest.Spec{Trace: 1, Span: i + 1, Event: "e"},
				storetest.Spec{Trace: 2, Span: 1, Links: []uint64{i}},
				storetest.Spec{Trace: 3, State: causal.CallOpen}, // without identity, it goes into the block
			)
			require.NoError(t, store.Cut(st))
		}
		require.Equal(t, 6, st.Stats().Blocks)

		// A scan that began before keeps the blocks it reads.
		n := 0
		for _, err := range st.Scan(ctx, store.ScanOptions{}) {
			require.NoError(t, err)
			if n++; n == 1 {
				require.NoError(t, store.Compact(st))
				names, err := cfg.FS.ReadDir("/data/store/blocks")
				require.NoError(t, err)
				require.Len(t, names, 2*7)
			}
		}
		require.Equal(t, 18, n)
		names, err := cfg.FS.ReadDir("/data/store/blocks")
		require.NoError(t, err)
		require.Len(t, names, 2, "the last reader has left")

		done := seen.of(store.EventCompact)
		require.Len(t, done, 1)
		require.Equal(t, 6, done[0].Blocks)
		require.EqualValues(t, 13, done[0].Spans)
		require.EqualValues(t, 1, st.Stats().Compactions)
		require.Len(t, trace(t, st, 1), 6)
		p, err := storetest.Decode(trace(t, st, 2)[0])
		require.NoError(t, err)
		require.Len(t, p.Links, 6)
		open, err := collect(st, store.ScanOptions{OpenCalls: true})
		require.NoError(t, err)
		require.Len(t, open, 6)
	})
}

func TestFullBlocksAreLeftAlone(t *testing.T) {
	inBubble(t, func(c *store.Config) { c.CutSpans = 40 }, func(t *testing.T, st store.Store, _ store.Config, _ *observed) {
		for i := range uint64(6) {
			require.NoError(t, st.Write(ctx, storetest.Request(i, 20)))
			require.NoError(t, store.Cut(st))
		}
		require.NoError(t, store.Compact(st))
		require.Equal(t, 6, st.Stats().Blocks)
	})
}

func TestFailingCompactionLeavesThingsAsTheyAre(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, st store.Store, cfg store.Config, seen *observed) {
		for i := range uint64(4) {
			write(t, st, storetest.Spec{Trace: 1, Span: i + 1})
			require.NoError(t, store.Cut(st))
		}
		fsys := cfg.FS.(*memfs.FS)
		for _, fails := range []memfs.Op{memfs.OpCreate, memfs.OpOpen, memfs.OpSyncDir, memfs.OpRename, memfs.OpRead} {
			fsys.SetHook(func(op memfs.Op, name string) error {
				if op == fails {
					return syscall.EIO
				}
				return nil
			})
			require.NoError(t, store.Compact(st))
			fsys.SetHook(nil)
			require.Equal(t, 4, st.Stats().Blocks, fails)
			require.Contains(t, st.Stats().Trouble, "compact")
			require.Len(t, trace(t, st, 1), 4)
		}
		require.NoError(t, store.Compact(st))
		require.Empty(t, st.Stats().Trouble)
		require.Equal(t, 1, st.Stats().Blocks)
		require.Len(t, trace(t, st, 1), 4)
		names, err := fsys.ReadDir("/data/store/blocks")
		require.NoError(t, err)
		require.Len(t, names, 2, "what failed merges left is gone")
	})
}

func TestRetention(t *testing.T) {
	t.Run("age", func(t *testing.T) {
		inBubble(t, func(c *store.Config) { c.Retention.MaxAge = time.Hour }, func(t *testing.T, st store.Store, _ store.Config, seen *observed) {
			begin := time.Now()
			for i := range uint64(3) {
				write(t, st, storetest.Spec{Trace: 1, Span: i + 1})
				require.NoError(t, store.Cut(st))
				time.Sleep(20 * time.Minute)
			}
			require.WithinDuration(t, begin, st.Stats().Oldest, time.Second)
			time.Sleep(10 * time.Minute)
			require.Len(t, trace(t, st, 1), 2)
			require.WithinDuration(t, begin.Add(20*time.Minute), st.Stats().Oldest, time.Second)
			time.Sleep(time.Hour)
			require.Empty(t, trace(t, st, 1))
			require.EqualValues(t, 3, st.Stats().DroppedBlocks)
			require.Zero(t, st.Stats().Oldest)
			require.Len(t, seen.of(store.EventRetain), 3)
		})
	})
	t.Run("bytes", func(t *testing.T) {
		inBubble(t, func(c *store.Config) { c.Retention.MaxBytes = 60_000 }, func(t *testing.T, st store.Store, cfg store.Config, _ *observed) {
			for i := range uint64(20) {
				require.NoError(t, st.Write(ctx, storetest.Request(i, 100)))
				require.NoError(t, store.Cut(st))
				require.NoError(t, store.Retain(st))
			}
			stats := st.Stats()
			require.LessOrEqual(t, stats.BlockBytes+stats.LogBytes, cfg.Retention.MaxBytes)
			require.Positive(t, stats.Blocks)
			require.EqualValues(t, 20, int64(stats.Blocks)+stats.DroppedBlocks)
		})
	})
	t.Run("failing", func(t *testing.T) {
		inBubble(t, func(c *store.Config) { c.Retention.MaxAge = time.Hour }, func(t *testing.T, st store.Store, cfg store.Config, _ *observed) {
			write(t, st, storetest.Spec{Trace: 1, Span: 1})
			require.NoError(t, store.Cut(st))
			fsys := cfg.FS.(*memfs.FS)
			fsys.SetHook(func(op memfs.Op, name string) error {
				if op == memfs.OpRename {
					return syscall.EIO
				}
				return nil
			})
			time.Sleep(2 * time.Hour)
			require.Contains(t, st.Stats().Trouble, "retain")
			require.Len(t, trace(t, st, 1), 1)
			fsys.SetHook(nil)
			time.Sleep(2 * time.Second)
			require.Empty(t, trace(t, st, 1))
			require.Empty(t, st.Stats().Trouble)
		})
	})
}

// TestLongLogIsCutAtTheStart leaves a log of several heads behind: a start
// makes blocks of it.
func TestLongLogIsCutAtTheStart(t *testing.T) {
	inBubble(t, func(c *store.Config) { c.CutBytes, c.MaxOpenBytes = 10_000, 1<<20 }, func(t *testing.T, st store.Store, cfg store.Config, _ *observed) {
		fsys := cfg.FS.(*memfs.FS)
		write(t, st, storetest.Spec{Trace: 1, Span: 1, State: causal.CallOpen, Event: "e", Links: []uint64{1}})
		fsys.SetHook(func(op memfs.Op, name string) error { // no blocks, and a new segment for each write
			if op == memfs.OpCreate && strings.Contains(name, "blocks") {
				return syscall.EIO
			}
			return nil
		})
		for i := uint64(1); st.Write(ctx, storetest.Request(i, 10)) == nil; i++ {
			synctest.Wait()
		}
		before := st.Stats()
		require.Equal(t, 2, before.LogSegments)
		after := cfg
		after.FS = fsys.Crash(newRandom(1))
		again, err := store.Open(after)
		require.NoError(t, err)
		require.Equal(t, 2, again.Stats().LogSegments, "one was cut, one is for the open call")
		require.Equal(t, 1, again.Stats().Blocks)
		require.Equal(t, before.Spans, again.Stats().Spans)
		require.EqualValues(t, 1, again.Stats().OpenCalls)
		require.NoError(t, again.Close(ctx))
		fsys.SetHook(nil)
	})
}

func TestOpenFailsCleanly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScenario()
		s.play()
		for n := 0; ; n++ {
			seen, left := 0, s.fs.Crash(newRandom(uint64(n)))
			left.SetHook(func(op memfs.Op, name string) error {
				if seen++; seen == n+1 {
					return syscall.EIO
				}
				return nil
			})
			cfg := s.config()
			cfg.FS = left
			st, err := store.Open(cfg)
			left.SetHook(nil)
			if err == nil {
				require.NoError(t, s.ledger.check(st))
				require.NoError(t, st.Close(ctx))
			}
			require.Empty(t, left.OpenFiles())
			if seen <= n {
				break
			}
			st, err = store.Open(cfg)
			require.NoError(t, err, "the lock is released")
			require.NoError(t, st.Close(ctx))
		}
	})
}

func TestForeignAndLeftOverFiles(t *testing.T) {
	dir := t.TempDir()
	st, err := store.Open(store.Config{Directory: dir})
	require.NoError(t, err)
	write(t, st, storetest.Spec{Trace: 1, Span: 1})
	require.NoError(t, store.Cut(st))
	require.NoError(t, st.Close(ctx))
	blocks := filepath.Join(dir, "blocks")
	for _, name := range []string{"notes.txt", "mine.parquet", "00000000000000ff.parquet", "00000000000000ff.ids.tmp"} {
		require.NoError(t, os.WriteFile(filepath.Join(blocks, name), nil, 0o600))
	}
	st, err = store.Open(store.Config{Directory: dir})
	require.NoError(t, err)
	require.Len(t, trace(t, st, 1), 1)
	require.NoError(t, st.Close(ctx))
	left, err := filepath.Glob(filepath.Join(blocks, "*"))
	require.NoError(t, err)
	require.Len(t, left, 4, left)
	require.FileExists(t, filepath.Join(blocks, "notes.txt"))
	require.FileExists(t, filepath.Join(blocks, "mine.parquet"))

	t.Run("a damaged manifest is an error", func(t *testing.T) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "MANIFEST"), []byte("{}"), 0o600))
		_, err := store.Open(store.Config{Directory: dir})
		require.ErrorContains(t, err, "damaged")
	})
}

func TestNoSync(t *testing.T) {
	inBubble(t, func(c *store.Config) { c.NoSync = true }, func(t *testing.T, st store.Store, cfg store.Config, _ *observed) {
		syncs := 0
		cfg.FS.(*memfs.FS).SetHook(func(op memfs.Op, name string) error {
			if op == memfs.OpSync {
				syncs++
			}
			return nil
		})
		for i := range uint64(9) {
			write(t, st, storetest.Spec{Trace: 1, Span: i + 1})
		}
		require.LessOrEqual(t, syncs, 1, "that of the first segment's header")
		require.Len(t, trace(t, st, 1), 9)
	})
}

func TestCloseWaitsAsLongAsItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := memfs.New()
		st, err := store.Open(store.Config{Directory: "/d", FS: fsys, CutBytes: 1 << 16, ReserveBytes: -1})
		require.NoError(t, err)
		write(t, st, storetest.Spec{Trace: 1, Span: 1})
		release := make(chan struct{})
		fsys.SetHook(func(op memfs.Op, name string) error {
			if op == memfs.OpSync {
				<-release
			}
			return nil
		})
		written := make(chan error, 1)
		go func() { written <- st.Write(ctx, storetest.Traces(storetest.Spec{Trace: 1, Span: 2})) }()
		synctest.Wait()

		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		require.ErrorIs(t, st.Write(short, storetest.Traces(storetest.Spec{Trace: 1, Span: 3})), context.DeadlineExceeded)
		short, cancel = context.WithTimeout(ctx, time.Second)
		defer cancel()
		require.ErrorIs(t, st.Close(short), context.DeadlineExceeded)
		close(release)
		require.NoError(t, <-written, "the write was under way")
		require.NoError(t, st.Close(ctx))
		require.ErrorIs(t, store.Cut(st), store.ErrStopped)
		require.ErrorIs(t, store.Compact(st), store.ErrStopped)
		fsys.SetHook(nil)

		st, err = store.Open(store.Config{Directory: "/d", FS: fsys, CutBytes: 1 << 16, ReserveBytes: -1})
		require.NoError(t, err)
		require.Len(t, trace(t, st, 1), 3, "what gave up waiting was written")
		require.EqualValues(t, 3, st.Stats().RecoveredSpans)
		require.NoError(t, st.Close(ctx))
	})
}

func TestTraces(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, st store.Store, _ store.Config, _ *observed) {
		write(t, st,
			storetest.Spec{Service: "a", Trace: 1, Span: 1, Start: 1}, storetest.Spec{Service: "b", Trace: 1, Span: 2, Start: 2},
			storetest.Spec{Service: "a", Trace: 1, Span: 3, Start: 3, Kind: ptrace.SpanKindServer},
		)
		td, err := store.Traces(trace(t, st, 1))
		require.NoError(t, err)
		require.Equal(t, 2, td.ResourceSpans().Len())
		require.Equal(t, 2, td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().Len())
		require.Len(t, storetest.Split(td), 3)
	})
	_, err := store.Traces([]store.Span{{Origin: []byte{0xff}}})
	require.Error(t, err)
	_, err = store.Traces([]store.Span{{Bytes: []byte{0xff}}})
	require.Error(t, err)
	td, err := store.Traces(nil)
	require.NoError(t, err)
	require.Zero(t, td.SpanCount())
}

func TestErrorTexts(t *testing.T) {
	require.EqualError(t, &store.UnavailableError{Reason: "full"}, "store unavailable: full")
	wrapped := &store.UnavailableError{Reason: "full", Err: syscall.EIO}
	require.EqualError(t, wrapped, "store unavailable: full: input/output error")
	require.ErrorIs(t, wrapped, syscall.EIO)
	require.EqualError(t, &store.InvalidError{Reason: "bad"}, "span cannot be stored: bad")
}
