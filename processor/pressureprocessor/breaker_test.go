package pressureprocessor

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/otelscope/otelscope/internal/pressure"
)

var (
	errDown   = errors.New("down")
	testBreak = BreakerConfig{ConsecutiveFailures: 3, OpenFor: 10 * time.Second, Timeout: 2 * time.Second}
)

func answer(err error) func() error { return func() error { return err } }

// states are the states that a breaker went through.
func states(b *breaker) (all []string) {
	for _, c := range b.status().History {
		all = append(all, c.To)
	}
	return all
}

func open(t *testing.T, b *breaker) {
	for range testBreak.ConsecutiveFailures {
		require.ErrorIs(t, b.do(answer(errDown)), errDown)
	}
	require.Equal(t, "open", b.status().State)
}

func TestTheBreakerOpensTriesAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []breakerChange
		b := newBreaker(testBreak, func(c breakerChange) { told = append(told, c) })
		require.ErrorIs(t, b.do(answer(errDown)), errDown)
		require.ErrorIs(t, b.do(answer(errDown)), errDown)
		require.NoError(t, b.do(answer(nil)))
		require.Equal(t, "closed", b.status().State, "in a row, it says")
		open(t, b)

		time.Sleep(4 * time.Second)
		err := b.do(func() error { panic("an open breaker lets nothing through") })
		s, ok := status.FromError(err)
		require.True(t, ok)
		require.Equal(t, codes.Unavailable, s.Code())
		require.Equal(t, 6*time.Second, s.Details()[0].(*errdetails.RetryInfo).RetryDelay.AsDuration(), "when it will try again")

		time.Sleep(7 * time.Second)
		require.Equal(t, "half-open", b.status().State)
		require.NoError(t, b.do(func() error {
			s, ok := status.FromError(b.do(func() error { panic("one probe at a time") }))
			require.True(t, ok)
			require.Equal(t, codes.Unavailable, s.Code())
			return nil
		}))
		require.Equal(t, []string{"open", "half-open", "closed"}, states(b))
		require.Equal(t, b.status().History, told)
		require.Equal(t, "down", told[0].Reason)

		open(t, b)
		time.Sleep(11 * time.Second)
		require.ErrorIs(t, b.do(answer(errDown)), errDown, "the probe fails")
		require.Equal(t, []string{"open", "half-open", "closed", "open", "half-open", "open"}, states(b))
	})
}

func TestWhatIsNoFailure(t *testing.T) {
	b := newBreaker(testBreak, func(breakerChange) {})
	for range 10 {
		require.Error(t, b.do(answer(consumererror.NewPermanent(errDown))))
		require.Error(t, b.do(answer(context.Canceled)))
	}
	require.Equal(t, "closed", b.status().State)
	failures := b.readings()[0]
	require.Zero(t, failures.Value)
	require.Contains(t, failures.Words, "0 of 10", "who left says nothing")

	mixed := errors.Join(consumererror.NewPermanent(errDown), errDown)
	for range 3 {
		require.Error(t, b.do(answer(mixed)))
	}
	require.Equal(t, "open", b.status().State, "one of two consumers may take it another time")
}

// TestACallThatHangs counts as failed after the timeout, once, whatever its
// answer is later.
func TestACallThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(testBreak, func(breakerChange) {})
		release := make(chan struct{})
		for range testBreak.ConsecutiveFailures {
			go func() {
				_ = b.do(func() error { <-release; return nil })
			}()
		}
		synctest.Wait()
		time.Sleep(time.Second)
		b.giveUp()
		require.Equal(t, "closed", b.status().State)
		latency := b.readings()[1]
		require.Equal(t, pressure.Latency, latency.Kind)
		require.InDelta(t, 0.5, latency.Value, 1e-9)
		require.Equal(t, "a batch has waited 1s for the next consumer, 2s is the timeout", latency.Words)

		time.Sleep(1100 * time.Millisecond)
		b.giveUp()
		b.giveUp()
		require.Equal(t, "open", b.status().State)
		require.Equal(t, "no answer for 2s", b.status().History[0].Reason)
		require.Equal(t, "the breaker is open: no answer for 2s", b.readings()[0].Words)
		require.InDelta(t, 1, b.readings()[0].Value, 0)
		close(release)
		synctest.Wait()
		require.Equal(t, []string{"open"}, states(b), "answers that come too late close nothing")
		require.Zero(t, b.status().Calls)
	})
}

func TestAPanicIsAFailure(t *testing.T) {
	b := newBreaker(testBreak, func(breakerChange) {})
	for range testBreak.ConsecutiveFailures {
		require.Panics(t, func() { _ = b.do(func() error { panic("x") }) })
	}
	require.Equal(t, "open", b.status().State)
}

func TestFailuresAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(testBreak, func(breakerChange) {})
		require.Error(t, b.do(answer(errDown)))
		require.NoError(t, b.do(answer(nil)))
		r := b.readings()[0]
		require.InDelta(t, 0.5, r.Value, 0)
		require.Equal(t, "the next consumer failed 1 of 2 batches in 10s", r.Words)
		time.Sleep(11 * time.Second)
		require.Zero(t, b.readings()[0].Value)
		require.NoError(t, b.do(answer(nil)))
		require.Contains(t, b.readings()[0].Words, "0 of 1")
	})
}

func TestALongErrorIsCut(t *testing.T) {
	b := newBreaker(BreakerConfig{ConsecutiveFailures: 1, OpenFor: time.Minute, Timeout: time.Second}, func(breakerChange) {})
	require.Error(t, b.do(answer(errors.New(strings.Repeat("x", 1000)))))
	require.Len(t, b.status().History[0].Reason, 200+len("…"))
}

func TestTheHistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(BreakerConfig{ConsecutiveFailures: 1, OpenFor: time.Second, Timeout: time.Second}, func(breakerChange) {})
		for range maxBreakerHistory {
			_ = b.do(answer(errDown))
			time.Sleep(2 * time.Second)
		}
		require.Len(t, b.status().History, maxBreakerHistory)
	})
}
