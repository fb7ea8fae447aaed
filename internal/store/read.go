package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/otelscope/otelscope/internal/store/head"
)

// view returns the current view, which the caller releases.
func (e *engine) view(ctx context.Context) (*view, error) {
	if err := e.usable(ctx); err != nil {
		return nil, err
	}
	v := e.views.acquire()
	if v == nil {
		return nil, ErrClosed
	}
	return v, nil
}

// Event implements Store.
func (e *engine) Event(ctx context.Context, id string) ([]Span, error) {
	v, err := e.view(ctx)
	if err != nil {
		return nil, err
	}
	defer e.views.release(v)
	if id == "" {
		return nil, nil
	}
	var hits merger
	if err := v.eventHits(ctx, &hits, id); err != nil {
		return nil, err
	}
	return v.confirm(ctx, hits.spans, id)
}

// eventHits adds each version of a span that came from the event.
func (v *view) eventHits(ctx context.Context, m *merger, id string) error {
	for _, p := range v.blocks {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows, err := p.block.Event(id)
		if err != nil {
			return err
		}
		if err := m.addRows(rows, p.info.ReceivedMax); err != nil {
			return err
		}
	}
	for _, h := range v.heads() {
		spans := h.Event(id)
		slices.Reverse(spans)
		if err := m.addHead(spans); err != nil {
			return err
		}
	}
	return nil
}

// confirm looks up all versions of what was hit, and returns what came from
// the event after they are united: a version that lost may be all that bore
// the event's id.
func (v *view) confirm(ctx context.Context, hits []merged, id string) ([]Span, error) {
	var out []Span
	for _, hit := range slices.Backward(hits) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if hit.id.Exists() {
			var m merger
			if err := v.versions(&m, &hit.id); err != nil {
				return nil, err
			}
			hit = m.spans[0]
		}
		info, err := head.Peek(hit.Bytes)
		if err != nil {
			return nil, err
		}
		if info.HasEvent(id) {
			out = append(out, hit.Span)
		}
	}
	slices.SortStableFunc(out, func(a, b Span) int { return cmp.Compare(b.Received, a.Received) })
	return out, nil
}
