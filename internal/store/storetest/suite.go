package storetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/store"
)

// Harness is one store under test, empty at first. The suite closes it.
type Harness interface {
	// Store is the store to use now.
	Store() store.Store
	// Cut moves what is in memory into immutable parts, where an
	// implementation has such; otherwise it does nothing.
	Cut(t *testing.T)
	// Reopen closes the store and opens what it left; an implementation that
	// keeps nothing does nothing.
	Reopen(t *testing.T)
}

// Run holds what open returns to the contract of store.Store.
func Run(t *testing.T, open func(t *testing.T) Harness) {
	for _, c := range answers {
		t.Run(c.name, func(t *testing.T) {
			for name, move := range moves {
				t.Run(name, func(t *testing.T) { c.play(t, opened(t, open), move) })
			}
		})
	}
	for _, c := range behaviours {
		t.Run(c.name, func(t *testing.T) { c.run(t, opened(t, open)) })
	}
}

func opened(t *testing.T, open func(t *testing.T) Harness) Harness {
	h := open(t)
	t.Cleanup(func() { require.NoError(t, h.Store().Close(context.Background())) })
	return h
}

// moves are what happens to written spans after each write.
var moves = map[string]func(t *testing.T, h Harness){
	"stay":         func(*testing.T, Harness) {},
	"cut":          func(t *testing.T, h Harness) { h.Cut(t) },
	"reopen":       func(t *testing.T, h Harness) { h.Reopen(t) },
	"cut, reopen":  func(t *testing.T, h Harness) { h.Cut(t); h.Reopen(t) },
	"reopen twice": func(t *testing.T, h Harness) { h.Reopen(t); h.Reopen(t) },
}

// answer is a case that writes requests and compares the answers with Model's.
type answer struct {
	name   string
	writes []ptrace.Traces
	traces []uint64
	events []string
	// check looks at the model once, so that a case says what it expects.
	check func(t *testing.T, m *Model)
}

func (c answer) play(t *testing.T, h Harness, move func(*testing.T, Harness)) {
	ctx := t.Context()
	model := NewModel(clock())
	for _, td := range c.writes {
		before := encode(td)
		require.NoError(t, h.Store().Write(ctx, td))
		require.Equal(t, before, encode(td), "Write changed what the caller owns")
		require.NoError(t, model.Write(ctx, td))
		c.compare(t, model, h.Store())
		move(t, h)
		c.compare(t, model, h.Store())
	}
	if c.check != nil {
		c.check(t, model)
	}
}

func (c answer) compare(t *testing.T, model *Model, s store.Store) {
	t.Helper()
	for _, id := range c.traces {
		Same(t, trace(t, model, id), trace(t, s, id))
	}
	for _, id := range c.events {
		Same(t, event(t, model, id), event(t, s, id))
	}
	SameSet(t, scan(t, model, store.ScanOptions{}), merge(scan(t, s, store.ScanOptions{})))
	SameSet(t, scan(t, model, store.ScanOptions{OpenCalls: true}), scan(t, s, store.ScanOptions{OpenCalls: true}))
	require.NoError(t, CheckEdges(t.Context(), s, scan(t, model, store.ScanOptions{})))
	require.NoError(t, CheckSearches(t.Context(), model, s))
}

func trace(t *testing.T, s store.Store, id uint64) []Plain {
	t.Helper()
	spans, err := s.Trace(t.Context(), TraceID(id))
	require.NoError(t, err)
	return decodeAll(t, spans)
}

func event(t *testing.T, s store.Store, id string) []Plain {
	t.Helper()
	spans, err := s.Event(t.Context(), id)
	require.NoError(t, err)
	return decodeAll(t, spans)
}

func scan(t *testing.T, s store.Store, opts store.ScanOptions) []Plain {
	t.Helper()
	var spans []store.Span
	for span, err := range s.Scan(t.Context(), opts) {
		require.NoError(t, err)
		spans = append(spans, span)
	}
	return decodeAll(t, spans)
}

func decodeAll(t *testing.T, spans []store.Span) []Plain {
	t.Helper()
	var out []Plain
	for _, s := range spans {
		p, err := Decode(s)
		require.NoError(t, err)
		require.Positive(t, s.Received)
		out = append(out, p)
	}
	return out
}

// merge unites what a scan yields once per part of a store. The newest part
// comes first, so of equals the last one stays.
func merge(scanned []Plain) []Plain {
	var out []Plain
	at := map[Identity]int{}
	for _, p := range scanned {
		id, ok := p.Identity()
		i, seen := at[id]
		switch {
		case !ok || !seen:
			at[id] = len(out)
			out = append(out, p)
		case p.Open() && !out[i].Open():
			out[i] = Union(out[i], p)
		default:
			out[i] = Union(p, out[i])
		}
	}
	return out
}
