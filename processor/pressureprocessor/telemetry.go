package pressureprocessor

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/sample"
	"github.com/otelscope/otelscope/processor/pressureprocessor/internal/metadata"
)

// counts counts twice: for metrics, and for the status page, which cannot read
// metrics back.
type counts struct {
	metrics *metadata.TelemetryBuilder

	kept, sure, rescued atomic.Int64
	sampledOut          [sample.Reasons]atomic.Int64
	refused             atomic.Int64 // by the breaker
	lostHold            atomic.Int64 // spans that could not be held
	conditionErrors     atomic.Int64
}

// options are made once: there are some for each batch.
func spansOption(outcome, reason string) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", outcome), attribute.String("reason", reason)))
}

var (
	optionKept       = spansOption("kept", "none")
	optionSure       = spansOption("kept_surely", "none")
	optionRescued    = spansOption("rescued", "none")
	optionRefused    = spansOption("refused", "breaker")
	optionSampledOut = [sample.Reasons]metric.MeasurementOption{
		sample.Adaptive: spansOption("sampled_out", sample.Adaptive.String()),
		sample.Priority: spansOption("sampled_out", sample.Priority.String()),
		sample.Fixed:    spansOption("sampled_out", sample.Fixed.String()),
	}
)

// pass counts spans that came while nothing was shed.
func (c *counts) pass(ctx context.Context, spans int64) {
	c.add(ctx, &c.kept, spans, optionKept)
}

// batch counts a batch that was decided under ratios made in this mode.
func (c *counts) batch(ctx context.Context, mode sample.Reason, t *tally) {
	c.add(ctx, &c.kept, t.kept, optionKept)
	c.add(ctx, &c.sure, t.sure, optionSure)
	c.add(ctx, &c.rescued, t.rescued, optionRescued)
	c.add(ctx, &c.sampledOut[mode], t.sampledOut, optionSampledOut[mode])
}

func (c *counts) refuse(ctx context.Context, spans int) {
	c.add(ctx, &c.refused, int64(spans), optionRefused)
}

func (c *counts) add(ctx context.Context, to *atomic.Int64, n int64, option metric.MeasurementOption) {
	if n > 0 {
		to.Add(n)
		c.metrics.ScopePressureSpans.Add(ctx, n, option)
	}
}

func (c *counts) unheld(spans int) { c.lostHold.Add(int64(spans)) }

func (c *counts) conditionFailed() {
	c.conditionErrors.Add(1)
	c.metrics.ScopePressureConditionErrors.Add(context.Background(), 1)
}

func (c *counts) breakerChanged(to string) {
	c.metrics.ScopePressureBreakerChanges.Add(context.Background(), 1, metric.WithAttributes(attribute.String("state", to)))
}

// shownKeys is how many keys have a ratio in metrics and status pages.
const shownKeys = 50

// observe registers the metrics that are read when they are asked for.
func (p *pressureProcessor) observe() error {
	m := p.counts.metrics
	breakerStates := map[string]int64{"closed": 0, "half-open": 1, "open": 2}
	return errors.Join(
		m.RegisterScopePressureBreakerStateCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(breakerStates[p.breaker.gate.State().String()])
			return nil
		}),
		m.RegisterScopePressureBudgetCallback(func(_ context.Context, o metric.Float64Observer) error {
			if plan := p.plan.Load(); plan.limited {
				o.Observe(plan.budget)
			}
			return nil
		}),
		m.RegisterScopePressureChainsCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(p.samplingStatus(0).Chains))
			return nil
		}),
		m.RegisterScopePressureOwnLevelCallback(func(_ context.Context, o metric.Int64Observer) error {
			if level, ok := p.ownLevel(); ok {
				o.Observe(int64(level))
			}
			return nil
		}),
		m.RegisterScopePressureRatioCallback(func(_ context.Context, o metric.Float64Observer) error {
			for _, k := range p.samplingStatus(shownKeys).Busiest {
				o.Observe(k.Ratio, metric.WithAttributes(attribute.String("key", k.Key)))
			}
			return nil
		}),
		m.RegisterScopePressureRescueBytesCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(p.samplingStatus(0).Rescue.Memory)
			return nil
		}),
		m.RegisterScopePressureRescueShareCallback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(p.samplingStatus(0).Rescue.Share)
			return nil
		}),
	)
}

// processorStatus is this processor's part of the status page.
type processorStatus struct {
	Strategy        pressure.Strategy `json:"strategy"`
	OwnLevel        *pressure.Level   `json:"own_level,omitempty"`
	Sampling        samplingStatus    `json:"sampling"`
	Spans           spansStatus       `json:"spans"`
	Breaker         breakerStatus     `json:"breaker"`
	ConditionErrors int64             `json:"condition_errors"`
}

// samplingStatus has rates in spans a second.
type samplingStatus struct {
	Active  bool     `json:"active"` // spans are decided one by one
	Limited bool     `json:"limited"`
	Fixed   *float64 `json:"fixed_ratio"`
	Budget  float64  `json:"budget_per_second"`
	Offered float64  `json:"offered_per_second"`
	Kept    float64  `json:"kept_per_second"`
	Ratio   float64  `json:"ratio"` // kept of offered
	sample.Figures
	Rescue sample.RescueFigures `json:"rescue"`
}

type spansStatus struct {
	Kept       int64            `json:"kept"`
	Sure       int64            `json:"kept_surely"`
	SampledOut map[string]int64 `json:"sampled_out"`
	Rescued    int64            `json:"rescued"`
	Refused    int64            `json:"refused"`
	Unheld     int64            `json:"not_held"`
}

func (p *pressureProcessor) status() any {
	s := processorStatus{
		Strategy: p.monitor.State().Strategy,
		Sampling: p.samplingStatus(shownKeys),
		Spans: spansStatus{
			Kept: p.counts.kept.Load(), Sure: p.counts.sure.Load(), SampledOut: map[string]int64{},
			Rescued: p.counts.rescued.Load(), Refused: p.counts.refused.Load(), Unheld: p.counts.lostHold.Load(),
		},
		Breaker:         p.breaker.status(),
		ConditionErrors: p.counts.conditionErrors.Load(),
	}
	for reason := range p.counts.sampledOut {
		s.Spans.SampledOut[sample.Reason(reason).String()] = p.counts.sampledOut[reason].Load()
	}
	if level, ok := p.ownLevel(); ok {
		s.OwnLevel = &level
	}
	return s
}

// ownLevel is the level of a processor without a hub.
func (p *pressureProcessor) ownLevel() (pressure.Level, bool) {
	if p.cfg.Hub != nil {
		return 0, false
	}
	if monitor := p.own.Load(); monitor != nil {
		return monitor.Level(), true
	}
	return 0, false
}

// samplingStatus names at most keys keys.
func (p *pressureProcessor) samplingStatus(keys int) samplingStatus {
	plan := p.plan.Load()
	s := samplingStatus{
		Limited: plan.limited, Fixed: p.fixed.Load(), Budget: plan.budget, Ratio: 1,
		Offered: plan.totals.Offered + plan.totals.Sure, Kept: plan.totals.Kept + plan.totals.Sure,
		Figures: sample.Figures{Busiest: []sample.KeyFigures{}},
	}
	if s.Offered > 0 {
		s.Ratio = s.Kept / s.Offered
	}
	now := p.now.Load()
	if now == nil {
		return s
	}
	s.Active = true
	s.Figures = now.sampler.Figures(keys)
	if now.rescue != nil {
		s.Rescue = now.rescue.Figures(time.Now())
	}
	return s
}
