package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sort"

	"github.com/parquet-go/parquet-go/bloom"

	"github.com/otelscope/otelscope/internal/store/block/table"
)

// maxContents bounds the table of contents.
const maxContents = 1 << 20

// ids is an open .ids file. In memory it has where the pages are, and per
// granule of the runs 12 bytes; the rest is read when it is asked for.
type ids struct {
	file  io.ReaderAt
	toc   map[string]section
	meta  Meta
	pages []table.Location

	trace, span, event     run
	referring, correlation laterRun
	linking, leading       laterRun
	search                 searchIndex
	rows                   granules
	origins                section
}

// granules are a section that is read and checked piece by piece.
type granules struct {
	file io.ReaderAt
	section
	sums []uint32
}

// run is a sorted run of entries.
type run struct {
	granules
	first []uint64 // entry of each granule
}

// laterRun is a run that the first blocks of the format do not have.
type laterRun struct {
	run
	there bool
}

// readIDs reads what stays in memory of an .ids file of that size.
func readIDs(file io.ReaderAt, size int64) (*ids, error) {
	f := &ids{file: file}
	if err := f.readContents(size); err != nil {
		return nil, err
	}
	load := []func() error{f.loadMeta, f.loadPages, f.loadOrigins,
		func() error { return f.loadRun(sectionTrace, &f.trace) },
		func() error { return f.loadRun(sectionSpan, &f.span) },
		func() error { return f.loadRun(sectionEvent, &f.event) },
		func() error { return f.loadLater(sectionReferring, &f.referring) },
		func() error { return f.loadLater(sectionLinking, &f.linking) },
		func() error { return f.loadLater(sectionLeading, &f.leading) },
		func() error { return f.loadLater(sectionCorrelation, &f.correlation) },
		func() error { return f.loadGranules(sectionRows, 4, &f.rows) },
		f.loadSearch,
	}
	for _, l := range load {
		if err := l(); err != nil {
			return nil, err
		}
	}
	rows := uint64(f.meta.Rows)
	if f.rows.length != rows*4 || f.trace.length != rows*8 || f.span.length != rows*8 {
		return nil, fmt.Errorf("sections do not have the %d rows that section %q says", rows, sectionMeta)
	}
	return f, nil
}

// readContents checks the ends of the file and reads the table of contents.
func (f *ids) readContents(size int64) error {
	if size < headerSize+footerSize {
		return fmt.Errorf("file has %d bytes, too few for a header and a footer", size)
	}
	var ends [headerSize + footerSize]byte
	if err := readFull(f.file, ends[:headerSize], 0); err != nil {
		return err
	}
	foot := ends[headerSize:]
	if err := readFull(f.file, foot, size-footerSize); err != nil {
		return err
	}
	if string(ends[:8]) != idsMagic || string(foot[16:]) != idsMagic {
		return errors.New("file does not begin and end as an .ids file does")
	}
	if v := binary.LittleEndian.Uint32(ends[8:]); v != idsVersion {
		return fmt.Errorf("file has format version %d, this program reads version %d", v, idsVersion)
	}
	end := uint64(size - footerSize)
	offset, length := binary.LittleEndian.Uint64(foot), uint64(binary.LittleEndian.Uint32(foot[8:]))
	if length > maxContents || offset > end || end-offset != length {
		return fmt.Errorf("table of contents of %d bytes at %d does not end where the footer begins", length, offset)
	}
	toc := make([]byte, length)
	if err := readFull(f.file, toc, int64(offset)); err != nil {
		return err
	}
	if crc32.Checksum(toc, castagnoli) != binary.LittleEndian.Uint32(foot[12:]) {
		return errors.New("table of contents has a wrong checksum")
	}
	return f.parseContents(toc, offset)
}

// parseContents reads the table; sections must lie before end.
func (f *ids) parseContents(toc []byte, end uint64) error {
	f.toc = map[string]section{}
	for len(toc) > 0 {
		n := int(toc[0])
		if len(toc) < 1+n+20 {
			return errors.New("table of contents ends early")
		}
		s := section{
			name:   string(toc[1 : 1+n]),
			offset: binary.LittleEndian.Uint64(toc[1+n:]),
			length: binary.LittleEndian.Uint64(toc[9+n:]),
			sum:    binary.LittleEndian.Uint32(toc[17+n:]),
		}
		if s.offset > end || s.length > end-s.offset {
			return fmt.Errorf("section %q lies outside the file", s.name)
		}
		f.toc[s.name] = s
		toc = toc[21+n:]
	}
	return nil
}

// find returns a section that is a sequence of elements of unit bytes.
func (f *ids) find(name string, unit uint64) (section, error) {
	s, ok := f.toc[name]
	if !ok {
		return s, fmt.Errorf("section %q is missing", name)
	}
	if s.length%unit != 0 {
		return s, fmt.Errorf("section %q has %d bytes, which is not a multiple of %d", name, s.length, unit)
	}
	return s, nil
}

// load reads a whole section and checks it.
func (f *ids) load(name string, unit uint64) ([]byte, error) {
	s, err := f.find(name, unit)
	if err != nil {
		return nil, err
	}
	b := make([]byte, s.length)
	if err := readFull(f.file, b, int64(s.offset)); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != s.sum {
		return nil, fmt.Errorf("section %q has a wrong checksum", name)
	}
	return b, nil
}

func (f *ids) loadMeta() error {
	b, err := f.load(sectionMeta, 8)
	if err != nil {
		return err
	}
	if len(b) < 32 {
		return fmt.Errorf("section %q has %d bytes, at least 32 are needed", sectionMeta, len(b))
	}
	f.meta = Meta{
		Rows:         int64(binary.LittleEndian.Uint64(b)),
		ParquetBytes: int64(binary.LittleEndian.Uint64(b[8:])),
		MinStart:     binary.LittleEndian.Uint64(b[16:]),
		MaxStart:     binary.LittleEndian.Uint64(b[24:]),
	}
	if f.meta.Rows < 0 || f.meta.Rows > MaxRows {
		return fmt.Errorf("section %q says %d rows, at most %d are allowed", sectionMeta, f.meta.Rows, MaxRows)
	}
	return nil
}

// filter reads the filter.
func (f *ids) filter() (bloom.SplitBlockFilter, error) {
	b, err := f.load(sectionFilter, bloom.BlockSize)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 {
		return nil, fmt.Errorf("section %q is empty", sectionFilter)
	}
	return bloom.MakeSplitBlockFilter(b), nil
}

func (f *ids) loadPages() error {
	b, err := f.load(sectionPages, 16)
	if err != nil {
		return err
	}
	f.pages = make([]table.Location, 0, len(b)/16)
	next := int64(0) // the first row a page may begin with
	for ; len(b) > 0; b = b[16:] {
		p := table.Location{
			Offset:   int64(binary.LittleEndian.Uint64(b)),
			Size:     int32(binary.LittleEndian.Uint32(b[8:])),
			FirstRow: int64(binary.LittleEndian.Uint32(b[12:])),
		}
		first := len(f.pages) == 0
		if p.Offset < 0 || p.Size < 0 || p.Offset > f.meta.ParquetBytes-int64(p.Size) ||
			p.FirstRow < next || first && p.FirstRow != 0 || p.FirstRow >= f.meta.Rows {
			return fmt.Errorf("section %q has an impossible page %d", sectionPages, len(f.pages))
		}
		next = p.FirstRow + 1
		f.pages = append(f.pages, p)
	}
	if len(f.pages) == 0 && f.meta.Rows > 0 {
		return fmt.Errorf("section %q is empty", sectionPages)
	}
	return nil
}

func (f *ids) loadOrigins() (err error) {
	f.origins, err = f.find(sectionOrigins, 1)
	return err
}

func (f *ids) loadGranules(name string, unit uint64, g *granules) (err error) {
	if g.section, err = f.find(name, unit); err != nil {
		return err
	}
	b, err := f.load(name+suffixSums, 4)
	if err != nil {
		return err
	}
	if want := (g.length + granule - 1) / granule; uint64(len(b)) != want*4 {
		return fmt.Errorf("section %q has %d bytes, %d are needed", name+suffixSums, len(b), want*4)
	}
	g.file = f.file
	g.sums = make([]uint32, len(b)/4)
	for i := range g.sums {
		g.sums[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return nil
}

func (f *ids) loadRun(name string, r *run) error {
	if err := f.loadGranules(name, 8, &r.granules); err != nil {
		return err
	}
	b, err := f.load(name+suffixFirst, 8)
	if err != nil {
		return err
	}
	if len(b) != 8*len(r.sums) {
		return fmt.Errorf("section %q has %d bytes, %d are needed", name+suffixFirst, len(b), 8*len(r.sums))
	}
	r.first = make([]uint64, len(r.sums))
	for i := range r.first {
		r.first[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	if !slices.IsSorted(r.first) {
		return fmt.Errorf("section %q is not sorted", name+suffixFirst)
	}
	return nil
}

func (f *ids) loadLater(name string, r *laterRun) error {
	if _, r.there = f.toc[name]; !r.there {
		return nil
	}
	return f.loadRun(name, &r.run)
}

// read reads granule i into buf, which has the capacity for it.
func (g *granules) read(i int, buf []byte) ([]byte, error) {
	at := uint64(i) * granule
	buf = buf[:min(granule, g.length-at)]
	if err := readFull(g.file, buf, int64(g.offset+at)); err != nil {
		return nil, err
	}
	if crc32.Checksum(buf, castagnoli) != g.sums[i] {
		return nil, fmt.Errorf("section %q has a wrong checksum in granule %d", g.name, i)
	}
	return buf, nil
}

// find appends the rows of the entries with a fingerprint to rows, rising.
func (r *run) find(rows []uint32, f fingerprint, c *cursor) ([]uint32, error) {
	// The first entry may be in the granule before the one that begins with it.
	i := max(sort.Search(len(r.first), func(i int) bool { return r.first[i] >= uint64(f) })-1, 0)
	for ; i < len(r.first) && r.first[i] <= uint64(f)|rowMask; i++ {
		b, err := c.at(&r.granules, i)
		if err != nil {
			return rows, err
		}
		n := len(b) / 8
		j := sort.Search(n, func(j int) bool { return binary.LittleEndian.Uint64(b[8*j:]) >= uint64(f) })
		for ; j < n; j++ {
			e := binary.LittleEndian.Uint64(b[8*j:])
			if e > uint64(f)|rowMask {
				return rows, nil
			}
			rows = append(rows, uint32(e&rowMask))
		}
	}
	return rows, nil
}

// origin reads the origin at a place that idsWriter.origin returned.
func (f *ids) origin(place uint32) ([]byte, error) {
	var head [8]byte
	at := uint64(place)
	if at+8 > f.origins.length {
		return nil, fmt.Errorf("section %q has no origin at %d", sectionOrigins, place)
	}
	if err := readFull(f.file, head[:], int64(f.origins.offset+at)); err != nil {
		return nil, err
	}
	n := uint64(binary.LittleEndian.Uint32(head[:]))
	if n > f.origins.length-at-8 {
		return nil, fmt.Errorf("section %q has an impossible origin at %d", sectionOrigins, place)
	}
	b := make([]byte, n)
	if err := readFull(f.file, b, int64(f.origins.offset+at+8)); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, fmt.Errorf("section %q has a wrong checksum at %d", sectionOrigins, place)
	}
	return b, nil
}

// readFull fills b; the end of the file within it is io.ErrUnexpectedEOF.
func readFull(file io.ReaderAt, b []byte, at int64) error {
	if len(b) == 0 {
		return nil
	}
	n, err := file.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at %d: %w", len(b), at, err)
}
