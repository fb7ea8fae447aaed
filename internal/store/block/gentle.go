package block

import (
	"runtime"
	"time"

	"github.com/otelscope/otelscope/internal/vfs"
)

const (
	// yieldRows is after how many rows the writer lets other goroutines run: a
	// block keeps a core busy for tenths of a second, and clients wait for
	// answers meanwhile. It is well below a millisecond's work.
	yieldRows = 128
	// syncEvery is after how many bytes a file is synced while it is written.
	// One sync of a whole block would keep the disk busy for as long as some
	// hundred requests' log writes take, and those would queue behind it.
	syncEvery = 1 << 20
)

// gently writes to a file from its start, and syncs as it goes.
type gently struct {
	file     vfs.File
	offset   int64
	unsynced int
}

func (g *gently) Write(p []byte) (written int, err error) {
	for len(p) > 0 {
		n, err := g.file.WriteAt(p[:min(len(p), syncEvery-g.unsynced)], g.offset)
		g.offset += int64(n)
		g.unsynced += n
		written += n
		if err != nil {
			return written, err
		}
		if g.unsynced == syncEvery {
			if err := g.file.Sync(); err != nil {
				return written, err
			}
			g.unsynced = 0
		}
		p = p[n:]
	}
	return written, nil
}

// turns lets others run, but never for longer at a stretch than the writer has
// worked since: on a machine that is full each turn takes long, and a block that
// is not written in time is memory that is not free.
type turns struct{ next time.Time }

func (t *turns) yield() {
	begun := time.Now()
	if begun.Before(t.next) {
		return
	}
	runtime.Gosched()
	back := time.Now()
	t.next = back.Add(back.Sub(begun))
}
