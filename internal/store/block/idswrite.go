package block

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go/bloom"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/block/table"
)

const (
	idsMagic   = "SCOPEIDS"
	idsVersion = 1
	headerSize = 16 // magic, version, zero
	footerSize = 24 // offset, length and checksum of the table of contents, magic

	granule    = 4096 // bytes of a section that are read and checked at once
	filterBits = 14   // of the filter for each id
)

// The names of sections.
const (
	sectionMeta    = "meta"
	sectionFilter  = "filter"
	sectionPages   = "pages"
	sectionOrigins = "origins"
	sectionRows    = "rows"
	sectionTrace   = "trace"
	sectionSpan    = "span"
	sectionEvent   = "event"
	suffixSums     = ".sums"
	suffixFirst    = ".first"

	sectionReferring   = "referring"
	sectionLeading     = "leading"
	sectionLinking     = "linking"
	sectionCorrelation = "correlation"

	sectionZones      = "zones"
	sectionAttributes = "attributes"
	sectionFields     = "fields"
	sectionValues     = "values"

	sectionSummary = "summary"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// idsWriter collects what finds rows and writes it; docs/format/block.md shows
// the file. It keeps its buffers from one block to the next.
type idsWriter struct {
	out    *bufio.Writer
	offset uint64
	toc    []section

	// Entries, one or more a row, rows rising.
	trace, span, event, referring, linking, leading, correlation []uint64

	attributes *attributeIndex

	rowOrigins []uint32 // a row's origin's place in the section
	sums       []uint32 // of the granules of the section being written
	scratch    []uint64
	filter     bloom.SplitBlockFilter
	buf        []byte

	summary []byte // of the block being written; nil for none
}

// rowKeys are what a row is found by beside its ids; empty where it has none.
type rowKeys struct {
	events      [2][]byte
	correlation []byte
	links       []causal.SpanRef
	effects     []causal.SpanRef // those of the links that the row is the cause of
}

// section is a line of the table of contents.
type section struct {
	name           string
	offset, length uint64
	sum            uint32
}

func newIDsWriter() *idsWriter {
	return &idsWriter{out: bufio.NewWriterSize(nil, 64<<10), attributes: newAttributeIndex()}
}

// reset begins a file, and in it the section of origins, which grows while
// rows are added.
func (w *idsWriter) reset(out io.Writer) {
	w.out.Reset(out)
	w.offset, w.toc = 0, w.toc[:0]
	w.trace, w.span, w.event, w.rowOrigins = w.trace[:0], w.span[:0], w.event[:0], w.rowOrigins[:0]
	w.referring, w.linking, w.leading, w.correlation = w.referring[:0], w.linking[:0], w.leading[:0], w.correlation[:0]
	w.attributes.reset()
	w.buf = append(w.buf[:0], idsMagic...)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, idsVersion)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, 0)
	w.write(w.buf)
	w.begin(sectionOrigins)
}

func (w *idsWriter) begin(name string) {
	w.toc = append(w.toc, section{name: name, offset: w.offset})
}

// write appends to the section that was begun last. Errors wait in w.out.
func (w *idsWriter) write(b []byte) {
	_, _ = w.out.Write(b)
	w.offset += uint64(len(b))
	if len(w.toc) > 0 {
		s := &w.toc[len(w.toc)-1]
		s.length += uint64(len(b))
		s.sum = crc32.Update(s.sum, castagnoli, b)
	}
}

// origin stores an encoded origin and returns its place.
func (w *idsWriter) origin(b []byte) (uint32, error) {
	at := w.toc[0].length
	if at > math.MaxUint32 {
		return 0, fmt.Errorf("the origins of a block have more than %d bytes", uint64(math.MaxUint32))
	}
	w.buf = binary.LittleEndian.AppendUint32(w.buf[:0], uint32(len(b)))
	w.buf = binary.LittleEndian.AppendUint32(w.buf, crc32.Checksum(b, castagnoli))
	w.write(w.buf)
	w.write(b)
	return uint32(at), nil
}

// next is the number of the row that is added next.
func (w *idsWriter) next() uint64 { return uint64(len(w.rowOrigins)) }

// add notes the ids of the next row: those of the span, its origin's place,
// and its keys.
func (w *idsWriter) add(span *otlpwire.Span, origin uint32, keys *rowKeys) {
	row := w.next()
	w.trace = append(w.trace, uint64(traceFingerprint(span.TraceID))|row)
	w.span = append(w.span, uint64(spanFingerprint(span.TraceID, span.SpanID))|row)
	w.rowOrigins = append(w.rowOrigins, origin)
	for _, id := range keys.events {
		if len(id) > 0 {
			w.event = append(w.event, uint64(eventFingerprint(string(id)))|row)
		}
	}
	w.refer(causal.SpanRef{TraceID: span.TraceID, SpanID: span.ParentSpanID}, row)
	for _, ref := range keys.links {
		w.refer(ref, row)
		if !ref.IsZero() {
			w.linking = append(w.linking, uint64(linkingFingerprint(ref))|row)
		}
	}
	for _, ref := range keys.effects {
		if !ref.IsZero() {
			w.leading = append(w.leading, uint64(leadingFingerprint(ref))|row)
		}
	}
	if len(keys.correlation) > 0 {
		w.correlation = append(w.correlation, uint64(correlationFingerprint(string(keys.correlation)))|row)
	}
}

// refer notes that a row names a span.
func (w *idsWriter) refer(ref causal.SpanRef, row uint64) {
	if !ref.IsZero() {
		w.referring = append(w.referring, uint64(refFingerprint(ref))|row)
	}
}

// close writes the rest of the file.
func (w *idsWriter) close(m Meta, pages []table.Location) error {
	w.meta(m)
	w.pages(pages)
	for _, entries := range w.runs() {
		w.scratch = sortEntries(entries, w.scratch)
	}
	w.writeFilter()
	w.run(sectionTrace, w.trace)
	w.run(sectionSpan, w.span)
	w.run(sectionEvent, w.event)
	w.run(sectionReferring, w.referring)
	w.run(sectionLinking, w.linking)
	w.run(sectionLeading, w.leading)
	w.run(sectionCorrelation, w.correlation)
	w.rows()
	x := w.attributes
	w.scratch = sortEntries(x.entries, w.scratch)
	x.entries = slices.Compact(x.entries) // what was not recent
	w.writeAttributes()
	w.keepSummary()
	w.contents()
	return w.out.Flush()
}

// keepSummary writes the block's summary, if it has one.
func (w *idsWriter) keepSummary() {
	if w.summary != nil {
		w.begin(sectionSummary)
		w.write(w.summary)
	}
}

func (w *idsWriter) runs() [][]uint64 {
	return [][]uint64{w.trace, w.span, w.event, w.referring, w.linking, w.leading, w.correlation}
}

func (w *idsWriter) meta(m Meta) {
	w.begin(sectionMeta)
	w.buf = w.buf[:0]
	for _, v := range []uint64{uint64(m.Rows), uint64(m.ParquetBytes), m.MinStart, m.MaxStart} {
		w.buf = binary.LittleEndian.AppendUint64(w.buf, v)
	}
	w.write(w.buf)
}

func (w *idsWriter) pages(pages []table.Location) {
	w.begin(sectionPages)
	for _, p := range pages {
		w.buf = binary.LittleEndian.AppendUint64(w.buf[:0], uint64(p.Offset))
		w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(p.Size))
		w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(p.FirstRow))
		w.write(w.buf)
	}
}

func (w *idsWriter) writeFilter() {
	w.filter = filterOf(w.filter, w.runs())
	w.begin(sectionFilter)
	w.write(w.filter.Bytes())
}

// eachFingerprint calls f for each different fingerprint of a sorted run.
func eachFingerprint(run []uint64, f func(fingerprint)) {
	for i, e := range run {
		if i == 0 || e>>rowBits != run[i-1]>>rowBits {
			f(fingerprint(e &^ rowMask))
		}
	}
}

// run writes a sorted run in granules, the first entry of each, and the sums.
func (w *idsWriter) run(name string, entries []uint64) {
	w.begin(name)
	for part := range slices.Chunk(entries, granule/8) {
		w.buf = w.buf[:0]
		for _, e := range part {
			w.buf = binary.LittleEndian.AppendUint64(w.buf, e)
		}
		w.granule()
	}
	w.begin(name + suffixFirst)
	for part := range slices.Chunk(entries, granule/8) {
		w.write(binary.LittleEndian.AppendUint64(w.buf[:0], part[0]))
	}
	w.writeSums(name)
}

// rows writes which origin each row has.
func (w *idsWriter) rows() {
	w.begin(sectionRows)
	for part := range slices.Chunk(w.rowOrigins, granule/4) {
		w.buf = w.buf[:0]
		for _, o := range part {
			w.buf = binary.LittleEndian.AppendUint32(w.buf, o)
		}
		w.granule()
	}
	w.writeSums(sectionRows)
}

// granule writes w.buf as a granule and notes its checksum.
func (w *idsWriter) granule() {
	w.sums = append(w.sums, crc32.Checksum(w.buf, castagnoli))
	w.write(w.buf)
}

// writeSums writes the checksums of the section's granules as one of its own.
func (w *idsWriter) writeSums(name string) {
	w.begin(name + suffixSums)
	for _, s := range w.sums {
		w.write(binary.LittleEndian.AppendUint32(w.buf[:0], s))
	}
	w.sums = w.sums[:0]
}

// contents writes the table of contents and the footer that finds it.
func (w *idsWriter) contents() {
	toc := w.buf[:0]
	for _, s := range w.toc {
		toc = append(append(toc, byte(len(s.name))), s.name...)
		toc = binary.LittleEndian.AppendUint64(toc, s.offset)
		toc = binary.LittleEndian.AppendUint64(toc, s.length)
		toc = binary.LittleEndian.AppendUint32(toc, s.sum)
	}
	length, sum := len(toc), crc32.Checksum(toc, castagnoli)
	toc = binary.LittleEndian.AppendUint64(toc, w.offset)
	toc = binary.LittleEndian.AppendUint32(toc, uint32(length))
	toc = binary.LittleEndian.AppendUint32(toc, sum)
	toc = append(toc, idsMagic...)
	w.toc = w.toc[:0] // what follows is in no section
	w.write(toc)
	w.buf = toc
}
