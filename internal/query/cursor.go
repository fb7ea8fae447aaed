package query

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/traceql"
)

// A cursor is the key of the last spanset's latest span and what says which
// search it is of: start, trace id, span id, kind, hash.
const cursorBytes = 8 + 16 + 8 + 4 + 8

func cursorAt(k spanKey, q *traceql.Query, opts *SearchOptions) string {
	b := make([]byte, 0, cursorBytes)
	b = binary.BigEndian.AppendUint64(b, k.start)
	b = append(b, k.ref.TraceID[:]...)
	b = append(b, k.ref.SpanID[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(k.kind))
	b = binary.BigEndian.AppendUint64(b, searchHash(q, opts))
	return base64.RawURLEncoding.EncodeToString(b)
}

// parseCursor returns where a search goes on; nil: at the beginning.
func parseCursor(cursor string, q *traceql.Query, opts *SearchOptions) (*spanKey, error) {
	if cursor == "" {
		return nil, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) != cursorBytes {
		return nil, &CursorError{fmt.Sprintf("cursor %q is not one that a search gave", cursor)}
	}
	if binary.BigEndian.Uint64(b[36:]) != searchHash(q, opts) {
		return nil, &CursorError{"the cursor belongs to a search with another query, time range or filter of edges"}
	}
	k := &spanKey{start: binary.BigEndian.Uint64(b), kind: ptrace.SpanKind(binary.BigEndian.Uint32(b[32:]))}
	copy(k.ref.TraceID[:], b[8:])
	copy(k.ref.SpanID[:], b[24:])
	return k, nil
}

// searchHash tells searches apart whose answers differ in more than in how much
// of them is shown.
func searchHash(q *traceql.Query, opts *SearchOptions) uint64 {
	types := slices.Clone(opts.Types)
	slices.Sort(types)
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\n%d %d %q %g", q, opts.Range.Start, opts.Range.End, types, opts.MinConfidence)
	return h.Sum64()
}
