package storetest

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/store"
)

// Model is a store.Store without durability: the contract as plainly as it
// can be said.
type Model struct {
	now func() time.Time

	mu         sync.Mutex
	closed     bool
	entries    []*entry // in order of first arrival
	byIdentity map[Identity]*entry
	duplicates int64
}

type entry struct {
	plain    Plain
	received int64
}

var _ store.Store = (*Model)(nil)

// NewModel returns an empty model; now is its clock.
func NewModel(now func() time.Time) *Model {
	return &Model{now: now, byIdentity: map[Identity]*entry{}}
}

// Write implements store.Store.
func (m *Model) Write(ctx context.Context, td ptrace.Traces) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	received := m.now().UnixNano()
	for _, p := range Split(td) {
		m.insert(p, received)
	}
	return nil
}

func (m *Model) insert(p Plain, received int64) {
	id, ok := p.Identity()
	old := m.byIdentity[id]
	if !ok || old == nil {
		e := &entry{p, received}
		m.entries = append(m.entries, e)
		if ok {
			m.byIdentity[id] = e
		}
		return
	}
	m.duplicates++
	if old.plain.Open() && !p.Open() {
		old.plain, p = p, old.plain
		old.received = received
	}
	old.plain = Union(old.plain, p)
}

// Union returns p with the links of q that it has not.
func Union(p, q Plain) Plain {
	one := ptrace.NewTraces()
	p.Traces.CopyTo(one)
	links := one.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Links()
	for _, link := range q.Span().Links().All() {
		link.CopyTo(links.AppendEmpty())
		if len(plain(one).Links) == len(p.Links) {
			links.RemoveIf(removeIndex(links.Len() - 1))
			continue
		}
		p = plain(one)
	}
	return p
}

func removeIndex(index int) func(ptrace.SpanLink) bool {
	i := -1
	return func(ptrace.SpanLink) bool { i++; return i == index }
}

// Trace implements store.Store.
func (m *Model) Trace(ctx context.Context, id pcommon.TraceID) ([]store.Span, error) {
	found, err := m.find(ctx, func(p Plain) bool { return p.Span().TraceID() == id })
	slices.SortStableFunc(found, func(a, b *entry) int {
		return cmp.Compare(a.plain.Span().StartTimestamp(), b.plain.Span().StartTimestamp())
	})
	return encodeAll(found), err
}

// Event implements store.Store.
func (m *Model) Event(ctx context.Context, id string) ([]store.Span, error) {
	found, err := m.find(ctx, func(p Plain) bool { return p.HasEvent(id) })
	slices.Reverse(found)
	slices.SortStableFunc(found, func(a, b *entry) int { return cmp.Compare(b.received, a.received) })
	return encodeAll(found), err
}

// Scan implements store.Store.
func (m *Model) Scan(ctx context.Context, opts store.ScanOptions) iter.Seq2[store.Span, error] {
	return func(yield func(store.Span, error) bool) {
		found, err := m.find(ctx, func(p Plain) bool { return !opts.OpenCalls || p.Open() })
		if err != nil {
			yield(store.Span{}, err)
			return
		}
		for _, e := range found {
			if e.received < opts.ReceivedSince.UnixNano() && !opts.ReceivedSince.IsZero() {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(store.Span{}, err)
				return
			}
			if !yield(e.plain.Encode(e.received), nil) {
				return
			}
		}
	}
}

func (m *Model) find(ctx context.Context, match func(Plain) bool) ([]*entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, store.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var found []*entry
	for _, e := range m.entries {
		if match(e.plain) {
			found = append(found, &entry{e.plain, e.received})
		}
	}
	return found, nil
}

func encodeAll(entries []*entry) []store.Span {
	var out []store.Span
	for _, e := range entries {
		out = append(out, e.plain.Encode(e.received))
	}
	return out
}

// Stats implements store.Store.
func (m *Model) Stats() store.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	stats := store.Stats{Spans: int64(len(m.entries)), HeadSpans: int64(len(m.entries)), Duplicates: m.duplicates}
	for _, e := range m.entries {
		if e.plain.Open() {
			stats.OpenCalls++
		}
	}
	if len(m.entries) > 0 {
		stats.Oldest = time.Unix(0, m.entries[0].received)
	}
	return stats
}

// Close implements store.Store.
func (m *Model) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}
