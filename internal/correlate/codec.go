package correlate

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/otelscope/otelscope/internal/causal"
)

// A batch of observations is encoded as
//
//	now      varint   nanoseconds since the epoch, when it arrived
//	count    uvarint
//	count times:
//	  trace id 16, span id 8
//	  start   varint, relative to now
//	  clock   4, little endian
//	  process 8
//	  flags   1: version (2 bits), root, sampled, ops follow with a process
//	  randomness 8
//	  correlation: uvarint length, bytes
//	  links:  uvarint count, 24 each
//	  ops:    uvarint count, then each
//	    kind   1, the high bit is End
//	    rule   uvarint
//	    shard  8
//	    keys   1 (how many), 8 each
//	    aux    8
//
// Batches may follow one another.

const (
	observationRoot    = 1 << 2
	observationSampled = 1 << 3
	opEnd              = 1 << 7
	minObservation     = 16 + 8 + 1 + 4 + 8 + 1 + 8 + 1 + 1 + 1
	minOp              = 1 + 1 + 8 + 1 + 8
)

// AppendBatch appends a batch that arrived at now.
func AppendBatch(dst []byte, batch []Observation, now int64) []byte {
	dst = binary.AppendVarint(dst, now)
	dst = binary.AppendUvarint(dst, uint64(len(batch)))
	for i := range batch {
		dst = batch[i].append(dst, now)
	}
	return dst
}

func (o *Observation) append(dst []byte, now int64) []byte {
	dst = appendRef(dst, o.Span)
	dst = binary.AppendVarint(dst, o.Start-now)
	dst = binary.LittleEndian.AppendUint32(dst, o.Clock)
	dst = binary.LittleEndian.AppendUint64(dst, o.Process)
	flags := byte(o.Version)
	if o.Root {
		flags |= observationRoot
	}
	if o.Sampled {
		flags |= observationSampled
	}
	dst = append(dst, flags)
	dst = binary.LittleEndian.AppendUint64(dst, o.Randomness)
	dst = binary.AppendUvarint(dst, uint64(len(o.Correlation)))
	dst = append(dst, o.Correlation...)
	dst = binary.AppendUvarint(dst, uint64(len(o.Links)))
	for _, link := range o.Links {
		dst = appendRef(dst, link)
	}
	dst = binary.AppendUvarint(dst, uint64(len(o.Ops)))
	for i := range o.Ops {
		dst = o.Ops[i].append(dst)
	}
	return dst
}

func (op *Op) append(dst []byte) []byte {
	kind := byte(op.Kind)
	if op.End {
		kind |= opEnd
	}
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(op.Rule))
	dst = binary.LittleEndian.AppendUint64(dst, op.Shard)
	keys := 0
	for keys < len(op.Keys) && op.Keys[keys] != 0 {
		keys++
	}
	dst = append(dst, byte(keys))
	for _, key := range op.Keys[:keys] {
		dst = binary.LittleEndian.AppendUint64(dst, key)
	}
	return binary.LittleEndian.AppendUint64(dst, op.Aux)
}

func appendRef(dst []byte, ref causal.SpanRef) []byte {
	dst = append(dst, ref.TraceID[:]...)
	return append(dst, ref.SpanID[:]...)
}

var errCut = errors.New("it ends too early")

// ReadBatch reads the first batch of src, which must have been encoded with
// the same rules, and returns what follows it. The batch refers to nothing of
// src.
func ReadBatch(src []byte, rules int) (batch []Observation, now int64, rest []byte, err error) {
	r := reader{b: src, rules: uint64(rules)}
	now = r.varint()
	count := r.count(minObservation)
	batch = make([]Observation, count)
	for i := range batch {
		r.observation(&batch[i], now)
	}
	if r.err != nil {
		return nil, 0, nil, fmt.Errorf("a batch of observations cannot be read: %w", r.err)
	}
	return batch, now, r.b, nil
}

// reader reads until its first error, and yields zeros from there on.
type reader struct {
	b     []byte
	rules uint64
	err   error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) bytes(n int) []byte {
	if len(r.b) < n {
		r.fail(errCut)
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail(errCut)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(errCut)
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads how many things of at least size bytes follow.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail(errCut)
		return 0
	}
	return int(n)
}

func (r *reader) uint64() uint64 { return binary.LittleEndian.Uint64(r.bytes(8)) }

func (r *reader) ref() (ref causal.SpanRef) {
	copy(ref.TraceID[:], r.bytes(16))
	copy(ref.SpanID[:], r.bytes(8))
	return ref
}

func (r *reader) observation(o *Observation, now int64) {
	o.Span = r.ref()
	o.Start = now + r.varint()
	o.Clock = binary.LittleEndian.Uint32(r.bytes(4))
	o.Process = r.uint64()
	flags := r.bytes(1)[0]
	o.Version = Version(flags & 3)
	o.Root = flags&observationRoot != 0
	o.Sampled = flags&observationSampled != 0
	if flags > observationRoot|observationSampled|byte(Open) || o.Version > Open {
		r.fail(fmt.Errorf("flags: 0x%x is not known", flags))
	}
	o.Randomness = r.uint64()
	o.Correlation = string(r.bytes(r.count(1)))
	for range r.count(24) {
		o.Links = append(o.Links, r.ref())
	}
	for range r.count(minOp) {
		o.Ops = append(o.Ops, r.op())
	}
}

func (r *reader) op() (op Op) {
	kind := r.bytes(1)[0]
	op.Kind, op.End = OpKind(kind&^opEnd), kind&opEnd != 0
	if r.err == nil && (op.Kind < Offer || op.Kind > Died) {
		r.fail(fmt.Errorf("op: kind %d is not known", op.Kind))
	}
	rule := r.uvarint()
	if r.err == nil && rule >= r.rules {
		r.fail(fmt.Errorf("op: there is no rule %d, there are %d", rule, r.rules))
	}
	op.Rule = uint16(rule)
	op.Shard = r.uint64()
	keys := int(r.bytes(1)[0])
	if keys > len(op.Keys) {
		r.fail(fmt.Errorf("op: it has %d keys, at most %d are allowed", keys, len(op.Keys)))
		return op
	}
	for i := range keys {
		op.Keys[i] = r.uint64()
	}
	op.Aux = r.uint64()
	return op
}
