package head

import (
	"bytes"
	"fmt"
	"math"
	"unsafe"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
)

// row is one span of a batch or a head. In a batch origin and offset count
// within the batch; in a head origin counts within the head.
type row struct {
	id       Identity
	received int64
	origin   uint32
	chunk    uint32
	offset   uint32
	length   uint32
	next     uint32 // the trace's row before, plus one; 0 ends the chain
	flags    flags
}

type flags uint8

const (
	flagOpen    flags = 1 << iota // an open call
	flagLinks                     // has links
	flagCarried                   // came by a batch that was carried
)

// Batch is one parsed payload, ready for Insert.
type Batch struct {
	// Carried marks open calls that were in a head before; see Span.
	Carried bool

	payload []byte
	origins [][]byte
	rows    []row
	starts  []uint64         // of the rows' spans, nanoseconds since the epoch
	keys    []key            // rows rising
	refs    []causal.SpanRef // space for one span's
	effects []causal.SpanRef // the same
}

// Payload is what Parse was given.
func (b *Batch) Payload() []byte { return b.payload }

// Len is the number of spans.
func (b *Batch) Len() int { return len(b.rows) }

// Parse reads an encoded TracesData. The batch keeps payload, which must not
// change from now on. hint is the number of spans, if known.
func Parse(payload []byte, hint int) (*Batch, error) {
	if uint64(len(payload)) > math.MaxUint32 {
		return nil, fmt.Errorf("a batch has %d bytes, at most %d are allowed", len(payload), uint32(math.MaxUint32))
	}
	b := &Batch{payload: payload, rows: make([]row, 0, hint), starts: make([]uint64, 0, hint), keys: make([]key, 0, hint)}
	if err := otlpwire.Walk(payload, b.add); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *Batch) add(origin otlpwire.Origin, span []byte) error {
	for origin.Index >= len(b.origins) {
		b.origins = append(b.origins, nil)
	}
	if b.origins[origin.Index] == nil {
		b.origins[origin.Index] = origin.Append(nil)
	}
	return b.append(uint32(origin.Index), offset(b.payload, span), span)
}

// append adds the row of a span that begins at offset.
func (b *Batch) append(origin, offset uint32, span []byte) error {
	var info Info
	if err := info.read(span); err != nil {
		return err
	}
	number := uint32(len(b.rows))
	r := row{id: info.Identity, origin: origin, offset: offset, length: uint32(len(span))}
	if info.Open {
		r.flags |= flagOpen
	}
	for kind, hash := range info.singleHashes() {
		if hash != 0 {
			b.keys = append(b.keys, key{hash, number, keyKind(kind)})
		}
	}
	if info.Links {
		r.flags |= flagLinks
		if err := b.appendLinks(number, span); err != nil {
			return err
		}
	}
	b.rows = append(b.rows, r)
	b.starts = append(b.starts, info.Start)
	return nil
}

// appendLinks adds the keys of a span's links.
func (b *Batch) appendLinks(number uint32, span []byte) (err error) {
	b.effects = b.effects[:0]
	if b.refs, err = appendLinks(b.refs[:0], span, new(Info), &b.effects); err != nil {
		return err
	}
	for i := range b.effects {
		b.keys = append(b.keys, key{refHash(&b.effects[i]), number, keyLeading})
	}
	for i := range b.refs {
		b.keys = append(b.keys, key{refHash(&b.refs[i]), number, keyLink})
	}
	return nil
}

// offset is where part, which Walk found in whole, begins in it.
func offset(whole, part []byte) uint32 {
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(part))) - uintptr(unsafe.Pointer(unsafe.SliceData(whole))))
}

// Collector makes batches of single spans. The zero value is ready.
type Collector struct {
	batch   Batch
	origins map[string]uint32
}

// Add adds a copy of a span.
func (c *Collector) Add(origin, span []byte) error {
	if len(c.batch.payload)+len(span) > math.MaxUint32 {
		return fmt.Errorf("a batch has more than %d bytes", uint32(math.MaxUint32))
	}
	number, known := c.origins[string(origin)]
	if !known {
		if c.origins == nil {
			c.origins = map[string]uint32{}
		}
		number = uint32(len(c.batch.origins))
		c.origins[string(origin)] = number
		c.batch.origins = append(c.batch.origins, bytes.Clone(origin))
	}
	at := len(c.batch.payload)
	c.batch.payload = append(c.batch.payload, span...)
	return c.batch.append(number, uint32(at), c.batch.payload[at:])
}

// Len is how many spans were added since the last Batch.
func (c *Collector) Len() int { return len(c.batch.rows) }

// Batch returns the spans that were added since the last call.
func (c *Collector) Batch() *Batch {
	b := c.batch
	*c = Collector{}
	return &b
}
