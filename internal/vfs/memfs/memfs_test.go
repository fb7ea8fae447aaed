package memfs

import (
	"errors"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/vfs"
)

func create(t require.TestingT, m *FS, name, data string) vfs.File {
	f, err := m.Create(name)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte(data), 0)
	require.NoError(t, err)
	return f
}

func content(m *FS, name string) string {
	data, err := vfs.ReadFile(m, name, 1<<30)
	if err != nil {
		return "error"
	}
	return string(data)
}

// outcomes returns what a file may hold after a crash.
func outcomes(m *FS, name string) map[string]bool {
	out := map[string]bool{}
	for seed := range uint64(200) {
		out[content(m.Crash(rand.New(rand.NewPCG(seed, 0))), name)] = true
	}
	return out
}

func TestWhatSurvives(t *testing.T) {
	m := New()
	f := create(t, m, "a", "old")
	require.Equal(t, map[string]bool{"error": true, "": true, "old": true}, outcomes(m, "a"))
	require.NoError(t, m.SyncDir("."))
	require.Equal(t, map[string]bool{"": true, "old": true}, outcomes(m, "a"))
	require.NoError(t, f.Sync())
	require.Equal(t, map[string]bool{"old": true}, outcomes(m, "a"))

	_, err := f.WriteAt([]byte("new"), 0)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(1))
	require.Equal(t, map[string]bool{"old": true, "new": true, "o": true, "n": true}, outcomes(m, "a"))

	require.NoError(t, m.Rename("a", "b"))
	require.NoError(t, f.Sync())
	require.Equal(t, map[string]bool{"n": true, "error": true}, outcomes(m, "b"))
	for seed := range uint64(50) {
		c := m.Crash(rand.New(rand.NewPCG(seed, 0)))
		require.Equal(t, content(c, "a") == "error", content(c, "b") == "n", "a rename is one change")
	}
	require.NoError(t, m.Remove("b"))
	require.NoError(t, m.SyncDir("."))
	require.Equal(t, map[string]bool{"error": true}, outcomes(m, "b"))
}

func TestRenameBetweenFolders(t *testing.T) {
	m := New()
	require.NoError(t, m.MkdirAll("x"))
	require.NoError(t, create(t, m, "a", "old").Sync())
	require.NoError(t, m.SyncDir("."))
	require.NoError(t, m.Rename("a", "x/a"))
	require.NoError(t, m.SyncDir("x"))
	require.NoError(t, m.SyncDir("."))
	require.Equal(t, map[string]bool{"old": true}, outcomes(m, "x/a"))
	require.Equal(t, map[string]bool{"error": true}, outcomes(m, "a"))
}

func TestFolderThatWasNotSynced(t *testing.T) {
	m := New()
	require.NoError(t, m.MkdirAll("x/y"))
	require.NoError(t, create(t, m, "x/y/a", "old").Sync())
	require.NoError(t, m.SyncDir("x/y"))
	require.Equal(t, map[string]bool{"error": true, "old": true}, outcomes(m, "x/y/a"))
	require.NoError(t, m.SyncDir("x"))
	require.NoError(t, m.SyncDir("."))
	require.Equal(t, map[string]bool{"old": true}, outcomes(m, "x/y/a"))
}

func TestWritesAreTornInSectors(t *testing.T) {
	m := New()
	f := create(t, m, "a", strings.Repeat("a", 2*sector))
	require.NoError(t, f.Sync())
	require.NoError(t, m.SyncDir("."))
	_, err := f.WriteAt([]byte(strings.Repeat("b", sector)), sector/2)
	require.NoError(t, err)
	seen := map[string]bool{}
	for data := range outcomes(m, "a") {
		quarters := ""
		for i := range 4 {
			quarters += data[i*sector/2 : i*sector/2+1]
		}
		seen[quarters] = true
	}
	require.Equal(t, map[string]bool{"aaaa": true, "abba": true, "abaa": true, "aaba": true}, seen)
}

func TestFailedSyncLosesForGood(t *testing.T) {
	m := New()
	f := create(t, m, "a", "")
	require.NoError(t, m.SyncDir("."))
	for i := range int64(64) {
		_, err := f.WriteAt([]byte("x"), i*sector)
		require.NoError(t, err)
	}
	injected := errors.New("injected")
	m.SetHook(func(op Op, _ string) error {
		if op == OpSync {
			return injected
		}
		return nil
	})
	require.ErrorIs(t, f.Sync(), injected)
	m.SetHook(nil)
	require.NoError(t, f.Sync())
	require.Equal(t, 64, strings.Count(content(m, "a"), "x"))
	lost := 64 - strings.Count(content(m.Crash(rand.New(rand.NewPCG(1, 1))), "a"), "x")
	require.Greater(t, lost, 10)
	require.Less(t, lost, 54)
}

func TestCapacity(t *testing.T) {
	m := New()
	m.SetCapacity(10)
	f := create(t, m, "a", "12345678")
	n, err := f.WriteAt([]byte("abcd"), 8)
	require.Equal(t, 2, n)
	require.True(t, vfs.IsNoSpace(err))
	require.Equal(t, "12345678ab", content(m, "a"))
	n, err = f.WriteAt([]byte("x"), 20)
	require.Zero(t, n)
	require.True(t, vfs.IsNoSpace(err))
	_, err = f.WriteAt([]byte("ABCD"), 0)
	require.NoError(t, err, "overwriting needs no space")
	require.True(t, vfs.IsNoSpace(f.Preallocate(11)))
	require.True(t, vfs.IsNoSpace(f.Truncate(11)))
	free, err := m.Crash(rand.New(rand.NewPCG(1, 1))).Free(".")
	require.NoError(t, err)
	require.LessOrEqual(t, free, uint64(10))
	require.NoError(t, f.Truncate(4))
	free, err = m.Free(".")
	require.NoError(t, err)
	require.EqualValues(t, 6, free)
	require.Equal(t, "a: 4 bytes, 0 of them durable, 4 edits pending\n", m.String())
}

func TestFaults(t *testing.T) {
	for op, do := range map[Op]func(m *FS, f vfs.File) error{
		OpCreate:      func(m *FS, _ vfs.File) error { _, err := m.Create("x"); return err },
		OpOpen:        func(m *FS, _ vfs.File) error { _, err := m.Open("a"); return err },
		OpRemove:      func(m *FS, _ vfs.File) error { return m.Remove("a") },
		OpRename:      func(m *FS, _ vfs.File) error { return m.Rename("a", "b") },
		OpMkdirAll:    func(m *FS, _ vfs.File) error { return m.MkdirAll("d") },
		OpReadDir:     func(m *FS, _ vfs.File) error { _, err := m.ReadDir("."); return err },
		OpSyncDir:     func(m *FS, _ vfs.File) error { return m.SyncDir(".") },
		OpLock:        func(m *FS, _ vfs.File) error { _, err := m.Lock("LOCK"); return err },
		OpSize:        func(m *FS, _ vfs.File) error { _, err := m.Size("a"); return err },
		OpFree:        func(m *FS, _ vfs.File) error { _, err := m.Free("."); return err },
		OpRead:        func(_ *FS, f vfs.File) error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		OpWrite:       func(_ *FS, f vfs.File) error { _, err := f.WriteAt([]byte("x"), 0); return err },
		OpSync:        func(_ *FS, f vfs.File) error { return f.Sync() },
		OpTruncate:    func(_ *FS, f vfs.File) error { return f.Truncate(0) },
		OpPreallocate: func(_ *FS, f vfs.File) error { return f.Preallocate(100) },
		OpClose:       func(_ *FS, f vfs.File) error { return f.Close() },
	} {
		m := New()
		f := create(t, m, "a", "data")
		m.SetHook(func(got Op, name string) error {
			require.Equal(t, op, got)
			require.NotEmpty(t, name)
			return syscall.EIO
		})
		require.ErrorIs(t, do(m, f), syscall.EIO, op)
		m.SetHook(nil)
		if op == OpClose {
			require.Empty(t, m.OpenFiles())
			continue
		}
		require.Equal(t, []string{"a"}, m.OpenFiles())
		require.NoError(t, do(m, f), op)
	}
}

func TestClosedFiles(t *testing.T) {
	m := New()
	f := create(t, m, "a", "data")
	require.NoError(t, f.Close())
	_, err := f.WriteAt([]byte("x"), 0)
	require.Error(t, err)
	_, err = f.ReadAt([]byte("x"), 0)
	require.Error(t, err)
	require.Error(t, f.Sync())
	require.Error(t, f.Truncate(0))
	require.Error(t, f.Preallocate(9))
	require.Equal(t, "data", content(m, "a"))
}

// What was synced under a synced name is found after any crash, whatever
// happened to other files meanwhile.
func TestSyncedDataSurvivesAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := New()
		safe := map[string]string{}
		name := rapid.SampledFrom([]string{"a", "b", "c"})
		t.Repeat(map[string]func(*rapid.T){
			"save": func(t *rapid.T) {
				n, data := name.Draw(t, "name"), rapid.StringN(0, 2000, -1).Draw(t, "data")
				require.NoError(t, create(t, m, n, data).Sync())
				require.NoError(t, m.SyncDir("."))
				safe[n] = data
			},
			"scribble": func(t *rapid.T) {
				n := name.Draw(t, "name")
				create(t, m, n, "scribble")
				delete(safe, n)
			},
			"crash": func(t *rapid.T) {
				m = m.Crash(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
			},
			"": func(t *rapid.T) {
				for n, data := range safe {
					require.Equal(t, data, content(m, n))
				}
			},
		})
	})
}

func TestErrors(t *testing.T) {
	m := New()
	create(t, m, "a", "data")
	require.NoError(t, m.MkdirAll("d/e"))
	for want, do := range map[string]func() error{
		"open d: is a directory":         func() error { _, err := m.OpenReadWrite("d"); return err },
		"create d: is a directory":       func() error { _, err := m.Create("d"); return err },
		"create x: file does not exist":  func() error { _, err := m.Create("x/y"); return err },
		"create y: file does not exist":  func() error { _, err := m.Lock("y/LOCK"); return err },
		"remove x: file does not exist":  func() error { return m.Remove("x") },
		"remove d: directory not empty":  func() error { return m.Remove("d") },
		"rename x: file does not exist":  func() error { return m.Rename("x", "y") },
		"rename z: file does not exist":  func() error { return m.Rename("a", "z/y") },
		"mkdirall a: not a directory":    func() error { return m.MkdirAll("a/b") },
		"readdir a: not a directory":     func() error { _, err := m.ReadDir("a"); return err },
		"syncdir x: file does not exist": func() error { return m.SyncDir("x") },
		"size x: file does not exist":    func() error { _, err := m.Size("x"); return err },
	} {
		require.EqualError(t, do(), want)
	}
}

func TestLock(t *testing.T) {
	m := New()
	lock, err := m.Lock("LOCK")
	require.NoError(t, err)
	_, err = m.Lock("LOCK")
	require.ErrorAs(t, err, new(*vfs.LockedError))
	other, err := m.Crash(rand.New(rand.NewPCG(1, 1))).Lock("LOCK")
	require.NoError(t, err, "a crash releases locks")
	require.NoError(t, other.Close())
	require.NoError(t, lock.Close())
	lock, err = m.Lock("LOCK")
	require.NoError(t, err)
	require.NoError(t, lock.Close())
}
