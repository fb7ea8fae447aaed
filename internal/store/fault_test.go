package store_test

import (
	"context"

	"math/rand/v2"
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
	"github.com/otelscope/otelscope/internal/vfs"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

// A scenario drives a store through every step of its protocol: writes, a cut
// that carries open calls, a merge of small blocks, and a drop. Tests stop it
// at each operation on the file system in turn.
type scenario struct {
	fs       *memfs.FS
	ledger   *ledger
	recorder *recorder // of the store that was opened last
}

func newScenario() *scenario {
	return &scenario{fs: memfs.New(), ledger: &ledger{records: map[storetest.Identity]*record{}, bare: map[string]*count{}}}
}

func (s *scenario) config() store.Config {
	s.recorder = newRecorder()
	return store.Config{Directory: "/data", FS: s.fs, CutBytes: 16 << 10, ReserveBytes: 4096, Follower: s.recorder}
}

// write writes and notes what was acknowledged.
func (s *scenario) write(st store.Store, td ptrace.Traces) {
	s.ledger.add(td, st.Write(context.Background(), td) == nil)
}

const scenarioCuts = 5

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// play ends early, without a word, when the store does not open or is closed.
func (s *scenario) play() {
	st, err := store.Open(s.config())
	if err != nil {
		return
	}
	defer func() { _ = st.Close(context.Background()) }()
	for i := range uint64(scenarioCuts) {
		s.write(st, storetest.Traces(
			storetest.Spec{Service: "a", Trace: 1, Span: 1 + i, Parent: i, Start: 10 * i, Event: "a", Group: "g", Links: []uint64{i}},
			storetest.Spec{Service: "a", Trace: 2, Span: 1, State: causal.CallOpen, Event: "b", Links: []uint64{i}},
			storetest.Spec{Service: "a", Trace: 2, Span: 10 + i, State: causal.CallOpen, Event: "c"},
		))
		s.write(st, storetest.Traces(
			storetest.Spec{Service: "a", Trace: 2, Span: 9 + i, State: causal.CallReturned, Event: "c", Return: "r", Links: []uint64{7}},
		))
		if store.Rotate(st) == nil {
			s.write(st, storetest.Traces(storetest.Spec{Service: "b", Trace: 3, Span: 1 + i}))
			_ = store.AwaitCut(st)
		}
	}
	_ = store.Compact(st)
}

// each plays the scenario once for every operation on the file system, or for
// some of them if it is not to be thorough: before operation n, stop is called.
// It returns how many there were.
func each(t *testing.T, stop func(s *scenario, n int) error, after func(t *testing.T, s *scenario, n int)) int {
	stride := 1
	if !thorough {
		stride = 11
	}
	for n := 0; ; n += stride {
		reached := false
		synctest.Test(t, func(t *testing.T) {
			s, seen := newScenario(), 0
			var mu sync.Mutex
			s.fs.SetHook(func(op memfs.Op, name string) error {
				mu.Lock()
				defer mu.Unlock()
				if op == memfs.OpLock || op == memfs.OpClose {
					return nil
				}
				seen++
				if seen != n+1 {
					return nil
				}
				reached = true
				return stop(s, n)
			})
			s.play()
			s.fs.SetHook(nil)
			require.Empty(t, s.fs.OpenFiles(), "operation %d", n)
			after(t, s, n)
		})
		if !reached {
			return n
		}
	}
}

// TestCrashAtEveryStep takes the power away before each operation: what was
// acknowledged until then is found afterwards.
func TestCrashAtEveryStep(t *testing.T) {
	type crash struct {
		fs    *memfs.FS
		acked *ledger
	}
	var crashed *crash
	n := each(t, func(s *scenario, n int) error {
		acked := s.ledger.clone() // before the power goes, not after
		crashed = &crash{fs: s.fs.Crash(newRandom(uint64(n))), acked: acked}
		return nil
	}, func(t *testing.T, s *scenario, n int) {
		if crashed == nil {
			return
		}
		after := &scenario{fs: crashed.fs, ledger: crashed.acked}
		after.ledger.mayHave(s.ledger)
		crashed = nil
		st, err := store.Open(after.config())
		require.NoError(t, err, "operation %d", n)
		require.NoError(t, after.ledger.check(st), "operation %d", n)
		require.NoError(t, after.recorder.check(st), "operation %d", n)
		require.NoError(t, store.Cut(st))
		require.NoError(t, after.ledger.check(st), "operation %d", n)
		require.NoError(t, after.recorder.check(st), "operation %d", n)
		require.NoError(t, st.Close(context.Background()))
	})
	require.Greater(t, n, 100, "the scenario is shorter than it should be")
}

// TestFailureAtEveryStep lets each operation fail once: nothing that was
// acknowledged is lost, and the store is well again by itself.
func TestFailureAtEveryStep(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		t.Run(cause.Error(), func(t *testing.T) {
			each(t, func(*scenario, int) error { return cause }, func(t *testing.T, s *scenario, n int) {
				st, err := store.Open(s.config())
				require.NoError(t, err, "operation %d", n)
				require.NoError(t, s.ledger.check(st), "operation %d", n)
				require.NoError(t, s.recorder.check(st), "operation %d", n)
				require.NoError(t, st.Close(context.Background()))
			})
		})
	}
}

// clone copies the ledger; versions that were not acknowledged by now are
// those of writes under way.
func (l *ledger) clone() *ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &ledger{records: map[storetest.Identity]*record{}, bare: map[string]*count{}}
	for id, r := range l.records {
		c.records[id] = &record{versions: append([]version(nil), r.versions...)}
	}
	return c
}

// mayHave adds what later has more: it may be stored.
func (l *ledger) mayHave(later *ledger) {
	for id, r := range later.records {
		if l.records[id] == nil {
			l.records[id] = &record{}
		}
		for _, v := range r.versions[len(l.records[id].versions):] {
			v.acked = false
			l.records[id].versions = append(l.records[id].versions, v)
		}
	}
}

func TestSecondOpenerGetsAnError(t *testing.T) {
	s := newScenario()
	first, err := store.Open(s.config())
	require.NoError(t, err)
	_, err = store.Open(s.config())
	var locked *vfs.LockedError
	require.ErrorAs(t, err, &locked)
	require.NoError(t, first.Close(context.Background()))
	again, err := store.Open(s.config())
	require.NoError(t, err)
	require.NoError(t, again.Close(context.Background()))
}

// TestBacklogIsBounded lets all blocks fail: writes are refused before memory
// fills, and go on when blocks can be written.
func TestBacklogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScenario()
		cfg := s.config()
		cfg.CutBytes, cfg.ReserveBytes = 10_000, -1
		st, err := store.Open(cfg)
		require.NoError(t, err)
		defer func() { require.NoError(t, st.Close(context.Background())) }()
		s.fs.SetHook(func(op memfs.Op, name string) error {
			if op == memfs.OpCreate && len(name) > 12 && name[:12] == "/data/blocks" {
				return syscall.EIO
			}
			return nil
		})
		var refused *store.UnavailableError
		for i := uint64(1); refused == nil; i++ {
			td := storetest.Request(i, 10)
			before := st.Stats().Backlog
			err := st.Write(context.Background(), td)
			require.GreaterOrEqual(t, st.Stats().Backlog, before)
			if err == nil {
				s.ledger.add(td, true)
				synctest.Wait()
				continue
			}
			require.ErrorAs(t, err, &refused)
		}
		require.Equal(t, time.Second, refused.RetryAfter)
		require.ErrorContains(t, refused, "backlog")
		stats := st.Stats()
		require.Contains(t, stats.Trouble, "cut")
		require.Empty(t, stats.Refusing, "a failing cut refuses nothing by itself")
		require.Equal(t, 1.0, stats.Backlog)
		require.Zero(t, stats.StalledMillis, "nobody waits any more")
		waiter := make(chan error)
		go func() { waiter <- st.Write(context.Background(), storetest.Request(1000, 1)) }()
		time.Sleep(400 * time.Millisecond)
		require.EqualValues(t, 400, st.Stats().StalledMillis)
		require.Error(t, <-waiter)
		require.Zero(t, st.Stats().StalledMillis)
		require.Less(t, st.Stats().HeadBytes, 4*cfg.CutBytes)
		s.fs.SetHook(nil)
		time.Sleep(time.Minute)
		require.NoError(t, store.AwaitCut(st))
		s.write(st, storetest.Traces(storetest.Spec{Trace: 1, Span: 1}))
		require.Empty(t, st.Stats().Trouble)
		require.Zero(t, st.Stats().Backlog)
		found, err := collect(st, store.ScanOptions{})
		require.NoError(t, err)
		require.Len(t, found, len(s.ledger.records))
	})
}

// TestFullDisk fills the disk: writes are refused, the reserve makes room for
// what must go on, and the store takes writes again when there is space.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScenario()
		st, err := store.Open(s.config())
		require.NoError(t, err)
		defer func() { require.NoError(t, st.Close(context.Background())) }()
		s.write(st, storetest.Request(1, 10))
		reserve, err := s.fs.Size("/data/reserve")
		require.NoError(t, err)
		require.EqualValues(t, 4096, reserve)

		s.fs.SetCapacity(0)
		var full *store.UnavailableError
		for i := uint64(2); full == nil; i++ {
			td := storetest.Request(i, 500)
			if err := st.Write(context.Background(), td); err != nil {
				require.ErrorAs(t, err, &full)
			} else {
				s.ledger.add(td, true)
			}
		}
		require.ErrorContains(t, full, "disk is full")
		found, err := vfs.Exists(s.fs, "/data/reserve")
		require.NoError(t, err)
		require.False(t, found, "the reserve is given up")
		require.ErrorContains(t, st.Write(context.Background(), storetest.Request(1, 1)), "disk is full")
		require.Contains(t, st.Stats().Trouble, "space")
		require.Contains(t, st.Stats().Refusing, "space")

		s.fs.SetCapacity(memfs.Unlimited)
		time.Sleep(2 * time.Second)
		require.Empty(t, st.Stats().Trouble)
		require.Empty(t, st.Stats().Refusing)
		found, err = vfs.Exists(s.fs, "/data/reserve")
		require.NoError(t, err)
		require.True(t, found)
		s.write(st, storetest.Request(1000, 10))
		spans, err := collect(st, store.ScanOptions{})
		require.NoError(t, err)
		require.Len(t, spans, len(s.ledger.records))
	})
}
