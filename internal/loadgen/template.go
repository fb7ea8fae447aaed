package loadgen

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
)

// Slots are written into a template's source as markers of the same width as
// what will stand there. Raw ones are for protobuf, texts for JSON and for
// strings in either.
//
//	trace    "\xfeT" + 14 digits   16 raw bytes
//	span     "\xfeS" + 6 digits    8 raw bytes
//	nanos    "\xfeB" + 6 digits    8 bytes little endian, digits = microseconds before now
//	hex      "~" + 14 digits + "~" 16 hex digits
//	decimal  "@" + 17 digits + "@" 19 digits, nanoseconds; digits = microseconds before now
type slotKind uint8

const (
	slotTrace slotKind = iota
	slotSpan
	slotNanos
	slotHex
	slotDecimal
)

func traceMark(n int) string { return fmt.Sprintf("\xfeT%014d", n) }
func spanMark(n int) string  { return fmt.Sprintf("\xfeS%06d", n) }
func nanosMark(us int) uint64 {
	return binary.LittleEndian.Uint64(fmt.Appendf(nil, "\xfeB%06d", us))
}
func hexMark(n int) string      { return fmt.Sprintf("~%014d~", n) }
func decimalMark(us int) string { return fmt.Sprintf("@%017d@", us) }

type slot struct {
	at   int
	n    int64 // which id; for times microseconds before now
	kind slotKind
}

// Template is a request whose ids and times can be overwritten. It is not safe
// for concurrent use; Clone gives another worker its own.
type Template struct {
	seed  uint64
	body  []byte
	slots []slot
	// Items is how many spans or events the request holds.
	Items int
}

// compile finds the marks in body and takes body over.
func compile(seed uint64, items int, body []byte) *Template {
	t := &Template{seed: seed, body: body, Items: items}
	for i := 0; i < len(body); i++ {
		kind, width, digits := mark(body[i:])
		if width == 0 || i+width > len(body) {
			continue
		}
		n, err := strconv.ParseInt(string(body[i+width-digits[1]:i+width-digits[0]]), 10, 64)
		if err != nil {
			continue
		}
		t.slots = append(t.slots, slot{at: i, n: n, kind: kind})
		i += width - 1
	}
	return t
}

// mark recognises a marker at the beginning of b: how wide it is, and where
// its digits end and begin, counted from its end. Width 0 means none.
func mark(b []byte) (kind slotKind, width int, digits [2]int) {
	switch {
	case b[0] == '~':
		return slotHex, 16, [2]int{1, 15}
	case b[0] == '@':
		return slotDecimal, 19, [2]int{1, 18}
	case b[0] != 0xfe || len(b) < 8:
		return 0, 0, digits
	case b[1] == 'T':
		return slotTrace, 16, [2]int{0, 14}
	case b[1] == 'S':
		return slotSpan, 8, [2]int{0, 6}
	case b[1] == 'B':
		return slotNanos, 8, [2]int{0, 6}
	}
	return 0, 0, digits
}

// Clone returns a template of the same content with a body of its own.
func (t *Template) Clone() *Template {
	c := *t
	c.body = append([]byte(nil), t.body...)
	return &c
}

// Fill makes the template request seq with times around now, nanoseconds
// since the epoch, and returns it: 16-19 digits of now are assumed to be 19.
// The bytes are the template's until the next Fill.
func (t *Template) Fill(seq uint64, now int64) []byte {
	base := t.base(seq)
	for _, s := range t.slots {
		switch s.kind {
		case slotTrace:
			id := traceID(base, uint64(s.n))
			copy(t.body[s.at:], id[:])
		case slotSpan:
			binary.BigEndian.PutUint64(t.body[s.at:], spanID(base, uint64(s.n)))
		case slotNanos:
			binary.LittleEndian.PutUint64(t.body[s.at:], uint64(now-s.n*1000))
		case slotHex:
			putHex(t.body[s.at:s.at+16], spanID(base, uint64(s.n)))
		case slotDecimal:
			putDecimal(t.body[s.at:s.at+19], uint64(now-s.n*1000))
		}
	}
	return t.body
}

func (t *Template) base(seq uint64) uint64 { return mix(t.seed ^ mix(seq)) }

// TraceID returns the trace id n of request seq.
func (t *Template) TraceID(seq uint64, n int) [16]byte { return traceID(t.base(seq), uint64(n)) }

// SpanID returns the span id n of request seq.
func (t *Template) SpanID(seq uint64, n int) (id [8]byte) {
	binary.BigEndian.PutUint64(id[:], spanID(t.base(seq), uint64(n)))
	return id
}

// Text returns the hex id n of request seq, 16 digits.
func (t *Template) Text(seq uint64, n int) string {
	var b [16]byte
	putHex(b[:], spanID(t.base(seq), uint64(n)))
	return string(b[:])
}

func traceID(base, n uint64) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:8], mix(base+2*n))
	binary.BigEndian.PutUint64(id[8:], mix(^base+2*n))
	return id
}

func spanID(base, n uint64) uint64 { return mix(bits.RotateLeft64(base, 17)+n) | 1 }

// mix is the finalizer of splitmix64: every bit of x moves every bit of it.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

const hexDigits = "0123456789abcdef"

func putHex(b []byte, v uint64) {
	_ = b[15]
	for i := 15; i >= 0; i-- {
		b[i] = hexDigits[v&15]
		v >>= 4
	}
}

func putDecimal(b []byte, v uint64) {
	for i := len(b) - 1; i >= 0; i-- {
		q := v / 10
		b[i] = byte('0' + v - q*10)
		v = q
	}
}
