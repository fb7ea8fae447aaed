package query

import (
	"fmt"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/traceql"
)

// trace is a whole trace, read. One value is used for one after the other.
type trace struct {
	records []*Record // by start, then by ids
	unused  []*Record
	bytes   int
}

// load reads a trace, which is valid until the next one.
func (s *searcher) load(id pcommon.TraceID) (*trace, error) {
	t := &s.loaded
	s.held -= t.bytes
	t.unused, t.records, t.bytes = append(t.unused, t.records...), t.records[:0], 0
	spans, err := s.src.Trace(s.ctx, id)
	if err != nil {
		return nil, err
	}
	s.plan.Traces++
	for _, span := range spans {
		t.bytes += len(span.Origin) + len(span.Bytes)
	}
	if err := s.hold(t.bytes); err != nil {
		return nil, err
	}
	for _, span := range spans {
		if len(t.unused) == 0 {
			t.unused = append(t.unused, new(Record))
		}
		r := t.unused[len(t.unused)-1]
		if err := s.reader.readInto(r, span); err != nil {
			return nil, err
		}
		if r.Ref.IsZero() {
			continue
		}
		t.unused = t.unused[:len(t.unused)-1]
		t.records = append(t.records, r)
	}
	slices.SortFunc(t.records, func(a, b *Record) int { return a.key().compare(b.key()) })
	facts := &traceFacts{records: t.records}
	for i, r := range t.records {
		r.trace, r.place = facts, i
	}
	return t, nil
}

// hold counts bytes of stored OTLP that are held from now on.
func (s *searcher) hold(bytes int) error {
	if s.held += bytes; s.held > s.opts.MaxBytes {
		return &BoundError{fmt.Sprintf("the search would hold more than %d bytes of spans at once (query::max_bytes): "+
			"ask for a shorter time or fewer spansets, or let filters match less", s.opts.MaxBytes)}
	}
	return nil
}

// spansOf returns which of a trace's spans an operand stands for, by their
// places. Its causal parts are known.
func (s *searcher) spansOf(o operand, t *trace) []bool {
	switch o := o.(type) {
	case *filter:
		in := make([]bool, len(t.records))
		for i, r := range t.records {
			in[i] = s.opts.Range.holds(r.wire.Start) && o.predicate.holds(r)
		}
		return in
	case *join:
		return combined(o.source.Op, t, s.spansOf(o.left, t), s.spansOf(o.right, t))
	case *nested:
		if o.known == nil {
			in := make([]bool, len(t.records))
			for _, b := range s.bunches(o.pipe, t) {
				for _, r := range b.records {
					in[r.place] = true
				}
			}
			return in
		}
		return o.known.of(t)
	case *caused:
		return o.known.of(t)
	}
	return nil
}

// bunches returns the spansets that a pipeline makes of a trace.
func (s *searcher) bunches(p *pipe, t *trace) []bunch {
	var b bunch
	for i, is := range s.spansOf(p.source, t) {
		if is {
			b.records = append(b.records, t.records[i])
		}
	}
	if len(b.records) == 0 {
		return nil
	}
	return p.through(b)
}

func combined(op traceql.SpansetOp, t *trace, left, right []bool) []bool {
	switch op {
	case traceql.OpAnd:
		if !slices.Contains(left, true) || !slices.Contains(right, true) {
			return make([]bool, len(left))
		}
		return united(left, right)
	case traceql.OpOr:
		return united(left, right)
	}
	related := t.related(op, left)
	for i := range related {
		related[i] = related[i] && right[i]
	}
	return related
}

func united(a, b []bool) []bool {
	for i := range a {
		a[i] = a[i] || b[i]
	}
	return a
}
