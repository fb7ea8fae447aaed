package table

import (
	"bytes"
	"encoding/binary"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// headerEncoder encodes page headers into a buffer of its own.
type headerEncoder struct {
	buf      bytes.Buffer
	protocol thrift.CompactProtocol
	encoder  *thrift.Encoder
}

// page returns the encoded header; it is good until the next call.
func (e *headerEncoder) page(h *format.PageHeader) []byte {
	if e.encoder == nil {
		e.encoder = thrift.NewEncoder(e.protocol.NewWriter(&e.buf))
	}
	e.buf.Reset()
	_ = e.encoder.Encode(h) // a bytes.Buffer takes everything
	return e.buf.Bytes()
}

// footer returns the encoded end of a file.
func footer(meta *format.FileMetaData) ([]byte, error) {
	b, err := thrift.Marshal(new(thrift.CompactProtocol), meta)
	if err != nil {
		return nil, err
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b)))
	return append(b, magic...), nil
}

// endGroup finishes the column's pages in this row group and returns their
// description; they will be written at offset.
func (c *Column) endGroup(offset int64) format.ColumnChunk {
	c.endPage(c.w.row)
	meta := format.ColumnMetaData{
		Type:           physical(c.spec.Kind),
		PathInSchema:   []string{c.spec.Name},
		Codec:          format.Snappy,
		NumValues:      int64(c.w.row),
		DataPageOffset: offset,
		Statistics:     c.statistics(),
	}
	if c.spec.Optional {
		meta.Encoding = append(meta.Encoding, format.RLE)
	}
	if c.plainPages > 0 || c.dictPages > 0 {
		meta.Encoding = append(meta.Encoding, format.Plain)
	}
	if c.dict.count > 0 {
		c.writeDictPage(&c.dict)
		meta.Encoding = append(meta.Encoding, format.RLEDictionary)
		meta.DictionaryPageOffset = offset
		meta.DataPageOffset += int64(len(c.dictPage))
		meta.EncodingStats = append(meta.EncodingStats,
			format.PageEncodingStats{PageType: format.DictionaryPage, Encoding: format.Plain, Count: 1},
			format.PageEncodingStats{PageType: format.DataPage, Encoding: format.RLEDictionary, Count: c.dictPages})
	}
	if c.plainPages > 0 {
		meta.EncodingStats = append(meta.EncodingStats,
			format.PageEncodingStats{PageType: format.DataPage, Encoding: format.Plain, Count: c.plainPages})
	}
	meta.TotalCompressedSize = int64(len(c.dictPage) + len(c.pages))
	meta.TotalUncompressedSize = c.uncompressed
	for i := range c.locations[c.placed:] {
		c.locations[c.placed+i].Offset += meta.DataPageOffset
	}
	return format.ColumnChunk{MetaData: meta}
}

func (c *Column) statistics() format.Statistics {
	s := format.Statistics{NullCount: c.nulls}
	if c.min <= c.max {
		s.MinValue = binary.LittleEndian.AppendUint64(nil, uint64(c.min))
		s.MaxValue = binary.LittleEndian.AppendUint64(nil, uint64(c.max))
	}
	return s
}

func physical(k Kind) format.Type {
	if k == Text || k == Bytes {
		return format.ByteArray
	}
	return format.Int64
}

func schema(columns []Spec) []format.SchemaElement {
	root := format.SchemaElement{Name: "spans", NumChildren: thrift.New(int32(len(columns)))}
	elements := []format.SchemaElement{root}
	for _, s := range columns {
		e := format.SchemaElement{
			Name:           s.Name,
			Type:           thrift.New(physical(s.Kind)),
			RepetitionType: thrift.New(format.Required),
		}
		if s.Optional {
			e.RepetitionType = thrift.New(format.Optional)
		}
		switch s.Kind {
		case Text:
			e.ConvertedType = thrift.New(deprecated.UTF8)
			e.LogicalType.Value = &format.StringType{}
		case Micros:
			e.ConvertedType = thrift.New(deprecated.TimestampMicros)
			e.LogicalType.Value = &format.TimestampType{
				IsAdjustedToUTC: true,
				Unit:            format.TimeUnit{Value: &format.MicroSeconds{}},
			}
		}
		elements = append(elements, e)
	}
	return elements
}

// orders says of each column that statistics follow its type's order.
func orders(n int) []format.ColumnOrder {
	o := make([]format.ColumnOrder, n)
	for i := range o {
		o[i].Value = &format.TypeDefinedOrder{}
	}
	return o
}
