// Package memfs is a file system in memory for tests. It remembers what was
// synced, so that Crash can make the file system that a power cut would leave,
// it fails where it is told to, and it can be full.
//
// # Model of durability
//
// Of a file, what was written, cut or preallocated since its last Sync may
// survive a crash whole, in sectors of 512 bytes in any order, or not at all.
// A Sync that fails loses some of it for good, although reads still show it
// and later Syncs succeed, as Linux does. Of a folder, the changes since its
// last SyncDir (created, renamed and removed names) survive up to a random
// one, in order; a rename within a folder is one change.
package memfs

import (
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/otelscope/otelscope/internal/vfs"
)

// Op names an operation to a fault hook.
type Op string

// The operations that a hook is asked about.
const (
	OpCreate      Op = "create"
	OpOpen        Op = "open"
	OpRemove      Op = "remove"
	OpRename      Op = "rename"
	OpMkdirAll    Op = "mkdirall"
	OpReadDir     Op = "readdir"
	OpSyncDir     Op = "syncdir"
	OpLock        Op = "lock"
	OpSize        Op = "size"
	OpFree        Op = "free"
	OpRead        Op = "read"
	OpWrite       Op = "write"
	OpSync        Op = "sync"
	OpTruncate    Op = "truncate"
	OpPreallocate Op = "preallocate"
	OpClose       Op = "close"
)

// Unlimited is the capacity of a new FS.
const Unlimited = int64(1) << 62

// FS implements vfs.FS. It may be used by many goroutines.
type FS struct {
	mu       sync.Mutex
	names    map[string]*node // by cleaned path, as they are seen
	durable  map[string]*node // as they would be after a crash without luck
	pending  []change         // from durable to names
	locked   map[string]bool
	open     map[*file]struct{}
	hook     func(op Op, name string) error
	capacity int64
	rng      *rand.Rand // for the damage that faults do
}

var _ vfs.FS = (*FS)(nil)

// node is a file or a folder; names point to it.
type node struct {
	dir     bool
	data    []byte
	durable []byte
	pending []edit // from durable to data
}

// change is one change of a folder's entries: node gets the name add, and the
// name remove goes; either may be "".
type change struct {
	dir         string
	add, remove string
	node        *node
}

// New returns an empty file system that holds only the root folder and the
// working folder.
func New() *FS {
	roots := map[string]*node{"/": {dir: true}, ".": {dir: true}}
	return &FS{
		names:    roots,
		durable:  maps.Clone(roots),
		locked:   map[string]bool{},
		open:     map[*file]struct{}{},
		capacity: Unlimited,
		rng:      rand.New(rand.NewPCG(1, 2)),
	}
}

// SetHook makes every operation ask hook first and fail with the error that it
// returns; nil asks no more. A write that fails so has written a part. The
// name of an operation on an open file is the one it was opened with.
// The hook is called without locks held; it may use the FS.
func (m *FS) SetHook(hook func(op Op, name string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

// SetCapacity bounds the sum of all files' lengths, in bytes. What is there
// already stays.
func (m *FS) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// OpenFiles returns the names of the files that were not closed, sorted.
func (m *FS) OpenFiles() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := []string{}
	for f := range m.open {
		names = append(names, f.name)
	}
	slices.Sort(names)
	return names
}

func (m *FS) fault(op Op, name string) error {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	if hook == nil {
		return nil
	}
	if err := hook(op, name); err != nil {
		return &fs.PathError{Op: string(op), Path: name, Err: err}
	}
	return nil
}

// begin asks the hook and takes the lock; without an error the caller must
// release it.
func (m *FS) begin(op Op, name string) error {
	if err := m.fault(op, name); err != nil {
		return err
	}
	m.mu.Lock()
	return nil
}

func pathError(op Op, name string, err error) error {
	return &fs.PathError{Op: string(op), Path: name, Err: err}
}

// lookup returns the file or, if dir is true, the folder that has the name.
func (m *FS) lookup(op Op, name string, dir bool) (*node, error) {
	n := m.names[filepath.Clean(name)]
	switch {
	case n == nil:
		return nil, pathError(op, name, fs.ErrNotExist)
	case dir && !n.dir:
		return nil, pathError(op, name, syscall.ENOTDIR)
	case !dir && n.dir:
		return nil, pathError(op, name, syscall.EISDIR)
	}
	return n, nil
}

func (m *FS) link(name string, n *node) {
	name = filepath.Clean(name)
	m.names[name] = n
	m.pending = append(m.pending, change{dir: filepath.Dir(name), add: name, node: n})
}

// Create implements vfs.FS.
func (m *FS) Create(name string) (vfs.File, error) {
	if err := m.begin(OpCreate, name); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	n, err := m.createNode(name)
	if err != nil {
		return nil, err
	}
	return m.newFile(name, n, true), nil
}

func (m *FS) createNode(name string) (*node, error) {
	if _, err := m.lookup(OpCreate, filepath.Dir(name), true); err != nil {
		return nil, err
	}
	n := m.names[filepath.Clean(name)]
	switch {
	case n == nil:
		n = &node{}
		m.link(name, n)
	case n.dir:
		return nil, pathError(OpCreate, name, syscall.EISDIR)
	default:
		n.apply(edit{truncate: true})
	}
	return n, nil
}

// Open implements vfs.FS.
func (m *FS) Open(name string) (vfs.File, error) { return m.openFile(name, false) }

// OpenReadWrite implements vfs.FS.
func (m *FS) OpenReadWrite(name string) (vfs.File, error) { return m.openFile(name, true) }

func (m *FS) openFile(name string, writable bool) (vfs.File, error) {
	if err := m.begin(OpOpen, name); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	n, err := m.lookup(OpOpen, name, false)
	if err != nil {
		return nil, err
	}
	return m.newFile(name, n, writable), nil
}

// Remove implements vfs.FS.
func (m *FS) Remove(name string) error {
	if err := m.begin(OpRemove, name); err != nil {
		return err
	}
	defer m.mu.Unlock()
	clean := filepath.Clean(name)
	n := m.names[clean]
	if n == nil {
		return pathError(OpRemove, name, fs.ErrNotExist)
	}
	if n.dir && len(m.children(clean)) > 0 {
		return pathError(OpRemove, name, syscall.ENOTEMPTY)
	}
	delete(m.names, clean)
	m.pending = append(m.pending, change{dir: filepath.Dir(clean), remove: clean})
	return nil
}

// Rename implements vfs.FS. Only files are renamed.
func (m *FS) Rename(oldName, newName string) error {
	if err := m.begin(OpRename, oldName); err != nil {
		return err
	}
	defer m.mu.Unlock()
	n, err := m.lookup(OpRename, oldName, false)
	if err != nil {
		return err
	}
	if _, err := m.lookup(OpRename, filepath.Dir(newName), true); err != nil {
		return err
	}
	from, to := filepath.Clean(oldName), filepath.Clean(newName)
	delete(m.names, from)
	m.names[to] = n
	if filepath.Dir(from) == filepath.Dir(to) {
		m.pending = append(m.pending, change{dir: filepath.Dir(to), add: to, remove: from, node: n})
		return nil
	}
	m.pending = append(m.pending,
		change{dir: filepath.Dir(to), add: to, node: n},
		change{dir: filepath.Dir(from), remove: from})
	return nil
}

// MkdirAll implements vfs.FS.
func (m *FS) MkdirAll(dir string) error {
	if err := m.begin(OpMkdirAll, dir); err != nil {
		return err
	}
	defer m.mu.Unlock()
	return m.mkdirAll(filepath.Clean(dir))
}

func (m *FS) mkdirAll(dir string) error {
	if n := m.names[dir]; n != nil {
		if !n.dir {
			return pathError(OpMkdirAll, dir, syscall.ENOTDIR)
		}
		return nil
	}
	if err := m.mkdirAll(filepath.Dir(dir)); err != nil {
		return err
	}
	m.link(dir, &node{dir: true})
	return nil
}

// ReadDir implements vfs.FS.
func (m *FS) ReadDir(dir string) ([]string, error) {
	if err := m.begin(OpReadDir, dir); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if _, err := m.lookup(OpReadDir, dir, true); err != nil {
		return nil, err
	}
	return m.children(filepath.Clean(dir)), nil
}

func (m *FS) children(dir string) []string {
	names := []string{}
	for name := range m.names {
		if filepath.Dir(name) == dir && name != dir {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names
}

// SyncDir implements vfs.FS.
func (m *FS) SyncDir(dir string) error {
	if err := m.begin(OpSyncDir, dir); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if _, err := m.lookup(OpSyncDir, dir, true); err != nil {
		return err
	}
	clean := filepath.Clean(dir)
	m.pending = slices.DeleteFunc(m.pending, func(c change) bool {
		if c.dir != clean {
			return false
		}
		c.applyTo(m.durable)
		return true
	})
	return nil
}

func (c change) applyTo(names map[string]*node) {
	if c.remove != "" {
		delete(names, c.remove)
	}
	if c.add != "" {
		names[c.add] = c.node
	}
}

// Lock implements vfs.FS.
func (m *FS) Lock(name string) (io.Closer, error) {
	if err := m.begin(OpLock, name); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	clean := filepath.Clean(name)
	if m.locked[clean] {
		return nil, &vfs.LockedError{Dir: filepath.Dir(name), Name: name}
	}
	if m.names[clean] == nil {
		if _, err := m.createNode(name); err != nil {
			return nil, err
		}
	}
	m.locked[clean] = true
	return unlocker(func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.locked, clean)
		return nil
	}), nil
}

type unlocker func() error

func (u unlocker) Close() error { return u() }

// Size implements vfs.FS.
func (m *FS) Size(name string) (int64, error) {
	if err := m.begin(OpSize, name); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	n, err := m.lookup(OpSize, name, false)
	if err != nil {
		return 0, err
	}
	return int64(len(n.data)), nil
}

// Free implements vfs.FS.
func (m *FS) Free(dir string) (uint64, error) {
	if err := m.begin(OpFree, dir); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	return uint64(m.room()), nil
}

// room is how many bytes the files may still grow.
func (m *FS) room() int64 {
	used := int64(0)
	for _, n := range m.names {
		used += int64(len(n.data))
	}
	return max(0, m.capacity-used)
}

// String lists the files with their lengths, for failing tests.
func (m *FS) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(m.names)) {
		if n := m.names[name]; !n.dir {
			b.WriteString(describe(name, n))
		}
	}
	return b.String()
}
