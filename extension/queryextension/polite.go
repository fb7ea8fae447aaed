package queryextension

import (
	"context"
	"iter"
	"runtime"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// polite is a store for questions that may take long: between two steps it
// lets others run. Go's scheduler would let a busy goroutine run for 10 ms, and
// a request on its way into the store waits for one several times over.
type polite struct{ store.Store }

// yieldSpans is how many spans a scan or a selection gives between two turns of
// others: well below a millisecond's work.
const yieldSpans = 64

func (p polite) Trace(ctx context.Context, id pcommon.TraceID) ([]store.Span, error) {
	runtime.Gosched()
	return p.Store.Trace(ctx, id)
}

func (p polite) Spans(ctx context.Context, refs []causal.SpanRef) ([]store.Span, error) {
	runtime.Gosched()
	return p.Store.Spans(ctx, refs)
}

func (p polite) Referring(ctx context.Context, refs []causal.SpanRef, limit int) ([]store.Span, bool, error) {
	runtime.Gosched()
	return p.Store.Referring(ctx, refs, limit)
}

func (p polite) Traces(ctx context.Context, ids []pcommon.TraceID, most int) ([]store.Span, []pcommon.TraceID, error) {
	runtime.Gosched()
	return p.Store.Traces(ctx, ids, most)
}

func (p polite) Linking(ctx context.Context, refs []causal.SpanRef, limit int) ([]store.Span, bool, error) {
	runtime.Gosched()
	return p.Store.Linking(ctx, refs, limit)
}

func (p polite) Causing(ctx context.Context, refs []causal.SpanRef, limit int) ([]store.Span, bool, error) {
	runtime.Gosched()
	return p.Store.Causing(ctx, refs, limit)
}

func (p polite) Scan(ctx context.Context, opts store.ScanOptions) iter.Seq2[store.Span, error] {
	return yielding(p.Store.Scan(ctx, opts))
}

func (p polite) Select(ctx context.Context, sel store.Selection) iter.Seq2[store.Span, error] {
	return yielding(p.Store.Select(ctx, sel))
}

func yielding(spans iter.Seq2[store.Span, error]) iter.Seq2[store.Span, error] {
	return func(yield func(store.Span, error) bool) {
		n := 0
		for span, err := range spans {
			if n++; n%yieldSpans == 0 {
				runtime.Gosched()
			}
			if !yield(span, err) {
				return
			}
		}
	}
}
