package table

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"unicode/utf8"
)

const (
	// dictEntries and dictBytes are what a dictionary takes in one row group
	// before Value goes on with plain values.
	dictEntries = 8 << 10
	dictBytes   = 512 << 10
)

// Column takes the values of one column, at most one between two EndRows.
type Column struct {
	w    *Writer
	spec Spec
	page page
	dict dictionary
	chunk
}

// page is a data page under construction.
type page struct {
	start   int     // its first row in the group
	levels  []byte  // 1: there is a value, 0: NULL; optional columns only
	values  []byte  // PLAIN
	indexes []int32 // into the dictionary; a page has these or values
}

// dictionary is what a column's values are taken from in one row group.
type dictionary struct {
	index  map[string]int32
	values []byte // PLAIN
	count  int
	full   bool // Value goes on with plain values
}

func newColumn(w *Writer, s Spec) *Column {
	c := &Column{w: w, spec: s}
	if s.Dict {
		c.dict.index = map[string]int32{}
	}
	return c
}

// Int gives the row an integer or a time.
func (c *Column) Int(v int64) {
	c.present()
	c.min, c.max = min(c.min, v), max(c.max, v)
	c.page.values = binary.LittleEndian.AppendUint64(c.page.values, uint64(v))
	c.ended()
}

// Value gives the row a text or bytes. In text, bytes that are not part of
// valid UTF-8 become U+FFFD.
func (c *Column) Value(v []byte) {
	if c.spec.Dict && !c.dict.full {
		i, ok := c.dict.index[string(v)]
		if !ok && (c.dict.count >= dictEntries || len(c.dict.values) >= dictBytes) {
			c.leaveDictionary()
		} else {
			if !ok {
				i = c.add(v)
			}
			c.Index(i)
			return
		}
	}
	if c.spec.Kind == Text && !utf8.Valid(v) {
		v = bytes.ToValidUTF8(v, replacement)
	}
	c.End(append(c.Begin(), v...))
}

var replacement = []byte("\uFFFD")

// Hex gives the row the lower-case hexadecimal form of v.
func (c *Column) Hex(v []byte) { c.End(hex.AppendEncode(c.Begin(), v)) }

// Begin and End give the row what the caller appends to Begin's result, which
// for text must be valid UTF-8:
//
//	c.End(append(c.Begin(), value...))
//
// After Begin without End the writer is good for Reset only. Not for columns
// with a dictionary.
func (c *Column) Begin() []byte {
	c.present()
	return append(c.page.values, 0, 0, 0, 0)
}

// End takes what Begin's result has become.
func (c *Column) End(values []byte) {
	at := len(c.page.values)
	binary.LittleEndian.PutUint32(values[at:], uint32(len(values)-at-4))
	c.page.values = values
	c.ended()
}

// Intern puts a value into the dictionary, however full, and returns its
// index, to be used with Index in the same row group. A column is filled by
// Value or by Index, not both.
func (c *Column) Intern(v []byte) int32 {
	if i, ok := c.dict.index[string(v)]; ok {
		return i
	}
	return c.add(v)
}

// Index gives the row a value of the dictionary.
func (c *Column) Index(i int32) {
	c.present()
	c.page.indexes = append(c.page.indexes, i)
}

// add puts a new value into the dictionary.
func (c *Column) add(v []byte) int32 {
	if c.spec.Kind == Text && !utf8.Valid(v) {
		i := c.Intern(bytes.ToValidUTF8(v, replacement))
		c.dict.index[string(v)] = i
		return i
	}
	i := int32(c.dict.count)
	c.dict.index[string(v)] = i
	c.dict.values = binary.LittleEndian.AppendUint32(c.dict.values, uint32(len(v)))
	c.dict.values = append(c.dict.values, v...)
	c.dict.count++
	return i
}

// leaveDictionary ends the page, so that the next can hold plain values.
func (c *Column) leaveDictionary() {
	c.endPage(c.w.row)
	c.dict.full = true
}

// present notes that the current row has a value, and that those before it
// without one are NULL.
func (c *Column) present() {
	if c.spec.Optional {
		c.fill(c.w.row)
		c.page.levels = append(c.page.levels, 1)
	}
}

// fill makes the rows up to end that have no value NULL.
func (c *Column) fill(end int) {
	have := len(c.page.levels)
	missing := end - c.page.start - have
	if missing <= 0 {
		return
	}
	c.page.levels = slices.Grow(c.page.levels, missing)[:have+missing]
	clear(c.page.levels[have:])
	c.nulls += int64(missing)
}

// ended ends a page that is full.
func (c *Column) ended() {
	if len(c.page.values) >= c.spec.PageBytes {
		c.endPage(c.w.row + 1)
	}
}

// endPage makes a page of the rows up to end that are in none.
func (c *Column) endPage(end int) {
	if c.spec.Optional {
		c.fill(end)
	}
	if end == c.page.start {
		return
	}
	before := len(c.pages)
	c.writePage(&c.page, int32(end-c.page.start), c.dict.count)
	c.w.size += len(c.pages) - before
	c.locations = append(c.locations, Location{
		FirstRow: c.w.meta.NumRows + int64(c.page.start),
		Offset:   int64(before), // place makes it absolute
		Size:     int32(len(c.pages) - before),
	})
	c.page = page{
		start:   end,
		levels:  c.page.levels[:0],
		values:  keep(c.page.values),
		indexes: c.page.indexes[:0],
	}
}

// resetGroup prepares for another row group.
func (c *Column) resetGroup() {
	c.page = page{levels: c.page.levels[:0], values: keep(c.page.values), indexes: c.page.indexes[:0]}
	clear(c.dict.index)
	c.dict.values = keep(c.dict.values)
	c.dict.count, c.dict.full = 0, false
	c.chunk.reset()
}

// keep empties a buffer, and lets go of one that became very large.
func keep(b []byte) []byte {
	if cap(b) > keepBytes {
		return nil
	}
	return b[:0]
}

const (
	noMin = math.MaxInt64
	noMax = math.MinInt64
)
