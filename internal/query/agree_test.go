package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/traceql"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

// modelOf returns a model store of what was sent, and the oracle over it.
func modelOf(t require.TestingT, requests []ptrace.Traces) (*storetest.Model, *oracle) {
	m := storetest.NewModel(time.Now)
	for _, td := range requests {
		require.NoError(t, m.Write(bg, td))
	}
	var spans []storetest.Plain
	var edges []causal.Edge
	for span, err := range m.Scan(bg, store.ScanOptions{}) {
		require.NoError(t, err)
		p, err := storetest.Decode(span)
		require.NoError(t, err)
		spans = append(spans, p)
		told, err := EdgesOf(span.Bytes)
		require.NoError(t, err)
		edges = append(edges, told...)
	}
	return m, newOracle(spans, unite(edges))
}

func (d dice) options() SearchOptions {
	opts := SearchOptions{Limit: 1 + d(4), MaxSpans: 1 + d(5), MaxBytes: math.MaxInt, MaxVisited: 1 << 20, Explain: true, batch: 1 + d(4), patience: 1 + d(2), whole: d(4)}
	if d.chance(30) {
		opts.Range.Start = uint64(10 + d(8))
	}
	if d.chance(30) {
		opts.Range.End = uint64(12 + d(8))
	}
	if d.chance(20) {
		opts.Types = []causal.Type{pickOne(d, causal.Types...), causal.ParentChild}
	}
	if d.chance(20) {
		opts.MinConfidence = 0.8
	}
	return opts
}

// pages returns a search's whole answer, a spanset a line.
func pages(t require.TestingT, src SearchSource, q *traceql.Query, opts SearchOptions) []string {
	lines := []string{}
	for {
		a, err := Search(bg, src, q, opts)
		require.NoError(t, err)
		for _, s := range a.Spansets {
			lines = append(lines, spansetText(t, s))
		}
		require.Equal(t, a.Truncated, a.Cursor != "")
		if !a.Truncated {
			return lines
		}
		require.Len(t, a.Spansets, opts.Limit)
		opts.Cursor = a.Cursor
	}
}

func spansetText(t require.TestingT, s Spanset) string {
	var b strings.Builder
	for _, span := range s.Spans {
		p, err := storetest.Decode(span)
		require.NoError(t, err)
		fmt.Fprintf(&b, "%s/%d ", name(p.Ref()), p.Span().Kind())
	}
	by := []any{}
	for _, v := range s.By {
		by = append(by, v.Value)
	}
	figures := []float64{}
	for _, f := range s.Figures {
		figures = append(figures, f.Value)
	}
	var path []string
	for _, n := range s.Path.Nodes {
		path = append(path, name(n.Ref))
	}
	path = append(path, edgeTexts(s.Path.Edges)...)
	slices.Sort(path)
	fmt.Fprintf(&b, "of %d by %v figures %v path %q", s.Matched, by, figures, strings.Join(path, "\n"))
	return b.String()
}

// answer is what pages should return.
func (o *oracle) answer(q *traceql.Query, opts SearchOptions) []string {
	o.options = opts
	lines := []string{}
	for _, set := range o.search(q) {
		var b strings.Builder
		for _, x := range set.spans[:min(len(set.spans), opts.MaxSpans)] {
			fmt.Fprintf(&b, "%s/%d ", name(x.ref), x.Kind())
		}
		fmt.Fprintf(&b, "of %d by %v figures %v path %q", len(set.spans), append([]any{}, set.by...), append([]float64{}, set.figures...), set.path)
		lines = append(lines, b.String())
	}
	return lines
}

// guessing estimates at random, so that all plans are made.
type guessing struct {
	SearchSource
	d dice
}

func (g guessing) Estimate(context.Context, store.Selection) (int64, error) {
	return int64(1) << (6 + g.d(14)), nil
}

func parsed(t require.TestingT, text string) *traceql.Query {
	q, err := traceql.Parse(text)
	require.NoError(t, err, text)
	return q
}

func TestSearchIsTheOracle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := rapidDice(rt)
		src, o := modelOf(rt, d.requests())
		for range 3 {
			q, opts := parsed(rt, d.query()), d.options()
			rt.Log(q)
			require.Equal(rt, o.answer(q, opts), pages(rt, guessing{src, d}, q, opts), q.String())
		}
	})
}

// TestThousandsOfQueries asks the real store too.
func TestThousandsOfQueries(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	worlds, queries := 200, 12
	if !thorough {
		worlds = 10
	}
	found := 0
	for range worlds {
		seed++
		d := seededDice(seed)
		requests := d.requests()
		model, o := modelOf(t, requests)
		real := engineOf(t, requests)
		for range queries {
			q, opts := parsed(t, d.query()), d.options()
			want := o.answer(q, opts)
			found += len(want)
			require.Equal(t, want, pages(t, guessing{model, d}, q, opts), "model, seed %d: %s %+v", seed, q, opts)
			require.Equal(t, want, pages(t, guessing{real, d}, q, opts), "engine, seed %d: %s %+v", seed, q, opts)
		}
		require.NoError(t, real.Close(bg))
	}
	t.Logf("%d queries up to seed %d found %d spansets", worlds*queries, seed, found)
	require.Greater(t, found, worlds*queries/2, "most queries find nothing")
}

// engineOf returns a real store of many small parts.
func engineOf(t require.TestingT, requests []ptrace.Traces) store.Store {
	st, err := store.Open(store.Config{Directory: "store", FS: memfs.New(), CutSpans: 4, ReserveBytes: -1})
	require.NoError(t, err)
	for _, td := range requests {
		for {
			var full *store.UnavailableError
			if err := st.Write(bg, td); !errors.As(err, &full) {
				require.NoError(t, err)
				break
			}
		}
	}
	return st
}

var bg = context.Background()
