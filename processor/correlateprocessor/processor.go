package correlateprocessor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/correlate"
	"github.com/otelscope/otelscope/internal/hub"
)

// correlateProcessor is the processor; see the package comment.
type correlateProcessor struct {
	cfg      *Config
	settings processor.Settings
	next     consumer.Traces
	rules    []correlate.Rule
	engine   *correlate.Engine
	counts   *counts
	writer   writer
	works    sync.Pool // of *work

	journal    atomic.Pointer[journal] // nil without a storage, and where that is a hub
	unregister func()
}

// extractor reduces the spans of a batch to observations, in their order, which
// are its own until it is used again.
type extractor interface {
	Extract(ptrace.Traces) []correlate.Observation
}

// work is what one batch needs while it is worked on.
type work struct {
	extractor extractor
	result    correlate.Result
	tally     tally
	kept      []correlate.Observation // for the journal
	encoded   []byte
}

func newProcessor(set processor.Settings, cfg *Config, next consumer.Traces, counts *counts, rules []correlate.Rule, newExtractor func() extractor) (*correlateProcessor, error) {
	counts.count(rules)
	p := &correlateProcessor{
		cfg: cfg, settings: set, next: next, rules: rules, counts: counts,
		writer: writer{rules: rules, maxLinks: cfg.MaxLinksPerSpan},
		engine: correlate.New(correlate.Config{
			Rules:         rules,
			Window:        cfg.Window,
			MaxEntries:    cfg.MaxEntries,
			MaxBytes:      int64(cfg.MaxBytes),
			MinConfidence: cfg.MinConfidence,
			MaxLate:       cfg.MaxLinksPerSpan,
		}),
	}
	p.works.New = func() any {
		return &work{extractor: newExtractor(), tally: tally{rules: make([]found, len(rules))}}
	}
	return p, p.observe()
}

// Capabilities implements consumer.Traces.
func (*correlateProcessor) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start brings back what was remembered before, where a storage is configured:
// from the store, if it is a hub, else from the journal, which is kept on then.
func (p *correlateProcessor) Start(ctx context.Context, host component.Host) error {
	if p.cfg.Storage == nil {
		return nil
	}
	found, ok := host.GetExtensions()[*p.cfg.Storage]
	if !ok {
		return fmt.Errorf("storage: no extension %q: is it listed under service.extensions?", p.cfg.Storage)
	}
	switch extension := found.(type) {
	case hub.Hub:
		if err := p.rebuild(ctx, extension.Store()); err != nil {
			return fmt.Errorf("storage: extension %q: cannot rebuild what was remembered from its store: %w", p.cfg.Storage, err)
		}
		p.unregister = extension.RegisterStatus(p.settings.ID, p.status)
		return nil
	case storage.Extension:
		client, err := extension.GetClient(ctx, component.KindProcessor, p.settings.ID, "")
		if err != nil {
			return fmt.Errorf("storage: extension %q: %w", p.cfg.Storage, err)
		}
		if err := p.restore(ctx, client); err != nil {
			return errors.Join(fmt.Errorf("storage: extension %q: cannot read what was remembered: %w", p.cfg.Storage, err), client.Close(ctx))
		}
		return nil
	}
	return fmt.Errorf("storage: extension %q is neither a scope_query nor a storage extension", p.cfg.Storage)
}

// restore observes again what the journal holds, and begins to write it.
func (p *correlateProcessor) restore(ctx context.Context, client storage.Client) error {
	names := make([]string, len(p.rules))
	for i, r := range p.rules {
		names[i] = r.Name
	}
	begin := time.Now()
	j := newJournal(client, names, p.cfg, p.settings.Logger, p.counts)
	var result correlate.Result
	found, err := j.restore(ctx, func(batch []correlate.Observation, now int64) { p.engine.Observe(batch, now, &result) })
	if err != nil {
		return err
	}
	j.start()
	p.journal.Store(j)
	p.settings.Logger.Info("What was remembered is back",
		zap.Int("observations", found.observations), zap.Int("chunks", found.chunks), zap.Int("damaged_chunks", found.damaged),
		zap.Duration("took", time.Since(begin)))
	return nil
}

// Shutdown keeps what is remembered.
func (p *correlateProcessor) Shutdown(ctx context.Context) error {
	if p.unregister != nil {
		p.unregister()
	}
	var err error
	if j := p.journal.Swap(nil); j != nil {
		err = j.stop(ctx)
	}
	p.counts.metrics.Shutdown()
	return err
}

// ConsumeTraces implements consumer.Traces.
func (p *correlateProcessor) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	p.correlate(ctx, td)
	return p.next.ConsumeTraces(ctx, td)
}

func (p *correlateProcessor) correlate(ctx context.Context, td ptrace.Traces) {
	w := p.works.Get().(*work) // a panic leaves it to the garbage collector
	now := time.Now().UnixNano()
	observations := w.extractor.Extract(td)
	p.engine.Observe(observations, now, &w.result)
	if j := p.journal.Load(); j != nil {
		w.keep(j, observations, now)
	}
	w.tally.reset()
	p.writer.write(td, &w.result, &w.tally)
	p.counts.batch(ctx, &w.tally)
	p.works.Put(w)
}

// keep adds to the journal what would tell the engine something.
func (w *work) keep(j *journal, observations []correlate.Observation, now int64) {
	w.kept = w.kept[:0]
	ops := 0
	for i := range observations {
		if interesting(&observations[i]) {
			w.kept = append(w.kept, observations[i])
			ops += max(1, len(observations[i].Ops))
		}
	}
	if len(w.kept) > 0 {
		w.encoded = correlate.AppendBatch(w.encoded[:0], w.kept, now)
		clear(w.kept)
		j.add(w.encoded, ops, now)
	}
}
