package query

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

var errBroken = errors.New("bad checksum")

// faulty is a source of which one call fails, or one span that it returns is
// none.
type faulty struct {
	SearchSource
	failAt, mangleAt int // from 1; 0: none
	calls, spans     int
}

func (f *faulty) call() error {
	if f.calls++; f.calls == f.failAt {
		return errBroken
	}
	return nil
}

func (f *faulty) mangled(span store.Span) store.Span {
	if f.spans++; f.spans == f.mangleAt {
		span.Bytes = []byte{1}
	}
	return span
}

func (f *faulty) all(spans []store.Span, more bool, err error) ([]store.Span, bool, error) {
	if failed := f.call(); failed != nil {
		return nil, false, failed
	}
	for i := range spans {
		spans[i] = f.mangled(spans[i])
	}
	return spans, more, err
}

func (f *faulty) Trace(ctx context.Context, id pcommon.TraceID) ([]store.Span, error) {
	spans, err := f.SearchSource.Trace(ctx, id)
	spans, _, err = f.all(spans, false, err)
	return spans, err
}

func (f *faulty) Spans(ctx context.Context, refs []causal.SpanRef) ([]store.Span, error) {
	spans, err := f.SearchSource.Spans(ctx, refs)
	spans, _, err = f.all(spans, false, err)
	return spans, err
}

func (f *faulty) Referring(ctx context.Context, refs []causal.SpanRef, limit int) ([]store.Span, bool, error) {
	return f.all(f.SearchSource.Referring(ctx, refs, limit))
}

func (f *faulty) Traces(ctx context.Context, ids []pcommon.TraceID, most int) ([]store.Span, []pcommon.TraceID, error) {
	spans, large, err := f.SearchSource.Traces(ctx, ids, most)
	spans, _, err = f.all(spans, false, err)
	return spans, large, err
}

func (f *faulty) Linking(ctx context.Context, refs []causal.SpanRef, limit int) ([]store.Span, bool, error) {
	return f.all(f.SearchSource.Linking(ctx, refs, limit))
}

func (f *faulty) Causing(ctx context.Context, refs []causal.SpanRef, limit int) ([]store.Span, bool, error) {
	return f.all(f.SearchSource.Causing(ctx, refs, limit))
}

func (f *faulty) Select(ctx context.Context, sel store.Selection) iter.Seq2[store.Span, error] {
	return func(yield func(store.Span, error) bool) {
		for span, err := range f.SearchSource.Select(ctx, sel) {
			if failed := f.call(); failed != nil {
				yield(store.Span{}, failed)
				return
			}
			if !yield(f.mangled(span), err) {
				return
			}
		}
	}
}

func (f *faulty) Estimate(ctx context.Context, sel store.Selection) (int64, error) {
	if err := f.call(); err != nil {
		return 0, err
	}
	return f.SearchSource.Estimate(ctx, sel)
}

// faultQueries go all ways, over the world of order().
var faultQueries = []string{
	`{ kind = consumer }`,
	`{ } | by(rootName, kind) | count() > 0 | { true }`,
	`({ kind = consumer } >> { }) || ({ } ~ { traceDuration > 1ns } | count() > 0)`,
	`{ trace:id = "0a000000000000000000000000000002" } && { childCount >= 0 }`,
	`{ trace:id = "0a000000000000000000000000000001" } ->> { trace:id = "0a000000000000000000000000000003" } | select(path)`,
	`{ kind = consumer } ->> { } | by(rootName) | select(path)`,
	`{ kind = consumer } <<- { kind = producer } | select(path)`,
	`{ kind = producer } ->> { } within 5s | { true }`,
	`{ childCount > 0 } -> { childCount = 0 }`,
	`({ kind = producer } -> { }) && ({ } ->> { kind = consumer } | count() > 0)`,
	`({ kind = producer } -> { }) ->> ({ } <- { })`,
}

// TestFaults lets each call fail, and each span be malformed, one at a time.
func TestFaults(t *testing.T) {
	src := newSource(t, order()...)
	opts := SearchOptions{Limit: 2, MaxSpans: 10, MaxBytes: 1 << 20, MaxVisited: 1000, batch: 2, patience: 2}
	for _, text := range faultQueries {
		q := parsed(t, text)
		for _, estimates := range []dice{seededDice(1), seededDice(2), seededDice(3)} {
			healthy := &faulty{SearchSource: guessing{src, estimates}}
			_, err := Search(t.Context(), healthy, q, opts)
			require.NoError(t, err)
			for n := 1; n <= healthy.calls+healthy.spans; n++ {
				f := &faulty{SearchSource: guessing{src, estimates}, failAt: n}
				if n > healthy.calls {
					f.failAt, f.mangleAt = 0, n-healthy.calls
				}
				_, err := Search(t.Context(), f, q, opts)
				if f.calls < f.failAt || f.spans < f.mangleAt {
					continue // other estimates led another way
				}
				require.Error(t, err, "%s: fault %d", text, n)
				if f.failAt > 0 {
					require.ErrorIs(t, err, errBroken)
				} else {
					require.ErrorContains(t, err, "stored span: malformed")
				}
			}
		}
	}
}
