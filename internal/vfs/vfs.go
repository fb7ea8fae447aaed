// Package vfs is the seam between the store and the file system: as narrow as
// the store's durability rules need, so that tests can put a file system
// behind it that crashes, fails and fills up (package memfs).
//
// # What is durable, and when
//
// The contents of a file, its length included, survive a crash once File.Sync
// returned nil. A name (creation, renaming, removal) survives once SyncDir of
// its folder returned nil; a file whose contents were synced but whose name
// was not may be gone. After a failed Sync nothing is known about the bytes
// written since the last good one, and a later Sync that succeeds does not
// change that: the caller must not go on with that file.
//
// # Ownership
//
// An FS may be used by many goroutines. A File has one writer; ReadAt may run
// beside it. Buffers belong to the caller again when a call returns.
// Names are paths of the host's kind, joined with path/filepath.
package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// FS is a file system. Errors for a name that does not exist satisfy
// errors.Is(err, fs.ErrNotExist); errors for lack of space satisfy IsNoSpace.
type FS interface {
	// Create makes an empty file, for reading and writing. A file that has the
	// name already is truncated.
	Create(name string) (File, error)
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// OpenReadWrite opens an existing file for reading and writing.
	OpenReadWrite(name string) (File, error)
	// Remove removes a file or an empty folder. What is still open of it stays
	// readable.
	Remove(name string) error
	// Rename gives a file another name and replaces what has that name.
	Rename(oldName, newName string) error
	// MkdirAll makes a folder and its parents; one that exists is no error.
	// The parents' entries are not synced.
	MkdirAll(dir string) error
	// ReadDir returns the names in a folder, without the folder, sorted.
	ReadDir(dir string) ([]string, error)
	// SyncDir makes the folder's entries durable.
	SyncDir(dir string) error
	// Lock takes the exclusive lock that the file name stands for, creating the
	// file if need be, and never waits. While it is held, by this or by another
	// process, Lock returns a *LockedError. Closing releases it; the file stays.
	Lock(name string) (io.Closer, error)
	// Size returns the length of a file in bytes.
	Size(name string) (int64, error)
	// Free returns how many bytes an unprivileged process may still write in
	// the file system that holds dir.
	Free(dir string) (uint64, error)
}

// File is an open file without a position of its own; io.NewOffsetWriter and
// io.NewSectionReader give it one.
type File interface {
	io.ReaderAt
	// WriterAt may write a part of p before it fails; what it wrote is counted.
	io.WriterAt
	io.Closer
	// Sync makes the contents and the length durable. On Linux it is
	// fdatasync: times are not synced.
	Sync() error
	// Truncate cuts the file, or extends it with zeros.
	Truncate(size int64) error
	// Preallocate extends the file to at least size bytes and reserves the
	// space; what is new reads as zeros. Where the file system cannot reserve
	// it does nothing and returns nil. Lack of space is an error.
	Preallocate(size int64) error
	// Size returns the length in bytes.
	Size() (int64, error)
}

// LockedError says that a folder is in use.
type LockedError struct {
	Dir  string // the folder
	Name string // the lock's file
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("folder %q is in use by another process or component: %q is locked; give each its own folder", e.Dir, e.Name)
}

// IsNoSpace reports whether err says that the disk or the quota is full.
func IsNoSpace(err error) bool {
	for _, target := range noSpace {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// ReadFile returns the whole contents of a file. A file longer than limit
// bytes is an error.
func ReadFile(fsys FS, name string, limit int64) (data []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("file %q has %d bytes, at most %d are allowed", name, size, limit)
	}
	data = make([]byte, size)
	if err := ReadFull(f, data, 0); err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	return data, nil
}

// ReadFull fills p with the bytes of r at off; io.ErrUnexpectedEOF says that
// there are fewer.
func ReadFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == io.EOF:
		return io.ErrUnexpectedEOF
	default:
		return err
	}
}

// Exists reports whether a file has the name.
func Exists(fsys FS, name string) (bool, error) {
	_, err := fsys.Size(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
