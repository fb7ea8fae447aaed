package deadletter

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/otelscope/otelscope/internal/vfs"
)

const segmentSuffix = ".dead"

// segment is one file of letters. What the file holds beyond size was never
// acknowledged.
type segment struct {
	name     string // with the folder
	first    uint64 // number of its first letter, also where it has none yet
	previous int64  // size of the segment before it, as its header says
	file     vfs.File
	size     int64
	entries  []entry // entries[i] is letter first+i
	live     int     // entries that are not removed
}

// entry is where a letter stands in its segment.
type entry struct {
	offset  int64
	length  int64 // with frame
	time    int64 // nanoseconds since the epoch
	removed bool
}

// next is the number after the segment's last letter.
func (s *segment) next() uint64 { return s.first + uint64(len(s.entries)) }

// add indexes the letter whose frame of this length stands at the end.
func (s *segment) add(length, time int64) {
	s.entries = append(s.entries, entry{offset: s.size, length: length, time: time})
	s.size += length
	s.live++
}

func segmentName(first uint64) string { return formatID(first) + segmentSuffix }

// segmentFirst returns the number in a segment's name, false for another
// file's name.
func segmentFirst(name string) (uint64, bool) {
	stem, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok {
		return 0, false
	}
	first, err := parseID(stem)
	return first, err == nil && first > 0
}

// createSegment makes an empty segment durable, its name included.
func createSegment(fsys vfs.FS, dir string, first uint64, previous int64) (*segment, error) {
	name := filepath.Join(dir, segmentName(first))
	file, err := fsys.Create(name)
	if err != nil {
		return nil, err
	}
	if _, err = file.WriteAt(appendHeader(nil, previous), 0); err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	if err != nil {
		_ = file.Close()
		_ = fsys.Remove(name) // it holds nothing; the next try creates it anew
		return nil, err
	}
	return &segment{name: name, first: first, previous: previous, file: file, size: int64(headerBytes)}, nil
}

// read returns a letter that the segment has.
func (s *segment) read(seq uint64) (record, error) {
	e := &s.entries[seq-s.first]
	frame := make([]byte, e.length)
	if err := vfs.ReadFull(s.file, frame, e.offset); err != nil {
		return record{}, fmt.Errorf("read dead letter %s: %w", formatID(seq), err)
	}
	r, n, err := readFrame(frame)
	if err != nil || n != len(frame) || r.seq != seq {
		return record{}, fmt.Errorf("dead letter %s is damaged: %q at byte %d", formatID(seq), s.name, e.offset)
	}
	return r, nil
}
