package deadletter

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/otelscope/otelscope/internal/vfs"
)

// recover finds the segments in the folder and what of them counts.
func (l *Log) recover() error {
	firsts, err := l.list()
	if err != nil {
		return err
	}
	for i, first := range firsts {
		if err := l.load(first, i == len(firsts)-1); err != nil {
			return err
		}
	}
	for i, s := range l.segments {
		used := int64(-1)
		if i+1 < len(l.segments) {
			used = l.segments[i+1].previous
		}
		if err := s.recover(used, l.markRemoved); err != nil {
			return err
		}
		l.next = s.next()
	}
	return l.fsys.SyncDir(l.dir)
}

// list returns the numbers of the segments in the folder, oldest first.
func (l *Log) list() ([]uint64, error) {
	names, err := l.fsys.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	var firsts []uint64
	for _, name := range names {
		if first, ok := segmentFirst(name); ok {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	return firsts, nil
}

// load opens a segment and reads its header. The newest may be one whose
// creation did not end, which holds nothing.
func (l *Log) load(first uint64, newest bool) error {
	name := filepath.Join(l.dir, segmentName(first))
	file, err := l.fsys.OpenReadWrite(name)
	if err != nil {
		return err
	}
	s := &segment{name: name, first: first, file: file}
	length, err := s.readHeader()
	switch {
	case err == nil:
		l.segments = append(l.segments, s)
		return nil
	case newest && length >= 0 && length <= int64(headerBytes):
		_ = file.Close()
		return l.fsys.Remove(name)
	default:
		_ = file.Close()
		return err
	}
}

// readHeader returns the file's length, -1 if even that is unknown.
func (s *segment) readHeader() (int64, error) {
	length, err := s.file.Size()
	if err != nil {
		return -1, err
	}
	header := make([]byte, min(length, int64(headerBytes)))
	if err := vfs.ReadFull(s.file, header, 0); err != nil {
		return -1, fmt.Errorf("read %q: %w", s.name, err)
	}
	var ok bool
	if s.previous, ok = parseHeader(header); !ok {
		return length, s.damaged(0)
	}
	return length, nil
}

// recover indexes the segment's records and gives every removal to remove. used
// is how much of the file must be valid; -1 stands for the newest segment,
// which is valid as far as it is, and cut there.
func (s *segment) recover(used int64, remove func(seq uint64)) error {
	data, err := s.contents()
	if err != nil {
		return err
	}
	if used >= 0 && used < int64(len(data)) {
		data = data[:used]
	}
	s.index(data, remove)
	if used >= 0 {
		if s.size != used {
			return s.damaged(s.size)
		}
		return nil
	}
	return s.settle(data[:s.size])
}

// settle makes the newest segment durable as it was read. A killed process may
// have left records that were not synced, or whose sync failed: those can be
// read although they are not on disk, and no sync will ever write them, unless
// they are written again.
func (s *segment) settle(data []byte) error {
	if _, err := s.file.WriteAt(data, 0); err != nil {
		return err
	}
	if err := s.file.Truncate(s.size); err != nil {
		return err
	}
	return s.file.Sync()
}

func (s *segment) contents() ([]byte, error) {
	length, err := s.file.Size()
	if err != nil {
		return nil, err
	}
	data := make([]byte, length)
	if err := vfs.ReadFull(s.file, data, 0); err != nil {
		return nil, fmt.Errorf("read %q: %w", s.name, err)
	}
	return data, nil
}

// index finds the records of data, the file's contents, up to the first that is
// not valid.
func (s *segment) index(data []byte, remove func(seq uint64)) {
	s.size = int64(headerBytes)
	for {
		r, n, err := readFrame(data[s.size:])
		if err != nil || r.seq != 0 && r.seq != s.next() {
			return
		}
		if r.seq != 0 {
			s.add(int64(n), r.time)
		} else {
			s.size += int64(n)
		}
		for _, seq := range r.removed {
			remove(seq)
		}
	}
}

func (s *segment) damaged(at int64) error {
	return fmt.Errorf("dead letters: %q is damaged at byte %d: move it away to start without it", s.name, at)
}
