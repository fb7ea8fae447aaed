package store

import (
	"bytes"
	"context"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/store/block"
)

// Traces implements Store.
func (e *engine) Traces(ctx context.Context, ids []pcommon.TraceID, most int) ([]Span, []pcommon.TraceID, error) {
	v, err := e.view(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer e.views.release(v)
	t := newTraces(v, e.blocks.Traces(distinct(ids)), most)
	for i := range t.sources {
		if err := between(ctx, i, len(ids)); err != nil {
			return nil, nil, err
		}
		if err := t.count(i); err != nil {
			return nil, nil, err
		}
	}
	var m merger
	for i := range t.sources {
		if err := between(ctx, i, len(ids)); err != nil {
			return nil, nil, err
		}
		if err := t.read(&m, i); err != nil {
			return nil, nil, err
		}
	}
	return m.answer(), t.large(), nil
}

func distinct(ids []pcommon.TraceID) []pcommon.TraceID {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b pcommon.TraceID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

// traces are the traces that Traces reads: it finds their rows in all parts
// first, so that none is read of those that have too many.
type traces struct {
	asked   *block.Question
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

func newTraces(v *view, asked *block.Question, most int) *traces {
	t := &traces{asked: asked, ids: asked.TraceIDs(), places: map[pcommon.TraceID]int{}, most: most, sources: v.sources()}
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
