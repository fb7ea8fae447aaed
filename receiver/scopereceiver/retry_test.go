package scopereceiver

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelscope/otelscope/internal/ring"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/receiver/scopereceiver/internal/metadatatest"
)

var errDown = errors.New("the exporter is down")

func oneWorker(c *Config) {
	buffered(c)
	c.Workers = WorkersConfig{Min: 1, Max: 1}
}

func (b bubble) requireLost(n int64) {
	b.t.Helper()
	require.Equal(b.t, n, b.counts.lostItems.Load())
	if n > 0 {
		metadatatest.AssertEqualScopeReceiverLostItems(b.t, b.telemetry, []metricdata.DataPoint[int64]{{Value: n}}, metricdatatest.IgnoreTimestamp())
	}
}

// What was acknowledged as buffered outlives an outage, at a pace that spares
// the pipeline.
func TestBufferedOutlivesAnOutage(t *testing.T) {
	inBubble(t, oneWorker, func(t *testing.T, b bubble) {
		tries := b.tries(func() error { return errDown })
		require.NoError(t, b.feedMarks(numbered("a", 50)...))
		pass(time.Minute)
		require.NoError(t, b.feedMarks(numbered("b", 50)...))
		require.Equal(t, 1, b.pool.load().retrying)
		require.Empty(t, b.pipeline.names())

		var gaps []time.Duration
		for i, at := range (*tries)[1:] {
			gaps = append(gaps, at-(*tries)[i])
		}
		want := retryFirst
		for i, gap := range gaps {
			require.GreaterOrEqual(t, gap, want/2, "wait %d of %v", i, gaps)
			require.LessOrEqual(t, gap, want*3/2, "wait %d of %v", i, gaps)
			want = min(2*want, retryMost)
		}
		require.Greater(t, len(gaps), 12)

		b.pipeline.set(nil)
		pass(2 * retryMost)
		require.ElementsMatch(t, append(numbered("a", 50), numbered("b", 50)...), b.pipeline.names(), "each once")
		require.Zero(t, b.pool.load().retrying)
		require.Zero(t, b.ring.Stats().FlightItems+b.ring.Stats().QueuedItems)
		b.requireLost(0)
	})
}

func TestRetryWaitsAsLongAsThePipelineAsks(t *testing.T) {
	inBubble(t, oneWorker, func(t *testing.T, b bubble) {
		tries := b.tries(func() error { return &store.UnavailableError{Reason: "disk full", RetryAfter: time.Minute} })
		require.NoError(t, b.feedMarks("a"))
		pass(10 * time.Minute)
		for i, at := range (*tries)[1:] {
			require.GreaterOrEqual(t, at-(*tries)[i], time.Minute)
			require.LessOrEqual(t, at-(*tries)[i], 90*time.Second)
		}
		require.Greater(t, len(*tries), 6)
		b.pipeline.set(nil)
		pass(2 * time.Minute)
		require.Equal(t, []string{"a"}, b.pipeline.names())
	})
}

// Batches that wait for the pipeline count in the ring, which so says no.
func TestOutageFillsTheRing(t *testing.T) {
	inBubble(t, func(c *Config) { buffered(c); c.Ring.MaxItems = 100 }, func(t *testing.T, b bubble) {
		b.pipeline.set(func(ptrace.Traces) error { return errDown })
		taken := 0
		for ; taken < 200; taken++ {
			if err := b.feedMarks(fmt.Sprint("e", taken)); err != nil {
				require.ErrorIs(t, err, ring.ErrFull)
				break
			}
			pass(time.Second)
		}
		require.Equal(t, 100, taken)
		require.LessOrEqual(t, b.pool.count(), b.cfg.Workers.Max)
		b.pipeline.set(nil)
		pass(2 * retryMost)
		require.Len(t, b.pipeline.names(), 100)
		b.requireLost(0)
	})
}

// A shutdown takes the time it has to hand on what is owed, and starts at once.
func TestShutdownHandsOnWhatIsOwed(t *testing.T) {
	inBubble(t, oneWorker, func(t *testing.T, b bubble) {
		var tries atomic.Int64
		b.pipeline.set(func(ptrace.Traces) error {
			if tries.Add(1) < 4 {
				return &store.UnavailableError{Reason: "disk full", RetryAfter: time.Hour}
			}
			return nil
		})
		require.NoError(t, b.feedMarks("a"))
		synctest.Wait()
		require.NoError(t, b.feedMarks("b"))
		start := time.Now()
		require.NoError(t, b.Shutdown(t.Context()))
		require.Less(t, time.Since(start), time.Second)
		require.Equal(t, []string{"a", "b"}, b.pipeline.names())
		b.requireLost(0)
	})
}

// What cannot be handed on until the deadline is counted: what workers hold,
// and what waits, but not what nobody was told to be safe.
func TestShutdownCountsWhatIsLost(t *testing.T) {
	inBubble(t, oneWorker, func(t *testing.T, b bubble) {
		b.pipeline.set(func(ptrace.Traces) error { return errDown })
		require.NoError(t, b.feedMarks(numbered("held", 7)...))
		synctest.Wait()
		require.NoError(t, b.feedMarks(numbered("waiting", 5)...))
		b.expire()
		replayed := make(chan error, 1)
		parts, err := b.feed.splitTraces(otlp("letter"))
		require.NoError(t, err)
		go func() { replayed <- b.feed.replay(t.Context(), parts) }()
		synctest.Wait()
		start := time.Now()
		require.NoError(t, b.Shutdown(t.Context()))
		require.ErrorIs(t, <-replayed, errShutdown)
		require.LessOrEqual(t, time.Since(start), b.cfg.Timeout)
		b.requireLost(12)
		lost := b.logs.FilterMessageSnippet("Lost at shutdown").All()
		require.Len(t, lost, 1)
		require.Equal(t, int64(12), lost[0].ContextMap()["items"])
	})
}

// Where somebody waits for the answer, nothing is tried again on its behalf.
func TestReplayIsAnsweredDuringAnOutage(t *testing.T) {
	inBubble(t, oneWorker, func(t *testing.T, b bubble) {
		tries := b.tries(func() error { return errDown })
		parts, err := b.feed.splitTraces(otlp("letter"))
		require.NoError(t, err)
		start := time.Now()
		require.ErrorIs(t, b.feed.replay(t.Context(), parts), errDown)
		require.Zero(t, time.Since(start))
		require.Len(t, *tries, 1)
		b.requireLost(0)
	})
}

// A retry begins where the last try ended: what is settled is neither handed
// on nor buried again.
func TestRetryLeavesAloneWhatIsSettled(t *testing.T) {
	inBubble(t, oneWorker, func(t *testing.T, b bubble) {
		var refusals atomic.Int64
		b.pipeline.set(func(td ptrace.Traces) error {
			switch {
			case contains(td, "bad"):
				return errPoison
			case contains(td, "last") && refusals.Add(1) <= 3:
				return errDown
			}
			return nil
		})
		require.NoError(t, b.feed.traces(t.Context(), otlp("good", "bad", "last", "too")))
		pass(time.Minute)
		require.Equal(t, []string{"good", "last", "too"}, b.pipeline.names())
		require.Len(t, b.letterList(), 1)
		b.requireLost(0)
	})
}

func TestOnlyWhatIsNotSettledIsLost(t *testing.T) {
	inBubble(t, oneWorker, func(t *testing.T, b bubble) {
		b.pipeline.set(func(td ptrace.Traces) error {
			switch {
			case contains(td, "bad"):
				return errPoison
			case contains(td, "last"):
				return errDown
			}
			return nil
		})
		require.NoError(t, b.feed.traces(t.Context(), otlp("good", "bad", "last", "too", "more")))
		require.NoError(t, b.Shutdown(t.Context()))
		require.Equal(t, []string{"good"}, b.pipeline.names())
		b.requireLost(3)
	})
}

func TestBufferedAndTooLargeForTheDeadLetters(t *testing.T) {
	inBubble(t, func(c *Config) { oneWorker(c); c.DeadLetters.MaxBytes = 1 << 20 }, func(t *testing.T, b bubble) {
		b.pipeline.set(func(td ptrace.Traces) error {
			if td.SpanCount() > 1 || contains(td, "big") {
				return errPoison
			}
			return nil
		})
		td := otlp("small", "big")
		td.ResourceSpans().At(1).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr("text", strings.Repeat("x", 2<<20))
		require.NoError(t, b.feed.traces(t.Context(), td))
		synctest.Wait()
		require.Equal(t, []string{"small"}, b.pipeline.names())
		b.requireLost(1)
		require.Len(t, b.logs.FilterMessage("Lost").All(), 1)
	})
}

// A batch that kills two workers ends; what its clients believe safe is lost.
func TestSecondDeathOfABufferedBatch(t *testing.T) {
	inBubble(t, oneWorker, func(t *testing.T, b bubble) {
		letters := b.handler.letters
		b.handler.letters = nil // so that burying panics
		b.pipeline.set(func(ptrace.Traces) error { panic("boom") })
		require.NoError(t, b.feedMarks("x", "y"))
		synctest.Wait()
		b.requireLost(2)
		b.handler.letters = letters
		b.pipeline.set(nil)
		require.NoError(t, b.feedMarks("z"))
		synctest.Wait()
		require.Equal(t, []string{"z"}, b.pipeline.names())
	})
}
