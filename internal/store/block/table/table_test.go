package table

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var specs = []Spec{
	{Name: "text"},
	{Name: "text_optional", Optional: true},
	{Name: "text_dict", Dict: true},
	{Name: "text_dict_optional", Dict: true, Optional: true},
	{Name: "text_interned", Dict: true, Optional: true},
	{Name: "bytes", Kind: Bytes, PageBytes: 100},
	{Name: "bytes_optional", Kind: Bytes, Optional: true},
	{Name: "int", Kind: Int64, Sorted: true},
	{Name: "int_optional", Kind: Int64, Optional: true, PageBytes: 100},
	{Name: "micros", Kind: Micros},
}

// model is what was given to the columns: nil, []byte or int64.
type model [][]any

// put gives the current row a value and notes it.
func (m model) put(w *Writer, column int, v any) {
	c, s := w.Column(column), specs[column]
	switch v := v.(type) {
	case nil:
		m[column] = append(m[column], nil)
		return
	case int64:
		c.Int(v)
		m[column] = append(m[column], v)
	case []byte:
		if s.Name == "text_interned" {
			c.Index(c.Intern(v))
		} else {
			c.Value(v)
		}
		if s.Kind == Text {
			v = bytes.ToValidUTF8(v, replacement)
		}
		m[column] = append(m[column], v)
	}
}

// readAll reads a file by parquet-go.
func readAll(t require.TestingT, data []byte) model {
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	m := make(model, len(specs))
	for _, group := range f.RowGroups() {
		for i, chunk := range group.ColumnChunks() {
			m[i] = append(m[i], readChunk(t, chunk)...)
			require.EqualValues(t, group.NumRows(), chunk.NumValues())
		}
	}
	for i := range m {
		require.EqualValues(t, f.NumRows(), len(m[i]), specs[i].Name)
	}
	return m
}

func readChunk(t require.TestingT, chunk parquet.ColumnChunk) (values []any) {
	pages := chunk.Pages()
	defer pages.Close()
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return values
		}
		require.NoError(t, err)
		buf := make([]parquet.Value, page.NumValues())
		n, err := page.Values().ReadValues(buf)
		if !errors.Is(err, io.EOF) {
			require.NoError(t, err)
		}
		require.Len(t, buf, n)
		for _, v := range buf {
			switch {
			case v.IsNull():
				values = append(values, nil)
			case v.Kind() == parquet.Int64:
				values = append(values, v.Int64())
			default:
				values = append(values, bytes.Clone(v.ByteArray()))
			}
		}
		parquet.Release(page)
	}
}

// same is require.Equal for long columns.
func same(t require.TestingT, want, got model) {
	for i := range want {
		require.Len(t, got[i], len(want[i]), specs[i].Name)
		for row := range want[i] {
			a, isBytes := want[i][row].([]byte)
			b, _ := got[i][row].([]byte)
			if isBytes && b != nil && bytes.Equal(a, b) || !isBytes && want[i][row] == got[i][row] {
				continue
			}
			require.Equal(t, want[i][row], got[i][row], "column %s row %d", specs[i].Name, row)
		}
	}
}

// TestReadByParquetGo writes anything and reads it with parquet-go, with one
// writer for all files.
func TestReadByParquetGo(t *testing.T) {
	w := NewWriter(specs)
	var file bytes.Buffer
	rapid.Check(t, func(t *rapid.T) {
		file.Reset()
		w.Reset(&file)
		m := make(model, len(specs))
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		rows := rapid.IntRange(0, 200).Draw(t, "rows")
		distinct := rapid.IntRange(1, 500).Draw(t, "distinct")
		nulls := rapid.IntRange(0, 10).Draw(t, "nulls of ten")
		length := rapid.IntRange(0, 60).Draw(t, "length")
		for range rows {
			for i, s := range specs {
				m.put(w, i, value(r, s, distinct, nulls, length))
			}
			require.NoError(t, w.EndRow())
		}
		require.EqualValues(t, rows, w.Rows())
		require.NoError(t, w.Close())
		require.EqualValues(t, file.Len(), w.Size())
		same(t, m, readAll(t, file.Bytes()))
		checkLocations(t, w, m, file.Bytes())
	})
}

func value(r *rand.Rand, s Spec, distinct, nulls, length int) any {
	switch {
	case s.Optional && r.IntN(10) < nulls:
		return nil
	case s.Kind == Int64 || s.Kind == Micros:
		return int64(r.IntN(distinct)) - 100
	case r.IntN(5) == 0:
		return []byte(fmt.Sprintf("\xff%d\xc3", r.IntN(distinct)))
	default:
		return bytes.Repeat([]byte(fmt.Sprint(r.IntN(distinct))), r.IntN(length+1))
	}
}

// checkLocations reads a required column of plain values page by page.
func checkLocations(t require.TestingT, w *Writer, m model, file []byte) {
	const column = 5
	row := 0
	var buf []byte
	for _, l := range w.Column(column).Locations() {
		require.EqualValues(t, row, l.FirstRow)
		var page Plain
		var err error
		page, buf, err = DecodePage(buf, file[l.Offset:l.Offset+int64(l.Size)])
		require.NoError(t, err)
		for range page.Rows {
			v, err := page.Next()
			require.NoError(t, err)
			require.True(t, bytes.Equal(m[column][row].([]byte), v))
			row++
		}
		_, err = page.Next()
		require.ErrorContains(t, err, "page ends early")
	}
	require.Equal(t, len(m[column]), row)
}

// TestRowGroupsAndFullDictionaries has more rows than a group takes, and more
// distinct values than a dictionary does.
func TestRowGroupsAndFullDictionaries(t *testing.T) {
	var file bytes.Buffer
	w := NewWriter(specs)
	w.Reset(&file)
	m := make(model, len(specs))
	for row := range GroupRows + 5000 {
		if w.Group() != row/GroupRows {
			require.Equal(t, row/GroupRows, w.Group())
		}
		for i, s := range specs {
			switch {
			case s.Kind == Int64 || s.Kind == Micros:
				m.put(w, i, int64(row))
			case s.Optional && row%3 == 0:
				m.put(w, i, nil)
			default:
				m.put(w, i, fmt.Appendf(nil, "value %d", row*7%20_000))
			}
		}
		require.NoError(t, w.EndRow())
	}
	require.NoError(t, w.Close())
	same(t, m, readAll(t, file.Bytes()))
	f, err := parquet.OpenFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
	require.NoError(t, err)
	require.Len(t, f.RowGroups(), 2)
	chunk := f.Metadata().RowGroups[1].Columns[7].MetaData
	require.Equal(t, []byte{0, 0, 1, 0, 0, 0, 0, 0}, chunk.Statistics.MinValue)
	require.Len(t, f.Metadata().RowGroups[0].SortingColumns, 1)
}

func TestLargeValuesEndRowGroups(t *testing.T) {
	r := rand.NewChaCha8([32]byte{})
	var file bytes.Buffer
	w := NewWriter([]Spec{{Name: "a", Kind: Bytes}})
	w.Reset(&file)
	var want [][]byte
	for range 5 {
		v := make([]byte, GroupBytes/2)
		_, _ = r.Read(v)
		w.Column(0).Value(v)
		want = append(want, v)
		require.NoError(t, w.EndRow())
	}
	require.Equal(t, 2, w.Group())
	require.NoError(t, w.Close())
	f, err := parquet.OpenFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
	require.NoError(t, err)
	require.Len(t, f.RowGroups(), 3)
	var got [][]byte
	for _, g := range f.RowGroups() {
		for _, v := range readChunk(t, g.ColumnChunks()[0]) {
			got = append(got, v.([]byte))
		}
	}
	require.True(t, slices.EqualFunc(want, got, bytes.Equal))
}

func TestHexAndAppendedText(t *testing.T) {
	var file bytes.Buffer
	w := NewWriter([]Spec{{Name: "hex"}, {Name: "text", Optional: true}})
	w.Reset(&file)
	w.Column(0).Hex([]byte{0xab, 0x01})
	require.NoError(t, w.EndRow())
	w.Column(0).Hex(nil)
	w.Column(1).End(append(w.Column(1).Begin(), "hello"...))
	require.NoError(t, w.EndRow())
	require.NoError(t, w.Close())
	f, err := parquet.OpenFile(bytes.NewReader(file.Bytes()), int64(file.Len()))
	require.NoError(t, err)
	chunks := f.RowGroups()[0].ColumnChunks()
	require.Equal(t, []any{[]byte("ab01"), []byte{}}, readChunk(t, chunks[0]))
	require.Equal(t, []any{nil, []byte("hello")}, readChunk(t, chunks[1]))
}

// failing fails from a byte on.
type failing struct{ room int }

var errFull = errors.New("full")

func (f *failing) Write(b []byte) (int, error) {
	n := min(len(b), f.room)
	f.room -= n
	if n < len(b) {
		return n, errFull
	}
	return n, nil
}

func TestWriteErrors(t *testing.T) {
	w := NewWriter([]Spec{{Name: "a", Kind: Int64}})
	write := func(out io.Writer) error {
		w.Reset(out)
		for i := range GroupRows + 1 {
			w.Column(0).Int(int64(i))
			if err := w.EndRow(); err != nil {
				return err
			}
		}
		return w.Close()
	}
	var file bytes.Buffer
	require.NoError(t, write(&file))
	for room := 0; room < file.Len(); room += 1 + file.Len()/10 {
		require.ErrorIs(t, write(&failing{room}), errFull, room)
	}
	require.ErrorIs(t, write(&failing{file.Len() - 1}), errFull)
	require.NoError(t, write(&failing{file.Len()}))
}

// onePage returns an encoded page of the values.
func onePage(values ...string) []byte {
	var file bytes.Buffer
	w := NewWriter([]Spec{{Name: "a", Kind: Bytes}})
	w.Reset(&file)
	for _, v := range values {
		w.Column(0).Value([]byte(v))
		_ = w.EndRow()
	}
	_ = w.Close()
	l := w.Column(0).Locations()[0]
	return file.Bytes()[l.Offset : l.Offset+int64(l.Size)]
}

// TestDamagedPages changes every byte of a page.
func TestDamagedPages(t *testing.T) {
	good := onePage("one", "two", "three")
	for i := range good {
		for _, flip := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(good)
			bad[i] ^= flip
			page, _, err := DecodePage(nil, bad)
			if err == nil { // a field of the header that does not matter, or the number of rows
				require.Less(t, i, len(good)-10)
				_, err = page.Next()
				require.NoError(t, err)
			}
		}
	}
	for n := range good {
		_, _, err := DecodePage(nil, good[:n])
		require.Error(t, err)
	}
	_, _, err := DecodePage(nil, append(bytes.Clone(good), 0))
	require.Error(t, err)
}

func FuzzDecodePage(f *testing.F) {
	f.Add(onePage("one", "two", "three"))
	f.Add(onePage(""))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		page, _, err := DecodePage(nil, data)
		for err == nil {
			_, err = page.Next()
		}
	})
}

func TestImpossibleValueLength(t *testing.T) {
	p := Plain{Rows: 1, values: []byte{5, 0, 0, 0, 'a'}}
	_, err := p.Next()
	require.ErrorContains(t, err, "value of 5 bytes where its page has 1 left")
}
