package pressureprocessor

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"

	"github.com/otelscope/otelscope/internal/hub/hubtest"
	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/sample"
)

// host remembers what was reported of the component's status.
type host struct {
	component.Host
	mu     sync.Mutex
	events []*componentstatus.Event
}

func (h *host) Report(e *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// levels are the levels that were reported, with the status of each.
func (h *host) levels() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		level, _ := e.Attributes().Get("level")
		text := level.AsString() + " " + e.Status().String()
		if e.Err() != nil {
			text += ": " + e.Err().Error()
		}
		all = append(all, text)
	}
	return all
}

// pressed runs a processor on a hub whose score the test sets. It must be called
// in a bubble.
type pressed struct {
	*pressureProcessor
	next  *sink
	hub   *hubtest.Hub
	host  *host
	mu    sync.Mutex
	score float64
}

func newPressed(t *testing.T, change func(*Config)) *pressed {
	p := &pressed{next: new(sink), hub: hubtest.NewHub(nil)}
	p.host = &host{Host: hubtest.NewHost(p.hub)}
	p.pressureProcessor = newTestProcessor(t, func(c *Config) {
		c.Hub = &hubtest.ID
		if change != nil {
			change(c)
		}
	}, p.next)
	p.hub.Pressure().Register(func() []pressure.Reading {
		p.mu.Lock()
		defer p.mu.Unlock()
		return []pressure.Reading{{Kind: pressure.Ring, Value: p.score, Words: "the ring is full"}}
	})
	require.NoError(t, p.Start(context.Background(), p.host))
	return p
}

// run lets time pass at this score while spans are offered, 100 a second of
// different chains.
func (p *pressed) run(t *testing.T, d time.Duration, score float64) {
	p.mu.Lock()
	p.score = score
	p.mu.Unlock()
	n := 0
	for range d / pressure.Interval {
		p.hub.Pressure().Step()
		for range 10 {
			n++
			require.NoError(t, p.ConsumeTraces(context.Background(), one("a", float64(n*37%1000)/1000)))
		}
		time.Sleep(pressure.Interval)
	}
	synctest.Wait()
	p.next.mu.Lock()
	defer p.next.mu.Unlock()
	p.next.got = nil
}

func (p *pressed) stop(t *testing.T) {
	require.NoError(t, p.Shutdown(context.Background()))
	require.Empty(t, p.hub.Status())
	require.Empty(t, p.hub.Sampling())
	require.NoError(t, p.Shutdown(context.Background()), "twice does no harm")
}

func TestSamplingBeginsAndEndsWithPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPressed(t, nil)
		p.run(t, 5*time.Second, 0.3)
		require.False(t, p.samplingStatus(0).Active)
		require.InDelta(t, 100, p.samplingStatus(0).Offered, 20)

		p.run(t, 10*time.Second, 1)
		s := p.status().(processorStatus)
		require.True(t, s.Sampling.Limited)
		require.Less(t, s.Sampling.Ratio, 0.5)
		require.Positive(t, s.Spans.SampledOut["adaptive"])
		require.Equal(t, "shop / a", s.Sampling.Busiest[0].Key)
		require.Equal(t, pressure.AdaptiveSampling, s.Strategy)

		p.run(t, 20*time.Second, 0.1)
		require.False(t, p.samplingStatus(0).Limited)
		require.True(t, p.samplingStatus(0).Active, "chains that began under a ratio are still decided by it")
		p.run(t, linger+5*time.Second, 0.1)
		require.False(t, p.samplingStatus(0).Active)
		require.Equal(t, []string{
			"critical StatusRecoverableError: pressure is critical: the ring is full",
			"normal StatusOK",
		}, p.host.levels())
		p.stop(t)
	})
}

func TestModerateIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPressed(t, nil)
		p.run(t, 2*time.Second, 0.65)
		require.Equal(t, []string{"moderate StatusOK"}, p.host.levels())
		p.stop(t)
	})
}

func TestStrategiesThatDoNotSample(t *testing.T) {
	for _, strategy := range []pressure.Strategy{pressure.Off, pressure.Refuse, pressure.DropOldest} {
		synctest.Test(t, func(t *testing.T) {
			p := newPressed(t, func(c *Config) { c.Strategy = strategy })
			p.run(t, 5*time.Second, 1)
			require.False(t, p.samplingStatus(0).Active)
			p.stop(t)
		})
	}
}

func TestTheStrategyMayChangeUnderPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPressed(t, func(c *Config) { c.Strategy = pressure.PriorityBased })
		p.run(t, 5*time.Second, 1)
		require.Positive(t, p.counts.sampledOut[sample.Priority].Load())
		p.hub.Pressure().SetStrategy(pressure.Refuse)
		p.run(t, 2*time.Second, 1)
		require.False(t, p.samplingStatus(0).Limited)
		p.stop(t)
	})
}

func TestARatioThatIsSetByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPressed(t, nil)
		levers := p.hub.Sampling()[p.settings.ID]
		for _, bad := range []float64{0, -1, 1.5} {
			require.ErrorContains(t, levers.SetRatio(&bad), "is not allowed: must be greater than 0 and at most 1, or null")
		}
		ratio := 0.25
		require.NoError(t, levers.SetRatio(&ratio))
		p.run(t, 10*time.Second, 0)
		require.InDelta(t, 0.25, p.samplingStatus(0).Ratio, 0.05)
		require.Positive(t, p.counts.sampledOut[sample.Fixed].Load())
		require.NoError(t, levers.SetRatio(nil))
		p.run(t, linger+5*time.Second, 0)
		require.False(t, p.samplingStatus(0).Active)
		p.stop(t)
	})
}

// TestAlone: without a hub the processor goes by the next consumer's answers.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := new(sink)
		p := newTestProcessor(t, nil, next)
		_, ok := p.ownLevel()
		require.False(t, ok, "not before it is started")
		h := &host{Host: hubtest.NewHost(hubtest.NewHub(nil))}
		require.NoError(t, p.Start(context.Background(), h))
		next.fail(errDown)
		for range 5 {
			require.ErrorIs(t, p.ConsumeTraces(context.Background(), one("a", 0.5)), errDown)
		}
		require.ErrorContains(t, p.ConsumeTraces(context.Background(), one("a", 0.5)), "the breaker is open")
		require.EqualValues(t, 1, p.counts.refused.Load())
		time.Sleep(time.Second)
		synctest.Wait()
		level, ok := p.ownLevel()
		require.True(t, ok)
		require.Equal(t, pressure.Critical, level)
		require.Equal(t, &level, p.status().(processorStatus).OwnLevel)
		require.Equal(t, []string{"critical StatusRecoverableError: pressure is critical: the breaker is open: down"}, h.levels())

		next.fail(nil)
		time.Sleep(30 * time.Second)
		require.NoError(t, p.ConsumeTraces(context.Background(), one("a", 0.5)))
		time.Sleep(25 * time.Second)
		synctest.Wait()
		level, _ = p.ownLevel()
		require.Equal(t, pressure.Normal, level)
		require.NoError(t, p.Shutdown(context.Background()))
	})
}

func TestOneProcessorForEachHub(t *testing.T) {
	h := hubtest.NewHub(nil)
	_, err := h.Pressure().Configure("pressure/other", pressure.DefaultSettings())
	require.NoError(t, err)
	p := newTestProcessor(t, func(c *Config) { c.Hub = &hubtest.ID }, new(sink))
	require.ErrorContains(t, p.Start(context.Background(), hubtest.NewHost(h)), `hub: the level of pressure is set by "pressure/other" already`)
	require.NoError(t, p.Shutdown(context.Background()))
}

// What the rescue may use follows the memory, within its bounds.
func TestTheRescueSparesMemory(t *testing.T) {
	p := newTestProcessor(t, nil, new(sink))
	c := &controller{pressureProcessor: p, room: 1}
	at := func(value float64) float64 {
		return c.spare(pressure.State{Readings: []pressure.Gauge{{Kind: pressure.Ring, Value: 1}, {Kind: pressure.Memory, Value: value}}}, 1)
	}
	require.InDelta(t, 1, at(0.7), 0)
	require.InDelta(t, 0.5, at(0.8), 1e-9, "half of it in a second")
	require.InDelta(t, 0.5, at(0.7), 1e-9, "neither")
	require.InDelta(t, 0.7, at(0.5), 1e-9, "a fifth back in a second")
	for range 5 {
		at(1)
	}
	require.InDelta(t, leastRoom, at(1), 1e-9)
	require.InDelta(t, leastRoom, c.spare(pressure.State{}, 1), 1e-9, "nothing is known of the memory")
}
