package assemble

import (
	"encoding/binary"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/event"
)

// eventKey identifies an event: a 128-bit hash of service, node, id and time.
// It is both what resent events are recognised by and what ids are made of.
type eventKey = xxh3.Uint128

// processKey identifies a process: a 128-bit hash of service, node and process.
type processKey = xxh3.Uint128

// hasher builds the input of a hash in a buffer that it reuses. Every string
// is preceded by its length (4 bytes, little endian), so that no two lists of
// strings have one encoding.
type hasher struct{ buf []byte }

func (h *hasher) strings(parts ...string) {
	h.buf = h.buf[:0]
	for _, s := range parts {
		h.buf = binary.LittleEndian.AppendUint32(h.buf, uint32(len(s)))
		h.buf = append(h.buf, s...)
	}
}

func (h *hasher) event(service, node, id string, time int64) eventKey {
	h.strings(service, node, id)
	h.buf = binary.LittleEndian.AppendUint64(h.buf, uint64(time))
	return xxh3.Hash128(h.buf)
}

func (h *hasher) process(service, node, process string) processKey {
	h.strings(service, node, process)
	return xxh3.Hash128(h.buf)
}

// traceID is the hash, high half first, each half big endian.
func traceID(k eventKey) pcommon.TraceID {
	id := pcommon.TraceID(k.Bytes())
	if id.IsEmpty() {
		id[len(id)-1] = 1
	}
	return id
}

// spanID is the high half of the hash: the first half of the trace id that the
// same event would begin.
func spanID(k eventKey) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], k.Hi)
	if id.IsEmpty() {
		id[len(id)-1] = 1
	}
	return id
}

// IDs returns the ids that ev's identity gives: the span id of its span, and
// the trace id of the activity that it begins or of the trace that its span is
// alone in. Where the sender gave ids, spans bear those instead.
func IDs(ev *event.Event) (pcommon.TraceID, pcommon.SpanID) {
	var h hasher
	k := h.event(ev.Service, ev.Node, ev.ID, ev.Time)
	return traceID(k), spanID(k)
}

// PartitionKey hashes a process. Events with equal keys must reach the same
// Assembler. It is not stored anywhere.
func PartitionKey(service, node, process string) uint64 {
	return xxh3.HashStringSeed(process, xxh3.HashStringSeed(node, xxh3.HashString(service)))
}
