package block

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelscope/otelscope/internal/causal"
)

// An entry of a run is one number: the upper 40 bits of an id's 64-bit hash,
// then a row number of 24 bits. Sorting whole entries sorts by id and then by
// row. That two of a million different ids agree in 40 bits happens once in a
// million look-ups, and then costs the reading of one row: candidates are
// always compared with the row's real ids.
const (
	rowBits = 24
	rowMask = 1<<rowBits - 1
	// MaxRows is how many rows a block can have.
	MaxRows = 1 << rowBits
)

// Seeds keep the ids of different kinds apart in the filter they share.
const (
	seedTrace = 1 + iota
	seedSpan
	seedEvent
	seedReferring
	seedCorrelation
	seedLeading
	seedLinking
)

// fingerprint is the part of a hash that an entry has, in place.
type fingerprint uint64

func traceFingerprint(id pcommon.TraceID) fingerprint {
	return fingerprint(xxh3.HashSeed(id[:], seedTrace)) &^ rowMask
}

func spanFingerprint(trace pcommon.TraceID, span pcommon.SpanID) fingerprint {
	return idsFingerprint(trace, span, seedSpan)
}

// refFingerprint is that of rows that name a span.
func refFingerprint(ref causal.SpanRef) fingerprint {
	return idsFingerprint(ref.TraceID, ref.SpanID, seedReferring)
}

// linkingFingerprint is that of rows that name a span in a link.
func linkingFingerprint(ref causal.SpanRef) fingerprint {
	return idsFingerprint(ref.TraceID, ref.SpanID, seedLinking)
}

// leadingFingerprint is that of rows that name a span as what they caused.
func leadingFingerprint(ref causal.SpanRef) fingerprint {
	return idsFingerprint(ref.TraceID, ref.SpanID, seedLeading)
}

func idsFingerprint(trace pcommon.TraceID, span pcommon.SpanID, seed uint64) fingerprint {
	var id [24]byte
	copy(id[:], trace[:])
	copy(id[16:], span[:])
	return fingerprint(xxh3.HashSeed(id[:], seed)) &^ rowMask
}

func eventFingerprint(id string) fingerprint {
	return fingerprint(xxh3.HashStringSeed(id, seedEvent)) &^ rowMask
}

func correlationFingerprint(id string) fingerprint {
	return fingerprint(xxh3.HashStringSeed(id, seedCorrelation)) &^ rowMask
}

// filterKey spreads a fingerprint over the 64 bits that the filter looks at.
func (f fingerprint) filterKey() uint64 {
	k := uint64(f) >> rowBits * 0x9e3779b97f4a7c15
	return k ^ k>>32
}

// sortEntries sorts by the upper 40 bits and keeps the order of equals, in
// four counting passes. It returns the scratch space, grown to len(entries).
func sortEntries(entries, scratch []uint64) []uint64 {
	const digit = 10
	scratch = slices.Grow(scratch[:0], len(entries))[:len(entries)]
	from, to := entries, scratch
	for shift := rowBits; shift < 64; shift += digit {
		var next [1 << digit]int
		for _, e := range from {
			next[e>>shift&(1<<digit-1)]++
		}
		sum := 0
		for i, n := range next {
			next[i] = sum
			sum += n
		}
		for _, e := range from {
			i := &next[e>>shift&(1<<digit-1)]
			to[*i] = e
			*i++
		}
		from, to = to, from
	}
	return scratch
}

// byStart returns the numbers of the rows (its entries' low bits) in the order
// of their start times, rows with equal ones in the order given. order and
// scratch are space that may be used, and are returned.
func byStart(starts []uint64, order, scratch []uint64) (_, _ []uint64) {
	order = slices.Grow(order[:0], len(starts))[:len(starts)]
	if len(starts) == 0 {
		return order, scratch
	}
	least, most := slices.Min(starts), slices.Max(starts)
	shift := 0
	for (most-least)>>shift >= 1<<(64-rowBits) {
		shift++
	}
	for i, s := range starts {
		order[i] = (s-least)>>shift<<rowBits | uint64(i)
	}
	scratch = sortEntries(order, scratch)
	if shift > 0 {
		sortEqual(order, starts)
	}
	return order, scratch
}

// sortEqual sorts what sortEntries could not tell apart.
func sortEqual(order, starts []uint64) {
	for i := 0; i < len(order); {
		j := i + 1
		for j < len(order) && order[j]>>rowBits == order[i]>>rowBits {
			j++
		}
		slices.SortStableFunc(order[i:j], func(a, b uint64) int {
			return cmp.Compare(starts[a&rowMask], starts[b&rowMask])
		})
		i = j
	}
}

// head is what stands at the head of an encoded span.
type head struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
	start uint64
}

// headOf reads a well-formed span; of one that is not it returns what stands
// before the mistake.
func headOf(b []byte) (h head) {
	for len(b) > 0 {
		tag, n := varint(b)
		if n <= 0 {
			return h
		}
		b = b[n:]
		switch typ := protowire.Type(tag & 7); typ {
		case protowire.BytesType:
			size, n := varint(b)
			if n <= 0 || size > uint64(len(b)-n) {
				return h
			}
			data := b[n : n+int(size)]
			b = b[n+int(size):]
			switch tag >> 3 {
			case 1:
				h.trace = pcommon.TraceID{}
				copy(h.trace[:], data)
			case 2:
				h.span = pcommon.SpanID{}
				copy(h.span[:], data)
			}
		case protowire.Fixed64Type:
			if len(b) < 8 {
				return h
			}
			if tag>>3 == 7 {
				h.start = binary.LittleEndian.Uint64(b)
			}
			b = b[8:]
		default:
			n := protowire.ConsumeFieldValue(protowire.Number(tag>>3), typ, b)
			if n < 0 {
				return h
			}
			b = b[n:]
		}
	}
	return h
}

// varint is protowire.ConsumeVarint, inlined for one byte.
func varint(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return protowire.ConsumeVarint(b)
}
