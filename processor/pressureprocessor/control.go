package pressureprocessor

import (
	"context"
	"errors"
	"math"
	"time"

	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/sample"
)

// Paces of the control goroutine.
const (
	// controlInterval is how often ratios are made. A chain's threshold is the
	// one of its beginning, so a change takes effect as chains begin.
	controlInterval = 500 * time.Millisecond
	// linger is for how long a sampler goes on deciding by chains that began
	// under a ratio, after everything may be kept again.
	linger = 30 * time.Second
)

// planning is what the last control step came to, for status pages.
type planning struct {
	limited bool
	budget  float64 // spans a second
	totals  sample.Totals
}

// controller is the state of the control goroutine.
type controller struct {
	*pressureProcessor
	budget   sample.Controller
	last     time.Time // of the last control step
	free     time.Time // since when everything may be kept; zero while it may not
	reported pressure.Level
	room     float64 // the part of the rescue's room that it may use
}

// leastRoom is what the rescue keeps of its room in any case.
const leastRoom = 1.0 / 4

// spare makes the rescue's room follow the memory: what is short is not for
// what was sampled out. Otherwise the rescue could be the pressure that keeps
// it filled.
func (c *controller) spare(state pressure.State, seconds float64) float64 {
	for _, g := range state.Readings {
		if g.Kind != pressure.Memory {
			continue
		}
		switch t := c.cfg.Levels; {
		case g.Value >= t.High:
			c.room *= math.Exp2(-seconds)
		case g.Value < t.Moderate:
			c.room += seconds / 5
		}
	}
	c.room = min(max(c.room, leastRoom), 1)
	return c.room
}

// control follows the pressure until ctx ends.
func (p *pressureProcessor) control(ctx context.Context) {
	ticker := time.NewTicker(pressure.Interval)
	defer ticker.Stop()
	t := p.cfg.Levels
	c := &controller{pressureProcessor: p, budget: sample.Controller{SetPoint: (t.Moderate + t.High) / 2}, last: time.Now(), room: 1}
	for {
		select {
		case <-ctx.Done():
			p.now.Store(nil)
			return
		case <-ticker.C:
		}
		p.breaker.giveUp()
		if p.cfg.Hub == nil {
			p.monitor.Step()
		}
		state := p.monitor.State()
		c.report(state)
		if now := time.Now(); now.Sub(c.last) >= controlInterval {
			c.step(now, state)
		}
	}
}

// step makes the ratios for what begins until the next one.
func (c *controller) step(now time.Time, state pressure.State) {
	seconds := now.Sub(c.last).Seconds()
	c.last = now
	s := c.now.Load()
	var totals sample.Totals
	passed := float64(c.passed.Swap(0)) / seconds
	if s != nil {
		totals = s.sampler.Measure(seconds)
	} else {
		totals = sample.Totals{Offered: passed, Kept: passed}
	}
	offered := totals.Offered + totals.Sure
	samples := state.Strategy.Samples()
	if !samples {
		c.budget.Reset()
	}
	budget, limited := c.budget.Step(seconds, samples && state.Level > pressure.Normal, state.Score, offered, c.cfg.MinRatio*offered)
	ratio := c.fixed.Load()
	c.plan.Store(&planning{limited: limited, budget: budget, totals: totals})
	switch {
	case limited || ratio != nil:
		c.free = time.Time{}
		if s == nil {
			s = c.newShedding()
		}
	case s == nil:
		return
	case c.free.IsZero():
		c.free = now
	case now.Sub(c.free) > linger:
		c.now.Store(nil)
		if c.held != nil {
			_ = c.held.Truncate(0) // gives the disk's space back; it is only a courtesy
		}
		return
	}
	mode := sample.Adaptive
	if state.Strategy == pressure.PriorityBased {
		mode = sample.Priority
	}
	switch {
	case ratio != nil:
		s.sampler.Fix(*ratio)
	case limited:
		s.sampler.Allot(budget, mode)
	default:
		s.sampler.Allot(math.Inf(1), mode)
	}
	if s.rescue != nil {
		s.rescue.Adapt(now, c.spare(state, seconds))
	}
	c.now.Store(s)
}

// report tells the collector of a change of level. Up to moderate the pipeline
// does what it was made for; from high on somebody should look.
func (c *controller) report(state pressure.State) {
	if state.Level == c.reported {
		return
	}
	c.reported = state.Level
	attributes := pcommon.NewMap()
	attributes.PutStr("level", state.Level.String())
	attributes.PutStr("reason", state.Reason)
	options := []componentstatus.EventBuilderOption{componentstatus.WithAttributes(attributes)}
	status := componentstatus.StatusOK
	if state.Level >= pressure.High {
		status = componentstatus.StatusRecoverableError
		options = append(options, componentstatus.WithError(errors.New("pressure is "+state.Level.String()+": "+state.Reason)))
	}
	componentstatus.ReportStatus(c.host, componentstatus.NewEvent(status, options...))
}
