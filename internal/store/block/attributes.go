package block

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/field"
)

// ZoneRows is how many neighbouring rows make a zone; the last may have fewer.
const ZoneRows = 256

// Zone says between what its rows are. A row whose end is before its start
// lasted 0 ns.
type Zone struct {
	MinStart, MaxStart       uint64 // nanoseconds since the epoch
	MinDuration, MaxDuration uint64 // nanoseconds
}

// zoneBytes is the size of a zone in the file.
const zoneBytes = 32

// attributeIndex collects in which zones which fields have which values.
//
// An entry of its run is a value's fingerprint and a zone in the place of a
// row. A value that a row with the status error has gets a second one, with the
// complement of its hash, as long as its field's list of values is whole: what
// is rare and what is frequent are often asked for together, and the zones that
// have both are far more than those that have them in one row. Fields with many
// values need no such help.
type attributeIndex struct {
	census  *field.Census
	entries []uint64
	zones   []Zone
	zone    uint64 // the row's
	failed  bool   // the row has the status error

	// recent are entries that were made not long ago, by their upper bits: the
	// same values come again and again.
	recent [1 << recentBits]uint64
	// listed are hashes of values that the census was told of, by their upper
	// bits.
	listed [1 << recentBits]uint64

	name, message, eventName keyless
	kinds, statuses          keyless
	values                   []byte // section being written
}

const recentBits = 12

// keyless is a field that is no attribute.
type keyless struct {
	of    field.Of
	hash  uint64
	tally *field.Tally
	small [8]uint64 // the hashes of the numbers from 0 on
}

// attribute is a resource's.
type attribute struct {
	hash  uint64
	tally *field.Tally
	value field.Value
}

func newAttributeIndex() *attributeIndex {
	return &attributeIndex{
		census: field.NewCensus(), name: keyless{of: field.Name}, message: keyless{of: field.StatusMessage},
		eventName: keyless{of: field.EventName}, kinds: keyless{of: field.Kind}, statuses: keyless{of: field.Status},
	}
}

func (x *attributeIndex) reset() {
	x.census.Reset()
	x.entries, x.zones = x.entries[:0], x.zones[:0]
	for i := range x.recent {
		x.recent[i] = math.MaxUint64
	}
	clear(x.listed[:])
	for _, k := range []*keyless{&x.name, &x.message, &x.eventName, &x.kinds, &x.statuses} {
		k.hash, k.tally = x.census.Tally(k.of, nil)
		for n := range k.small {
			k.small[n] = field.Int(int64(n)).Hash(k.hash)
		}
	}
}

// begin begins the next row, which has that number, and notes what is no
// attribute.
func (x *attributeIndex) begin(row uint64, span *otlpwire.Span) {
	lasted := uint64(0)
	if span.End > span.Start {
		lasted = span.End - span.Start
	}
	if row%ZoneRows == 0 {
		x.zones = append(x.zones, Zone{MinStart: span.Start, MaxStart: span.Start, MinDuration: lasted, MaxDuration: lasted})
	}
	x.zone = row / ZoneRows
	z := &x.zones[x.zone]
	z.MaxStart = span.Start
	z.MinDuration, z.MaxDuration = min(z.MinDuration, lasted), max(z.MaxDuration, lasted)

	x.failed = span.StatusCode == statusError
	x.add(&x.name, field.Text(span.Name))
	x.add(&x.message, field.Text(span.StatusMessage))
	x.number(&x.kinds, span.Kind)
	x.number(&x.statuses, span.StatusCode)
}

// number is add for numbers, which are small.
func (x *attributeIndex) number(k *keyless, n int32) {
	if uint32(n) >= uint32(len(k.small)) {
		x.add(k, field.Int(int64(n)))
		return
	}
	if hash := k.small[n]; x.enter(k.tally, hash) {
		x.census.Note(k.tally, hash, field.Int(int64(n)))
	}
}

const statusError = 2

func (x *attributeIndex) add(k *keyless, v field.Value) {
	if hash := v.Hash(k.hash); x.enter(k.tally, hash) {
		x.census.Note(k.tally, hash, v)
	}
}

// attribute notes an attribute of the row or of one of its events.
func (x *attributeIndex) attribute(of field.Of, a *otlpwire.Attr) {
	key, tally := x.census.Tally(of, a.Key)
	if hash, ok := field.HashEncoded(a.Value, key); ok && x.enter(tally, hash) {
		v, _ := field.Decode(a.Value)
		x.census.Note(tally, hash, v)
	}
}

// list notes the value of an attribute that another run finds rows by.
func (x *attributeIndex) list(key, text []byte) { x.census.Add(field.Span, key, field.Text(text)) }

// resource decodes a resource's attributes once for all its rows.
func (x *attributeIndex) resource(attrs []otlpwire.Attr) (out []attribute) {
	for _, a := range attrs {
		if v, ok := field.Decode(a.Value); ok {
			hash, tally := x.census.Tally(field.Resource, a.Key)
			out = append(out, attribute{v.Hash(hash), tally, v})
		}
	}
	return out
}

// origin notes the attributes of the row's resource, unless a row of the zone
// had it already.
func (x *attributeIndex) origin(o *origin) {
	last := &o.zone
	if x.failed {
		last = &o.failedZone
	}
	if *last == x.zone+1 {
		return
	}
	*last = x.zone + 1
	for i := range o.attributes {
		a := &o.attributes[i]
		if x.enter(a.tally, a.hash) {
			x.census.Note(a.tally, a.hash, a.value)
		}
	}
}

// enter makes the entries of a value with that hash, unless they were made, and
// reports whether the census may not know the value yet.
func (x *attributeIndex) enter(t *field.Tally, hash uint64) (unlisted bool) {
	if x.failed && t != nil && !t.Full() {
		x.entry(^hash)
	}
	if !x.entry(hash) || t == nil || t.Full() {
		return false
	}
	listed := &x.listed[hash>>(64-recentBits)]
	if *listed == hash {
		return false
	}
	*listed = hash
	return true
}

func (x *attributeIndex) entry(hash uint64) (fresh bool) {
	e := hash&^rowMask | x.zone
	recent := &x.recent[hash>>(64-recentBits)]
	if *recent == e {
		return false
	}
	*recent = e
	x.entries = append(x.entries, e)
	return true
}

// Flags of the section of fields and of a field in it.
const (
	flagPartial = 1 // there are fields that are left out
	flagFull    = 1 // there are values that are left out
)

// writeAttributes writes the sections for searches; the run is sorted.
func (w *idsWriter) writeAttributes() {
	x := w.attributes
	w.begin(sectionZones)
	for _, z := range x.zones {
		w.buf = w.buf[:0]
		for _, v := range []uint64{z.MinStart, z.MaxStart, z.MinDuration, z.MaxDuration} {
			w.buf = binary.LittleEndian.AppendUint64(w.buf, v)
		}
		w.write(w.buf)
	}
	w.run(sectionAttributes, x.entries)

	flags := uint32(0)
	if x.census.Partial() {
		flags = flagPartial
	}
	fields := binary.LittleEndian.AppendUint32(w.buf[:0], flags)
	x.values = x.values[:0]
	for _, t := range x.census.Tallies() {
		at := len(x.values)
		for _, v := range t.Values() {
			x.values = v.AppendTo(x.values)
		}
		fields = appendField(fields, t, at, x.values[at:])
	}
	w.begin(sectionFields)
	w.write(fields)
	w.buf = fields
	w.begin(sectionValues)
	w.write(x.values)
}

func appendField(dst []byte, t *field.Tally, at int, values []byte) []byte {
	flags := byte(0)
	if t.Full() {
		flags = flagFull
	}
	key := t.Field().Key
	dst = append(dst, byte(t.Field().Of), flags)
	dst = append(binary.LittleEndian.AppendUint16(dst, uint16(len(key))), key...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(at))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(values)))
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(values, castagnoli))
}
