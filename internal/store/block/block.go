package block

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/store/field"
	"github.com/otelscope/otelscope/internal/vfs"
)

// Row is one span as OTLP protobuf, see store.Span. Of rows that a Block
// returned Span is the caller's alone; Origin is shared and must not be
// written to. Both may be kept.
type Row struct {
	Origin []byte // an encoded ResourceSpans without spans
	Span   []byte // an encoded Span
}

// Meta describes a block.
type Meta struct {
	Number       uint64
	Rows         int64
	ParquetBytes int64
	IDsBytes     int64
	// The earliest and the latest start of a span, nanoseconds since the
	// epoch as OTLP has them; 0 in a block without rows.
	MinStart, MaxStart uint64
}

// CorruptError says that a file of a block is not what was written.
type CorruptError struct {
	File string // its path
	Err  error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("block file %q is damaged: %v", e.File, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// Block is an open block. Its methods may be called from many goroutines; none
// may run during or after Close.
type Block struct {
	set         *Set
	slot        slot
	inSet       bool // slot counts
	meta        Meta
	ids         *ids
	idsFile     vfs.File
	parquetFile vfs.File
	idsName     string
	parquetName string

	mu      sync.Mutex
	origins map[uint32][]byte // some that were read, by place
	zones   []Zone            // of a block that has none in its file, when asked for

	censusMu sync.Mutex
	census   *field.Census // the same
}

// maxOrigins is how many origins an open block remembers.
const maxOrigins = 128

// Set is a folder's open blocks, which are asked together. Its methods may be
// called from many goroutines.
type Set struct {
	fsys    vfs.FS
	dir     string
	filters filters
	pages   *pageCache
}

// NewSet returns a set of blocks of a folder, none open.
func NewSet(fsys vfs.FS, dir string) *Set { return &Set{fsys: fsys, dir: dir, pages: newPageCache()} }

// Open opens a block. Its files stay open until Close; Remove may come first.
func (s *Set) Open(number uint64) (_ *Block, err error) {
	fsys, dir := s.fsys, s.dir
	b := &Block{
		set:         s,
		idsName:     filepath.Join(dir, IDsName(number)),
		parquetName: filepath.Join(dir, ParquetName(number)),
		origins:     map[uint32][]byte{},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if b.idsFile, err = fsys.Open(b.idsName); err != nil {
		return nil, err
	}
	if b.parquetFile, err = fsys.Open(b.parquetName); err != nil {
		return nil, err
	}
	idsSize, err := b.idsFile.Size()
	if err != nil {
		return nil, err
	}
	parquetSize, err := b.parquetFile.Size()
	if err != nil {
		return nil, err
	}
	if b.ids, err = readIDs(b.idsFile, idsSize); err != nil {
		return nil, &CorruptError{b.idsName, err}
	}
	b.meta = b.ids.meta
	b.meta.Number, b.meta.IDsBytes = number, idsSize
	if parquetSize != b.meta.ParquetBytes {
		return nil, &CorruptError{b.parquetName, fmt.Errorf("it has %d bytes, %d were written", parquetSize, b.meta.ParquetBytes)}
	}
	filter, err := b.ids.filter()
	if err != nil {
		return nil, &CorruptError{b.idsName, err}
	}
	b.slot = s.filters.add(filter)
	b.inSet = true
	return b, nil
}

// Close closes the files, and takes the block out of its set.
func (b *Block) Close() error {
	if b.inSet {
		b.set.filters.drop(b.slot)
	}
	var errs []error
	for _, f := range []vfs.File{b.idsFile, b.parquetFile} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// Meta describes the block.
func (b *Block) Meta() Meta { return b.meta }

// Summary returns what WriteSummarized kept with the block, nil for none.
func (b *Block) Summary() ([]byte, error) {
	if _, there := b.ids.toc[sectionSummary]; !there {
		return nil, nil
	}
	summary, err := b.ids.load(sectionSummary, 1)
	if err != nil {
		return nil, &CorruptError{b.idsName, err}
	}
	return summary, nil
}

// Span returns the spans with both ids, which may be several: identity has
// more to it.
func (b *Block) Span(trace pcommon.TraceID, span pcommon.SpanID) ([]Row, error) {
	return b.find(&b.ids.span, spanFingerprint(trace, span), func(s []byte) bool {
		h := headOf(s)
		return h.trace == trace && h.span == span
	})
}

// Event returns the spans whose scope.event.id or scope.return.event.id is id,
// in the order of their start times.
func (b *Block) Event(id string) ([]Row, error) {
	if id == "" {
		return nil, nil
	}
	return b.find(&b.ids.event, eventFingerprint(id), func(span []byte) bool {
		return hasEvent(span, id)
	})
}

// find returns the rows that a run has for a fingerprint and is accepts.
func (b *Block) find(r *run, f fingerprint, is func(span []byte) bool) ([]Row, error) {
	if !b.set.filters.has(b.slot, f.filterKey()) {
		return nil, nil
	}
	numbers, err := b.rowsOf(r, []fingerprint{f})
	if err != nil {
		return nil, err
	}
	var rows []Row
	p := pageReader{keeps: true}
	defer p.release()
	var places cursor
	defer places.release()
	for _, n := range numbers {
		span, err := p.row(b, n)
		if err != nil {
			return nil, err
		}
		if !is(span) {
			continue
		}
		origin, err := b.origin(n, &places)
		if err != nil {
			return nil, err
		}
		rows = append(rows, Row{Origin: origin, Span: slices.Clone(span)})
	}
	return rows, nil
}

const temporary = ".tmp"

// ParquetName returns the name of a block's file of rows.
func ParquetName(number uint64) string { return fmt.Sprintf("%016x.parquet", number) }

// IDsName returns the name of a block's file of ids.
func IDsName(number uint64) string { return fmt.Sprintf("%016x.ids", number) }

// Remove removes a block's files, as far as they are there, and then makes
// that durable. An open Block stays readable.
func Remove(fsys vfs.FS, dir string, number uint64) error {
	for _, name := range []string{ParquetName(number), IDsName(number)} {
		if err := removeIfThere(fsys, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return fsys.SyncDir(dir)
}

func removeIfThere(fsys vfs.FS, name string) error {
	err := fsys.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
