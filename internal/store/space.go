package store

import (
	"errors"
	"path/filepath"
	"sync"

	"github.com/otelscope/otelscope/internal/vfs"
)

// space is the reserve: a file that takes up room as long as all is well. When
// the disk is full it is deleted, so that the manifest, the block that frees a
// log segment, and what others keep on the same disk can still be written.
// Clients' writes are refused from then on until the reserve is back.
type space struct {
	mu   sync.Mutex
	full bool
}

func (e *engine) reservePath() string { return filepath.Join(e.cfg.Directory, "reserve") }

// noSpace gives the reserve up and closes admission. cause is what failed.
func (e *engine) noSpace(cause error) {
	e.space.mu.Lock()
	defer e.space.mu.Unlock()
	if e.space.full {
		return
	}
	e.space.full = true
	e.in.setFull(true)
	err := cause
	if e.cfg.ReserveBytes > 0 {
		err = errors.Join(err, e.cfg.FS.Remove(e.reservePath()))
	}
	e.failed(EventSpace, err)
}

// regainSpace takes the reserve back and opens admission, if there is room for
// as much again beside it. The keeper calls it now and then.
func (e *engine) regainSpace() {
	e.space.mu.Lock()
	defer e.space.mu.Unlock()
	if !e.space.full {
		return
	}
	free, err := e.cfg.FS.Free(e.cfg.Directory)
	if err != nil || free < 2*uint64(max(0, e.cfg.ReserveBytes)) || e.makeReserve() != nil {
		return
	}
	e.space.full = false
	e.in.setFull(false)
	e.trouble.clear(EventSpace)
	e.trouble.clear(EventAppend) // nobody knows better before the next write
	e.cfg.Observe(Event{Kind: EventSpace})
}

// makeReserve makes the reserve if it is not there. Without room it leaves
// nothing behind.
func (e *engine) makeReserve() error {
	if e.cfg.ReserveBytes <= 0 {
		return nil
	}
	f, err := e.openReserve()
	if err != nil {
		return err
	}
	err = errors.Join(f.Preallocate(e.cfg.ReserveBytes), f.Close())
	if err != nil {
		return errors.Join(err, e.cfg.FS.Remove(e.reservePath()))
	}
	return nil
}

func (e *engine) openReserve() (vfs.File, error) {
	found, err := vfs.Exists(e.cfg.FS, e.reservePath())
	if err != nil {
		return nil, err
	}
	if found {
		return e.cfg.FS.OpenReadWrite(e.reservePath())
	}
	return e.cfg.FS.Create(e.reservePath())
}
