package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"

	"github.com/otelscope/otelscope/internal/store/block"
	"github.com/otelscope/otelscope/internal/vfs"
)

// Open opens the store in a folder, makes one if there is none, and recovers
// what was acknowledged before. Only one store at a time may have the folder:
// another gets a *vfs.LockedError.
func Open(cfg Config) (Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	e, err := open(cfg)
	if err != nil {
		return nil, fmt.Errorf("open store %q: %w", cfg.Directory, err)
	}
	return e, nil
}

func open(cfg Config) (_ *engine, err error) {
	e := newEngine(cfg)
	if err := makeDir(cfg.FS, e.blocksDir()); err != nil {
		return nil, err
	}
	if e.folder, err = cfg.FS.Lock(filepath.Join(cfg.Directory, "lock")); err != nil {
		return nil, err
	}
	r := recovery{engine: e}
	if err := r.run(); err != nil {
		r.undo()
		return nil, errors.Join(err, e.folder.Close())
	}
	go e.commitLoop()
	go e.keepLoop()
	return e, nil
}

func newEngine(cfg Config) *engine {
	e := &engine{
		cfg: cfg,
		in: intake{
			maxBytes: 2 * cfg.CutBytes,
			maxSpans: 2 * int64(cfg.CutSpans),
			cutBytes: cfg.CutBytes,
			cutSpans: int64(cfg.CutSpans),
			wake:     make(chan struct{}, 1),
		},
		reading:        make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		frozen:         make(chan frozen, 1),
		commands:       make(chan command),
		keeperCommands: make(chan command),
		stop:           make(chan struct{}),
		committerGone:  make(chan struct{}),
		keeperGone:     make(chan struct{}),
		stopped:        make(chan struct{}),
	}
	e.views.retire = e.retire
	e.writer = block.NewWriter(cfg.FS, e.blocksDir())
	e.blocks = block.NewSet(cfg.FS, e.blocksDir())
	return e
}

// makeDir makes a folder and those above it, durably.
func makeDir(fsys vfs.FS, dir string) error {
	if _, err := fsys.ReadDir(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(fsys, parent); err != nil {
			return err
		}
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	return fsys.SyncDir(parent)
}
