package block

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
)

// Order orders refs as filters have them, for SpanRows, for ReferringRows or for
// CausingRows: many blocks that are asked for many refs are then gone through
// from front to back each, which is several times as fast.
func (k Kind) Order(refs []causal.SpanRef) {
	type keyed struct {
		key uint64
		ref causal.SpanRef
	}
	all := make([]keyed, len(refs))
	for i, ref := range refs {
		all[i] = keyed{k.print(ref).filterKey(), ref}
	}
	slices.SortFunc(all, func(a, b keyed) int { return cmp.Compare(a.key, b.key) })
	for i := range all {
		refs[i] = all[i].ref
	}
}

// Kind is a question about refs.
type Kind uint64

// The questions of SpanRows, ReferringRows and CausingRows.
const (
	OfSpans     = Kind(seedSpan)
	OfReferring = Kind(seedReferring)
	OfCausing   = Kind(seedLeading)
)

func (k Kind) print(ref causal.SpanRef) fingerprint {
	return idsFingerprint(ref.TraceID, ref.SpanID, uint64(k))
}

// SpanRows returns the rows that have one of the ids, rising, and perhaps some
// that do not: fingerprints may be shared.
func (b *Block) SpanRows(refs []causal.SpanRef) ([]uint32, error) {
	prints := b.known(len(refs), func(i int) fingerprint { return spanFingerprint(refs[i].TraceID, refs[i].SpanID) })
	return b.rowsOf(&b.ids.span, prints)
}

// ReferringRows returns the rows that name one of refs as their parent or in a
// link, rising, and perhaps some that do not. A block from before there was a
// run for this is read whole.
func (b *Block) ReferringRows(ctx context.Context, refs []causal.SpanRef) ([]uint32, error) {
	if !b.ids.referring.there {
		set := make(map[causal.SpanRef]struct{}, len(refs))
		for _, r := range refs {
			set[r] = struct{}{}
		}
		return b.scanFor(ctx, func(s *edgeScan) (bool, error) { return s.names(set) })
	}
	prints := b.known(len(refs), func(i int) fingerprint { return refFingerprint(refs[i]) })
	return b.rowsOf(&b.ids.referring.run, prints)
}

// CausingRows returns the rows that name one of refs in a link with the role
// effect, rising, and perhaps some that do not. In a block from before there
// was a run for this they are those that name one of refs at all.
func (b *Block) CausingRows(ctx context.Context, refs []causal.SpanRef) ([]uint32, error) {
	if !b.ids.leading.there {
		return b.ReferringRows(ctx, refs)
	}
	if len(b.ids.leading.first) == 0 {
		return nil, nil
	}
	prints := b.known(len(refs), func(i int) fingerprint { return leadingFingerprint(refs[i]) })
	return b.rowsOf(&b.ids.leading.run, prints)
}

// CorrelationRows returns the rows whose scope.correlation.id is id, rising,
// and perhaps some whose is not. A block from before there was a run for this
// is read whole.
func (b *Block) CorrelationRows(ctx context.Context, id string) ([]uint32, error) {
	if !b.ids.correlation.there {
		return b.scanFor(ctx, func(s *edgeScan) (bool, error) { return s.inGroup(id) })
	}
	prints := b.known(1, func(int) fingerprint { return correlationFingerprint(id) })
	return b.rowsOf(&b.ids.correlation.run, prints)
}

// known returns those of n fingerprints that the filter knows, rising.
func (b *Block) known(n int, print func(i int) fingerprint) (known []fingerprint) {
	for i := range n {
		if f := print(i); b.ids.filter.Check(f.filterKey()) {
			known = append(known, f)
		}
	}
	slices.Sort(known)
	return slices.Compact(known)
}

// rowsOf returns the rows that a run has for rising fingerprints, rising.
func (b *Block) rowsOf(r *run, prints []fingerprint) (rows []uint32, err error) {
	if len(prints) == 0 {
		return nil, nil
	}
	var c cursor
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
	var p pageReader
	defer p.release()
	var places cursor
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

// cursor keeps the granule that was read last. The zero value is ready.
type cursor struct {
	space [granule]byte
	data  []byte
	next  int // the number of the granule that data is, plus 1; 0: none
}

// at returns granule i of a section. A cursor is for one section.
func (c *cursor) at(g *granules, i int) ([]byte, error) {
	if c.next != i+1 {
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
