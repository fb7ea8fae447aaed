package store

import (
	"context"
	"slices"
	"sync"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/head"
)

// What was acknowledged may be sent again at any time. Versions of a span meet
// in a head; one that comes after the cut lies beside the first in a block. It
// is known by its identity and its start, so that ordinary traffic, which is
// younger than all blocks, asks none.

// resends are the complete rows of a head that older parts had complete when
// they came. No part that is older than the head comes to be later, so a cut has
// to look at these alone, if it was asked about all commits.
type resends struct {
	mu      sync.Mutex
	unasked int // commits
	rows    map[uint32]struct{}
}

// told notes a commit that nobody asked about yet.
func (r *resends) told() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unasked++
}

// asked notes what was found out about a commit.
func (r *resends) asked(changes []head.Change, known []bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unasked--
	for i, c := range changes {
		if !known[i] {
			continue
		}
		if r.rows == nil {
			r.rows = map[uint32]struct{}{}
		}
		r.rows[c.Row] = struct{}{}
	}
}

// may reports whether a complete row may be one.
func (r *resends) may(row uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, is := r.rows[row]
	return is || r.unasked > 0
}

// knownBefore says which of the changes made a row complete that an older part
// has complete: the same identity, the same start.
func (e *engine) knownBefore(h *head.Head, changes []head.Change) ([]bool, error) {
	v := e.views.acquire()
	if v == nil {
		return nil, ErrClosed
	}
	defer e.views.release(v)
	known := make([]bool, len(changes))
	older := v.frozen
	if older == h {
		older = nil
	}
	newest := v.newestStart()
	var spans []merged
	var at []int // -> changes
	for i, c := range changes {
		if !c.Complete || older == nil && c.Start > newest {
			continue
		}
		id := h.Identity(c.Row)
		if !id.Exists() {
			continue
		}
		if older != nil && hasComplete(older, &id, c.Start) {
			known[i] = true
		} else if c.Start <= newest {
			spans = append(spans, merged{id: id, start: c.Start})
			at = append(at, i)
		}
	}
	m, err := e.completeInBlocks(v, spans)
	if err != nil {
		return nil, err
	}
	for i := range spans {
		known[at[i]] = m.version(spans[i].id) != nil
	}
	return known, nil
}

func hasComplete(h *head.Head, id *head.Identity, start uint64) bool {
	s, found := h.Span(id)
	if !found || s.Open {
		return false
	}
	info, err := head.Peek(s.Bytes)
	return err == nil && info.Start == start
}

// newestStart is the latest start of a span in a block; 0 without blocks.
func (v *view) newestStart() (newest uint64) {
	for _, p := range v.blocks {
		newest = max(newest, p.info.StartMax)
	}
	return newest
}

// completeInBlocks returns the complete versions that blocks have of spans, of
// which only identity and start count; both must be the same. Blocks without a
// span of that time are not asked.
func (e *engine) completeInBlocks(v *view, spans []merged) (*merger, error) {
	m := &merger{}
	if len(spans) == 0 {
		return m, nil
	}
	starts := make(map[head.Identity]uint64, len(spans))
	for i := range spans {
		starts[spans[i].id] = spans[i].start
	}
	refs := make([]causal.SpanRef, len(spans))
	for i := range spans {
		refs[i] = spans[i].id.Ref()
	}
	asked := e.named(refs)
	for _, p := range v.blocks {
		if !slices.ContainsFunc(spans, func(s merged) bool { return p.info.StartMin <= s.start && s.start <= p.info.StartMax }) {
			continue
		}
		found, err := source{part: p}.named(context.Background(), asked)
		if err != nil {
			return nil, err
		}
		for _, version := range found {
			if start, ok := starts[version.id]; !ok || version.start != start || version.open {
				continue
			}
			if err := m.unite(version); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// version returns what was collected of a span, nil for nothing.
func (m *merger) version(id head.Identity) *merged {
	if i, found := m.at[id]; found {
		return &m.spans[i]
	}
	return nil
}

// dropKnown returns those of a head's complete spans that say more than blocks
// do, in place. With a follower, which was not told of the others, they are
// not stored again.
func (e *engine) dropKnown(spans []head.Span) ([]head.Span, error) {
	v := e.views.acquire()
	defer e.views.release(v)
	newest := v.newestStart()
	if e.cfg.Follower == nil || newest == 0 {
		return spans, nil
	}
	var asked []merged
	for _, s := range spans {
		one, err := newMerged(fromHead(s))
		if err != nil {
			return nil, err
		}
		asked = append(asked, one)
	}
	old := make([]merged, 0, len(asked))
	for _, s := range asked {
		if s.id.Exists() && s.start <= newest {
			old = append(old, s)
		}
	}
	m, err := e.completeInBlocks(v, old)
	if err != nil {
		return nil, err
	}
	kept := spans[:0]
	for i := range asked {
		if version := m.version(asked[i].id); version != nil {
			united, err := otlpwire.UnionLinks(nil, version.Bytes, asked[i].Bytes)
			if err != nil {
				return nil, err
			}
			if len(united) == len(version.Bytes) {
				e.figures.duplicates.Add(1)
				continue
			}
		}
		kept = append(kept, spans[i])
	}
	return kept, nil
}
