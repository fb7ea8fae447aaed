package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/otelscope/otelscope/internal/vfs"
)

// Config says where and how a store keeps its spans. Directory must be set;
// for everything else the zero value means the default.
type Config struct {
	// Directory holds all of the store and is made if need be. One store at a
	// time may use it.
	Directory string
	// NoSync makes Write answer without waiting for fsync: what was
	// acknowledged then survives the end of the process, kill -9 too, but the
	// end of the machine only up to the last cut.
	NoSync    bool
	Retention Retention

	// CutBytes and CutSpans are how much the head takes before it is cut into
	// a block: bytes of OTLP (default 32 MiB) or spans (default 250,000).
	// Twice of either is the hard bound where Write begins to refuse.
	CutBytes int64
	CutSpans int
	// CutAge is how old the head's oldest span gets before it is cut all the
	// same (default 5 min).
	CutAge time.Duration
	// MaxOpenCalls (default 1,000,000) and MaxOpenBytes (default CutBytes / 2)
	// bound the open calls that are carried from cut to cut; beyond them the
	// oldest go into the block as they are.
	MaxOpenCalls int
	MaxOpenBytes int64
	// ReserveBytes is the size of a file that is given up when the disk is
	// full (default 16 MiB; negative: none).
	ReserveBytes int64

	FS      vfs.FS           // default vfs.OS
	Now     func() time.Time // default time.Now
	Observe func(Event)      // default: nobody looks
	// Follower is told of what is stored; nil: nobody is.
	Follower Follower
}

// Retention bounds what is kept; the zero value keeps everything.
type Retention struct {
	MaxAge   time.Duration // by arrival
	MaxBytes int64         // of blocks and log together; the log is never dropped
}

// Event is something that the store did on its own or that went wrong, for
// logs and metrics. Observe is called from the store's goroutines, one event
// at a time for each of them, and must not block or call the store.
type Event struct {
	Kind     EventKind
	Err      error         // nil for success
	Spans    int64         // cut, merged, dropped, or recovered
	Bytes    int64         // of the block or blocks, on disk
	Blocks   int           // merged or dropped
	Duration time.Duration // how long it took
}

// EventKind says what an Event is about.
type EventKind string

// The kinds of events.
const (
	EventRecover  EventKind = "recover"
	EventRotate   EventKind = "rotate" // only its failures
	EventAppend   EventKind = "append" // only its failures
	EventCut      EventKind = "cut"
	EventCompact  EventKind = "compact"
	EventRetain   EventKind = "retain"
	EventOverflow EventKind = "overflow" // open calls beyond the bound went into a block
	EventSpace    EventKind = "space"    // Err set: the disk is full and the reserve given up; nil: it is back
	EventSummary  EventKind = "summary"  // only its failures: a part goes without
	EventRemove   EventKind = "remove"   // a file that does not count any more could not be deleted
)

func (c Config) withDefaults() Config {
	c.CutBytes = defaultTo(c.CutBytes, 32<<20)
	c.CutSpans = defaultTo(c.CutSpans, 250_000)
	c.CutAge = defaultTo(c.CutAge, 5*time.Minute)
	c.MaxOpenCalls = defaultTo(c.MaxOpenCalls, 1_000_000)
	c.MaxOpenBytes = defaultTo(c.MaxOpenBytes, c.CutBytes/2)
	c.ReserveBytes = defaultTo(c.ReserveBytes, 16<<20)
	if c.FS == nil {
		c.FS = vfs.OS
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	return c
}

func defaultTo[T int | int64 | time.Duration](value, standard T) T {
	if value == 0 {
		return standard
	}
	return value
}

// validate checks a Config with its defaults.
func (c Config) validate() error {
	var errs []error
	if c.Directory == "" {
		errs = append(errs, errors.New("directory: is empty, a folder is needed"))
	}
	for _, f := range []struct {
		name  string
		value int64
		min   int64
	}{
		{"CutBytes", c.CutBytes, 1},
		{"CutSpans", int64(c.CutSpans), 1},
		{"CutAge", int64(c.CutAge), 1},
		{"MaxOpenCalls", int64(c.MaxOpenCalls), 0},
		{"MaxOpenBytes", c.MaxOpenBytes, 0},
		{"retention: max_age", int64(c.Retention.MaxAge), 0},
		{"retention: max_bytes", c.Retention.MaxBytes, 0},
	} {
		if f.value < f.min {
			errs = append(errs, fmt.Errorf("%s: %d is too small, at least %d is allowed", f.name, f.value, f.min))
		}
	}
	return errors.Join(errs...)
}
