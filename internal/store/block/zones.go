package block

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sort"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store/field"
)

// searchIndex is what an .ids file has for searches by fields. Blocks from before
// there was such a thing have none of it.
type searchIndex struct {
	there      bool
	zones      []Zone
	attributes run
	fields     []listedField // by field
	partial    bool          // there are fields that are left out
	values     section
}

// listedField is a field with the place of its values in their section.
type listedField struct {
	field.Field
	full       bool // there are values that are left out
	at, length uint32
	sum        uint32
}

func (f *ids) loadSearch() error {
	if _, f.search.there = f.toc[sectionZones]; !f.search.there {
		return nil
	}
	if err := f.loadZones(); err != nil {
		return err
	}
	if err := f.loadRun(sectionAttributes, &f.search.attributes); err != nil {
		return err
	}
	return f.loadFields()
}

func (f *ids) loadZones() error {
	b, err := f.load(sectionZones, zoneBytes)
	if err != nil {
		return err
	}
	if want := (f.meta.Rows + ZoneRows - 1) / ZoneRows; int64(len(b)) != want*zoneBytes {
		return fmt.Errorf("section %q has %d bytes, %d are needed", sectionZones, len(b), want*zoneBytes)
	}
	f.search.zones = make([]Zone, len(b)/zoneBytes)
	last := uint64(0)
	for i := range f.search.zones {
		at := b[i*zoneBytes:]
		z := Zone{
			MinStart: binary.LittleEndian.Uint64(at), MaxStart: binary.LittleEndian.Uint64(at[8:]),
			MinDuration: binary.LittleEndian.Uint64(at[16:]), MaxDuration: binary.LittleEndian.Uint64(at[24:]),
		}
		if z.MinStart < last || z.MaxStart < z.MinStart || z.MaxDuration < z.MinDuration {
			return fmt.Errorf("section %q has an impossible zone %d", sectionZones, i)
		}
		f.search.zones[i], last = z, z.MaxStart
	}
	return nil
}

func (f *ids) loadFields() (err error) {
	if f.search.values, err = f.find(sectionValues, 1); err != nil {
		return err
	}
	b, err := f.load(sectionFields, 1)
	if err != nil {
		return err
	}
	if len(b) < 4 {
		return fmt.Errorf("section %q has %d bytes, at least 4 are needed", sectionFields, len(b))
	}
	f.search.partial = b[0]&flagPartial != 0
	for b = b[4:]; len(b) > 0; {
		const fixed = 4 + 12
		key := 0
		if len(b) >= fixed {
			key = int(binary.LittleEndian.Uint16(b[2:]))
		}
		if len(b) < fixed+key {
			return fmt.Errorf("section %q ends early", sectionFields)
		}
		tail := b[4+key:]
		l := listedField{
			Field: field.Field{Of: field.Of(b[0]), Key: string(b[4 : 4+key])}, full: b[1]&flagFull != 0,
			at: binary.LittleEndian.Uint32(tail), length: binary.LittleEndian.Uint32(tail[4:]), sum: binary.LittleEndian.Uint32(tail[8:]),
		}
		if uint64(l.at)+uint64(l.length) > f.search.values.length {
			return fmt.Errorf("section %q has values of %v beyond section %q", sectionFields, l.Field, sectionValues)
		}
		f.search.fields = append(f.search.fields, l)
		b = tail[12:]
	}
	if !slices.IsSortedFunc(f.search.fields, func(a, b listedField) int { return field.Compare(a.Field, b.Field) }) {
		return fmt.Errorf("section %q is not sorted", sectionFields)
	}
	return nil
}

// listed returns what is known of a field's values, nil if nothing is.
func (s *searchIndex) listed(f field.Field) *listedField {
	i, found := sort.Find(len(s.fields), func(i int) int { return field.Compare(f, s.fields[i].Field) })
	if !found {
		return nil
	}
	return &s.fields[i]
}

// Zones returns the block's zones, which the caller must not change. Of a block
// from before there were any the first call reads some rows: it says nothing
// of durations, and of starts no more than that.
func (b *Block) Zones() ([]Zone, error) {
	if b.ids.search.there {
		return b.ids.search.zones, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.zones == nil {
		zones, err := b.guessZones()
		if err != nil {
			return nil, err
		}
		b.zones = zones
	}
	return b.zones, nil
}

// guessZones reads each zone's first row.
func (b *Block) guessZones() ([]Zone, error) {
	zones := make([]Zone, (b.meta.Rows+ZoneRows-1)/ZoneRows)
	var p pageReader
	defer p.release()
	for i := range zones {
		span, err := p.row(b, uint32(i*ZoneRows))
		if err != nil {
			return nil, err
		}
		start := headOf(span).start
		zones[i] = Zone{MinStart: start, MaxStart: b.meta.MaxStart, MaxDuration: 1<<64 - 1}
		if i > 0 {
			zones[i-1].MaxStart = start
		}
	}
	return zones, nil
}

// ZonesWith appends to dst the zones that have a row of which a field has the
// value, rising, and perhaps some that have not; a zone may be there twice. If
// failed is set those will do that have such a row with the status error. any
// says that nothing is known and it may be all.
func (b *Block) ZonesWith(dst []uint32, f field.Field, v field.Value, failed bool) (zones []uint32, any bool, err error) {
	s := &b.ids.search
	if !s.there {
		return dst, true, nil
	}
	listed := s.listed(f)
	if listed == nil && !s.partial {
		return dst, false, nil
	}
	hash := v.Hash(f.Hash())
	if r, print := b.keyRun(f, v); r != nil {
		first := len(dst)
		var c cursor
		defer c.release()
		if dst, err = r.find(dst, print, &c); err != nil {
			return dst, false, &CorruptError{b.idsName, err}
		}
		for i := range dst[first:] {
			dst[first+i] /= ZoneRows
		}
	} else if failed && listed != nil && !listed.full {
		hash = ^hash
	}
	var c cursor
	defer c.release()
	if dst, err = s.attributes.find(dst, fingerprint(hash)&^rowMask, &c); err != nil {
		return dst, false, &CorruptError{b.idsName, err}
	}
	return dst, false, nil
}

// keyRun returns the run that finds rows by a value of an attribute, and its
// fingerprint there; nil for nearly all attributes.
func (b *Block) keyRun(f field.Field, v field.Value) (*run, fingerprint) {
	text, ok := v.Text()
	if !ok || f.Of != field.Span {
		return nil, 0
	}
	switch f.Key {
	case causal.AttrEventID, causal.AttrReturnEventID:
		return &b.ids.event, eventFingerprint(string(text))
	case causal.AttrCorrelationID:
		return &b.ids.correlation.run, correlationFingerprint(string(text))
	}
	return nil, 0
}

// Zone calls f with each row of a zone, in the order of their start times,
// until it returns an error. The row's Span is valid during the call only.
func (b *Block) Zone(zone int, f func(Row) error) error {
	var p pageReader
	defer p.release()
	var places cursor
	defer places.release()
	for n := int64(zone) * ZoneRows; n < min(int64(zone+1)*ZoneRows, b.meta.Rows); n++ {
		span, err := p.row(b, uint32(n))
		if err != nil {
			return err
		}
		origin, err := b.origin(uint32(n), &places)
		if err != nil {
			return err
		}
		if err := f(Row{Origin: origin, Span: span}); err != nil {
			return err
		}
	}
	return nil
}

// Fields returns the attributes that rows have. partial says that there are
// more. Of a block from before there was a list the first call reads all rows.
func (b *Block) Fields(ctx context.Context) (fields []field.Field, partial bool, err error) {
	if b.ids.search.there {
		for _, l := range b.ids.search.fields {
			if l.Of.Keyed() && (l.length > 0 || l.full) {
				fields = append(fields, l.Field)
			}
		}
		return fields, b.ids.search.partial, nil
	}
	c, err := b.takeCensus(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, t := range c.Tallies() {
		if t.Field().Of.Keyed() {
			fields = append(fields, t.Field())
		}
	}
	return fields, c.Partial(), nil
}

// Values returns values that a field has, in no order. full says that there
// are more. Of a block from before there were lists the first call of it or
// Fields reads all rows.
func (b *Block) Values(ctx context.Context, f field.Field) (values []field.Value, full bool, err error) {
	s := &b.ids.search
	if !s.there {
		c, err := b.takeCensus(ctx)
		if err != nil {
			return nil, false, err
		}
		if t := c.Of(f); t != nil {
			return t.Values(), t.Full(), nil
		}
		return nil, c.Partial(), nil
	}
	l := s.listed(f)
	if l == nil {
		return nil, s.partial, nil
	}
	data := make([]byte, l.length)
	if err := readFull(b.idsFile, data, int64(s.values.offset)+int64(l.at)); err != nil {
		return nil, false, &CorruptError{b.idsName, err}
	}
	if crc32.Checksum(data, castagnoli) != l.sum {
		return nil, false, &CorruptError{b.idsName, fmt.Errorf("section %q has a wrong checksum at %d", sectionValues, l.at)}
	}
	for len(data) > 0 {
		v, rest, ok := field.ReadValue(data)
		if !ok {
			return nil, false, &CorruptError{b.idsName, errors.New("a list of values ends early")}
		}
		values, data = append(values, v), rest
	}
	return values, l.full, nil
}

// takeCensus reads all rows, once.
func (b *Block) takeCensus(ctx context.Context) (*field.Census, error) {
	b.censusMu.Lock()
	defer b.censusMu.Unlock()
	if b.census != nil {
		return b.census, nil
	}
	t := field.NewTaker()
	for row, err := range b.Scan(ctx) {
		if err == nil {
			err = t.Take(row.Origin, row.Span)
		}
		if err != nil {
			return nil, err
		}
	}
	b.census = t.Census
	return b.census, nil
}

// ListedValues returns all values that a field has; known is false where there
// may be others.
func (b *Block) ListedValues(f field.Field) (values []field.Value, known bool, err error) {
	if !b.ids.search.there {
		return nil, false, nil
	}
	values, full, err := b.Values(context.Background(), f)
	return values, !full, err
}
