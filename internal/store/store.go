// Package store keeps spans durably in one folder and finds them again: by
// trace, by native event, by their ids, by the spans that they name, by
// correlation id, and by scanning. It is made of a write-ahead log, a
// head in memory over it, immutable Parquet blocks, and one manifest that says
// which of them count.
//
// The interface Store is the contract; the suite in storetest holds every
// implementation to it.
package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
)

// Store keeps spans. All methods may be called from many goroutines at once;
// after Close they return ErrClosed.
//
// Identity: spans with the same trace id, span id and kind are one span (kind
// counts because Zipkin's shared spans give the client's and the server's half
// one id). Of several versions the complete one beats an open call
// (scope.call.state = open) whatever the order of arrival, otherwise the first
// stays; the links of all are united. Spans whose trace or span id is empty
// have no identity and are all kept.
type Store interface {
	// Write makes every span of td durable and findable, or none of them as
	// far as the caller may know: nil means that all of td survives a crash
	// and that reads which begin now see it; on an error some of it may have
	// been stored, and writing it again does no harm.
	// Write reads td and keeps nothing of it; the caller owns it throughout.
	// ctx bounds the wait, not the write: a batch that was handed to the log
	// may become durable after ctx ended.
	// Errors: *UnavailableError (try again later), *InvalidError (never will),
	// ErrClosed, or ctx's.
	Write(ctx context.Context, td ptrace.Traces) error

	// Trace returns all spans of a trace, open calls included, ordered by
	// start time, each identity once. A trace that is not stored is no error:
	// it has no spans.
	Trace(ctx context.Context, id pcommon.TraceID) ([]Span, error)

	// Event returns the spans whose scope.event.id or scope.return.event.id
	// is id, of whatever service and node, the newest arrival first.
	Event(ctx context.Context, id string) ([]Span, error)

	// Spans returns the stored spans with these ids, in no order, each identity
	// once. Refs that are not stored, or name no span, have none. One id may
	// have several spans: identity has more to it.
	Spans(ctx context.Context, refs []causal.SpanRef) ([]Span, error)

	// Referring returns the spans that name one of refs as their parent or in
	// a link, in no order, each identity once. At most limit spans are
	// returned (limit > 0), whichever; more says that there are others.
	Referring(ctx context.Context, refs []causal.SpanRef, limit int) (spans []Span, more bool, err error)

	// Correlation returns the spans whose scope.correlation.id is id, ordered
	// by start time, each identity once. At most limit spans are returned
	// (limit > 0), not always the earliest; more says that there are others.
	Correlation(ctx context.Context, id string, limit int) (spans []Span, more bool, err error)

	// Traces returns the spans of several traces, in no order, each identity
	// once. Traces of which more than most rows are stored (most > 0) are left
	// out, and returned as large.
	Traces(ctx context.Context, ids []pcommon.TraceID, most int) (spans []Span, large []pcommon.TraceID, err error)

	// Linking returns the spans that name one of refs in a link. As for
	// Referring in all else.
	Linking(ctx context.Context, refs []causal.SpanRef, limit int) (spans []Span, more bool, err error)

	// Causing returns the spans that name one of refs in a link whose
	// scope.link.role is effect: what caused it, as far as the cause tells. As
	// for Referring in all else.
	Causing(ctx context.Context, refs []causal.SpanRef, limit int) (spans []Span, more bool, err error)

	// Select yields the spans that a selection asks for, each identity once,
	// by when they began, the latest first; of equal times in the order of
	// trace id, span id and kind. Spans without trace or span id come too. It
	// ends after the first error it yields. Ending the loop early is cheap:
	// what would have come later was not read, but for little.
	Select(ctx context.Context, sel Selection) iter.Seq2[Span, error]

	// Estimate returns about how many spans Select would have to look at, at
	// most, without reading any: for choosing between ways to an answer.
	Estimate(ctx context.Context, sel Selection) (spans int64, err error)

	// Fields returns the attributes that spans have, of spans that began
	// within Start <= t < End (0: no bound) and perhaps others.
	Fields(ctx context.Context, start, end uint64) ([]Field, error)

	// Values returns the values that a field has in such spans, at most limit
	// (limit > 0).
	Values(ctx context.Context, field Field, start, end uint64, limit int) (Values, error)

	// Scan yields stored spans, each identity once per part of the store it
	// lies in (blocks are merged by compaction, not by scans), newest part
	// first. It ends after the first error it yields. The store may drop or
	// compact parts meanwhile; a scan still sees the view it began with.
	Scan(ctx context.Context, opts ScanOptions) iter.Seq2[Span, error]

	// Stats returns figures for status pages and metrics; it is cheap.
	Stats() Stats

	// Close waits for writes under way, makes what is in memory recoverable,
	// and releases the folder. ctx bounds the wait. Calling it twice is safe.
	Close(ctx context.Context) error
}

// ScanOptions narrows a Scan; the zero value means everything.
type ScanOptions struct {
	// ReceivedSince skips parts of the store whose newest span arrived
	// earlier. It is a bound on parts, not on spans: older ones may come too.
	ReceivedSince time.Time
	// OpenCalls yields nothing but calls that are open.
	OpenCalls bool
}

// Span is one stored span as OTLP protobuf. Its slices belong to the store's
// immutable memory or to this value alone: the caller may keep them and must
// not write to them.
type Span struct {
	// Origin is an encoded opentelemetry.proto.trace.v1.ResourceSpans without
	// spans: the resource, one ScopeSpans with the scope, both schema URLs.
	Origin []byte
	// Bytes is the encoded opentelemetry.proto.trace.v1.Span.
	Bytes []byte
	// Received is when the store took it, nanoseconds since the epoch. From
	// blocks it is rounded up to the newest arrival of the block.
	Received int64
}

// Stats are the store's figures at one moment. Times are zero where there is
// nothing to speak of.
type Stats struct {
	Spans          int64     `json:"spans"` // rows, head and blocks
	OpenCalls      int64     `json:"open_calls"`
	Blocks         int       `json:"blocks"`
	BlockBytes     int64     `json:"block_bytes"` // with their id runs
	LogSegments    int       `json:"log_segments"`
	LogBytes       int64     `json:"log_bytes"`
	HeadSpans      int64     `json:"head_spans"`
	HeadBytes      int64     `json:"head_bytes"`
	Cuts           int64     `json:"cuts"` // since start
	Compactions    int64     `json:"compactions"`
	Duplicates     int64     `json:"duplicates"` // spans that were stored already
	DroppedBlocks  int64     `json:"dropped_blocks"`
	Oldest         time.Time `json:"oldest"` // earliest arrival still kept
	RecoveredSpans int64     `json:"recovered_spans"`
	RecoverySecs   float64   `json:"recovery_seconds"`
	// Backlog is how much is taken of the room beyond what the head is cut at,
	// by what was accepted and is in no block's head yet: 0 in ordinary
	// operation, at 1 writers wait.
	Backlog float64 `json:"backlog"`
	// StalledMillis is for how long the writer has been waiting for room that
	// has waited longest, RoomWait or less; 0 if none waits.
	StalledMillis int64 `json:"stalled_ms"`
	// Trouble is why the store refuses or delays work now; "" when it is well.
	Trouble string `json:"trouble"`
	// Refusing is that part of Trouble for which every write is refused now: a
	// full disk, a log that cannot be written. An implementation may leave this
	// and the two figures before Trouble empty.
	Refusing string `json:"-"`
}

// ErrClosed is returned by every method after Close.
var ErrClosed = errors.New("store is closed")

// UnavailableError says that a write was not made now and may be tried again:
// no space, a failing disk, or a log backlog that is full.
type UnavailableError struct {
	Reason     string
	RetryAfter time.Duration
	Err        error // the cause, may be nil
}

func (e *UnavailableError) Error() string {
	if e.Err == nil {
		return "store unavailable: " + e.Reason
	}
	return "store unavailable: " + e.Reason + ": " + e.Err.Error()
}

func (e *UnavailableError) Unwrap() error { return e.Err }

// InvalidError says that a batch can never be stored as it is.
type InvalidError struct{ Reason string }

func (e *InvalidError) Error() string { return "span cannot be stored: " + e.Reason }
