package correlateprocessor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/otelscope/otelscope/internal/correlate"
)

// What the journal stores begins with 4 bytes that say what it is and in which
// version, and a CRC-32C of what follows:
//
//	index  first 8, next 8: the numbers of the oldest chunk and of the one to
//	       come, little endian
//	chunk  newest 8: when its last batch arrived, nanoseconds since the epoch
//	       ops 8: how many ops its batches have
//	       rules uvarint, then for each its name: uvarint length, bytes
//	       batches, as correlate.AppendBatch writes them; their ops count in
//	       the rules above
const (
	chunkMagic = "scj\x01"
	indexMagic = "sci\x01"
	headBytes  = 4 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal completes what was appended after headBytes bytes of room.
func seal(b []byte, magic string) []byte {
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[headBytes:], castagnoli))
	return b
}

func unseal(b []byte, magic string) ([]byte, error) {
	if len(b) < headBytes {
		return nil, fmt.Errorf("it has %d bytes, its head alone has %d", len(b), headBytes)
	}
	if got := string(b[:4]); got != magic {
		return nil, fmt.Errorf("it is of the kind or version %q, only %q is known", got, magic)
	}
	if crc32.Checksum(b[headBytes:], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, errors.New("its checksum is wrong")
	}
	return b[headBytes:], nil
}

// span of numbers: the chunks that there are.
type index struct{ first, next uint64 }

func (x index) encode() []byte {
	b := make([]byte, headBytes, headBytes+16)
	b = binary.LittleEndian.AppendUint64(b, x.first)
	b = binary.LittleEndian.AppendUint64(b, x.next)
	return seal(b, indexMagic)
}

func decodeIndex(b []byte) (index, error) {
	b, err := unseal(b, indexMagic)
	if err != nil {
		return index{}, err
	}
	if len(b) != 16 {
		return index{}, fmt.Errorf("it holds %d bytes, not 16", len(b))
	}
	x := index{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
	if x.first > x.next {
		return index{}, fmt.Errorf("its first chunk is %d, its next %d", x.first, x.next)
	}
	return x, nil
}

// chunk is some batches that are stored under one key.
type chunk struct {
	batches []byte
	newest  int64 // nanoseconds since the epoch
	ops     int
}

func (c *chunk) encode(rules []string) []byte {
	b := make([]byte, headBytes, headBytes+64+32*len(rules)+len(c.batches))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.newest))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.ops))
	b = binary.AppendUvarint(b, uint64(len(rules)))
	for _, name := range rules {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
	}
	return seal(append(b, c.batches...), chunkMagic)
}

var errShort = errors.New("it ends too early")

// decodeChunk returns a chunk, whose batches lie in b, and the names of the
// rules that it was written with.
func decodeChunk(b []byte) (c chunk, rules []string, err error) {
	if b, err = unseal(b, chunkMagic); err != nil {
		return chunk{}, nil, err
	}
	if len(b) < 16 {
		return chunk{}, nil, errShort
	}
	c.newest, c.ops = int64(binary.LittleEndian.Uint64(b)), int(binary.LittleEndian.Uint64(b[8:]))
	b = b[16:]
	length := func() (n uint64) {
		n, width := binary.Uvarint(b)
		if width <= 0 || n > uint64(len(b)-width) {
			err = errShort
			return 0
		}
		b = b[width:]
		return n
	}
	for count := length(); count > 0 && err == nil; count-- {
		n := length()
		rules = append(rules, string(b[:n]))
		b = b[n:]
	}
	if err != nil {
		return chunk{}, nil, err
	}
	if c.ops < 0 {
		return chunk{}, nil, fmt.Errorf("it has %d ops", c.ops)
	}
	c.batches = b
	return c, rules, nil
}

// each calls observe for each batch, with its ops counted in the rules of now.
// Ops of rules that are no more are left out. rules are those that the chunk
// was written with.
func (c *chunk) each(rules, now []string, observe func(batch []correlate.Observation, at int64)) error {
	known := make(map[string]uint16, len(now))
	for i, name := range now {
		known[name] = uint16(i)
	}
	for rest := c.batches; len(rest) > 0; {
		batch, at, after, err := correlate.ReadBatch(rest, len(rules))
		if err != nil {
			return err
		}
		for i := range batch {
			o := &batch[i]
			kept := o.Ops[:0]
			for _, op := range o.Ops {
				if rule, ok := known[rules[op.Rule]]; ok {
					op.Rule = rule
					kept = append(kept, op)
				}
			}
			o.Ops = kept
		}
		observe(batch, at)
		rest = after
	}
	return nil
}
