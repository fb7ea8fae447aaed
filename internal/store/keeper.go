package store

import (
	"errors"
	"time"
)

// command is work for the committer or the keeper, done between their own.
type command struct {
	run  func() error
	done chan error
}

// errStopped ends work that Close interrupts; it is not reported.
var errStopped = errors.New("store is closing")

// Failed cuts are tried again after cutRetry, then twice that, up to
// maxCutRetry.
const (
	cutRetry    = time.Second
	maxCutRetry = 30 * time.Second
)

// keepInterval is how often the keeper looks at ages and sizes.
const keepInterval = time.Second

// keepLoop is the keeper: it cuts the frozen head, and when there is none it
// merges small blocks, drops old ones and looks for space, one at a time.
func (e *engine) keepLoop() {
	defer close(e.keeperGone)
	ticks := time.NewTicker(keepInterval)
	defer ticks.Stop()
	for {
		select {
		case <-e.stop:
			return
		case f := <-e.frozen:
			e.cutUntilDone(f)
		case c := <-e.keeperCommands:
			c.done <- c.run()
		case <-ticks.C:
			e.regainSpace()
			e.retain()
			e.compactAll()
		}
	}
}

// cutUntilDone cuts a head, however often it fails. Meanwhile the live head
// grows up to its bound.
func (e *engine) cutUntilDone(f frozen) {
	c := newCut(e, f)
	defer func() {
		if !c.committed {
			c.discard()
		}
	}()
	for wait := cutRetry; ; wait = min(2*wait, maxCutRetry) {
		err := c.run()
		if err == nil || errors.Is(err, errStopped) {
			return
		}
		select {
		case <-e.stop:
			return
		case <-time.After(wait):
			e.regainSpace()
			e.retain()
		}
	}
}

// stopping reports whether Close was called.
func (e *engine) stopping() bool {
	select {
	case <-e.stop:
		return true
	default:
		return false
	}
}

// onCommitter runs f on the committer, which owns the log.
func (e *engine) onCommitter(f func() error) error {
	return e.ask(e.commands, e.committerGone, f)
}

// onKeeper runs f on the keeper, which owns manifest and blocks.
func (e *engine) onKeeper(f func() error) error {
	return e.ask(e.keeperCommands, e.stop, f)
}

func (e *engine) ask(commands chan<- command, gone <-chan struct{}, f func() error) error {
	c := command{run: f, done: make(chan error, 1)}
	select {
	case commands <- c:
		return <-c.done
	case <-gone:
		return errStopped
	}
}
