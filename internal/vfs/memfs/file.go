package memfs

import (
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/otelscope/otelscope/internal/vfs"
)

// edit is a write of data at off, or, if truncate is set, a change of the
// length to off.
type edit struct {
	off      int64
	data     []byte
	truncate bool
}

func (e edit) applyTo(data []byte) []byte {
	end := e.off + int64(len(e.data))
	if grow := end - int64(len(data)); grow > 0 {
		data = append(data, make([]byte, grow)...)
	}
	if e.truncate {
		return data[:e.off]
	}
	copy(data[e.off:], e.data)
	return data
}

func (n *node) apply(e edit) {
	n.data = e.applyTo(n.data)
	n.pending = append(n.pending, e)
}

func describe(name string, n *node) string {
	return fmt.Sprintf("%s: %d bytes, %d of them durable, %d edits pending\n", name, len(n.data), len(n.durable), len(n.pending))
}

// file is one open handle.
type file struct {
	fs       *FS
	name     string
	node     *node
	writable bool
}

func (m *FS) newFile(name string, n *node, writable bool) vfs.File {
	f := &file{fs: m, name: name, node: n, writable: writable}
	m.open[f] = struct{}{}
	return f
}

// begin asks the hook, takes the lock and checks that the file is open; without
// an error the caller must release the lock.
func (f *file) begin(op Op, write bool) error {
	if err := f.fs.begin(op, f.name); err != nil {
		return err
	}
	if err := f.check(op, write); err != nil {
		f.fs.mu.Unlock()
		return err
	}
	return nil
}

func (f *file) check(op Op, write bool) error {
	if _, open := f.fs.open[f]; !open {
		return pathError(op, f.name, fs.ErrClosed)
	}
	if write && !f.writable {
		return pathError(op, f.name, syscall.EBADF)
	}
	return nil
}

// ReadAt implements vfs.File.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.begin(OpRead, false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements vfs.File. A write that the hook fails, or for which there
// is no room, writes a part of p.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	failed := f.fs.fault(OpWrite, f.name)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check(OpWrite, true); err != nil {
		return 0, err
	}
	n := len(p)
	if failed != nil {
		n = f.fs.rng.IntN(n + 1)
	}
	if most := int64(len(f.node.data)) + f.fs.room() - off; int64(n) > most {
		n = int(max(0, most))
		failed = pathError(OpWrite, f.name, syscall.ENOSPC)
	}
	if n > 0 {
		f.node.apply(edit{off: off, data: append([]byte(nil), p[:n]...)})
	}
	return n, failed
}

// Sync implements vfs.File. When the hook fails it, what was pending becomes
// durable by halves, at random, and the rest never does.
func (f *file) Sync() error {
	failed := f.fs.fault(OpSync, f.name)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check(OpSync, false); err != nil {
		return err
	}
	for _, e := range f.node.pending {
		if failed == nil || f.fs.rng.IntN(2) == 0 {
			f.node.durable = e.applyTo(f.node.durable)
		}
	}
	f.node.pending = nil
	return failed
}

// Truncate implements vfs.File.
func (f *file) Truncate(size int64) error {
	if err := f.begin(OpTruncate, true); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	return f.resize(OpTruncate, size)
}

// Preallocate implements vfs.File.
func (f *file) Preallocate(size int64) error {
	if err := f.begin(OpPreallocate, true); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	if size <= int64(len(f.node.data)) {
		return nil
	}
	return f.resize(OpPreallocate, size)
}

func (f *file) resize(op Op, size int64) error {
	if size-int64(len(f.node.data)) > f.fs.room() {
		return pathError(op, f.name, syscall.ENOSPC)
	}
	f.node.apply(edit{off: size, truncate: true})
	return nil
}

// Size implements vfs.File.
func (f *file) Size() (int64, error) {
	if err := f.begin(OpSize, false); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	return int64(len(f.node.data)), nil
}

// Close implements vfs.File. It closes the file also when the hook fails it.
func (f *file) Close() error {
	failed := f.fs.fault(OpClose, f.name)
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.check(OpClose, false); err != nil {
		return err
	}
	delete(f.fs.open, f)
	return failed
}
