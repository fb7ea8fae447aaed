// Package log is the store's write-ahead log: numbered segment files to which
// frames are appended durably, and which are replayed after a restart. What a
// frame's payload means is the caller's business.
//
// # Use and ownership
//
// A Log belongs to one goroutine at a time: it has no lock and starts nothing.
// One process per folder is the caller's duty too (vfs.FS.Lock).
// Append returns nil when all frames are durable, in this order and behind
// everything acknowledged before. An error means that none is acknowledged:
// they may or may not be replayed after a crash, and appending them again is
// right (they may then be replayed twice). The log stays usable: the next
// Append tries again, with a new segment where the old one is not to be
// trusted. To cut the log the caller rotates, makes what is in the segments
// before the new one durable elsewhere, commits the new one's number as
// Options.First, and calls Remove.
//
// # Wire format, version 1
//
// A segment is the file <number, 16 hex digits>.log; all integers are
// little-endian, all checksums CRC-32C.
//
//	segment := header frame* zeros?
//
//	header, 40 bytes:
//	  0  8  magic "scopelog"
//	  8  4  format version, 1
//	 12  8  number of this segment
//	 20  8  number of the segment before it, 0 if it is the log's first
//	 28  8  how many bytes of that segment count
//	 36  4  checksum of bytes 0 to 35
//
//	frame, 32 bytes and the payload:
//	  0  3  marker F5 53 46
//	  3  1  kind, the caller's; 0 is the log's own mark that it was closed
//	  4  4  length of the payload in bytes, at most MaxPayload
//	  8  8  synced: how many bytes of this segment were known to be durable
//	        when the frame was written
//	 16  8  received, nanoseconds since the epoch
//	 24  4  checksum of the payload
//	 28  4  checksum of: segment number, offset of the frame in the segment
//	        (8 bytes each, not stored), bytes 0 to 27
//	 32  …  payload
//
// Numbers rise, with gaps, and none is used twice. A segment is preallocated,
// hence the zeros.
//
// # Failing disks
//
// A write that fails is cut back at once. After a failed fsync nobody knows
// what the disk holds of the file, and a second fsync may succeed and lie; so
// that file is neither written nor synced again. Append writes the frames once
// more into a new segment, whose header says how many bytes of the abandoned
// one count, and which therefore needs no trust in what lies behind them.
//
// # Recovery
//
// The headers make a chain from the newest segment to the first. Of every
// segment but the newest the bytes that count are recorded, and must be valid.
// The newest one ends at the first invalid frame, unless a frame behind it says
// by its synced that those bytes had been durable: then they are damaged, not
// torn, which is an error. So damage to anything acknowledged is found, but for
// the last Append before a crash, which no later write vouches for; Close
// vouches for it. What no frame says was durable is written once more, from
// what was read, and synced: it may be there only by the grace of the page
// cache. A newest segment without a valid header is one whose creation was cut
// short, if no frame is in it; it is removed. Segments outside the chain were
// never used.
package log

import (
	"errors"
	"fmt"

	"github.com/otelscope/otelscope/internal/vfs"
)

// Frame is one entry.
type Frame struct {
	Kind     byte  // the caller's, not 0
	Received int64 // nanoseconds since the epoch
	// Payload belongs to the caller of Append throughout. A replayed one
	// belongs to whom it is replayed to; it shares memory with its segment's
	// other frames.
	Payload []byte
	Segment uint64 // where it lies; set by replay, ignored by Append
}

// Options are a log's settings.
type Options struct {
	FS  vfs.FS
	Dir string // made if it does not exist; its parent must
	// First is the oldest segment that counts; older ones are removed. 0 means
	// that none was removed yet, or that the log is new.
	First uint64
	// SegmentBytes is how much of a new segment is preallocated. It is no
	// limit: only Rotate and failures begin a new segment.
	SegmentBytes int64
	// Sync makes Append wait for fsync. Without it what was acknowledged
	// survives the process but not the machine, up to the next Rotate or Close.
	Sync bool
}

// ErrClosed is returned after Close.
var ErrClosed = errors.New("log is closed")

// TooLargeError says that a payload is longer than MaxPayload.
type TooLargeError struct{ Size int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("payload has %d bytes, at most %d are allowed", e.Size, MaxPayload)
}

// CorruptError says that something is damaged which was durable once.
type CorruptError struct {
	File   string
	Offset int64 // of the first byte that is not as it should be, at the latest
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("log segment %q is damaged at byte %d: %s", e.File, e.Offset, e.Reason)
}

// maxKeptBuffer bounds what an idle log keeps of its write buffer.
const maxKeptBuffer = 8 << 20

// Log is an open log. The zero value is not usable; see Open.
type Log struct {
	opts   Options
	live   []segment // oldest first; they form the chain
	next   uint64    // number for the next segment
	file   vfs.File  // of the last live segment; nil when the next Append makes a new one
	synced int64     // how many bytes of file are known to be durable
	alloc  int64     // how far file is preallocated
	buf    []byte
	closed bool
}

type segment struct {
	number uint64
	end    int64 // how many of its bytes count
}

// Append writes the frames with one write and, if Options.Sync is set, one
// sync. See the package comment for what an error means.
func (l *Log) Append(frames ...Frame) error {
	if l.closed {
		return ErrClosed
	}
	for _, f := range frames {
		if len(f.Payload) > MaxPayload {
			return &TooLargeError{Size: len(f.Payload)}
		}
		if f.Kind == kindEnd {
			return fmt.Errorf("frame has kind %d, allowed are 1 to 255", f.Kind)
		}
	}
	if len(frames) == 0 {
		return nil
	}
	return l.append(frames)
}

func (l *Log) append(frames []Frame) error {
	if l.file == nil {
		if err := l.create(); err != nil {
			return err
		}
	}
	if err := l.write(frames); err != nil {
		return err
	}
	if !l.opts.Sync {
		l.accept()
		return nil
	}
	err := l.sync()
	if err == nil {
		l.accept()
		return nil
	}
	if retryErr := l.again(frames); retryErr != nil {
		return errors.Join(err, retryErr)
	}
	return nil
}

// again writes frames whose sync failed to a new segment.
func (l *Log) again(frames []Frame) error {
	if err := l.create(); err != nil {
		return err
	}
	if err := l.write(frames); err != nil {
		return err
	}
	if err := l.sync(); err != nil {
		return err
	}
	l.accept()
	return nil
}

// write puts the frames into l.buf and behind the active segment's end. When
// that fails it leaves nothing behind.
func (l *Log) write(frames []Frame) error {
	s := l.last()
	l.buf = l.buf[:0]
	for _, f := range frames {
		at := s.end + int64(len(l.buf))
		l.buf = appendFrame(l.buf, place{s.number, at}, l.synced, f)
	}
	end := s.end + int64(len(l.buf))
	if err := l.reserve(end); err != nil {
		return l.fail("preallocate", err)
	}
	if _, err := l.file.WriteAt(l.buf, s.end); err != nil {
		return l.cutBack(err)
	}
	return nil
}

// accept lets what was written count.
func (l *Log) accept() {
	l.last().end += int64(len(l.buf))
	if l.opts.Sync {
		l.synced = l.last().end
	}
	if cap(l.buf) > maxKeptBuffer {
		l.buf = nil
	}
}

// sync makes the active segment durable, or abandons it.
func (l *Log) sync() error {
	if err := l.file.Sync(); err != nil {
		err = l.fail("sync", err)
		l.abandon()
		return err
	}
	return nil
}

// cutBack removes what a failed write left behind the segment's end.
func (l *Log) cutBack(cause error) error {
	err := l.fail("write", cause)
	if truncErr := l.file.Truncate(l.last().end); truncErr != nil {
		return errors.Join(err, l.fail("truncate", truncErr), l.retire())
	}
	l.alloc = l.last().end
	return err
}

// reserve preallocates the active segment up to end, by whole
// Options.SegmentBytes. Lack of space is left for the write to find, which may
// need less.
func (l *Log) reserve(end int64) error {
	step := l.opts.SegmentBytes
	if end <= l.alloc || step <= 0 {
		return nil
	}
	want := (end + step - 1) / step * step
	err := l.file.Preallocate(want)
	if vfs.IsNoSpace(err) {
		want, err = end, nil
	}
	if err == nil {
		l.alloc = want
	}
	return err
}

// retire ends the active segment where it stands: the next Append makes a new
// one. What was acknowledged without a sync gets it here, since the next
// segment's header will vouch for it; if that fails, it counts no more.
func (l *Log) retire() error {
	defer l.abandon()
	s := l.last()
	if l.synced < s.end {
		if err := l.file.Sync(); err != nil {
			s.end = l.synced
			return l.fail("sync", err)
		}
		l.synced = s.end
	}
	// Only to free what was preallocated; the recorded end counts.
	_ = l.file.Truncate(s.end)
	return nil
}

// abandon closes the active segment's file. Errors do not matter: nothing that
// counts depends on the file any more.
func (l *Log) abandon() {
	_ = l.file.Close()
	l.file = nil
}

func (l *Log) last() *segment { return &l.live[len(l.live)-1] }

func (l *Log) fail(op string, err error) error {
	return fmt.Errorf("log segment %q: %s: %w", segmentName(l.opts.Dir, l.last().number), op, err)
}

// create makes the next segment and makes it active. There must be none.
func (l *Log) create() error {
	h := header{segment: l.next}
	if len(l.live) > 0 {
		h.previous, h.previousAt = l.last().number, l.last().end
	}
	name := segmentName(l.opts.Dir, h.segment)
	l.next++
	f, err := l.opts.FS.Create(name)
	if err != nil {
		return fmt.Errorf("create log segment: %w", err)
	}
	if err := l.initialize(f, h); err != nil {
		err = errors.Join(fmt.Errorf("create log segment %q: %w", name, err), f.Close())
		return errors.Join(err, l.opts.FS.Remove(name))
	}
	l.file, l.synced, l.alloc = f, headerSize, max(headerSize, l.opts.SegmentBytes)
	l.live = append(l.live, segment{number: h.segment, end: headerSize})
	return nil
}

// initialize makes f a segment without frames, durably.
func (l *Log) initialize(f vfs.File, h header) error {
	if err := f.Preallocate(l.opts.SegmentBytes); err != nil && !vfs.IsNoSpace(err) {
		return err
	}
	if _, err := f.WriteAt(h.append(nil), 0); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return l.opts.FS.SyncDir(l.opts.Dir)
}

// Rotate begins a new segment and returns its number. All frames appended so
// far lie in lower ones, all that follow in this or higher ones. After an error
// the log goes on as it can.
func (l *Log) Rotate() (uint64, error) {
	if l.closed {
		return 0, ErrClosed
	}
	if l.file != nil {
		if err := l.retire(); err != nil {
			return 0, err
		}
	}
	if err := l.create(); err != nil {
		return 0, err
	}
	return l.last().number, nil
}

// Remove deletes the segments with numbers lower than below, which must not be
// higher than Options.First would be if the log were opened now. What cannot be
// deleted is left for the next Open. The newest segment always stays.
func (l *Log) Remove(below uint64) error {
	var errs []error
	for len(l.live) > 1 && l.live[0].number < below {
		errs = append(errs, l.opts.FS.Remove(segmentName(l.opts.Dir, l.live[0].number)))
		l.live = l.live[1:]
	}
	return errors.Join(errs...)
}

// Segments returns how many segments there are.
func (l *Log) Segments() int { return len(l.live) }

// Size returns how many bytes of the segments count.
func (l *Log) Size() int64 {
	size := int64(0)
	for _, s := range l.live {
		size += s.end
	}
	return size
}

// Close marks the end, makes everything durable and closes the file. An error
// means that the mark is missing or that, without Options.Sync, something may
// not be durable; the log is closed all the same. The second Close does nothing.
func (l *Log) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	if l.file == nil {
		return nil
	}
	err := l.write([]Frame{{Kind: kindEnd}})
	if err == nil {
		err = l.file.Sync()
	}
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	l.file, l.buf = nil, nil
	return err
}
