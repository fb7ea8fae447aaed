package pressure

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stand is a monitor whose time a test moves.
type stand struct {
	*Monitor
	now time.Time
}

func newStand() *stand {
	s := &stand{now: time.Unix(1000, 0)}
	s.Monitor = NewMonitor(func() time.Time { return s.now })
	return s
}

// pass steps the monitor as Run does.
func (s *stand) pass(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); {
		s.now = s.now.Add(Interval)
		s.Step()
	}
}

func says(kind Kind, value float64) Source {
	return func() []Reading {
		return []Reading{{Kind: kind, Value: value, Words: fmt.Sprintf("%s is at %g", kind, value)}}
	}
}

func TestMonitorBeginsAtNormal(t *testing.T) {
	s := newStand()
	require.Equal(t, Normal, s.Level())
	require.Empty(t, s.History())
	text, err := json.Marshal(s.State())
	require.NoError(t, err)
	require.JSONEq(t, `{"level":"normal","since":"`+s.now.Format(time.RFC3339)+`","score":0,"reason":"","readings":[],"silent":[],"strategy":"off","admission":1}`, string(text))
}

func TestMonitorCollects(t *testing.T) {
	s := newStand()
	offRing := s.Register(says(Ring, 0.9))
	s.Register(says(Memory, 0.3))
	s.pass(time.Second)
	require.Equal(t, High, s.Level())
	state := s.State()
	require.Equal(t, High, state.Level)
	require.Equal(t, "ring is at 0.9", state.Reason)
	require.Equal(t, []Gauge{{Kind: Ring, Value: 0.9, Words: "ring is at 0.9"}, {Kind: Memory, Value: 0.3, Words: "memory is at 0.3"}}, state.Readings)
	require.Equal(t, []Change{{state.Since, Normal, High, 0.9, "ring is at 0.9"}}, s.History())

	offRing()
	offRing()
	s.pass(Interval)
	require.Equal(t, []Gauge{{Kind: Memory, Value: 0.3, Words: "memory is at 0.3"}}, s.State().Readings, "what is taken off counts no more")
	require.Empty(t, s.State().Silent)
}

func TestKindOfTwoSources(t *testing.T) {
	s := newStand()
	quiet := false
	off := s.Register(says(Ring, 0.5))
	s.Register(func() []Reading {
		if quiet {
			return nil
		}
		return says(Ring, 0.4)()
	})
	s.pass(Interval)
	require.Equal(t, 0.5, s.State().Score)
	off()
	s.pass(Interval)
	require.Equal(t, 0.4, s.State().Score, "the other one speaks for the kind")

	off = s.Register(says(Ring, 0.5))
	s.pass(Interval)
	quiet = true
	off()
	s.pass(Interval)
	require.Equal(t, 0.5, s.State().Score, "the kind is not forgotten as long as one is left that said it")
}

func TestSourceThatLeavesWhileItIsRead(t *testing.T) {
	s := newStand()
	var off func()
	off = s.Register(func() []Reading {
		off()
		return says(Ring, 1)()
	})
	s.pass(Interval)
	require.Zero(t, s.State().Score)
}

func TestSourceThatPanics(t *testing.T) {
	s := newStand()
	broken := false
	s.Register(func() []Reading {
		if broken {
			panic("broken")
		}
		return says(Ring, 0.9)()
	})
	s.Register(says(Memory, 0.2))
	s.pass(time.Second)
	broken = true
	s.pass(Silence - Interval)
	require.Equal(t, High, s.Level())
	require.Equal(t, 0.9, s.State().Score, "its last word counts")
	require.Empty(t, s.State().Silent)
	s.pass(Interval)
	require.Equal(t, []Kind{Ring}, s.State().Silent)
	require.Equal(t, 0.2, s.State().Score)
}

func TestConfigure(t *testing.T) {
	s := newStand()
	s.Register(says(Ring, 0.45))
	sensitive := Settings{Thresholds: Thresholds{Moderate: 0.2, High: 0.4, Critical: 0.9, Hysteresis: 0.1, Hold: time.Second}, Strategy: Refuse}
	release, err := s.Configure("pressure", sensitive)
	require.NoError(t, err)
	s.pass(time.Second)
	require.Equal(t, High, s.Level())
	require.Equal(t, Refuse, s.State().Strategy)

	_, err = s.Configure("pressure/other", DefaultSettings())
	require.EqualError(t, err, `the level of pressure is set by "pressure" already: one pressure processor for each hub`)

	second := sensitive
	second.Strategy = DropOldest
	releaseSecond, err := s.Configure("pressure", second)
	require.NoError(t, err)
	s.pass(Interval)
	require.Equal(t, DropOldest, s.State().Strategy, "the last one's are in force")
	releaseSecond()
	s.pass(Interval)
	require.Equal(t, Refuse, s.State().Strategy, "and then those of the one before")

	releaseSecond, err = s.Configure("pressure", second)
	require.NoError(t, err)
	release()
	release()
	s.pass(Interval)
	require.Equal(t, DropOldest, s.State().Strategy, "who leaves before the last changes nothing")

	releaseSecond()
	s.pass(11 * time.Second)
	require.Equal(t, Normal, s.Level(), "the defaults are back")
	require.Equal(t, Off, s.State().Strategy)
	_, err = s.Configure("pressure/other", DefaultSettings())
	require.NoError(t, err)
}

func TestSetStrategy(t *testing.T) {
	s := newStand()
	s.Register(says(Ring, 1))
	release, err := s.Configure("pressure", Settings{
		Thresholds: DefaultThresholds, Strategy: AdaptiveSampling, ByLevel: map[Level]Strategy{Critical: DropOldest},
	})
	require.NoError(t, err)
	s.pass(time.Second)
	require.Equal(t, DropOldest, s.State().Strategy)
	s.SetStrategy(PriorityBased)
	s.pass(Interval)
	require.Equal(t, PriorityBased, s.State().Strategy, "at all levels")
	require.Equal(t, Critical, s.Level())
	release()
	s.pass(Interval)
	require.Equal(t, Off, s.State().Strategy)
}

func TestHistoryIsBounded(t *testing.T) {
	s := newStand()
	value := 0.0
	s.Register(func() []Reading { return says(Ring, value)() })
	_, err := s.Configure("pressure", Settings{Thresholds: Thresholds{Moderate: 0.6, High: 0.8, Critical: 0.95}})
	require.NoError(t, err)
	for range maxHistory {
		value = 1
		s.pass(time.Second)
		value = 0
		s.pass(time.Second)
	}
	require.Len(t, s.History(), maxHistory)
	require.Equal(t, s.State().Since, s.History()[maxHistory-1].Time)

	all, total := s.ChangesAfter(0)
	require.Equal(t, 2*maxHistory, total)
	require.Equal(t, s.History(), all, "those that are remembered")
	last, _ := s.ChangesAfter(total - 2)
	require.Equal(t, s.History()[maxHistory-2:], last)
	none, _ := s.ChangesAfter(total)
	require.Empty(t, none)
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMonitor(time.Now)
		var reads atomic.Int32
		m.Register(func() []Reading {
			reads.Add(1)
			return says(Ring, 1)()
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { m.Run(ctx); close(ended) }()
		time.Sleep(time.Second + Interval/2)
		synctest.Wait()
		require.Equal(t, int32(10), reads.Load())
		require.Equal(t, Critical, m.Level())
		cancel()
		<-ended
		time.Sleep(time.Second)
		require.Equal(t, int32(10), reads.Load())
	})
}

// TestMonitorIsShared is for the race detector.
func TestMonitorIsShared(t *testing.T) {
	m := NewMonitor(time.Now)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 100 {
				off := m.Register(says(Kinds[i%len(Kinds)], float64(i)/8))
				release, err := m.Configure("pressure", DefaultSettings())
				m.Step()
				m.SetStrategy(Refuse)
				_, _, _ = m.State(), m.Level(), m.History()
				_, _ = m.ChangesAfter(0)
				if err == nil {
					release()
				}
				off()
			}
		})
	}
	all.Wait()
	m.Step()
	require.Empty(t, m.State().Readings, "all have left")
	require.Equal(t, Off, m.State().Strategy)
}
