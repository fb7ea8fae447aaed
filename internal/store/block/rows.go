package block

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"sort"
	"sync"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/block/table"
)

// pageReader reads single spans and keeps the page it read last. Spans alias
// its buffers. The zero value is ready; release ends its use.
type pageReader struct {
	keeps  bool // pages are looked for in the set's cache, and put there
	bufs   *pageBuffers
	number int // of the page that values is, plus 1; 0: none
	page   table.Plain
	next   uint32 // the row that page.Next returns
}

// pageBuffers are space for a page as it is in the file and as it was written.
type pageBuffers struct{ raw, values []byte }

var pageBufferPool = sync.Pool{New: func() any { return new(pageBuffers) }}

func (p *pageReader) release() {
	if p.bufs != nil {
		pageBufferPool.Put(p.bufs)
	}
}

// row returns the span of a row. Rows must be asked for in rising order; then
// no page is decoded twice.
func (p *pageReader) row(b *Block, row uint32) ([]byte, error) {
	pages := b.ids.pages
	number := sort.Search(len(pages), func(i int) bool { return pages[i].FirstRow > int64(row) })
	if number == 0 || int64(row) >= b.meta.Rows {
		return nil, &CorruptError{b.idsName, fmt.Errorf("there is no row %d", row)}
	}
	if number != p.number {
		if err := p.turn(b, number-1); err != nil {
			return nil, err
		}
		p.number, p.next = number, uint32(pages[number-1].FirstRow)
	}
	for {
		span, err := p.page.Next()
		if err != nil {
			return nil, &CorruptError{b.parquetName, fmt.Errorf("row %d: %w", row, err)}
		}
		p.next++
		if p.next > row {
			return span, nil
		}
	}
}

// turn makes a page the reader's.
func (p *pageReader) turn(b *Block, number int) (err error) {
	if p.keeps {
		if page, found := b.set.pages.get(b.meta.Number, number); found {
			p.page = page
			return nil
		}
	}
	if p.bufs == nil {
		p.bufs = pageBufferPool.Get().(*pageBuffers)
	}
	if p.keeps {
		p.bufs.values = nil // the last page's are the cache's
	}
	if p.page, p.bufs.values, err = b.readPage(number, p.bufs); err != nil {
		return err
	}
	if p.keeps {
		b.set.pages.put(b.meta.Number, number, p.page, len(p.bufs.values))
		p.bufs.values = nil
	}
	return nil
}

// readPage reads a page of spans, into bufs.values.
func (b *Block) readPage(i int, bufs *pageBuffers) (table.Plain, []byte, error) {
	p := b.ids.pages[i]
	if cap(bufs.raw) < int(p.Size) {
		bufs.raw = make([]byte, p.Size)
	}
	raw := bufs.raw[:p.Size]
	if err := readFull(b.parquetFile, raw, p.Offset); err != nil {
		return table.Plain{}, bufs.values, &CorruptError{b.parquetName, err}
	}
	page, values, err := table.DecodePage(bufs.values, raw)
	if err != nil {
		return page, values, &CorruptError{b.parquetName, fmt.Errorf("page at %d: %w", p.Offset, err)}
	}
	if want := b.pageRows(i); page.Rows != want {
		return page, values, &CorruptError{b.parquetName, fmt.Errorf("page at %d has %d rows, %d were written", p.Offset, page.Rows, want)}
	}
	return page, values, nil
}

// pageRows returns how many rows page i has.
func (b *Block) pageRows(i int) int {
	end := b.meta.Rows
	if i+1 < len(b.ids.pages) {
		end = b.ids.pages[i+1].FirstRow
	}
	return int(end - b.ids.pages[i].FirstRow)
}

// originAt returns an origin by its place. Equal places give the same slice
// while it is remembered.
func (b *Block) originAt(place uint32) ([]byte, error) {
	b.mu.Lock()
	o, ok := b.origins[place]
	b.mu.Unlock()
	if ok {
		return o, nil
	}
	o, err := b.ids.origin(place)
	if err != nil {
		return nil, &CorruptError{b.idsName, err}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.origins) >= maxOrigins {
		clear(b.origins)
	}
	b.origins[place] = o
	return o, nil
}

// Scan yields all rows in the order of their start times. It ends after the
// first error, which may be ctx's. A Span that is kept keeps the page it came
// from, some 8 KiB: clone what is kept for long.
func (b *Block) Scan(ctx context.Context) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		var bufs pageBuffers
		var space [granule]byte
		var places []byte // of the rows from firstPlace on
		for i := range b.ids.pages {
			if err := ctx.Err(); err != nil {
				yield(Row{}, err)
				return
			}
			bufs.values = nil // the last page's belong to the caller
			page, _, err := b.readPage(i, &bufs)
			if err != nil {
				yield(Row{}, err)
				return
			}
			first := uint32(b.ids.pages[i].FirstRow)
			for n := range uint32(page.Rows) {
				row, err := b.scanRow(&page, first+n, &places, space[:])
				if !yield(row, err) || err != nil {
					return
				}
			}
		}
	}
}

// scanRow returns the next row of a page. places are the origins' places in
// the granule that the last row was in.
func (b *Block) scanRow(page *table.Plain, row uint32, places *[]byte, space []byte) (r Row, err error) {
	const per = granule / 4
	if row%per == 0 {
		if *places, err = b.ids.rows.read(int(row/per), space); err != nil {
			return Row{}, &CorruptError{b.idsName, err}
		}
	}
	if r.Span, err = page.Next(); err != nil {
		return Row{}, &CorruptError{b.parquetName, fmt.Errorf("row %d: %w", row, err)}
	}
	r.Origin, err = b.originAt(binary.LittleEndian.Uint32((*places)[row%per*4:]))
	return r, err
}

// hasEvent reports whether one of the span's native events is id.
func hasEvent(b []byte, id string) bool {
	var span otlpwire.Span
	if span.Parse(b) != nil {
		return false
	}
	for _, key := range []string{causal.AttrEventID, causal.AttrReturnEventID} {
		if v, ok := otlpwire.Find(span.Attributes, key); ok {
			if s, ok := v.Str(); ok && string(s) == id {
				return true
			}
		}
	}
	return false
}
