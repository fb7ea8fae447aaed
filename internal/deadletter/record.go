package deadletter

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

const (
	frameBytes = 8 // length and checksum before each record

	recordLetter  = 1
	recordRemoval = 2

	magic       = "SCOPEDL1"
	headerBytes = len(magic) + 8 + 4
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errRecord  = errors.New("not a valid record")
)

// record is a decoded record. Its byte slices are parts of the frame.
type record struct {
	removed []uint64 // of a removal
	seq     uint64   // of a letter, which never is 0
	time    int64    // nanoseconds since the epoch
	source  []byte
	format  []byte
	reason  []byte
	payload []byte
}

func appendHeader(b []byte, previous int64) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(previous))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseHeader returns the length of the segment before; ok is false where data
// does not begin with a whole header.
func parseHeader(data []byte) (previous int64, ok bool) {
	if len(data) < headerBytes || string(data[:len(magic)]) != magic {
		return 0, false
	}
	sum := headerBytes - 4
	if crc32.Checksum(data[:sum], castagnoli) != binary.LittleEndian.Uint32(data[sum:]) {
		return 0, false
	}
	previous = int64(binary.LittleEndian.Uint64(data[len(magic):]))
	return previous, previous >= 0
}

func appendLetter(b []byte, seq uint64, at time.Time, l *Letter) []byte {
	b, start := beginFrame(b, recordLetter)
	b = binary.AppendUvarint(b, seq)
	b = binary.AppendVarint(b, at.UnixNano())
	b = appendBytes(b, l.Source)
	b = appendBytes(b, l.Format)
	b = appendBytes(b, l.Reason)
	b = append(b, l.Payload...)
	return endFrame(b, start)
}

func appendRemoval(b []byte, seqs []uint64) []byte {
	b, start := beginFrame(b, recordRemoval)
	for _, seq := range seqs {
		b = binary.AppendUvarint(b, seq)
	}
	return endFrame(b, start)
}

func appendBytes(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func beginFrame(b []byte, kind byte) ([]byte, int) {
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0, kind), len(b)
}

func endFrame(b []byte, start int) []byte {
	body := b[start+frameBytes:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(body, castagnoli))
	return b
}

// readFrame reads the record that data begins with, and its length with frame.
func readFrame(data []byte) (record, int, error) {
	if len(data) < frameBytes {
		return record{}, 0, errRecord
	}
	size := int64(binary.LittleEndian.Uint32(data))
	if size == 0 || size > int64(len(data)-frameBytes) {
		return record{}, 0, errRecord
	}
	end := frameBytes + int(size)
	body := data[frameBytes:end]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(data[4:]) {
		return record{}, 0, errRecord
	}
	r, err := parseRecord(body)
	return r, end, err
}

func parseRecord(body []byte) (record, error) {
	kind, in := body[0], reader{rest: body[1:]}
	var r record
	switch kind {
	case recordLetter:
		r.seq = in.uvarint()
		r.time = in.varint()
		r.source, r.format, r.reason = in.bytes(), in.bytes(), in.bytes()
		r.payload = in.rest
		in.bad = in.bad || r.seq == 0
	case recordRemoval:
		for len(in.rest) > 0 && !in.bad {
			r.removed = append(r.removed, in.uvarint())
		}
	default:
		in.bad = true
	}
	if in.bad {
		return record{}, errRecord
	}
	return r, nil
}

// reader takes values off the front of rest; bad says that one was not there.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) advance(n int) {
	if n <= 0 {
		r.bad = true
		return
	}
	r.rest = r.rest[n:]
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.advance(n)
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	r.advance(n)
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}
