// Package deadletter keeps what could not be processed, durably and within a
// bound, so that it can be looked at and tried again. One Log owns one folder.
//
// # Protocol
//
// Letters are numbered from 1, without gaps within a segment. Segments are
// files that are only appended to; the newest is the active one.
//
//   - Add writes all its letters at once and syncs once; they count, and can be
//     listed, only then.
//   - Remove appends a removal record, and syncs; the letters' bytes stay until
//     the segment goes.
//   - When the active segment is large enough a new one is created, its header
//     synced, then the folder. The header records how much of the segment before
//     it is in use; from then on that one is not written to, and all of it must
//     be valid, or Open fails.
//   - Open cuts the newest segment after its last valid record, and writes and
//     syncs what is left again.
//   - Segments go oldest first: when no letter in them is left, or to make room,
//     which counts their letters as dropped. A removal record therefore never
//     goes before the letters that it removes.
//   - After a failed write the partial record is cut off. After a failed sync,
//     or a failed cut, nothing is written to that segment any more.
//
// What a failed Add wrote may be there after a crash all the same, so that a
// letter may be there twice when the caller tries again; and so may letters that
// were dropped to make room.
//
// The format is described in docs/format/dead-letters.md.
//
// # Ownership
//
// All methods may be called from any goroutine. Nothing passed in is kept, and
// what is returned belongs to the caller.
package deadletter

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Letter is one thing that could not be processed.
type Letter struct {
	Source  string // where it was refused
	Format  string // what Payload is
	Reason  string // why, for people
	Payload []byte
}

// Stored is a letter in the log.
type Stored struct {
	ID   string // unique in the log; sorts by age
	Time time.Time
	Letter
	Bytes int // length of the payload, also where Payload was not asked for
}

// Stats are the figures of a log.
type Stats struct {
	Count   int       // letters
	Bytes   int64     // of the files, removed letters included
	Oldest  time.Time // of the oldest letter, zero if there is none
	Dropped uint64    // letters deleted since Open to make room
}

// ErrClosed is returned by every call after Close.
var ErrClosed = errors.New("dead letters are closed")

// ErrTooLarge is wrapped by Add when its letters do not fit the bound even
// with all others deleted.
var ErrTooLarge = errors.New("more than all dead letters may take")

func formatID(seq uint64) string { return fmt.Sprintf("%016x", seq) }

func parseID(id string) (uint64, error) {
	seq, err := strconv.ParseUint(id, 16, 64)
	if err != nil || formatID(seq) != id {
		return 0, fmt.Errorf("%.64q is no dead letter id: it has 16 lower hex digits", id)
	}
	return seq, nil
}
