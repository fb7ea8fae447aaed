package store

import (
	"context"
	"iter"
	"slices"

	"github.com/otelscope/otelscope/internal/store/head"
)

// scanChunk is how many rows of a head are collected under its lock at once.
const scanChunk = 1024

// Scan implements Store.
func (e *engine) Scan(ctx context.Context, opts ScanOptions) iter.Seq2[Span, error] {
	return func(yield func(Span, error) bool) {
		v, err := e.view(ctx)
		if err != nil {
			yield(Span{}, err)
			return
		}
		defer e.views.release(v)
		s := scan{ctx: ctx, view: v, yield: yield, open: opts.OpenCalls}
		if !opts.ReceivedSince.IsZero() {
			s.since = opts.ReceivedSince.UnixNano()
		}
		s.run()
	}
}

// scan is one Scan under way. Its methods return false when it is over.
type scan struct {
	ctx   context.Context
	view  *view
	yield func(Span, error) bool
	since int64 // nanoseconds since the epoch
	open  bool  // nothing but open calls
	// seen are the calls that were yielded, when only open ones are asked for:
	// a cut carries them from one part to the next while the scan goes on.
	seen map[head.Identity]struct{}
}

func (s *scan) run() {
	heads := s.view.heads()
	rows := make([]int, len(heads))
	for i, h := range heads {
		rows[i] = h.Sizes().Spans
	}
	for i, h := range slices.Backward(heads) {
		if !s.head(h, rows[i]) {
			return
		}
	}
	for _, p := range slices.Backward(s.view.blocks) {
		if p.info.ReceivedMax < s.since || s.open && p.info.Level&levelHasOpen == 0 {
			continue
		}
		if !s.block(p) {
			return
		}
	}
}

func (s *scan) head(h *head.Head, rows int) bool {
	if rows == 0 || h.Sizes().Newest < s.since {
		return true
	}
	var chunk []head.Span
	for first := 0; first < rows; first += scanChunk {
		chunk = h.Rows(chunk[:0], first, min(first+scanChunk, rows), s.open)
		for _, span := range chunk {
			if !s.emit(fromHead(span)) {
				return false
			}
		}
	}
	return true
}

func (s *scan) block(p *part) bool {
	for row, err := range p.block.Scan(s.ctx) {
		if err != nil {
			s.yield(Span{}, err)
			return false
		}
		if !s.emit(Span{Origin: row.Origin, Bytes: row.Span, Received: p.info.ReceivedMax}) {
			return false
		}
	}
	return true
}

func (s *scan) emit(span Span) bool {
	err := s.ctx.Err()
	if err == nil && s.open {
		var open bool
		if span, open, err = s.stillOpen(span); err == nil && !open {
			return true
		}
	}
	if err != nil {
		s.yield(Span{}, err)
		return false
	}
	return s.yield(span, nil)
}

// stillOpen returns the span with what other parts know of it, and whether it
// is an open call that was not yielded before.
func (s *scan) stillOpen(span Span) (Span, bool, error) {
	info, err := head.Peek(span.Bytes)
	if err != nil || !info.Open || !info.Exists() {
		return span, info.Open, err
	}
	if _, seen := s.seen[info.Identity]; seen {
		return span, false, nil
	}
	var m merger
	if err := s.view.versions(&m, &info.Identity); err != nil {
		return span, false, err
	}
	if !m.spans[0].open {
		return span, false, nil
	}
	if s.seen == nil {
		s.seen = map[head.Identity]struct{}{}
	}
	s.seen[info.Identity] = struct{}{}
	return m.spans[0].Span, true, nil
}
