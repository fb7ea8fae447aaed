package correlateprocessor

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/correlate"
	"github.com/otelscope/otelscope/processor/correlateprocessor/internal/metadata"
)

// counts counts twice: for metrics, and for the status page, which cannot read
// metrics back.
type counts struct {
	metrics *metadata.TelemetryBuilder
	rules   []ruleCounts

	dropped         atomic.Int64
	conditionErrors atomic.Int64
}

type ruleCounts struct {
	found         atomic.Int64
	cause, effect metric.MeasurementOption
}

// count makes room for the edges of these rules.
func (c *counts) count(rules []correlate.Rule) {
	c.rules = make([]ruleCounts, len(rules))
	for i, r := range rules {
		labels := func(role string) metric.MeasurementOption {
			return metric.WithAttributeSet(attribute.NewSet(
				attribute.String("type", string(r.Type)), attribute.String("rule", r.Name), attribute.String("role", role)))
		}
		c.rules[i].cause, c.rules[i].effect = labels(causal.LinkRoleCause), labels(causal.LinkRoleEffect)
	}
}

// batch counts what was found in one batch.
func (c *counts) batch(ctx context.Context, t *tally) {
	for i, n := range t.rules {
		r := &c.rules[i]
		if n.causes > 0 {
			c.metrics.ScopeCorrelateEdges.Add(ctx, n.causes, r.cause)
		}
		if n.effects > 0 {
			c.metrics.ScopeCorrelateEdges.Add(ctx, n.effects, r.effect)
		}
		if sum := n.causes + n.effects; sum > 0 {
			r.found.Add(sum)
		}
	}
	if t.dropped > 0 {
		c.dropped.Add(t.dropped)
		c.metrics.ScopeCorrelateDroppedLinks.Add(ctx, t.dropped)
	}
}

func (c *counts) conditionFailed(rule string) {
	c.conditionErrors.Add(1)
	c.metrics.ScopeCorrelateConditionErrors.Add(context.Background(), 1, metric.WithAttributes(attribute.String("rule", rule)))
}

func (c *counts) journalFlushed(bytes int) {
	c.metrics.ScopeCorrelateJournalFlushes.Add(context.Background(), 1)
	c.metrics.ScopeCorrelateJournalWritten.Add(context.Background(), int64(bytes))
}

func (c *counts) journalFailed() {
	c.metrics.ScopeCorrelateJournalErrors.Add(context.Background(), 1)
}

func (c *counts) journalDropped(chunks int) {
	c.metrics.ScopeCorrelateJournalDroppedChunks.Add(context.Background(), int64(chunks))
}

// observe registers the metrics that are read when they are asked for.
func (p *correlateProcessor) observe() error {
	m := p.counts.metrics
	figure := func(of func(correlate.Stats) int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(of(p.engine.Stats()))
			return nil
		}
	}
	return errors.Join(
		m.RegisterScopeCorrelateBytesCallback(figure(func(s correlate.Stats) int64 { return s.Bytes })),
		m.RegisterScopeCorrelateEvictedEarlyCallback(figure(func(s correlate.Stats) int64 { return s.EvictedEarly })),
		m.RegisterScopeCorrelateEvictedUnmatchedCausesCallback(figure(func(s correlate.Stats) int64 { return s.EvictedOffers })),
		m.RegisterScopeCorrelateEvictedUnmatchedEffectsCallback(figure(func(s correlate.Stats) int64 { return s.EvictedClaims })),
		m.RegisterScopeCorrelateEntriesCallback(func(_ context.Context, o metric.Int64Observer) error {
			live := p.engine.Stats().Live
			for kind, n := range map[string]int64{
				"causes": live.Causes, "effects": live.Effects, "traces": live.Traces, "edges": live.Edges, "orders": live.Orders,
			} {
				o.Observe(n, metric.WithAttributes(attribute.String("kind", kind)))
			}
			return nil
		}),
		m.RegisterScopeCorrelateJournalBytesCallback(func(_ context.Context, o metric.Int64Observer) error {
			if j := p.journal.Load(); j != nil {
				o.Observe(j.bytes.Load())
			}
			return nil
		}),
	)
}

// processorStatus is this processor's part of the status page.
type processorStatus struct {
	MaxEntries      int              `json:"max_entries"`
	MaxBytes        int64            `json:"max_bytes"`
	Memory          correlate.Stats  `json:"memory"`
	Edges           map[string]int64 `json:"edges"` // by rule
	DroppedLinks    int64            `json:"dropped_links"`
	ConditionErrors int64            `json:"condition_errors"`
}

func (p *correlateProcessor) status() any {
	s := processorStatus{
		MaxEntries: p.cfg.MaxEntries, MaxBytes: int64(p.cfg.MaxBytes),
		Memory:          p.engine.Stats(),
		Edges:           make(map[string]int64, len(p.rules)),
		DroppedLinks:    p.counts.dropped.Load(),
		ConditionErrors: p.counts.conditionErrors.Load(),
	}
	for i, r := range p.rules {
		s.Edges[r.Name] += p.counts.rules[i].found.Load()
	}
	return s
}
