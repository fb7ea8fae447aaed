package query

import (
	"encoding/hex"
	"fmt"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/traceql"
)

// Record is one span, read for matching. It is valid until its Reader's next
// Read and while the span's bytes are. It is used by one goroutine.
type Record struct {
	Span store.Span
	Ref  causal.SpanRef

	wire   otlpwire.Span
	origin *origin
	trace  *traceFacts // nil: nothing is known of the trace
	place  int         // among the trace's records, where it is one of them
	// The span's events and links, read when they are asked for.
	events, links int // of the slices, how many are this span's; unread: not read
	eventViews    []otlpwire.Event
	linkViews     []otlpwire.Link
	// Ids as text; two, for a comparison of one with another.
	ids [2][2 * len(causal.SpanRef{}.TraceID)]byte
}

const unread = -1

// origin is what spans share: their resource and scope.
type origin struct {
	bytes    []byte
	resource []otlpwire.Attr
	scope    otlpwire.Scope
}

// Reader reads spans, one after the other; it remembers what origins say.
// The zero value is ready.
type Reader struct {
	record  Record
	origins map[string]*origin
	last    *origin
}

// maxOrigins bounds how many a Reader remembers.
const maxOrigins = 1024

// Read reads a span.
func (r *Reader) Read(span store.Span) (*Record, error) {
	return &r.record, r.readInto(&r.record, span)
}

func (r *Reader) readInto(rec *Record, span store.Span) error {
	if err := rec.wire.Parse(span.Bytes); err != nil {
		return fmt.Errorf("stored span: %w", err)
	}
	o, err := r.originOf(span.Origin)
	if err != nil {
		return err
	}
	rec.Span, rec.origin, rec.trace = span, o, nil
	rec.Ref = causal.SpanRef{TraceID: rec.wire.TraceID, SpanID: rec.wire.SpanID}
	rec.events, rec.links = unread, unread
	return nil
}

func (r *Reader) originOf(encoded []byte) (*origin, error) {
	if r.last != nil && sameMemory(r.last.bytes, encoded) {
		return r.last, nil
	}
	if known := r.origins[string(encoded)]; known != nil {
		r.last = known
		return known, nil
	}
	parsed, err := otlpwire.ParseOrigin(encoded)
	if err != nil {
		return nil, fmt.Errorf("stored origin: %w", err)
	}
	o := &origin{bytes: encoded}
	if o.resource, err = otlpwire.AppendResourceAttributes(nil, parsed.Resource); err != nil {
		return nil, fmt.Errorf("stored origin: %w", err)
	}
	if err := o.scope.Parse(parsed.Scope); err != nil {
		return nil, fmt.Errorf("stored origin: %w", err)
	}
	if r.origins == nil || len(r.origins) == maxOrigins {
		r.origins = map[string]*origin{}
	}
	r.origins[string(encoded)] = o
	r.last = o
	return o, nil
}

// sameMemory reports whether two slices are one; what a store returned is
// never written to again.
func sameMemory(a, b []byte) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// kind returns the span's kind, which is a part of its identity.
func (r *Record) kind() ptrace.SpanKind { return ptrace.SpanKind(r.wire.Kind) }

// duration returns how long the span lasted; 0 if its end is before its start.
func (r *Record) duration() uint64 { return r.wire.End - min(r.wire.Start, r.wire.End) }

// parent returns the id of the span's parent; a span that names itself has
// none.
func (r *Record) parent() [8]byte {
	if r.wire.ParentSpanID == r.wire.SpanID {
		return [8]byte{}
	}
	return r.wire.ParentSpanID
}

// ValueOf returns a field of a span, nil where it has none; of several values
// the first. For the types see GroupValue. Fields of the trace as a whole
// (rootName and such) are nil.
func (r *Record) ValueOf(field traceql.FieldExpr) any {
	f := fieldOf(field)
	return r.first(&f, 0).any()
}

// first returns the first value of a field. Two that are held at once need
// different sides, 0 and 1.
func (r *Record) first(f *field, side int) value {
	for i := range r.values(f) {
		if v := r.value(f, i, side); v.kind != nothing {
			return v
		}
	}
	return value{}
}

// readEvents reads the span's events; malformed ones are as if they had
// nothing in them.
func (r *Record) readEvents() int {
	if r.events == unread {
		r.events = len(r.wire.Events)
		r.eventViews = append(r.eventViews, make([]otlpwire.Event, max(0, r.events-len(r.eventViews)))...)
		for i, encoded := range r.wire.Events {
			if r.eventViews[i].Parse(encoded) != nil {
				r.eventViews[i] = otlpwire.Event{}
			}
		}
	}
	return r.events
}

func (r *Record) readLinks() int {
	if r.links == unread {
		r.links = len(r.wire.Links)
		r.linkViews = append(r.linkViews, make([]otlpwire.Link, max(0, r.links-len(r.linkViews)))...)
		for i, encoded := range r.wire.Links {
			if r.linkViews[i].Parse(encoded) != nil {
				r.linkViews[i] = otlpwire.Link{}
			}
		}
	}
	return r.links
}

// id returns an id as lower hex; nothing for an empty one.
func (r *Record) id(id []byte, side int) value {
	for _, b := range id {
		if b != 0 {
			n := hex.Encode(r.ids[side][:], id)
			return value{kind: textValue, text: r.ids[side][:n]}
		}
	}
	return value{}
}
