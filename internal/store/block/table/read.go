package table

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// maxPageBytes bounds what a damaged header may make DecodePage allocate.
const maxPageBytes = 1 << 30

// Plain is a decoded page of a required Text or Bytes column without
// dictionary. The zero value has no rows.
type Plain struct {
	Rows   int
	values []byte // what Next has not returned yet
}

// DecodePage decodes the page that a Location named, in buf if it has the
// capacity. It returns the buffer, which the page's values alias.
func DecodePage(buf, data []byte) (Plain, []byte, error) {
	var protocol thrift.CompactProtocol
	var header format.PageHeader
	r := protocol.NewReaderFromBytes(data)
	if err := thrift.NewDecoder(r).Decode(&header); err != nil {
		return Plain{}, buf, fmt.Errorf("page header: %w", err)
	}
	return decodeBody(buf, data[r.BytesRead():], &header)
}

func decodeBody(buf, body []byte, header *format.PageHeader) (Plain, []byte, error) {
	data, ok := header.DataPageHeader.Get()
	switch {
	case !ok || data.Encoding != format.Plain || data.NumValues < 0:
		return Plain{}, buf, errors.New("not a page of plain values")
	case int(header.CompressedPageSize) != len(body):
		return Plain{}, buf, fmt.Errorf("page has %d bytes, its header says %d", len(body), header.CompressedPageSize)
	case crc32.ChecksumIEEE(body) != uint32(header.CRC):
		return Plain{}, buf, errors.New("page has a wrong checksum")
	}
	size, err := s2.DecodedLen(body)
	if err != nil || size > maxPageBytes || size != int(header.UncompressedPageSize) {
		return Plain{}, buf, fmt.Errorf("page has an impossible size of %d bytes uncompressed", header.UncompressedPageSize)
	}
	buf = slices.Grow(buf[:0], size)[:size]
	if buf, err = s2.Decode(buf, body); err != nil {
		return Plain{}, buf, fmt.Errorf("decompress page: %w", err)
	}
	return Plain{Rows: int(data.NumValues), values: buf}, buf, nil
}

// Next returns the value of the next row.
func (p *Plain) Next() ([]byte, error) {
	if len(p.values) < 4 {
		return nil, errors.New("page ends early")
	}
	n := int64(binary.LittleEndian.Uint32(p.values))
	if n > int64(len(p.values)-4) {
		return nil, fmt.Errorf("value of %d bytes where its page has %d left", n, len(p.values)-4)
	}
	v := p.values[4 : 4+n : 4+n]
	p.values = p.values[4+n:]
	return v, nil
}
