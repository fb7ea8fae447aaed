package correlateprocessor

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/otelscope/otelscope/internal/store"
)

// tailMargin is how much older than the journal's end what is read again may
// be: a batch is observed before it is stored, and the journal is written
// every flushInterval.
const tailMargin = 2 * time.Second

// tail observes again what the store took after the journal ended, so that a
// crash loses nothing that was acknowledged. What the journal holds too is
// recognised. Spans of one process come in the order of their beginnings.
func (p *correlateProcessor) tail(ctx context.Context, from store.Store, ended time.Time) (observed int, err error) {
	since := ended.Add(-tailMargin)
	var spans []store.Span
	for span, err := range from.Scan(ctx, store.ScanOptions{ReceivedSince: since}) {
		if err != nil {
			return 0, err
		}
		if span.Received >= since.UnixNano() {
			spans = append(spans, span)
		}
	}
	slices.SortStableFunc(spans, func(a, b store.Span) int { return cmp.Compare(a.Received, b.Received) })
	w := p.works.Get().(*work)
	defer p.works.Put(w)
	for len(spans) > 0 {
		n := 1
		for n < len(spans) && spans[n].Received == spans[0].Received {
			n++
		}
		if err := p.again(w, spans[:n]); err != nil {
			return observed, err
		}
		observed += n
		spans = spans[n:]
	}
	return observed, nil
}

// again observes spans that were stored at one moment.
func (p *correlateProcessor) again(w *work, spans []store.Span) error {
	td, err := store.Traces(spans)
	if err != nil {
		return err
	}
	observations := w.extractor.Extract(td)
	slices.SortStableFunc(observations, func(a, b observation) int { return cmp.Compare(a.Start, b.Start) })
	p.engine.Observe(observations, spans[0].Received, &w.result)
	return nil
}
