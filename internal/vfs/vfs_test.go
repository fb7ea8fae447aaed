package vfs_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/vfs"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

// each runs a test on the host's files and on those in memory: both must do the
// same.
func each(t *testing.T, f func(t *testing.T, fsys vfs.FS, dir string)) {
	t.Run("os", func(t *testing.T) { f(t, vfs.OS, t.TempDir()) })
	t.Run("mem", func(t *testing.T) { f(t, memfs.New(), ".") })
}

func write(t *testing.T, fsys vfs.FS, name, data string) {
	f, err := fsys.Create(name)
	require.NoError(t, err)
	n, err := f.WriteAt([]byte(data), 0)
	require.NoError(t, err)
	require.Equal(t, len(data), n)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
}

func read(t *testing.T, fsys vfs.FS, name string) string {
	data, err := vfs.ReadFile(fsys, name, 1<<20)
	require.NoError(t, err)
	return string(data)
}

func TestFile(t *testing.T) {
	each(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := filepath.Join(dir, "a")
		write(t, fsys, name, "hello")
		f, err := fsys.OpenReadWrite(name)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("J"), 0)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("!"), 7)
		require.NoError(t, err)
		size, err := f.Size()
		require.NoError(t, err)
		require.EqualValues(t, 8, size)
		require.Equal(t, "Jello\x00\x00!", read(t, fsys, name))

		p := make([]byte, 4)
		n, err := f.ReadAt(p, 6)
		require.Equal(t, 2, n)
		require.ErrorIs(t, err, io.EOF)
		require.ErrorIs(t, vfs.ReadFull(f, p, 6), io.ErrUnexpectedEOF)
		require.NoError(t, vfs.ReadFull(f, p, 4))
		_, err = f.ReadAt(p, 100)
		require.ErrorIs(t, err, io.EOF)

		require.NoError(t, f.Truncate(2))
		require.NoError(t, f.Truncate(4))
		require.Equal(t, "Je\x00\x00", read(t, fsys, name))
		require.NoError(t, f.Preallocate(10))
		require.NoError(t, f.Preallocate(3))
		size, err = fsys.Size(name)
		require.NoError(t, err)
		require.EqualValues(t, 10, size)
		require.NoError(t, f.Close())
		require.ErrorIs(t, f.Close(), fs.ErrClosed)
		_, err = f.Size()
		require.ErrorIs(t, err, fs.ErrClosed)

		write(t, fsys, name, "new")
		require.Equal(t, "new", read(t, fsys, name), "Create truncates")
		_, err = vfs.ReadFile(fsys, name, 2)
		require.ErrorContains(t, err, "has 3 bytes, at most 2 are allowed")
	})
}

func TestReadOnly(t *testing.T) {
	each(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := filepath.Join(dir, "a")
		write(t, fsys, name, "hello")
		f, err := fsys.Open(name)
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("x"), 0)
		require.Error(t, err)
		require.Error(t, f.Truncate(0))
		require.Error(t, f.Preallocate(100))
		require.NoError(t, f.Close())
		require.Equal(t, "hello", read(t, fsys, name))
	})
}

func TestFolders(t *testing.T) {
	each(t, func(t *testing.T, fsys vfs.FS, dir string) {
		sub := filepath.Join(dir, "x", "y")
		require.NoError(t, fsys.MkdirAll(sub))
		require.NoError(t, fsys.MkdirAll(sub))
		write(t, fsys, filepath.Join(sub, "b"), "bb")
		write(t, fsys, filepath.Join(sub, "a"), "aa")
		names, err := fsys.ReadDir(sub)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b"}, names)
		require.NoError(t, fsys.SyncDir(sub))
		names, err = fsys.ReadDir(filepath.Join(dir, "x"))
		require.NoError(t, err)
		require.Equal(t, []string{"y"}, names)

		require.NoError(t, fsys.Rename(filepath.Join(sub, "a"), filepath.Join(sub, "b")))
		require.Equal(t, "aa", read(t, fsys, filepath.Join(sub, "b")))
		require.NoError(t, fsys.Rename(filepath.Join(sub, "b"), filepath.Join(dir, "c")))
		require.Equal(t, "aa", read(t, fsys, filepath.Join(dir, "c")))
		require.ErrorIs(t, fsys.Remove(filepath.Join(dir, "x")), syscall.ENOTEMPTY)
		require.NoError(t, fsys.Remove(sub))
		require.NoError(t, fsys.Remove(filepath.Join(dir, "c")))
		require.ErrorIs(t, fsys.MkdirAll(filepath.Join(dir, "x")), nil)
	})
}

func TestOpenFileOutlivesItsName(t *testing.T) {
	each(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := filepath.Join(dir, "a")
		write(t, fsys, name, "hello")
		f, err := fsys.Open(name)
		require.NoError(t, err)
		require.NoError(t, fsys.Remove(name))
		p := make([]byte, 5)
		require.NoError(t, vfs.ReadFull(f, p, 0))
		require.Equal(t, "hello", string(p))
		require.NoError(t, f.Close())
	})
}

func TestWhatIsNotThere(t *testing.T) {
	each(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := filepath.Join(dir, "nothing")
		_, err := fsys.Open(name)
		require.ErrorIs(t, err, fs.ErrNotExist)
		_, err = fsys.OpenReadWrite(name)
		require.ErrorIs(t, err, fs.ErrNotExist)
		_, err = fsys.Create(filepath.Join(name, "x"))
		require.ErrorIs(t, err, fs.ErrNotExist)
		_, err = fsys.Size(name)
		require.ErrorIs(t, err, fs.ErrNotExist)
		_, err = fsys.ReadDir(name)
		require.ErrorIs(t, err, fs.ErrNotExist)
		_, err = vfs.ReadFile(fsys, name, 1)
		require.ErrorIs(t, err, fs.ErrNotExist)
		_, err = fsys.Lock(filepath.Join(name, "LOCK"))
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.ErrorIs(t, fsys.Remove(name), fs.ErrNotExist)
		require.ErrorIs(t, fsys.Rename(name, filepath.Join(dir, "x")), fs.ErrNotExist)
		require.ErrorIs(t, fsys.SyncDir(name), fs.ErrNotExist)

		exists, err := vfs.Exists(fsys, name)
		require.NoError(t, err)
		require.False(t, exists)
		write(t, fsys, name, "")
		exists, err = vfs.Exists(fsys, name)
		require.NoError(t, err)
		require.True(t, exists)
	})
}

func TestFilesAndFoldersAreNotMixed(t *testing.T) {
	each(t, func(t *testing.T, fsys vfs.FS, dir string) {
		file, sub := filepath.Join(dir, "file"), filepath.Join(dir, "sub")
		write(t, fsys, file, "x")
		require.NoError(t, fsys.MkdirAll(sub))
		_, err := fsys.Create(sub)
		require.ErrorIs(t, err, syscall.EISDIR)
		_, err = fsys.ReadDir(file)
		require.ErrorIs(t, err, syscall.ENOTDIR)
		require.ErrorIs(t, fsys.MkdirAll(filepath.Join(file, "x")), syscall.ENOTDIR)
		require.Error(t, fsys.Rename(file, filepath.Join(dir, "missing", "x")))
	})
}

func TestLock(t *testing.T) {
	each(t, func(t *testing.T, fsys vfs.FS, dir string) {
		name := filepath.Join(dir, "LOCK")
		lock, err := fsys.Lock(name)
		require.NoError(t, err)
		_, err = fsys.Lock(name)
		var locked *vfs.LockedError
		require.ErrorAs(t, err, &locked)
		require.Equal(t, dir, locked.Dir)
		require.ErrorContains(t, err, fmt.Sprintf("folder %q is in use", dir))
		require.NoError(t, lock.Close())
		lock, err = fsys.Lock(name)
		require.NoError(t, err)
		require.NoError(t, lock.Close())
	})
}

func TestFree(t *testing.T) {
	each(t, func(t *testing.T, fsys vfs.FS, dir string) {
		free, err := fsys.Free(dir)
		require.NoError(t, err)
		require.Positive(t, free)
	})
	_, err := vfs.OS.Free(filepath.Join(t.TempDir(), "nothing"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestIsNoSpace(t *testing.T) {
	require.True(t, vfs.IsNoSpace(fmt.Errorf("append: %w", syscall.ENOSPC)))
	require.True(t, vfs.IsNoSpace(errors.Join(errors.New("x"), syscall.EDQUOT)))
	require.False(t, vfs.IsNoSpace(syscall.EIO))
	require.False(t, vfs.IsNoSpace(nil))
}

func TestReadFileReportsFailures(t *testing.T) {
	injected := errors.New("injected")
	for _, op := range []memfs.Op{memfs.OpOpen, memfs.OpSize, memfs.OpRead, memfs.OpClose} {
		fsys := memfs.New()
		write(t, fsys, "a", "hello")
		fsys.SetHook(func(got memfs.Op, _ string) error {
			if got == op {
				return injected
			}
			return nil
		})
		_, err := vfs.ReadFile(fsys, "a", 10)
		require.ErrorIs(t, err, injected, op)
	}
}
