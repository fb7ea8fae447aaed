package deadletter

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/otelscope/otelscope/internal/vfs"
)

const (
	// maxSegmentBytes is from where on a segment is not appended to. A segment
	// is also at most a quarter of the bound, so that making room drops a part
	// of the letters only.
	maxSegmentBytes = 8 << 20

	// maxListBytes bounds what one List reads, so that its answer fits into
	// memory.
	maxListBytes = 8 << 20
)

// Log is the dead letters of one folder.
type Log struct {
	fsys     vfs.FS
	dir      string
	maxBytes int64
	now      func() time.Time

	mu       sync.Mutex
	lock     io.Closer  // nil once closed
	segments []*segment // oldest first
	sealed   bool       // the newest segment must not be written to
	next     uint64     // number of the next letter
	dropped  uint64
}

// Open takes the folder, which it creates if need be, and reads what is there.
// The files together have at most maxBytes bytes, except for removal records
// and what an earlier Open allowed.
func Open(fsys vfs.FS, dir string, maxBytes int64, now func() time.Time) (*Log, error) {
	if err := makeDir(fsys, filepath.Clean(dir)); err != nil {
		return nil, err
	}
	lock, err := fsys.Lock(filepath.Join(dir, "LOCK"))
	if err != nil {
		return nil, err
	}
	l := &Log{fsys: fsys, dir: dir, maxBytes: maxBytes, now: now, lock: lock, next: 1}
	if err := l.recover(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// makeDir makes a folder and its name durable, with those of its parents that
// it had to make.
func makeDir(fsys vfs.FS, dir string) error {
	parents := []string{filepath.Dir(dir)}
	for parent := parents[0]; parent != filepath.Dir(parent); parent = filepath.Dir(parent) {
		if _, err := fsys.ReadDir(parent); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		parents = append(parents, filepath.Dir(parent))
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	for _, parent := range parents {
		if err := fsys.SyncDir(parent); err != nil {
			return err
		}
	}
	return nil
}

// Close releases the folder. Closing again does nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lock == nil {
		return nil
	}
	var errs []error
	for _, s := range l.segments {
		errs = append(errs, s.file.Close())
	}
	errs = append(errs, l.lock.Close())
	l.lock, l.segments = nil, nil
	return errors.Join(errs...)
}

// Add makes the letters durable, all of them or none, and deletes the oldest
// ones where there is no room.
func (l *Log) Add(letters ...Letter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lock == nil {
		return ErrClosed
	}
	if len(letters) == 0 {
		return nil
	}
	at := l.now()
	var frames []byte
	lengths := make([]int64, len(letters))
	for i := range letters {
		start := len(frames)
		frames = appendLetter(frames, l.next+uint64(i), at, &letters[i])
		lengths[i] = int64(len(frames) - start)
	}
	size := int64(len(frames))
	if size+int64(headerBytes) > l.maxBytes || size > math.MaxUint32 {
		return fmt.Errorf("%d dead letters of %d bytes: %w, %d bytes", len(letters), size, ErrTooLarge, l.maxBytes)
	}
	if err := l.makeRoom(size); err != nil {
		return err
	}
	if err := l.write(frames, len(letters)); err != nil {
		return err
	}
	for _, length := range lengths {
		l.newest().add(length, at.UnixNano())
	}
	l.next = l.newest().next()
	return nil
}

func (l *Log) newest() *segment { return l.segments[len(l.segments)-1] }

// makeRoom sees to it that the newest segment can take size bytes more.
func (l *Log) makeRoom(size int64) error {
	full := len(l.segments) > 0 && len(l.newest().entries) > 0 && l.newest().size+size > l.segmentBytes()
	if err := l.shrink(size); err != nil {
		return err
	}
	if len(l.segments) == 0 || l.sealed || full {
		if err := l.roll(); err != nil {
			return err
		}
	}
	return l.shrink(size)
}

func (l *Log) segmentBytes() int64 { return min(maxSegmentBytes, l.maxBytes/4) }

// shrink drops the oldest segments until size bytes more stay within the bound.
func (l *Log) shrink(size int64) error {
	for len(l.segments) > 1 && l.bytes()+size > l.maxBytes {
		if err := l.dropOldest(); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) bytes() int64 {
	var sum int64
	for _, s := range l.segments {
		sum += s.size
	}
	return sum
}

func (l *Log) count() int {
	n := 0
	for _, s := range l.segments {
		n += s.live
	}
	return n
}

func (l *Log) dropOldest() error {
	s := l.segments[0]
	if err := l.fsys.Remove(s.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.segments = slices.Delete(l.segments, 0, 1)
	l.dropped += uint64(s.live)
	_ = s.file.Close() // nothing of it matters any more
	return nil
}

// roll begins a new segment, named after the next letter, which therefore must
// not be the newest one's first. If that fails the newest one counts as ended all
// the same: the new one may be found after a crash, and it says how long the
// one before it is.
func (l *Log) roll() error {
	previous := int64(0)
	if len(l.segments) > 0 {
		previous = l.newest().size
	}
	l.sealed = true
	s, err := createSegment(l.fsys, l.dir, l.next, previous)
	if err != nil {
		return err
	}
	l.segments = append(l.segments, s)
	l.sealed = false
	return nil
}

// write appends frames, which hold this many letters, to the newest segment and
// syncs it. The caller adds them to its index.
func (l *Log) write(frames []byte, letters int) error {
	s := l.newest()
	if _, err := s.file.WriteAt(frames, s.size); err != nil {
		if s.file.Truncate(s.size) != nil {
			l.abandon(letters)
		}
		return err
	}
	if err := s.file.Sync(); err != nil {
		_ = s.file.Truncate(s.size)
		l.abandon(letters)
		return err
	}
	return nil
}

// abandon ends the newest segment, where letters that were not acknowledged may
// be found after a crash: their numbers are not used again, and the segment's
// own neither.
func (l *Log) abandon(letters int) {
	l.sealed = true
	l.next += uint64(max(letters, 1))
}

// find returns the segment that has a letter, nil if there is none.
func (l *Log) find(seq uint64) *segment {
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].first > seq }) - 1
	if i < 0 || seq >= l.segments[i].next() || l.segments[i].entries[seq-l.segments[i].first].removed {
		return nil
	}
	return l.segments[i]
}

// Remove deletes the letters with these ids, durably; those that are not there
// (any more) do not matter.
func (l *Log) Remove(ids ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lock == nil {
		return ErrClosed
	}
	var seqs []uint64
	for _, id := range ids {
		seq, err := parseID(id)
		if err != nil {
			return err
		}
		if l.find(seq) != nil {
			seqs = append(seqs, seq)
		}
	}
	if len(seqs) == 0 {
		return nil
	}
	if err := l.writeRemoval(seqs); err != nil {
		return err
	}
	for _, seq := range seqs {
		l.markRemoved(seq)
	}
	l.dropEmpty()
	return nil
}

// writeRemoval needs no room within the bound: dropping letters to note that
// others are removed would be worse than a few bytes too many.
func (l *Log) writeRemoval(seqs []uint64) error {
	if l.sealed {
		if err := l.roll(); err != nil {
			return err
		}
	}
	frame := appendRemoval(nil, seqs)
	if err := l.write(frame, 0); err != nil {
		return err
	}
	l.newest().size += int64(len(frame))
	return nil
}

func (l *Log) markRemoved(seq uint64) {
	if s := l.find(seq); s != nil {
		s.entries[seq-s.first].removed = true
		s.live--
	}
}

// dropEmpty deletes the oldest segments that have no letter left. What cannot
// be deleted now is tried again after the next removal.
func (l *Log) dropEmpty() {
	if l.count() == 0 {
		if l.next == l.newest().first {
			l.next++
		}
		if l.roll() != nil {
			return
		}
	}
	for len(l.segments) > 1 && l.segments[0].live == 0 {
		if l.dropOldest() != nil {
			return
		}
	}
}

// List returns up to limit letters after the one with id after ("" means from
// the oldest), oldest first, with their payloads if asked for. more says that
// others follow; there may be fewer than limit even so.
func (l *Log) List(after string, limit int, payload bool) (letters []Stored, more bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lock == nil {
		return nil, false, ErrClosed
	}
	from := uint64(0)
	if after != "" {
		if from, err = parseID(after); err != nil {
			return nil, false, fmt.Errorf("after: %w", err)
		}
	}
	read := int64(0)
	for _, s := range l.segments {
		for seq := max(s.first, from+1); seq < s.next(); seq++ {
			e := &s.entries[seq-s.first]
			if e.removed {
				continue
			}
			if len(letters) >= limit || len(letters) > 0 && read+e.length > maxListBytes {
				return letters, true, nil
			}
			letter, err := s.stored(seq, payload)
			if err != nil {
				return nil, false, err
			}
			letters, read = append(letters, letter), read+e.length
		}
	}
	return letters, false, nil
}

// Get returns a letter with its payload; ok is false when there is none with
// this id.
func (l *Log) Get(id string) (letter Stored, ok bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lock == nil {
		return Stored{}, false, ErrClosed
	}
	seq, err := parseID(id)
	if err != nil {
		return Stored{}, false, err
	}
	s := l.find(seq)
	if s == nil {
		return Stored{}, false, nil
	}
	letter, err = s.stored(seq, true)
	return letter, err == nil, err
}

func (s *segment) stored(seq uint64, payload bool) (Stored, error) {
	r, err := s.read(seq)
	if err != nil {
		return Stored{}, err
	}
	letter := Stored{
		ID:     formatID(seq),
		Time:   time.Unix(0, r.time).UTC(),
		Letter: Letter{Source: string(r.source), Format: string(r.format), Reason: string(r.reason)},
		Bytes:  len(r.payload),
	}
	if payload {
		letter.Payload = slices.Clone(r.payload)
	}
	return letter, nil
}

// Stats returns the log's figures, all zero after Close.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := Stats{Count: l.count(), Bytes: l.bytes(), Dropped: l.dropped}
	for _, s := range l.segments {
		if st.Oldest.IsZero() {
			st.Oldest = s.oldest()
		}
	}
	return st
}

// oldest is the time of the first letter that is left, zero if none is.
func (s *segment) oldest() time.Time {
	for i := range s.entries {
		if !s.entries[i].removed {
			return time.Unix(0, s.entries[i].time).UTC()
		}
	}
	return time.Time{}
}
