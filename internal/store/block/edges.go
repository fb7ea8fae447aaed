package block

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
)

// Question asks blocks of a set for rows. It is made of what was open then, and
// may be used for those blocks by many goroutines.
type Question struct {
	set    *Set
	kind   kind
	refs   []causal.SpanRef // asked for,
	group  string           // or this
	prints []fingerprint    // rising
	may    [][]int32        // by slot: those of prints that the block may have
}

type kind int

const (
	ofSpans kind = iota
	ofReferring
	ofLinking
	ofCausing
	ofCorrelation
)

// TraceQuestion asks blocks of a set for the rows of traces, as Question does
// for others.
type TraceQuestion struct {
	IDs   []pcommon.TraceID // in the order of their fingerprints
	asked *Question         // has a fingerprint for each
}

// Spans asks for the rows that have one of the ids.
func (s *Set) Spans(refs []causal.SpanRef) *Question {
	return s.question(ofSpans, refs, func(r causal.SpanRef) fingerprint { return spanFingerprint(r.TraceID, r.SpanID) })
}

// Referring asks for the rows that name one of refs as their parent or in a
// link.
func (s *Set) Referring(refs []causal.SpanRef) *Question {
	return s.question(ofReferring, refs, refFingerprint)
}

// Linking asks for the rows that name one of refs in a link.
func (s *Set) Linking(refs []causal.SpanRef) *Question {
	return s.question(ofLinking, refs, linkingFingerprint)
}

// Causing asks for the rows that name one of refs in a link with the role
// effect.
func (s *Set) Causing(refs []causal.SpanRef) *Question {
	return s.question(ofCausing, refs, leadingFingerprint)
}

// Traces asks for the rows of traces, which are all different.
func (s *Set) Traces(ids []pcommon.TraceID) *TraceQuestion {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b pcommon.TraceID) int { return cmp.Compare(traceFingerprint(a), traceFingerprint(b)) })
	q := &Question{prints: make([]fingerprint, len(ids))}
	for i, id := range ids {
		q.prints[i] = traceFingerprint(id)
	}
	return &TraceQuestion{ids, s.ask(q)}
}

// Len is how many different things are asked for.
func (q *Question) Len() int { return len(q.prints) }

// Correlation asks for the rows whose scope.correlation.id is id.
func (s *Set) Correlation(id string) *Question {
	return s.ask(&Question{kind: ofCorrelation, group: id, prints: []fingerprint{correlationFingerprint(id)}})
}

func (s *Set) question(k kind, refs []causal.SpanRef, print func(causal.SpanRef) fingerprint) *Question {
	q := &Question{kind: k, refs: refs, prints: make([]fingerprint, len(refs))}
	for i, ref := range refs {
		q.prints[i] = print(ref)
	}
	slices.Sort(q.prints)
	q.prints = slices.Compact(q.prints)
	return s.ask(q)
}

func (s *Set) ask(q *Question) *Question {
	keys := make([]uint64, len(q.prints))
	for i, f := range q.prints {
		keys[i] = f.filterKey()
	}
	q.set, q.may = s, s.filters.which(keys)
	return q
}

// Find returns the rows that a question asks for, rising, and perhaps some that
// it does not: fingerprints may be shared. A block from before there was a run
// for the question is read whole; for linking and causing rows it gives all that
// name one of refs.
func (b *Block) Find(ctx context.Context, q *Question) ([]uint32, error) {
	switch q.kind {
	case ofReferring:
		if b.ids.referring.there {
			return b.rowsOf(&b.ids.referring.run, q.of(b))
		}
		set := make(map[causal.SpanRef]struct{}, len(q.refs))
		for _, r := range q.refs {
			set[r] = struct{}{}
		}
		return b.scanFor(ctx, func(s *edgeScan) (bool, error) { return s.names(set) })
	case ofLinking:
		if b.ids.linking.there {
			return b.rowsOf(&b.ids.linking.run, q.of(b))
		}
		return b.Find(ctx, q.set.Referring(q.refs))
	case ofCausing:
		if b.ids.leading.there {
			return b.rowsOf(&b.ids.leading.run, q.of(b))
		}
		return b.Find(ctx, q.set.Referring(q.refs))
	case ofCorrelation:
		if b.ids.correlation.there {
			return b.rowsOf(&b.ids.correlation.run, q.of(b))
		}
		return b.scanFor(ctx, func(s *edgeScan) (bool, error) { return s.inGroup(q.group) })
	}
	return b.rowsOf(&b.ids.span, q.of(b))
}

// FindTraces calls found for each of a question's traces that the block may
// have, by its place among IDs, with the rows that may be of it, rising, which
// are found's.
func (b *Block) FindTraces(q *TraceQuestion, found func(place int, rows []uint32)) error {
	var c cursor
	defer c.release()
	for _, i := range q.asked.may[b.slot] {
		rows, err := b.ids.trace.find(nil, q.asked.prints[i], &c)
		if err != nil {
			return &CorruptError{b.idsName, err}
		}
		if len(rows) > 0 {
			found(int(i), rows)
		}
	}
	return nil
}

// of returns the fingerprints that a block may have, rising.
func (q *Question) of(b *Block) []fingerprint {
	prints := make([]fingerprint, 0, len(q.may[b.slot]))
	for _, i := range q.may[b.slot] {
		prints = append(prints, q.prints[i])
	}
	return prints
}

// rowsOf returns the rows that a run has for rising fingerprints, rising.
func (b *Block) rowsOf(r *run, prints []fingerprint) (rows []uint32, err error) {
	if len(prints) == 0 {
		return nil, nil
	}
	var c cursor
	defer c.release()
	for _, f := range prints {
		if rows, err = r.find(rows, f, &c); err != nil {
			return nil, &CorruptError{b.idsName, err}
		}
	}
	slices.Sort(rows)
	return slices.Compact(rows), nil
}

// scanFor returns the rows of which keep says so, by reading all.
func (b *Block) scanFor(ctx context.Context, keep func(s *edgeScan) (bool, error)) (rows []uint32, err error) {
	var s edgeScan
	number := uint32(0)
	for row, err := range b.Scan(ctx) {
		if err != nil {
			return nil, err
		}
		err = s.span.Parse(row.Span)
		kept := false
		if err == nil {
			kept, err = keep(&s)
		}
		if err != nil {
			return nil, &CorruptError{b.parquetName, fmt.Errorf("row %d: %w", number, err)}
		}
		if kept {
			rows = append(rows, number)
		}
		number++
	}
	return rows, nil
}

// edgeScan looks at one span after the other.
type edgeScan struct {
	span otlpwire.Span
	link otlpwire.Link
}

// names reports whether the span names one of refs.
func (s *edgeScan) names(refs map[causal.SpanRef]struct{}) (bool, error) {
	_, found := refs[causal.SpanRef{TraceID: s.span.TraceID, SpanID: s.span.ParentSpanID}]
	for _, l := range s.span.Links {
		if err := s.link.Parse(l); err != nil {
			return false, err
		}
		_, linked := refs[causal.SpanRef{TraceID: s.link.TraceID, SpanID: s.link.SpanID}]
		found = found || linked
	}
	return found, nil
}

func (s *edgeScan) inGroup(id string) (bool, error) {
	v, _ := otlpwire.Find(s.span.Attributes, causal.AttrCorrelationID)
	text, ok := v.Str()
	return ok && string(text) == id, nil
}

// Rows returns rows by their numbers, which rise. No page is read twice.
func (b *Block) Rows(numbers []uint32) ([]Row, error) {
	rows := make([]Row, 0, len(numbers))
	p := pageReader{keeps: true}
	defer p.release()
	var places cursor
	defer places.release()
	for _, n := range numbers {
		span, err := p.row(b, n)
		if err != nil {
			return nil, err
		}
		origin, err := b.origin(n, &places)
		if err != nil {
			return nil, err
		}
		rows = append(rows, Row{Origin: origin, Span: slices.Clone(span)})
	}
	return rows, nil
}

// cursor keeps the granule that was read last. The zero value is ready; release
// ends its use.
type cursor struct {
	space *[granule]byte
	data  []byte
	next  int // the number of the granule that data is, plus 1; 0: none
}

var granulePool = sync.Pool{New: func() any { return new([granule]byte) }}

func (c *cursor) release() {
	if c.space != nil {
		granulePool.Put(c.space)
	}
}

// at returns granule i of a section. A cursor is for one section.
func (c *cursor) at(g *granules, i int) ([]byte, error) {
	if c.next != i+1 {
		if c.space == nil {
			c.space = granulePool.Get().(*[granule]byte)
		}
		c.next = 0
		data, err := g.read(i, c.space[:])
		if err != nil {
			return nil, err
		}
		c.data, c.next = data, i+1
	}
	return c.data, nil
}

// origin returns the origin of a row.
func (b *Block) origin(row uint32, c *cursor) ([]byte, error) {
	const per = granule / 4
	places, err := c.at(&b.ids.rows, int(row/per))
	if err != nil {
		return nil, &CorruptError{b.idsName, err}
	}
	return b.originAt(binary.LittleEndian.Uint32(places[row%per*4:]))
}
