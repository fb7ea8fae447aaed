package pressureprocessor

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/otelscope/otelscope/internal/condition"
	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/sample"
	"github.com/otelscope/otelscope/processor/pressureprocessor/internal/metadata"
)

// pressureProcessor is the processor; see the package comment.
type pressureProcessor struct {
	cfg      *Config
	settings processor.Settings
	next     consumer.Traces
	keep     []condition.Condition // of cfg.Keep
	counts   *counts
	breaker  *breaker
	seldom   *zap.Logger
	batches  sync.Pool // of *batch

	passed atomic.Int64                     // spans that came while nothing was shed
	now    atomic.Pointer[shedding]         // nil while nothing is shed
	fixed  atomic.Pointer[float64]          // the ratio that was set by hand
	plan   atomic.Pointer[planning]         // what the control goroutine did last
	own    atomic.Pointer[pressure.Monitor] // the monitor, where it is no hub's

	// Set by Start.
	host    component.Host
	monitor *pressure.Monitor
	held    *os.File // of the rescue, nil where it is in memory
	undo    []func()
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func newProcessor(cfg *Config, set processor.Settings, next consumer.Traces, keep []condition.Condition) (*pressureProcessor, error) {
	metrics, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	p := &pressureProcessor{
		cfg: cfg, settings: set, next: next, keep: keep, counts: &counts{metrics: metrics},
		seldom: set.Logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
			return zapcore.NewSamplerWithOptions(core, time.Minute, 1, 0)
		})),
	}
	p.batches.New = func() any { return new(batch) }
	p.plan.Store(&planning{})
	p.breaker = newBreaker(cfg.Breaker, p.breakerChanged)
	return p, p.observe()
}

// Capabilities implements consumer.Traces.
func (*pressureProcessor) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

// Start finds the monitor, or makes one, and begins to follow it.
func (p *pressureProcessor) Start(_ context.Context, host component.Host) error {
	p.host = host
	if p.cfg.Hub == nil {
		p.monitor = pressure.NewMonitor(time.Now)
		p.monitor.Register(pressure.NewMemory())
		p.own.Store(p.monitor)
	} else {
		shared, err := hub.Find(host, "hub", *p.cfg.Hub)
		if err != nil {
			return err
		}
		p.monitor = shared.Pressure()
		p.undo = append(p.undo,
			shared.RegisterStatus(p.settings.ID, p.status),
			shared.RegisterSampling(p.settings.ID, p))
	}
	if err := p.openRescue(); err != nil {
		return err
	}
	release, err := p.monitor.Configure(p.settings.ID.String(), p.cfg.settings())
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	p.undo = append(p.undo, release, p.monitor.Register(p.breaker.readings))
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.running.Go(func() { p.control(ctx) })
	return nil
}

// Shutdown ends what Start began. What is held for rescue is let go: it has
// been counted as sampled out.
func (p *pressureProcessor) Shutdown(context.Context) error {
	if p.cancel != nil {
		p.cancel()
	}
	p.running.Wait()
	for _, undo := range p.undo {
		undo()
	}
	p.undo = nil
	p.counts.metrics.Shutdown()
	return p.closeRescue()
}

// openRescue makes the file of the rescue. Its contents are worth nothing to
// another process, so its name goes at once where the system allows that.
func (p *pressureProcessor) openRescue() error {
	c := p.cfg.Rescue
	if c.Directory == "" || c.MaxBytes == 0 {
		return nil
	}
	err := os.MkdirAll(c.Directory, 0o755)
	if err == nil {
		p.held, err = os.CreateTemp(c.Directory, "rescue-*")
	}
	if err != nil {
		return fmt.Errorf("rescue::directory: cannot make a file in %q: %w", c.Directory, err)
	}
	_ = os.Remove(p.held.Name())
	return nil
}

func (p *pressureProcessor) closeRescue() error {
	if p.held == nil {
		return nil
	}
	err := p.held.Close()
	_ = os.Remove(p.held.Name()) // where it could not go while it was open
	p.held = nil
	return err
}

// ConsumeTraces implements consumer.Traces. Its error is the next consumer's,
// or that the breaker is open; the batch is then the caller's to send again.
func (p *pressureProcessor) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	if s := p.now.Load(); s != nil {
		return p.shed(ctx, s, td)
	}
	spans := int64(td.SpanCount())
	if err := p.forward(ctx, td); err != nil {
		return err
	}
	p.passed.Add(spans)
	p.counts.pass(ctx, spans)
	return nil
}

// forward hands a batch on, if the breaker lets it.
func (p *pressureProcessor) forward(ctx context.Context, td ptrace.Traces) error {
	spans := td.SpanCount()
	called := false
	err := p.breaker.do(func() error {
		called = true
		return p.next.ConsumeTraces(ctx, td)
	})
	if !called {
		p.counts.refuse(ctx, spans)
	}
	return err
}

func (p *pressureProcessor) breakerChanged(c breakerChange) {
	p.counts.breakerChanged(c.To)
	log := p.settings.Logger.Info
	if c.To == "open" {
		log = p.settings.Logger.Warn
	}
	log("The breaker in front of the next consumer has changed",
		zap.String("from", c.From), zap.String("to", c.To), zap.String("reason", c.Reason))
}

func (p *pressureProcessor) conditionFailed(when string, err error) {
	p.counts.conditionFailed()
	p.seldom.Warn("A keep condition cannot be evaluated on a span, and counts as not met", zap.String("condition", when), zap.Error(err))
}

func (p *pressureProcessor) rescueFailed(err error) {
	p.seldom.Warn("What was sampled out cannot be held, or not be read back: failures are kept without what led to them", zap.Error(err))
}

// SetRatio implements hub.Sampling.
func (p *pressureProcessor) SetRatio(ratio *float64) error {
	if ratio != nil && !(*ratio > 0 && *ratio <= 1) {
		return fmt.Errorf("ratio: %v is not allowed: must be greater than 0 and at most 1, or null", *ratio)
	}
	p.fixed.Store(ratio)
	return nil
}

var _ hub.Sampling = (*pressureProcessor)(nil)

func (p *pressureProcessor) newShedding() *shedding {
	s := &shedding{sampler: sample.New(sample.Config{MinRatio: p.cfg.MinRatio, MaxChains: p.cfg.MaxChains, MaxKeys: maxKeys})}
	if p.cfg.Rescue.MaxBytes > 0 {
		cfg := sample.RescueConfig{MaxBytes: int64(p.cfg.Rescue.MaxBytes), Window: p.cfg.Rescue.Window}
		if p.held != nil {
			cfg.File = p.held
		}
		s.rescue = sample.NewRescue(cfg)
	}
	return s
}

// maxKeys bounds the keys that have ratios of their own.
const maxKeys = 1024
