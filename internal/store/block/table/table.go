// Package table writes flat Parquet files a value at a time, and reads single
// pages of them back. It is to parquet-go what a hand-laid row is to a form:
// the format's vocabulary (package format), its thrift and its run-length
// coding are parquet-go's, but values go straight into page buffers, with no
// value boxes, reflection or row objects in between, because a row's cost here
// is the store's cost. docs/adr/0004-block-layout.md has the figures.
//
// # Protocol
//
//	w := table.NewWriter(columns)
//	w.Reset(out)
//	for each row {
//		w.Column(i).Int(…)  // at most one value a column; each required column exactly one
//		w.EndRow()
//	}
//	w.Close()
//
// EndRow ends a row group by itself when it is full. A column of a row that
// was given no value is NULL, at no cost for the row.
//
// # Ownership
//
// Values are copied. A Writer belongs to one goroutine and keeps its buffers
// from one file to the next.
package table

import (
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/format"
)

// Kind is a column's type.
type Kind uint8

// The types: UTF-8 text, bytes, 64-bit integers, and microseconds since the
// epoch in UTC.
const (
	Text Kind = iota
	Bytes
	Int64
	Micros
)

// Spec describes a column.
type Spec struct {
	Name     string
	Kind     Kind
	Optional bool // may be NULL
	Dict     bool // dictionary-encoded while that pays; Text and Bytes only
	// PageBytes is how many bytes of values make a page; 0 means
	// DefaultPageBytes. A page has at least one value.
	PageBytes int
	// Sorted says that values never fall; readers may count on it.
	Sorted bool
}

const (
	// DefaultPageBytes is a page's size before compression.
	DefaultPageBytes = 64 << 10
	// GroupRows is how many rows a row group has at most.
	GroupRows = 64 << 10
	// GroupBytes ends a row group that has as many bytes of compressed pages.
	GroupBytes = 32 << 20
	// keepBytes is the largest buffer that is kept for the next row group.
	keepBytes = 16 << 20
)

const magic = "PAR1"

// Writer writes one file after the other.
type Writer struct {
	columns []*Column
	out     io.Writer
	offset  int64 // bytes written to out
	row     int   // rows in this group
	size    int   // bytes of finished pages in this group
	group   int   // row groups begun before this one
	meta    format.FileMetaData
	err     error // the first error of out
}

// NewWriter returns a writer of tables with the columns.
func NewWriter(columns []Spec) *Writer {
	w := &Writer{}
	for _, s := range columns {
		if s.PageBytes == 0 {
			s.PageBytes = DefaultPageBytes
		}
		w.columns = append(w.columns, newColumn(w, s))
	}
	w.meta = format.FileMetaData{Version: 2, CreatedBy: "scope", Schema: schema(columns), ColumnOrders: orders(len(columns))}
	return w
}

// Reset begins a new file, whatever became of the last.
func (w *Writer) Reset(out io.Writer) {
	for _, c := range w.columns {
		c.locations = c.locations[:0]
		c.resetGroup()
	}
	w.out, w.offset, w.row, w.size, w.group, w.err = out, 0, 0, 0, 0, nil
	w.meta.NumRows, w.meta.RowGroups = 0, w.meta.RowGroups[:0]
	w.write([]byte(magic))
}

// Column returns the column of that position.
func (w *Writer) Column(i int) *Column { return w.columns[i] }

// Rows returns how many rows the file has so far.
func (w *Writer) Rows() int64 { return w.meta.NumRows + int64(w.row) }

// Group tells row groups apart: indexes that Intern returned are good for one.
func (w *Writer) Group() int { return w.group }

// Size returns how many bytes were written to the file.
func (w *Writer) Size() int64 { return w.offset }

// EndRow ends the current row.
func (w *Writer) EndRow() error {
	w.row++
	if w.row >= GroupRows || w.size >= GroupBytes {
		return w.endGroup()
	}
	return nil
}

// Close ends the file with its footer. It does not close out.
func (w *Writer) Close() error {
	if err := w.endGroup(); err != nil {
		return err
	}
	end, err := footer(&w.meta)
	if err != nil {
		return fmt.Errorf("encode the footer: %w", err)
	}
	w.write(end)
	return w.err
}

// endGroup writes what is pending as a row group.
func (w *Writer) endGroup() error {
	if w.row == 0 || w.err != nil {
		return w.err
	}
	group := format.RowGroup{
		Columns:    make([]format.ColumnChunk, 0, len(w.columns)),
		NumRows:    int64(w.row),
		FileOffset: w.offset,
		Ordinal:    int16(w.group),
	}
	for i, c := range w.columns {
		if c.spec.Sorted {
			group.SortingColumns = append(group.SortingColumns, format.SortingColumn{ColumnIdx: int32(i)})
		}
		chunk := c.endGroup(w.offset)
		w.write(c.dictPage)
		w.write(c.pages)
		group.TotalByteSize += chunk.MetaData.TotalUncompressedSize
		group.TotalCompressedSize += chunk.MetaData.TotalCompressedSize
		group.Columns = append(group.Columns, chunk)
		c.resetGroup()
	}
	w.meta.RowGroups = append(w.meta.RowGroups, group)
	w.meta.NumRows += int64(w.row)
	w.row, w.size = 0, 0
	w.group++
	return w.err
}

func (w *Writer) write(b []byte) {
	if w.err != nil {
		return
	}
	n, err := w.out.Write(b)
	w.offset += int64(n)
	w.err = err
}
