package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store/block"
	"github.com/otelscope/otelscope/internal/store/head"
)

// refSet is a set of spans' names, none of them zero.
type refSet map[causal.SpanRef]struct{}

// newRefSet returns a set and its members.
func newRefSet(refs []causal.SpanRef) (refSet, []causal.SpanRef) {
	set := make(refSet, len(refs))
	for _, r := range refs {
		if !r.IsZero() {
			set[r] = struct{}{}
		}
	}
	members := make([]causal.SpanRef, 0, len(set))
	for r := range set {
		members = append(members, r)
	}
	return set, members
}

// Spans implements Store.
func (e *engine) Spans(ctx context.Context, refs []causal.SpanRef) ([]Span, error) {
	v, err := e.view(ctx)
	if err != nil {
		return nil, err
	}
	defer e.views.release(v)
	set, refs := newRefSet(refs)
	asked := e.named(refs)
	var m merger
	for i, p := range v.sources() {
		if err := between(ctx, i, len(refs)); err != nil {
			return nil, err
		}
		spans, err := p.named(ctx, asked)
		if err != nil {
			return nil, err
		}
		for _, s := range spans {
			if _, asked := set[s.id.Ref()]; !asked {
				continue
			}
			if err := m.unite(s); err != nil {
				return nil, err
			}
		}
	}
	return m.answer(), nil
}

// Referring implements Store.
func (e *engine) Referring(ctx context.Context, refs []causal.SpanRef, limit int) ([]Span, bool, error) {
	return e.naming(ctx, refs, limit, e.blocks.Referring, (*head.Head).ReferringRows, head.AppendRefs)
}

// Linking implements Store.
func (e *engine) Linking(ctx context.Context, refs []causal.SpanRef, limit int) ([]Span, bool, error) {
	return e.naming(ctx, refs, limit, e.blocks.Linking, (*head.Head).ReferringRows, head.AppendLinks)
}

// Causing implements Store.
func (e *engine) Causing(ctx context.Context, refs []causal.SpanRef, limit int) ([]Span, bool, error) {
	return e.naming(ctx, refs, limit, e.blocks.Causing, (*head.Head).CausingRows, head.AppendEffects)
}

// naming returns spans that name one of refs, which names appends; the others find
// the rows that may.
func (e *engine) naming(ctx context.Context, refs []causal.SpanRef, limit int,
	blocks func([]causal.SpanRef) *block.Question, rows func(*head.Head, []causal.SpanRef) []uint32,
	names func([]causal.SpanRef, []byte) ([]causal.SpanRef, error),
) ([]Span, bool, error) {
	set, refs := newRefSet(refs)
	if len(set) == 0 {
		return nil, false, e.usable(ctx)
	}
	q := question{
		blocks: func() *block.Question { return blocks(refs) },
		head:   func(h *head.Head) []uint32 { return rows(h, refs) },
	}
	var found []causal.SpanRef
	q.match = func(span []byte) (_ bool, err error) {
		if found, err = names(found[:0], span); err != nil {
			return false, err
		}
		return slices.ContainsFunc(found, func(r causal.SpanRef) bool { _, ok := set[r]; return ok }), nil
	}
	return e.search(ctx, limit, q)
}

// Correlation implements Store.
func (e *engine) Correlation(ctx context.Context, id string, limit int) ([]Span, bool, error) {
	if id == "" {
		return nil, false, e.usable(ctx)
	}
	return e.search(ctx, limit, question{
		blocks: func() *block.Question { return e.blocks.Correlation(id) },
		head:   func(h *head.Head) []uint32 { return h.CorrelationRows(id) },
		match: func(span []byte) (bool, error) {
			info, err := head.Peek(span)
			return string(info.Correlation) == id, err
		},
	})
}

// question asks for spans that match. The parts of a store say which rows may.
type question struct {
	blocks func() *block.Question // of those that are open
	head   func(*head.Head) []uint32
	match  func(span []byte) (bool, error)
}

// search answers a question with at most limit spans, by start time.
func (e *engine) search(ctx context.Context, limit int, q question) (_ []Span, more bool, err error) {
	v, err := e.view(ctx)
	if err != nil {
		return nil, false, err
	}
	defer e.views.release(v)
	s := searcher{ctx: ctx, engine: e, question: q, asked: q.blocks(), sources: v.sources(), limit: max(limit, 0)}
	for i := range s.sources {
		if err := s.source(i); err != nil {
			return nil, false, err
		}
		if len(s.found.spans) > s.limit {
			s.found.spans, more = s.found.spans[:s.limit], true
			break
		}
	}
	slices.SortStableFunc(s.found.spans, func(a, b merged) int { return cmp.Compare(a.start, b.start) })
	return s.found.answer(), more, nil
}

// searcher is one search under way. It goes over the parts of the store, and
// in each over the rows in question, some at a time; what it holds is bounded
// by the limit and by four bytes for each row in question of one part.
//
// A version that matches may have lost to one that does not, and other versions
// may have links that it lacks. So all versions of each hit are united and then
// looked at again. Of several versions that match the first part's is taken
// for the span, so that each identity comes once.
type searcher struct {
	*engine
	question
	asked   *block.Question
	ctx     context.Context
	sources []source // the oldest first
	limit   int
	found   merger // spans only
}

// How many rows are read at once.
const (
	minSearchRows = 16
	maxSearchRows = 512
)

func (s *searcher) source(i int) error {
	if err := between(s.ctx, i, s.asked.Len()); err != nil {
		return err
	}
	rows, err := s.candidates(s.sources[i])
	if err != nil {
		return err
	}
	for len(rows) > 0 && len(s.found.spans) <= s.limit {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		n := min(len(rows), maxSearchRows, max(minSearchRows, s.limit+1-len(s.found.spans)))
		if err := s.rows(i, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// candidates returns the rows of a part that may be an answer, rising.
func (s *searcher) candidates(of source) ([]uint32, error) {
	if of.part != nil {
		return of.part.block.Find(s.ctx, s.asked)
	}
	return s.head(of.head), nil
}

// rows adds what matches of some rows of part i.
func (s *searcher) rows(i int, rows []uint32) error {
	spans, err := s.sources[i].read(rows)
	if err != nil {
		return err
	}
	hits := spans[:0]
	for _, hit := range spans {
		ok, err := s.match(hit.Bytes)
		if err != nil {
			return err
		}
		if ok {
			hits = append(hits, hit)
		}
	}
	return s.confirm(i, hits)
}

// confirm adds what still matches of the hits in part i after all versions of
// them are united, and was not found in a part before.
func (s *searcher) confirm(i int, hits []merged) error {
	wanted := make(map[head.Identity]bool, len(hits)) // -> found before
	refs := make([]causal.SpanRef, 0, len(hits))
	for _, hit := range hits {
		if hit.id.Exists() {
			wanted[hit.id] = false
			refs = append(refs, hit.id.Ref())
		}
	}
	var all merger
	asked := s.named(refs)
	for j := range s.sources {
		versions := hits
		if j != i {
			var err error
			if versions, err = s.versions(j, asked, wanted, j < i); err != nil {
				return err
			}
		}
		for _, version := range versions {
			if err := all.unite(version); err != nil {
				return err
			}
		}
	}
	for _, span := range all.spans {
		if wanted[span.id] {
			continue
		}
		ok, err := s.match(span.Bytes)
		if err != nil {
			return err
		}
		if ok {
			s.found.spans = append(s.found.spans, span)
		}
	}
	return nil
}

// versions returns the versions of wanted spans that part j has. Those that
// match are marked if the part was searched before.
func (s *searcher) versions(j int, asked *named, wanted map[head.Identity]bool, before bool) ([]merged, error) {
	spans, err := s.sources[j].named(s.ctx, asked)
	if err != nil {
		return nil, err
	}
	versions := spans[:0]
	for _, span := range spans {
		if _, ok := wanted[span.id]; !ok {
			continue
		}
		versions = append(versions, span)
		if !before {
			continue
		}
		ok, err := s.match(span.Bytes)
		if err != nil {
			return nil, err
		}
		wanted[span.id] = wanted[span.id] || ok
	}
	return versions, nil
}
