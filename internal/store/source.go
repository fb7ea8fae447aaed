package store

import (
	"context"
	"fmt"
	"runtime"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store/block"
	"github.com/otelscope/otelscope/internal/store/head"
)

// source is a part of a view that is asked for rows: a block or a head.
type source struct {
	part *part // nil for a head
	head *head.Head
}

// A question for manyAtOnce ids or more is a part of something long.
const (
	manyAtOnce  = 16
	partsAtOnce = 16
)

// between is called before each part that is asked for so many ids. What is long
// lets others run from time to time, which are on their way into the store: each
// would wait for up to 10 ms at every goroutine that it crosses.
func between(ctx context.Context, part, ids int) error {
	if ids >= manyAtOnce && part%partsAtOnce == partsAtOnce-1 {
		runtime.Gosched()
	}
	return ctx.Err()
}

// sources returns the parts of a view, the oldest first.
func (v *view) sources() []source {
	out := make([]source, 0, len(v.blocks)+2)
	for _, p := range v.blocks {
		out = append(out, source{part: p})
	}
	for _, h := range v.heads() {
		out = append(out, source{head: h})
	}
	return out
}

// named are spans by their ids, a question to the parts of one view.
type named struct {
	refs   []causal.SpanRef
	blocks *block.Question
}

// named asks for spans by their ids; refs must not change meanwhile.
func (e *engine) named(refs []causal.SpanRef) *named {
	return &named{refs, e.blocks.Spans(refs)}
}

// named returns the versions of the spans with these ids that the part has, and
// perhaps other spans.
func (s source) named(ctx context.Context, q *named) ([]merged, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.part == nil {
		return s.read(s.head.SpanRows(q.refs))
	}
	rows, err := s.part.block.Find(ctx, q.blocks)
	if err != nil {
		return nil, err
	}
	return s.read(rows)
}

// read returns rows by their numbers, which rise.
func (s source) read(rows []uint32) ([]merged, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	out := make([]merged, 0, len(rows))
	if s.part == nil {
		for _, span := range s.head.At(nil, rows) {
			m, err := newMerged(fromHead(span))
			if err != nil {
				return nil, err
			}
			out = append(out, m)
		}
		return out, nil
	}
	found, err := s.part.block.Rows(rows)
	if err != nil {
		return nil, err
	}
	for _, r := range found {
		m, err := newMerged(Span{Origin: r.Origin, Bytes: r.Span, Received: s.part.info.ReceivedMax})
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func newMerged(s Span) (merged, error) {
	info, err := head.Peek(s.Bytes)
	if err != nil {
		return merged{}, fmt.Errorf("stored span: %w", err)
	}
	return merged{s, info.Identity, info.Start, info.Open}, nil
}
