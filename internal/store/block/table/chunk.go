package table

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"github.com/klauspost/compress/s2"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Location says where a data page is.
type Location struct {
	FirstRow int64 // in the file
	Offset   int64 // of the page's header in the file
	Size     int32 // of header and body
}

// chunk is the finished part of a column in one row group.
type chunk struct {
	dictPage     []byte
	pages        []byte // data pages
	uncompressed int64  // bytes of all pages before compression
	nulls        int64
	min, max     int64 // of integers
	plainPages   int32
	dictPages    int32

	locations []Location // of the file's data pages
	placed    int        // how many of them have their final offset

	header headerEncoder
	body   []byte // scratch
	snappy []byte // scratch
	coded  []byte // scratch
}

func (c *chunk) reset() {
	c.dictPage, c.pages = c.dictPage[:0], keep(c.pages)
	c.uncompressed, c.nulls = 0, 0
	c.min, c.max = noMin, noMax
	c.plainPages, c.dictPages = 0, 0
	c.placed = len(c.locations)
}

// Locations returns where the data pages of the file are, once it is closed.
// The slice is good until the next Reset.
func (c *chunk) Locations() []Location { return c.locations }

// writePage appends a data page of so many rows, made of levels and values or
// indexes into a dictionary of dictCount values.
func (c *chunk) writePage(p *page, rows int32, dictCount int) {
	encoding := format.Plain
	c.body = keep(c.body)
	if len(p.levels) > 0 {
		levels := rle.Encoding{BitWidth: 1}
		c.coded, _ = levels.EncodeLevels(c.coded[:0], p.levels) // fails for wide levels only
		c.body = binary.LittleEndian.AppendUint32(c.body, uint32(len(c.coded)))
		c.body = append(c.body, c.coded...)
	}
	body := p.values
	switch {
	case len(p.indexes) > 0:
		encoding = format.RLEDictionary
		width := max(bits.Len(uint(dictCount-1)), 1)
		indexes := rle.Encoding{BitWidth: width}
		c.coded, _ = indexes.EncodeInt32(c.coded[:0], p.indexes) // fails for wide indexes only
		c.body = append(append(c.body, byte(width)), c.coded...)
		body = c.body
		c.dictPages++
	case len(c.body) > 0:
		c.body = append(c.body, p.values...)
		body = c.body
		c.plainPages++
	default:
		c.plainPages++
	}
	c.pages = c.appendPage(c.pages, body, format.PageHeader{
		Type: format.DataPage,
		DataPageHeader: thrift.New(format.DataPageHeader{
			NumValues:               rows,
			Encoding:                encoding,
			DefinitionLevelEncoding: format.RLE,
			RepetitionLevelEncoding: format.RLE,
		}),
	})
}

func (c *chunk) writeDictPage(d *dictionary) {
	c.dictPage = c.appendPage(c.dictPage[:0], d.values, format.PageHeader{
		Type:                 format.DictionaryPage,
		DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{NumValues: int32(d.count), Encoding: format.Plain}),
	})
}

// appendPage appends the header, completed with sizes and checksum, and the
// compressed body.
func (c *chunk) appendPage(dst, body []byte, header format.PageHeader) []byte {
	if n := s2.MaxEncodedLen(len(body)); cap(c.snappy) < n {
		c.snappy = make([]byte, n)
	}
	compressed := s2.EncodeSnappy(c.snappy[:cap(c.snappy)], body)
	header.UncompressedPageSize = int32(len(body))
	header.CompressedPageSize = int32(len(compressed))
	header.CRC = int32(crc32.ChecksumIEEE(compressed))
	coded := c.header.page(&header)
	c.uncompressed += int64(len(coded) + len(body))
	return append(append(dst, coded...), compressed...)
}
