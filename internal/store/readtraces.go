package store

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/store/block"
)

// Trace implements Store.
func (e *engine) Trace(ctx context.Context, id pcommon.TraceID) ([]Span, error) {
	m, _, err := e.traces(ctx, []pcommon.TraceID{id}, math.MaxInt)
	slices.SortStableFunc(m.spans, func(a, b merged) int { return cmp.Compare(a.start, b.start) })
	return m.answer(), err
}

// Traces implements Store.
func (e *engine) Traces(ctx context.Context, ids []pcommon.TraceID, most int) ([]Span, []pcommon.TraceID, error) {
	m, large, err := e.traces(ctx, ids, most)
	return m.answer(), large, err
}

// traces returns the spans of traces, and those traces of which more than most
// rows are stored. After an error there are none.
func (e *engine) traces(ctx context.Context, ids []pcommon.TraceID, most int) (_ merger, large []pcommon.TraceID, _ error) {
	v, err := e.view(ctx)
	if err != nil {
		return merger{}, nil, err
	}
	defer e.views.release(v)
	t := newTraces(v, e.blocks.Traces(distinct(ids)), most)
	for i := range t.sources {
		if err := between(ctx, i, len(ids)); err != nil {
			return merger{}, nil, err
		}
		if err := t.count(i); err != nil {
			return merger{}, nil, err
		}
	}
	var m merger
	for i := range t.sources {
		if err := between(ctx, i, len(ids)); err != nil {
			return merger{}, nil, err
		}
		if err := t.read(&m, i); err != nil {
			return merger{}, nil, err
		}
	}
	return m, t.large(), nil
}

func distinct(ids []pcommon.TraceID) []pcommon.TraceID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b pcommon.TraceID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

// traces are traces that are read: it finds their rows in all parts
// first, so that none is read of those that have too many.
type traces struct {
	asked   *block.TraceQuestion
	ids     []pcommon.TraceID
	places  map[pcommon.TraceID]int // -> ids
	most    int
	sources []source
	rows    [][]traceRows // of each source
	total   []int         // rows of each trace
}

// traceRows are rows of a part that may be of a trace.
type traceRows struct {
	trace int
	rows  []uint32
}

func newTraces(v *view, asked *block.TraceQuestion, most int) *traces {
	t := &traces{asked: asked, ids: asked.IDs, places: map[pcommon.TraceID]int{}, most: most, sources: v.sources()}
	t.rows, t.total = make([][]traceRows, len(t.sources)), make([]int, len(t.ids))
	for i, id := range t.ids {
		t.places[id] = i
	}
	return t
}

// count finds the rows in a part.
func (t *traces) count(part int) error {
	found := func(trace int, rows []uint32) {
		if t.total[trace] += len(rows); t.total[trace] <= t.most {
			t.rows[part] = append(t.rows[part], traceRows{trace, rows})
		}
	}
	s := t.sources[part]
	if s.part != nil {
		return s.part.block.FindTraces(t.asked, found)
	}
	for i := range t.ids {
		if rows := s.head.TraceRows(t.ids[i]); len(rows) > 0 {
			found(i, rows)
		}
	}
	return nil
}

// read adds the spans of a part.
func (t *traces) read(m *merger, part int) error {
	var rows []uint32
	for _, r := range t.rows[part] {
		if t.total[r.trace] <= t.most {
			rows = append(rows, r.rows...)
		}
	}
	slices.Sort(rows)
	spans, err := t.sources[part].read(slices.Compact(rows))
	if err != nil {
		return err
	}
	for _, span := range spans {
		if at, asked := t.places[span.id.Trace]; !asked || t.total[at] > t.most {
			continue
		}
		if err := m.unite(span); err != nil {
			return err
		}
	}
	return nil
}

// large returns the traces that have too many rows.
func (t *traces) large() (ids []pcommon.TraceID) {
	for i, n := range t.total {
		if n > t.most {
			ids = append(ids, t.ids[i])
		}
	}
	return ids
}
