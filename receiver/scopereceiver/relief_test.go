package scopereceiver

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc/codes"

	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/hub/hubtest"
	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/ring"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

func TestRingWords(t *testing.T) {
	for _, c := range []struct {
		stats ring.Stats
		want  string
	}{
		{ring.Stats{QueuedItems: 50, FlightItems: 10, QueuedBytes: 1 << 20, MaxItems: 100, MaxBytes: 128 << 20, Bound: 1}, "the ring holds 60 events and spans of 100"},
		{ring.Stats{QueuedItems: 50, QueuedBytes: 100 << 20, FlightBytes: 100 << 10, MaxItems: 100, MaxBytes: 128 << 20, Bound: 1}, "the ring holds 100.1 MiB of 128.0 MiB"},
		{ring.Stats{QueuedBytes: 33 << 20, MaxItems: 100, MaxBytes: 128 << 20, Bound: 0.25}, "the ring holds 33.0 MiB of 32.0 MiB"},
		{ring.Stats{MaxItems: 100, MaxBytes: 128 << 20, Bound: 0.5}, "the ring holds 0 events and spans of 50"},
	} {
		require.Equal(t, c.want, ringWords(c.stats))
	}
}

func TestOverflowOfEachStrategy(t *testing.T) {
	for _, s := range pressure.Strategies {
		for _, l := range []pressure.Level{pressure.Normal, pressure.Moderate, pressure.High, pressure.Critical} {
			if name := s.Overflow(l); name != "" {
				_, err := ring.ParseOverflow(name)
				require.NoError(t, err, "%s at %s", s, l)
			}
		}
	}
}

// monitored is a hub whose monitor follows a strategy, and a source to press it
// with.
type monitored struct {
	*hubtest.Hub
	value atomic.Value // float64, of pressure.Memory
}

func newMonitored(t *testing.T, s pressure.Strategy) *monitored {
	m := &monitored{Hub: hubtest.NewHub(storetest.NewModel(time.Now))}
	m.press(0)
	settings := pressure.DefaultSettings()
	settings.Strategy = s
	_, err := m.Pressure().Configure("pressure", settings)
	require.NoError(t, err)
	m.Pressure().Register(func() []pressure.Reading {
		return []pressure.Reading{{Kind: pressure.Memory, Value: m.value.Load().(float64), Words: "somebody presses"}}
	})
	return m
}

func (m *monitored) press(value float64) { m.value.Store(value) }

// A ring that fills, and work that nobody takes, are pressure, and said so.
func TestTheRingSaysThatItIsPressed(t *testing.T) {
	m := (*monitored)(nil)
	newHub := func() hub.Hub { m = newMonitored(t, pressure.AdaptiveSampling); return m }
	inBubbleWith(t, newHub, func(c *Config) { oneWorker(c); c.Ring.MaxItems = 40 }, func(t *testing.T, b bubble) {
		reading := func(kind pressure.Kind) (found pressure.Reading) {
			for _, r := range b.pool.relief.readings() {
				if r.Kind == kind {
					found = pressure.Reading{Kind: r.Kind, Value: r.Value, Words: r.Words}
				}
			}
			return found
		}
		hold := make(chan struct{})
		b.pipeline.set(func(ptrace.Traces) error { <-hold; return nil })
		require.Equal(t, pressure.Reading{Kind: pressure.Ring, Words: "the ring holds 0 events and spans of 40"}, reading(pressure.Ring))
		require.Equal(t, pressure.Reading{Kind: pressure.Waiting, Words: "the oldest work has waited 0s, and may wait 5s"}, reading(pressure.Waiting))
		require.NoError(t, b.feedMarks(numbered("held", 16)...))
		pass(time.Second)
		require.Equal(t, pressure.Normal, m.Pressure().Level())
		require.NoError(t, b.feedMarks(numbered("waiting", 20)...))
		pass(2 * time.Second)
		require.Equal(t, pressure.Reading{Kind: pressure.Waiting, Value: 0.4, Words: "the oldest work has waited 2s, and may wait 5s"}, reading(pressure.Waiting))
		require.Equal(t, "the ring holds 36 events and spans of 40", m.Pressure().History()[0].Reason)
		require.Equal(t, pressure.High, m.Pressure().History()[0].To)
		pass(4 * time.Second)
		require.Equal(t, pressure.Critical, m.Pressure().Level())
		require.Contains(t, m.Pressure().State().Reason, "the oldest work has waited 6")

		b.pool.Pause()
		require.Equal(t, pressure.Reading{Kind: pressure.Waiting, Words: "the receiver is paused"}, reading(pressure.Waiting))
		close(hold)
	})
}

// From level high on the ring holds what workers take in patience: they take
// 100 marks a second here.
func TestAQueueThatStaysFullIsShortened(t *testing.T) {
	m := (*monitored)(nil)
	newHub := func() hub.Hub { m = newMonitored(t, pressure.AdaptiveSampling); return m }
	inBubbleWith(t, newHub, func(c *Config) {
		oneWorker(c)
		c.Ring.MaxItems = 1000
		c.Batch = BatchConfig{MinSize: 10, MaxSize: 10}
		c.Acknowledge = acknowledgeBuffered
	}, func(t *testing.T, b bubble) {
		b.pipeline.set(func(ptrace.Traces) error { time.Sleep(100 * time.Millisecond); return nil })
		n := 0
		offer := func(d time.Duration) (most int64) {
			for range d / (10 * time.Millisecond) {
				n++
				_ = b.feedMarks(numbered(fmt.Sprint("p", n), 2)...)
				pass(10 * time.Millisecond)
				s := b.ring.Stats()
				most = max(most, s.QueuedItems+s.FlightItems)
			}
			return most
		}
		require.Greater(t, offer(3*time.Second), int64(250), "at level normal it evens out bursts")
		m.press(1)
		offer(5 * time.Second)
		most := offer(3 * time.Second)
		require.Less(t, most, int64(80), "what waits is worked off in a fraction of a second")
		require.Greater(t, most, int64(10), "workers do not run dry")
		m.press(0)
		pass(40 * time.Second)
		require.InDelta(t, 1, b.ring.Stats().Bound, 0, "nobody offers more than it takes")
	})
}

// The strategy's overflow and the monitor's admission are in force in the ring,
// and end with the pressure.
func TestPressureGovernsTheRing(t *testing.T) {
	for strategy, overflow := range map[pressure.Strategy]string{
		pressure.AdaptiveSampling: "block", pressure.PriorityBased: "by_priority",
		pressure.DropOldest: "drop_oldest", pressure.Refuse: "block", pressure.Off: "block",
	} {
		t.Run(string(strategy), func(t *testing.T) {
			m := (*monitored)(nil)
			newHub := func() hub.Hub { m = newMonitored(t, strategy); return m }
			inBubbleWith(t, newHub, func(c *Config) { c.Ring.Overflow = "block" }, func(t *testing.T, b bubble) {
				inForce := func(overflow string, bound float64) {
					t.Helper()
					s := b.ring.Stats()
					require.Equal(t, overflow, s.Overflow)
					require.InDelta(t, bound, s.Bound, 1e-9)
				}
				pass(time.Second)
				inForce("block", 1)
				m.press(1)
				pass(10 * time.Second)
				if strategy == pressure.Off {
					inForce("block", 1)
					return
				}
				require.Equal(t, pressure.Critical, m.Pressure().Level())
				inForce(overflow, 1.0/16)
				m.press(0)
				pass(30 * time.Second)
				require.Equal(t, pressure.Normal, m.Pressure().Level())
				inForce("block", 1)
			})
		})
	}
}

// At critical a client is told to come again, although half of the ring is
// free.
func TestRefusedAtCritical(t *testing.T) {
	m := newMonitored(t, pressure.Refuse)
	cfg := testConfig(t)
	id := hubID
	cfg.Hub, cfg.Ring.MaxItems, cfg.Workers = &id, 100, WorkersConfig{Min: 1, Max: 1}
	r := start(t, cfg, hostWith{hubID: m})
	ctx, cancel := context.WithCancel(t.Context())
	monitor := make(chan struct{})
	go func() { m.Pressure().Run(ctx); close(monitor) }()
	defer func() { cancel(); <-monitor }()
	entered, hold := make(chan struct{}, 100), make(chan struct{})
	r.pipeline.set(func(ptrace.Traces) error { entered <- struct{}{}; <-hold; return nil })
	held := r.send("held", 1, "normal")
	<-entered
	waiting := r.send("waiting", 49, "normal")
	m.press(1)
	require.Eventually(t, func() bool { return r.ring.Stats().Bound <= 0.5 }, time.Minute, time.Millisecond)
	require.Equal(t, pressure.Critical, m.Pressure().Level())
	requireRetry(t, exportGRPC(t, r.grpc, otlp("x")), codes.ResourceExhausted)
	require.ErrorContains(t, exportHTTP(r.http, otlp("x")), "429, Retry-After")
	native := r.post(mark("x"))
	require.Equal(t, 429, native.status)
	require.NotEmpty(t, native.retryAfter)
	close(hold)
	requireReply(t, held, 200, `"accepted":1`)
	requireReply(t, waiting, 200, `"accepted":49`)
	r.requireGood("what an empty ring takes")
}

func TestNoReliefWithoutAHub(t *testing.T) {
	inBubble(t, asConfigured, func(t *testing.T, b bubble) {
		require.Nil(t, b.pool.relief)
		synctest.Wait()
		require.Equal(t, 1.0, b.ring.Stats().Bound)
	})
}

// A receiver that has ended says nothing more.
func TestReliefEndsWithTheReceiver(t *testing.T) {
	h := newTestHub()
	r := startWithHub(t, h, nil)
	h.Pressure().Step()
	require.Len(t, h.Pressure().State().Readings, 2)
	require.NoError(t, r.Shutdown(t.Context()))
	h.Pressure().Step()
	require.Empty(t, h.Pressure().State().Readings)
}
