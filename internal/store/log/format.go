package log

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"
)

const (
	version     = 1
	headerSize  = 40
	frameHeader = 32 // bytes in front of a payload

	// MaxPayload bounds a frame's payload, in bytes.
	MaxPayload = 256 << 20

	// kindEnd marks a log that was closed; its frame has no payload and is
	// not replayed.
	kindEnd = 0
)

var (
	magic      = []byte("scopelog")
	marker     = []byte{0xF5, 'S', 'F'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// header is a segment's first bytes.
type header struct {
	segment    uint64
	previous   uint64 // segment before it, 0 if none
	previousAt int64  // how many of its bytes count
}

func (h header) append(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = le.AppendUint32(dst, version)
	dst = le.AppendUint64(dst, h.segment)
	dst = le.AppendUint64(dst, h.previous)
	dst = le.AppendUint64(dst, uint64(h.previousAt))
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// parseHeader reads the header of the file of the given segment.
func parseHeader(b []byte, segment uint64) (header, error) {
	if len(b) < headerSize {
		return header{}, fmt.Errorf("segment header is cut: %d of %d bytes", len(b), headerSize)
	}
	b = b[:headerSize]
	if !bytes.Equal(b[:8], magic) {
		return header{}, fmt.Errorf("not a log segment: begins with %q, not %q", b[:8], magic)
	}
	if v := le.Uint32(b[8:]); v != version && v != 0 {
		return header{}, &versionError{v}
	}
	if le.Uint32(b[36:]) != crc32.Checksum(b[:36], castagnoli) {
		return header{}, fmt.Errorf("segment header has a wrong checksum")
	}
	h := header{segment: le.Uint64(b[12:]), previous: le.Uint64(b[20:]), previousAt: int64(le.Uint64(b[28:]))}
	if h.segment != segment {
		return header{}, fmt.Errorf("segment header is that of segment %d, not %d", h.segment, segment)
	}
	none := h.previous == 0 && h.previousAt == 0
	if !none && (h.previous >= segment || h.previous == 0 || h.previousAt < headerSize) {
		return header{}, fmt.Errorf("segment header names segment %d with %d bytes as the previous one", h.previous, h.previousAt)
	}
	return h, nil
}

// versionError is about a header that another version of this package wrote.
type versionError struct{ version uint32 }

func (e *versionError) Error() string {
	return fmt.Sprintf("segment has format version %d, only %d is known", e.version, version)
}

// place is where a frame begins. It goes into the frame's checksum, so that
// bytes which look like a frame count nowhere else: not in a client's payload,
// and not in disk blocks that another file left behind.
type place struct {
	segment uint64
	offset  int64
}

func (p place) seed() uint32 {
	var b [16]byte
	le.PutUint64(b[:], p.segment)
	le.PutUint64(b[8:], uint64(p.offset))
	return crc32.Checksum(b[:], castagnoli)
}

// appendFrame appends f as it is written at p, when the segment's first synced
// bytes were known to be durable.
func appendFrame(dst []byte, p place, synced int64, f Frame) []byte {
	start := len(dst)
	dst = append(dst, marker...)
	dst = append(dst, f.Kind)
	dst = le.AppendUint32(dst, uint32(len(f.Payload)))
	dst = le.AppendUint64(dst, uint64(synced))
	dst = le.AppendUint64(dst, uint64(f.Received))
	dst = le.AppendUint32(dst, crc32.Checksum(f.Payload, castagnoli))
	dst = le.AppendUint32(dst, crc32.Update(p.seed(), castagnoli, dst[start:]))
	return append(dst, f.Payload...)
}

// frameHead is a decoded frame header.
type frameHead struct {
	kind     byte
	size     int64 // of the payload
	synced   int64
	received int64
	sum      uint32 // of the payload
}

// parseHead reads the frame header at p, of which b is the rest of the
// segment; false means that there is none.
func parseHead(b []byte, p place) (frameHead, bool) {
	if len(b) < frameHeader || !bytes.HasPrefix(b, marker) ||
		le.Uint32(b[28:]) != crc32.Update(p.seed(), castagnoli, b[:28]) {
		return frameHead{}, false
	}
	h := frameHead{
		kind:     b[3],
		size:     int64(le.Uint32(b[4:])),
		synced:   int64(le.Uint64(b[8:])),
		received: int64(le.Uint64(b[16:])),
		sum:      le.Uint32(b[24:]),
	}
	return h, h.synced >= headerSize && h.synced <= p.offset
}

// scan is what a segment's bytes hold.
type scan struct {
	frames int64
	// end is where the valid frames end.
	end int64
	// proven is how many bytes the valid frames say were durable once.
	proven int64
}

// scanFrames calls f for each of the caller's frames in data, a segment from
// its header on, and stops at the first bytes that are no valid frame.
func scanFrames(data []byte, segment uint64, f func(Frame) error) (scan, error) {
	s := scan{end: headerSize, proven: headerSize}
	for {
		rest := data[s.end:]
		h, ok := parseHead(rest, place{segment, s.end})
		if !ok || h.size > int64(len(rest))-frameHeader {
			return s, nil
		}
		total := frameHeader + h.size
		payload := rest[frameHeader:total:total]
		if crc32.Checksum(payload, castagnoli) != h.sum {
			return s, nil
		}
		s.end += total
		s.proven = max(s.proven, h.synced)
		if h.kind == kindEnd {
			continue
		}
		s.frames++
		if err := f(Frame{Kind: h.kind, Received: h.received, Payload: payload, Segment: segment}); err != nil {
			return s, err
		}
	}
}

// provenBehind looks for a frame header at or behind from that says that more
// than from bytes of the segment were durable, and returns its offset. Payloads
// are not checked: a header's checksum is bound to its place, and checking
// what a client may have sent would take time that grows with its square.
func provenBehind(data []byte, segment uint64, from int64) (int64, bool) {
	for at := from; at < int64(len(data)); at++ {
		i := bytes.Index(data[at:], marker)
		if i < 0 {
			return 0, false
		}
		at += int64(i)
		if h, ok := parseHead(data[at:], place{segment, at}); ok && h.synced > from {
			return at, true
		}
	}
	return 0, false
}

const suffix = ".log"

func segmentName(dir string, segment uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", segment, suffix))
}

// parseName returns the number in a segment's file name; any other name is no
// segment.
func parseName(name string) (uint64, bool) {
	var n uint64
	if _, err := fmt.Sscanf(name, "%016x", &n); err != nil || segmentName("", n) != name {
		return 0, false
	}
	return n, n > 0
}
