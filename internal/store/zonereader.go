package store

import (
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/block"
	"github.com/otelscope/otelscope/internal/store/head"
)

// zoneReader reads zones for a selecting, in a goroutine of its own.
type zoneReader struct {
	*selecting
	sieve *sieve
	match func(Span) (bool, error)
	rows  []head.Span
	found []merged // of the zone being read

	looked, size int64 // what was read of it, spans and bytes
}

func newZoneReader(s *selecting) *zoneReader {
	r := &zoneReader{selecting: s, sieve: newSieve(s.filter)}
	r.match = func(Span) (bool, error) { return true, nil }
	if s.sel.NewMatcher != nil {
		r.match = s.sel.NewMatcher()
	}
	return r
}

// read returns the wanted spans whose winning version lies in a zone.
//
// Versions of a span differ in more than their links only where one wins, and
// that one is met in its own zone. So a row counts if no other part has a
// version that beats it, and then it gets the links of all.
func (r *zoneReader) read(t *task) ([]merged, error) {
	if err := r.ctx.Err(); err != nil {
		return nil, err
	}
	r.found, r.looked, r.size = r.found[:0], 0, 0
	defer func() { r.spans.Add(r.looked); r.bytes.Add(r.size) }()
	p := r.parts[t.part]
	var err error
	if p.part != nil {
		received := p.part.info.ReceivedMax
		err = p.part.block.Zone(int(t.zone.number), func(row block.Row) error {
			return r.row(Span{row.Origin, row.Span, received}, true)
		})
	} else {
		err = r.headZone(p, t)
	}
	if err != nil {
		return nil, err
	}
	if err := r.unite(t.part); err != nil {
		return nil, err
	}
	if !r.sel.IgnoresLinks {
		if r.found, err = r.matching(r.found); err != nil {
			return nil, err
		}
	}
	return slices.Clone(r.found), nil
}

// headRows is how many rows of a head are collected under its lock at once.
const headRows = 256

// headZone reads a zone of a head. A row that was replaced meanwhile by a
// version that began later than the zone's rows is left out: its place in the
// order has passed.
func (r *zoneReader) headZone(p *selectPart, t *task) error {
	first := int(t.zone.number) * head.ZoneRows
	end := min(first+head.ZoneRows, p.rows)
	for ; first < end; first += headRows {
		if err := r.ctx.Err(); err != nil {
			return err
		}
		r.rows = p.head.Rows(r.rows[:0], first, min(first+headRows, end), false)
		for i := range r.rows {
			if err := r.row(fromHead(r.rows[i]), false); err != nil {
				return err
			}
		}
	}
	r.found = slices.DeleteFunc(r.found, func(m merged) bool { return m.start > t.zone.bound })
	return nil
}

// row adds a row to what was found unless it cannot be wanted. fleeting says
// that its bytes are not to be kept.
func (r *zoneReader) row(span Span, fleeting bool) error {
	r.looked++
	r.size += int64(len(span.Bytes))
	passes, err := r.sieve.passes(&span)
	if err != nil || !passes {
		return err
	}
	if r.sel.IgnoresLinks {
		if matches, err := r.matches(span); err != nil || !matches {
			return err
		}
	}
	if fleeting {
		span.Bytes = slices.Clone(span.Bytes)
	}
	m, err := newMerged(span)
	if err == nil {
		r.found = append(r.found, m)
	}
	return err
}

func (r *zoneReader) matches(span Span) (bool, error) {
	if err := r.ctx.Err(); err != nil {
		return false, err
	}
	return r.match(span)
}

// matching keeps those of some spans that match.
func (r *zoneReader) matching(spans []merged) ([]merged, error) {
	kept := spans[:0]
	for _, m := range spans {
		matches, err := r.matches(m.Span)
		if err != nil {
			return nil, err
		}
		if matches {
			kept = append(kept, m)
		}
	}
	return kept, nil
}

// unite gives what was found in a part the links of its other versions, and
// leaves out what one of them beats.
func (r *zoneReader) unite(part int) error {
	at := make(map[head.Identity]int, len(r.found))
	refs := make([]causal.SpanRef, 0, len(r.found))
	for i := range r.found {
		if id := &r.found[i].id; id.Exists() {
			at[*id] = i
			refs = append(refs, id.Ref())
		}
	}
	if len(refs) == 0 {
		return nil
	}
	beaten := make([]bool, len(r.found))
	asked := r.engine.named(refs)
	for j, p := range r.parts {
		if j == part {
			continue
		}
		versions, err := p.versions(r.selecting, asked, r.found)
		if err != nil {
			return err
		}
		for _, v := range versions {
			i, asked := at[v.id]
			if !asked {
				continue
			}
			m := &r.found[i]
			beaten[i] = beaten[i] || m.open && !v.open || j < part && m.open == v.open
			if m.Bytes, err = otlpwire.UnionLinks(nil, m.Bytes, v.Bytes); err != nil {
				return err
			}
		}
	}
	i := -1
	r.found = slices.DeleteFunc(r.found, func(merged) bool { i++; return beaten[i] })
	return nil
}

// versions returns the versions of spans that a part has, and perhaps other
// spans; asked are the names of those that have any.
func (p *selectPart) versions(s *selecting, asked *named, spans []merged) (found []merged, err error) {
	if p.part != nil {
		return p.named(s.ctx, asked)
	}
	for i := range spans {
		if !spans[i].id.Exists() {
			continue
		}
		v, there := p.head.Span(&spans[i].id)
		if !there || v.Received > p.asOf {
			continue
		}
		m, err := newMerged(fromHead(v))
		if err != nil {
			return nil, err
		}
		found = append(found, m)
	}
	return found, nil
}
