package log

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"

	"github.com/otelscope/otelscope/internal/vfs"
)

// Recovery says what Open found.
type Recovery struct {
	Segments int
	Frames   int64 // replayed
	Bytes    int64 // of the segments, as far as they count
	Cut      int64 // bytes of a torn tail that were cut off
}

// Open replays the frames of all segments from opts.First on, in the order in
// which they were appended, and returns a log to append more to. An error of
// replay ends it and is returned. It writes no new segment: that is done by the
// first Append.
func Open(opts Options, replay func(Frame) error) (*Log, Recovery, error) {
	r := recovery{opts: opts, replay: replay}
	if err := r.run(); err != nil {
		return nil, Recovery{}, err
	}
	return &Log{opts: opts, live: r.live, next: r.next}, r.Recovery, nil
}

type recovery struct {
	Recovery
	opts   Options
	replay func(Frame) error
	live   []segment // oldest first
	next   uint64
}

func (r *recovery) run() error {
	numbers, err := r.list()
	if err != nil {
		return err
	}
	numbers, err = r.chain(numbers)
	if err != nil {
		return err
	}
	for i := range r.live {
		if err := r.segment(&r.live[i], i == len(r.live)-1); err != nil {
			return err
		}
		r.Bytes += r.live[i].end
	}
	r.Segments = len(r.live)
	return r.remove(numbers)
}

// list returns the numbers of the segment files from opts.First on, rising,
// and removes those below.
func (r *recovery) list() ([]uint64, error) {
	if err := r.opts.FS.MkdirAll(r.opts.Dir); err != nil {
		return nil, err
	}
	if err := r.opts.FS.SyncDir(filepath.Dir(r.opts.Dir)); err != nil {
		return nil, err
	}
	names, err := r.opts.FS.ReadDir(r.opts.Dir)
	if err != nil {
		return nil, err
	}
	r.next = max(1, r.opts.First)
	var keep, old []uint64
	for _, name := range names {
		n, ok := parseName(name)
		switch {
		case !ok:
		case n < r.opts.First:
			old = append(old, n)
		default:
			keep = append(keep, n)
			r.next = max(r.next, n+1)
		}
	}
	slices.Sort(keep)
	return keep, r.remove(old)
}

// remove deletes segments that do not count.
func (r *recovery) remove(numbers []uint64) error {
	for _, n := range numbers {
		if err := r.opts.FS.Remove(segmentName(r.opts.Dir, n)); err != nil {
			return fmt.Errorf("remove a log segment that is not needed: %w", err)
		}
	}
	return nil
}

// chain fills r.live from the segments' headers, newest first and then turned
// round, and returns the numbers that are not in it. The newest segment's end
// is not known yet.
func (r *recovery) chain(numbers []uint64) (unused []uint64, err error) {
	want, end := uint64(0), int64(math.MaxInt64) // the segment to go on with; 0 means the newest
	for _, n := range slices.Backward(numbers) {
		if want != 0 && n > want || want == 0 && len(r.live) > 0 {
			unused = append(unused, n)
			continue
		}
		if n < want {
			break
		}
		h, err := r.header(n)
		if err != nil {
			return nil, err
		}
		if h == nil {
			if want != 0 {
				return nil, r.corrupt(n, 0, "it has no valid header")
			}
			unused = append(unused, n)
			continue
		}
		r.live = append(r.live, segment{n, end})
		want, end = h.previous, h.previousAt
	}
	slices.Reverse(r.live)
	return unused, r.complete(want)
}

// complete checks that the chain, in which the segment want would be next,
// reaches back to the first segment.
func (r *recovery) complete(want uint64) error {
	missing := want
	if first := r.opts.First; first > 0 {
		if len(r.live) > 0 && r.live[0].number == first {
			return nil
		}
		missing = max(want, first)
	}
	if missing == 0 {
		return nil
	}
	return r.corrupt(missing, 0, "there is no such file with a valid header")
}

func (r *recovery) corrupt(n uint64, offset int64, reason string) error {
	return &CorruptError{File: segmentName(r.opts.Dir, n), Offset: offset, Reason: reason}
}

// header returns a segment's header, or nil if its creation was cut short.
func (r *recovery) header(n uint64) (*header, error) {
	data, err := r.read(n, headerSize)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(data, n)
	if err == nil {
		return &h, nil
	}
	if newer := (*versionError)(nil); errors.As(err, &newer) {
		return nil, fmt.Errorf("log segment %q: %w", segmentName(r.opts.Dir, n), err)
	}
	if data, readErr := r.read(n, math.MaxInt64); readErr != nil {
		return nil, readErr
	} else if _, used := provenBehind(data, n, 0); used {
		return nil, r.corrupt(n, 0, err.Error())
	}
	return nil, nil
}

// read returns the first bytes of a segment, at most limit.
func (r *recovery) read(n uint64, limit int64) (data []byte, err error) {
	f, err := r.opts.FS.Open(segmentName(r.opts.Dir, n))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	data = make([]byte, min(size, limit))
	if err := vfs.ReadFull(f, data, 0); err != nil {
		return nil, fmt.Errorf("read log segment %q: %w", segmentName(r.opts.Dir, n), err)
	}
	return data, nil
}

// segment replays one segment of the chain.
func (r *recovery) segment(s *segment, newest bool) error {
	data, err := r.read(s.number, s.end)
	if err != nil {
		return err
	}
	if !newest && int64(len(data)) < s.end {
		return r.corrupt(s.number, int64(len(data)), fmt.Sprintf("it ends there, %d bytes are recorded", s.end))
	}
	found, err := scanFrames(data, s.number, r.replay)
	r.Frames += found.frames
	if err != nil {
		return err
	}
	if newest {
		return r.tail(s, data, found)
	}
	if found.end != s.end {
		return r.corrupt(s.number, found.end, fmt.Sprintf("no valid frame, %d bytes are recorded", s.end))
	}
	return nil
}

// tail makes the newest segment end where its valid frames end, durably.
func (r *recovery) tail(s *segment, data []byte, found scan) error {
	if at, proven := provenBehind(data, s.number, found.end); proven {
		return r.corrupt(s.number, found.end, fmt.Sprintf("no valid frame, but the frame at byte %d says that it was durable", at))
	}
	s.end = found.end
	r.Cut = int64(len(bytes.TrimRight(data[found.end:], "\x00")))
	f, err := r.opts.FS.OpenReadWrite(segmentName(r.opts.Dir, s.number))
	if err != nil {
		return err
	}
	err = rewrite(f, data[:found.end], found.proven)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("log segment %q: cut torn tail: %w", segmentName(r.opts.Dir, s.number), err)
	}
	return nil
}

// rewrite makes f hold data durably, of which the first proven bytes are
// durable already.
func rewrite(f vfs.File, data []byte, proven int64) error {
	if _, err := f.WriteAt(data[proven:], proven); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(data))); err != nil {
		return err
	}
	return f.Sync()
}
