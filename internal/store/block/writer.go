package block

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/otelscope/otelscope/internal/store/block/table"
	"github.com/otelscope/otelscope/internal/vfs"
)

// Writer writes blocks, one after the other. It belongs to one goroutine and
// keeps its buffers from block to block: one row group's compressed pages,
// some 15 MiB, and some 150 bytes for each row of the largest block so far.
type Writer struct {
	fs      vfs.FS
	dir     string
	table   *table.Writer
	ids     *idsWriter
	shred   *shredder
	starts  []uint64
	order   []uint64
	scratch []uint64
}

// NewWriter returns a writer of blocks into the folder dir, which must exist.
func NewWriter(fs vfs.FS, dir string) *Writer {
	t := table.NewWriter(columns[:])
	ids := newIDsWriter()
	return &Writer{fs: fs, dir: dir, table: t, ids: ids, shred: newShredder(t, ids)}
}

// Write writes rows, at most MaxRows in any order, as the block of that
// number. When it returns nil the block is durable under its final names; on
// an error nothing of it is left, unless removing failed too. It keeps nothing
// of rows.
func (w *Writer) Write(number uint64, rows []Row) (Meta, error) {
	b := pending{fs: w.fs, dir: w.dir, number: number}
	meta, err := w.fill(&b, rows)
	if err == nil {
		err = b.publish()
	}
	if err != nil {
		return Meta{}, fmt.Errorf("write block %d: %w", number, errors.Join(err, b.discard()))
	}
	return meta, nil
}

// fill writes and syncs the files under their temporary names.
func (w *Writer) fill(b *pending, rows []Row) (Meta, error) {
	if len(rows) > MaxRows {
		return Meta{}, fmt.Errorf("%d rows, at most %d are allowed", len(rows), MaxRows)
	}
	if err := b.create(); err != nil {
		return Meta{}, err
	}
	w.table.Reset(&gently{file: b.parquet})
	w.ids.reset(&gently{file: b.ids})
	w.shred.reset()
	var t turns
	for n, i := range w.sort(rows) {
		if n%yieldRows == 0 {
			t.yield()
		}
		if err := w.shred.add(rows[i&rowMask]); err != nil {
			return Meta{}, fmt.Errorf("row %d: %w", i&rowMask, err)
		}
	}
	if err := w.table.Close(); err != nil {
		return Meta{}, err
	}
	meta := Meta{Number: b.number, Rows: int64(len(rows)), ParquetBytes: w.table.Size()}
	if len(rows) > 0 {
		meta.MinStart = w.starts[w.order[0]&rowMask]
		meta.MaxStart = w.starts[w.order[len(rows)-1]&rowMask]
	}
	if err := w.ids.close(meta, w.table.Column(colOTLPSpan).Locations()); err != nil {
		return Meta{}, err
	}
	meta.IDsBytes = int64(w.ids.offset)
	return meta, b.sync()
}

// sort returns the rows' numbers, in the low bits, by start time.
func (w *Writer) sort(rows []Row) []uint64 {
	w.starts = w.starts[:0]
	for _, r := range rows {
		w.starts = append(w.starts, headOf(r.Span).start)
	}
	w.order, w.scratch = byStart(w.starts, w.order, w.scratch)
	return w.order
}

// pending is a block that is being written.
type pending struct {
	fs           vfs.FS
	dir          string
	number       uint64
	parquet, ids vfs.File
	names        []string // of what to remove if it fails
}

// create opens both files under their temporary names.
func (b *pending) create() (err error) {
	if b.ids, err = b.createFile(IDsName(b.number)); err != nil {
		return err
	}
	b.parquet, err = b.createFile(ParquetName(b.number))
	return err
}

func (b *pending) createFile(name string) (vfs.File, error) {
	name = filepath.Join(b.dir, name+temporary)
	f, err := b.fs.Create(name)
	if err == nil {
		b.names = append(b.names, name)
	}
	return f, err
}

// sync makes the files' contents durable and closes them.
func (b *pending) sync() error {
	for _, f := range []*vfs.File{&b.ids, &b.parquet} {
		if err := (*f).Sync(); err != nil {
			return err
		}
		err := (*f).Close()
		*f = nil
		if err != nil {
			return err
		}
	}
	return nil
}

// publish gives the files their final names, the ids first: a .parquet that
// other engines see is always complete.
func (b *pending) publish() error {
	for _, name := range []string{IDsName(b.number), ParquetName(b.number)} {
		final := filepath.Join(b.dir, name)
		if err := b.fs.Rename(final+temporary, final); err != nil {
			return err
		}
		b.names = append(b.names, final)
	}
	return b.fs.SyncDir(b.dir)
}

// discard closes and removes what is there.
func (b *pending) discard() error {
	var errs []error
	for _, f := range []vfs.File{b.ids, b.parquet} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	for _, name := range b.names {
		errs = append(errs, removeIfThere(b.fs, name))
	}
	return errors.Join(errs...)
}
