package store

import (
	"context"
	"slices"

	"github.com/otelscope/otelscope/internal/store/block"
	"github.com/otelscope/otelscope/internal/store/field"
	"github.com/otelscope/otelscope/internal/store/head"
)

// estimateRows is how many rows of a head are looked at to guess how many are
// wanted.
const estimateRows = 256

// Estimate implements Store. Of heads it looks at some rows.
func (e *engine) Estimate(ctx context.Context, sel Selection) (spans int64, err error) {
	v, err := e.view(ctx)
	if err != nil {
		return 0, err
	}
	defer e.views.release(v)
	f := newFilter(&sel)
	for _, source := range v.sources() {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		p := newSelectPart(source, f)
		if p.part == nil {
			n, err := p.guess(f)
			if err != nil {
				return 0, err
			}
			spans += n
			continue
		}
		if !p.open {
			if err := p.find(f, sel.Where); err != nil {
				return 0, err
			}
		}
		spans += min(int64(len(p.zones))*block.ZoneRows, p.part.info.Rows)
	}
	return spans, nil
}

// guess returns about how many rows of a head are wanted.
func (p *selectPart) guess(f *filter) (int64, error) {
	var rows []uint32
	step := max(1, len(p.zones)*head.ZoneRows/estimateRows)
	for i := 0; i < len(p.zones)*head.ZoneRows; i += step {
		if n := int(p.zones[i/head.ZoneRows].number)*head.ZoneRows + i%head.ZoneRows; n < p.rows {
			rows = append(rows, uint32(n))
		}
	}
	s := newSieve(f)
	wanted := int64(0)
	for _, row := range p.head.At(nil, rows) {
		span := fromHead(row)
		passes, err := s.passes(&span)
		if err != nil {
			return 0, err
		}
		if passes {
			wanted++
		}
	}
	if len(rows) == 0 {
		return 0, nil
	}
	total := min(int64(len(p.zones))*head.ZoneRows, int64(p.rows))
	return min(total, (wanted+1)*int64(step)), nil
}

// Fields implements Store.
func (e *engine) Fields(ctx context.Context, start, end uint64) ([]Field, error) {
	seen := map[Field]struct{}{}
	err := e.eachPart(ctx, start, end, func(p source) error {
		if p.part != nil {
			fields, _, err := p.part.block.Fields(ctx)
			for _, f := range fields {
				seen[f] = struct{}{}
			}
			return err
		}
		return p.head.Census(func(c *field.Census) {
			for _, t := range c.Tallies() {
				if f := t.Field(); f.Of.Keyed() {
					seen[f] = struct{}{}
				}
			}
		})
	})
	if err != nil {
		return nil, err
	}
	var fields []Field
	for f := range seen {
		fields = append(fields, f)
	}
	slices.SortFunc(fields, field.Compare)
	return fields, nil
}

// eachPart calls f with the parts that have spans which began within a time.
func (e *engine) eachPart(ctx context.Context, start, end uint64, f func(source) error) error {
	v, err := e.view(ctx)
	if err != nil {
		return err
	}
	defer e.views.release(v)
	within := newFilter(&Selection{Start: start, End: end})
	for _, source := range v.sources() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if newSelectPart(source, within).done() {
			continue
		}
		if err := f(source); err != nil {
			return err
		}
	}
	return nil
}

// Values implements Store.
func (e *engine) Values(ctx context.Context, f Field, start, end uint64, limit int) (Values, error) {
	var all []field.Value
	seen := map[any]struct{}{}
	incomplete := false
	add := func(values []field.Value, full bool) {
		incomplete = incomplete || full
		for _, v := range values {
			key := v.Any()
			if _, known := seen[key]; !known {
				seen[key] = struct{}{}
				all = append(all, v)
			}
		}
	}
	err := e.eachPart(ctx, start, end, func(p source) error {
		if p.part != nil {
			values, full, err := p.part.block.Values(ctx, f)
			add(values, full)
			return err
		}
		return p.head.Census(func(c *field.Census) {
			if t := c.Of(f); t != nil {
				add(t.Values(), t.Full())
				return
			}
			incomplete = incomplete || c.Partial()
		})
	})
	if err != nil {
		return Values{}, err
	}
	slices.SortFunc(all, field.CompareValues)
	out := Values{Complete: !incomplete && len(all) <= limit}
	for _, v := range all[:min(len(all), max(limit, 0))] {
		out.Values = append(out.Values, v.Any())
	}
	return out, nil
}
