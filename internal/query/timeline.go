package query

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store"
)

// TimelineOptions narrows and bounds a timeline.
type TimelineOptions struct {
	Place  Place // of the process; a "" stands for any
	Range  Range // when the spans began
	Filter       // of the edges that tell causes
	Limit  int   // spans that are returned at most; > 0
	// MaxBytes bounds the stored OTLP that the answer is made of; > 0.
	MaxBytes int
	// Cursor continues where an answer to the same question ended; "" begins
	// with the earliest.
	Cursor string
}

// Timeline is what one process did, in order.
type Timeline struct {
	Place     Place
	Entries   []Entry // none: nothing is known of the process
	Truncated bool    // there is more: of spans where there is a cursor, else of causes
	Cursor    string  // continues the timeline; "" where nothing is left
}

// Entry is a span of a timeline.
type Entry struct {
	Span   store.Span
	Causes []Edge // that lead to it
}

// ProcessTimeline returns the spans whose scope.process.id is process, by when
// they began; of equal times by scope.event.seq, which orders what one process
// did, then by ids. Spans that nothing can name are left out.
//
// It goes through all that the process did within the range, and holds no more
// of it than the answer takes; an answer is as long as limit and MaxBytes let
// it be. Errors: *AmbiguousError where processes of several places have this
// id, *SizeError where one span is larger than MaxBytes, *CursorError, and the
// source's.
func ProcessTimeline(ctx context.Context, src SearchSource, process string, opts TimelineOptions) (Timeline, error) {
	c := earliest{limit: opts.Limit, maxBytes: opts.MaxBytes}
	if opts.Cursor != "" {
		if err := c.after.parse(opts.Cursor); err != nil {
			return Timeline{}, err
		}
		opts.Range.Start = max(opts.Range.Start, c.after.start)
	}
	where := newPlacer(opts.Place)
	sel := store.Selection{
		Start: opts.Range.Start, End: opts.Range.End,
		Where:        append(where.selection(), attributeIs(causal.AttrProcessID, process)),
		NewMatcher:   matcherOf(func(s *otlpwire.Span) bool { return string(str(s.Attributes, causal.AttrProcessID)) == process }),
		IgnoresLinks: true,
	}
	var at Place
	var span otlpwire.Span
	for found, err := range src.Select(ctx, sel) {
		if err != nil {
			return Timeline{}, err
		}
		place, err := where.of(found)
		if err != nil {
			return Timeline{}, err
		}
		if !where.note(place) {
			continue
		}
		if at != place { // what was taken for the process before is another
			at = place
			c.reset()
		}
		if err := span.Parse(found.Bytes); err != nil {
			return Timeline{}, err
		}
		c.add(found, momentOf(&span))
	}
	if err := where.check(); err != nil {
		return Timeline{}, err
	}
	c.cut()
	if c.bytes > opts.MaxBytes {
		return Timeline{}, &SizeError{Spans: 1, Bytes: c.bytes}
	}
	spans := make([]store.Span, len(c.kept))
	for i := range c.kept {
		spans[i] = c.kept[i].Span
	}
	causes, more, err := causesOf(ctx, src, spans, opts.Filter)
	if err != nil {
		return Timeline{}, err
	}
	answer := Timeline{Place: at, Truncated: c.more || more}
	for i, span := range spans {
		answer.Entries = append(answer.Entries, Entry{Span: span, Causes: causes[i]})
	}
	if c.more {
		answer.Cursor = c.kept[len(c.kept)-1].moment.String()
	}
	return answer, nil
}

func attributeIs(key, value string) store.Condition {
	return store.Has{Field: store.Field{Of: store.OfSpan, Key: key}, Value: value}
}

// matcherOf makes what a Selection takes of what says whether a span matches.
func matcherOf(matches func(*otlpwire.Span) bool) func() func(store.Span) (bool, error) {
	return func() func(store.Span) (bool, error) {
		var span otlpwire.Span
		return func(s store.Span) (bool, error) {
			if err := span.Parse(s.Bytes); err != nil {
				return false, err
			}
			return matches(&span), nil
		}
	}
}

// moment is a span's place in the order of what a process did.
type moment struct {
	start uint64
	seq   int64 // 0 where it has none
	ref   causal.SpanRef
	kind  ptrace.SpanKind
}

func momentOf(s *otlpwire.Span) moment {
	m := moment{start: s.Start, ref: causal.SpanRef{TraceID: s.TraceID, SpanID: s.SpanID}, kind: ptrace.SpanKind(s.Kind)}
	m.seq, _ = integer(s.Attributes, causal.AttrEventSeq)
	return m
}

func integer(attrs []otlpwire.Attr, key string) (n int64, ok bool) {
	v, _ := otlpwire.Find(attrs, key)
	return v.Int()
}

func (m moment) compare(o moment) int {
	return cmp.Or(cmp.Compare(m.start, o.start), cmp.Compare(m.seq, o.seq), m.ref.Compare(o.ref), cmp.Compare(m.kind, o.kind))
}

// momentBytes is the size of an encoded moment.
const momentBytes = 8 + 8 + 16 + 8 + 4

func (m moment) String() string {
	b := make([]byte, 0, momentBytes)
	b = binary.BigEndian.AppendUint64(b, m.start)
	b = binary.BigEndian.AppendUint64(b, uint64(m.seq))
	b = append(b, m.ref.TraceID[:]...)
	b = append(b, m.ref.SpanID[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(m.kind))
	return base64.RawURLEncoding.EncodeToString(b)
}

// parse reads what String wrote. Errors: *CursorError.
func (m *moment) parse(text string) error {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != momentBytes {
		return &CursorError{Problem: fmt.Sprintf("cursor %q is not one that this call gave", text)}
	}
	m.start = binary.BigEndian.Uint64(b)
	m.seq = int64(binary.BigEndian.Uint64(b[8:]))
	m.ref.TraceID = pcommon.TraceID(b[16:32])
	m.ref.SpanID = pcommon.SpanID(b[32:40])
	m.kind = ptrace.SpanKind(binary.BigEndian.Uint32(b[40:]))
	return nil
}
