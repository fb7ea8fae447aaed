package correlateprocessor

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/correlate"
	"github.com/otelscope/otelscope/internal/store"
)

// How many stored spans are decoded together, and how many observations are
// observed together.
const (
	decodeTogether  = 512
	observeTogether = 256
)

// rebuild observes again what was stored within the window, as far as the
// engine would remember it: in the order in which the store took it, and of
// what it took at one moment, or says that it did, in the order of beginnings.
func (p *correlateProcessor) rebuild(ctx context.Context, from store.Store) error {
	begin := time.Now()
	r := recollection{maxEntries: p.cfg.MaxEntries, maxBytes: int(p.cfg.MaxBytes) / 4}
	if err := p.read(ctx, from, begin.Add(-p.cfg.Window).UnixNano(), &r); err != nil {
		return err
	}
	if err := p.observeAgain(ctx, &r, begin.UnixNano()); err != nil {
		return err
	}
	p.settings.Logger.Info("What is remembered is rebuilt from the store",
		zap.Int("observations", len(r.kept)), zap.Int("older_left_out", r.dropped), zap.Duration("took", time.Since(begin)))
	return nil
}

// read reduces what the store took since then to observations.
func (p *correlateProcessor) read(ctx context.Context, from store.Store, since int64, r *recollection) error {
	w := p.works.Get().(*work) // a panic leaves it to the garbage collector
	group := make([]store.Span, 0, decodeTogether)
	for span, err := range from.Scan(ctx, store.ScanOptions{ReceivedSince: time.Unix(0, since)}) {
		switch {
		case err != nil:
			return err
		case span.Received < since:
			continue
		case span.Received < r.floor.received:
			r.dropped++
			continue
		}
		if group = append(group, span); len(group) == decodeTogether {
			if err := r.take(w.extractor, group); err != nil {
				return err
			}
			group = group[:0]
		}
	}
	err := r.take(w.extractor, group)
	p.works.Put(w)
	return err
}

// observeAgain observes what was read, with the times at which it was stored.
func (p *correlateProcessor) observeAgain(ctx context.Context, r *recollection, now int64) error {
	var result correlate.Result
	batch := make([]correlate.Observation, 0, observeTogether)
	r.sort()
	for i, k := range r.kept {
		one, _, _, err := correlate.ReadBatch(r.at(k), len(p.rules))
		if err != nil {
			return fmt.Errorf("an observation that was just made: %w", err)
		}
		batch = append(batch, one...)
		if i+1 < len(r.kept) && r.kept[i+1].received == k.received && len(batch) < observeTogether {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		p.engine.Observe(batch, min(k.received, now), &result) // the clock may have been set back
		batch = batch[:0]
	}
	return nil
}

// unlink takes off links that correlation itself found and was not sure of:
// nothing was inherited along them, as it is along links that spans come with.
func unlink(td ptrace.Traces) {
	for _, resource := range td.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				span.Links().RemoveIf(func(link ptrace.SpanLink) bool {
					confidence, ok := link.Attributes().Get(causal.AttrLinkConfidence)
					return ok && confidence.Double() < 1
				})
			}
		}
	}
}

// unsample lets a trace inherit its randomness again. The rv that a stored
// span bears is taken for inherited: if its trace came with it, the spans that
// follow come with it too, and keep it.
func unsample(o *correlate.Observation) {
	own := binary.BigEndian.Uint64(o.Span.TraceID[8:]) & (1<<56 - 1)
	if o.Randomness != own {
		o.Sampled = false
	}
}
