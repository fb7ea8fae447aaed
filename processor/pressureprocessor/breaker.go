package pressureprocessor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/otelscope/otelscope/internal/permanent"
	"github.com/otelscope/otelscope/internal/pressure"
)

// breaker stands in front of the next consumer. While it is open nothing is
// handed on and callers are told when to come again; the data stays theirs.
// After open_for one batch at a time is let through as a probe.
//
// A failure is an answer that may be different another time, and the lack of
// one for longer than the timeout. An error that is permanent is an answer: it
// speaks of the data. One that comes from the caller's leaving says nothing.
type breaker struct {
	cfg  BreakerConfig
	gate *gobreaker.TwoStepCircuitBreaker[struct{}]
	// changed is told of each change of state. It must not call the breaker.
	changed func(breakerChange)

	mu      sync.Mutex
	calls   map[*call]struct{} // under way, and not given up
	opened  time.Time
	lastErr string
	history []breakerChange
	outcome window
}

// call is a batch that the next consumer has.
type call struct {
	begun time.Time
	done  func(error)
}

// breakerChange is a change of state in the status page.
type breakerChange struct {
	Time   time.Time `json:"time"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	Reason string    `json:"reason"`
}

const maxBreakerHistory = 64

func newBreaker(cfg BreakerConfig, changed func(breakerChange)) *breaker {
	b := &breaker{cfg: cfg, changed: changed, calls: map[*call]struct{}{}}
	b.gate = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   1,
		Timeout:       cfg.OpenFor,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= uint32(cfg.ConsecutiveFailures) },
		IsSuccessful:  func(err error) bool { return !failure(err) },
		IsExcluded:    gone,
		OnStateChange: func(_ string, from, to gobreaker.State) { b.change(from, to) },
	})
	return b
}

func (b *breaker) change(from, to gobreaker.State) {
	b.mu.Lock()
	c := breakerChange{Time: time.Now(), From: from.String(), To: to.String()}
	switch to {
	case gobreaker.StateOpen:
		b.opened = c.Time
		c.Reason = b.lastErr
	case gobreaker.StateHalfOpen:
		c.Reason = "open_for is over: one batch is tried"
	default:
		c.Reason = "a batch got through"
	}
	b.history = append(b.history, c)
	b.history = b.history[max(0, len(b.history)-maxBreakerHistory):]
	b.mu.Unlock()
	b.changed(c)
}

// do calls next, unless the breaker is open. next is called in the caller's
// goroutine and is waited for, however long it takes.
func (b *breaker) do(next func() error) error {
	done, err := b.gate.Allow()
	if err != nil {
		return b.refusal(err)
	}
	c := &call{begun: time.Now(), done: done}
	b.mu.Lock()
	b.calls[c] = struct{}{}
	b.mu.Unlock()
	answered := false
	defer func() { // a panic is a failure too
		if !answered {
			b.settle(c, errors.New("the next consumer panicked"))
		}
	}()
	err = next()
	answered = true
	b.settle(c, err)
	return err
}

// settle tells the outcome of a call, once.
func (b *breaker) settle(c *call, err error) {
	b.mu.Lock()
	_, open := b.calls[c]
	delete(b.calls, c)
	if open && !gone(err) {
		b.outcome.add(time.Now(), failure(err))
		if failure(err) {
			b.lastErr = cut(err.Error())
		}
	}
	b.mu.Unlock()
	if open {
		c.done(err)
	}
}

func failure(err error) bool { return err != nil && !permanent.Is(err) }

// gone reports whether it is the caller who has not waited for the answer.
func gone(err error) bool { return errors.Is(err, context.Canceled) }

// giveUp counts as failed what has not been answered in time. It should be
// called several times a second.
func (b *breaker) giveUp() {
	now := time.Now()
	var late []*call
	b.mu.Lock()
	for c := range b.calls {
		if now.Sub(c.begun) > b.cfg.Timeout {
			late = append(late, c)
		}
	}
	b.mu.Unlock()
	for _, c := range late {
		b.settle(c, fmt.Errorf("no answer for %s", b.cfg.Timeout))
	}
}

// refusal tells the caller to come again, and when.
func (b *breaker) refusal(err error) error {
	wait := time.Second
	if errors.Is(err, gobreaker.ErrOpenState) {
		b.mu.Lock()
		wait = max(wait, b.cfg.OpenFor-time.Since(b.opened))
		b.mu.Unlock()
	}
	s, detailErr := status.New(codes.Unavailable, "the breaker is open: the next consumer fails").
		WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
	if detailErr != nil {
		return err
	}
	return s.Err()
}

// readings are the breaker's share in the pressure.
func (b *breaker) readings() []pressure.Reading {
	state := b.gate.State()
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	failed, total := b.outcome.sums(now)
	failures := pressure.Reading{Kind: pressure.Failures}
	switch {
	case state != gobreaker.StateClosed:
		failures.Value = 1
		failures.Words = fmt.Sprintf("the breaker is %s: %s", state, b.lastErr)
	case total > 0:
		failures.Value = float64(failed) / float64(total)
		failures.Words = fmt.Sprintf("the next consumer failed %d of %d batches in %s", failed, total, outcomeSpan)
	}
	var oldest time.Duration
	for c := range b.calls {
		oldest = max(oldest, now.Sub(c.begun))
	}
	return []pressure.Reading{failures, {
		Kind: pressure.Latency, Value: float64(oldest) / float64(b.cfg.Timeout),
		Words: fmt.Sprintf("a batch has waited %s for the next consumer, %s is the timeout", oldest.Round(time.Millisecond), b.cfg.Timeout),
	}}
}

// breakerStatus is the breaker in the status page.
type breakerStatus struct {
	State    string          `json:"state"`
	Failures uint32          `json:"consecutive_failures"`
	Calls    int             `json:"batches_under_way"`
	History  []breakerChange `json:"history"` // oldest first
}

func (b *breaker) status() breakerStatus {
	state, counts := b.gate.State(), b.gate.Counts()
	b.mu.Lock()
	defer b.mu.Unlock()
	return breakerStatus{state.String(), counts.ConsecutiveFailures, len(b.calls), append([]breakerChange{}, b.history...)}
}

// outcomeSpan is how far back failures count.
const (
	outcomeSpan  = 10 * time.Second
	outcomeSlots = 10
)

// window counts what happened in the last outcomeSpan, in slots of a second.
type window struct {
	slots [outcomeSlots]struct{ second, failed, total int64 }
}

func (w *window) add(now time.Time, failed bool) {
	second := now.Unix()
	s := &w.slots[second%outcomeSlots]
	if s.second != second {
		s.second, s.failed, s.total = second, 0, 0
	}
	s.total++
	if failed {
		s.failed++
	}
}

func (w *window) sums(now time.Time) (failed, total int64) {
	for _, s := range w.slots {
		if now.Unix()-s.second < outcomeSlots {
			failed += s.failed
			total += s.total
		}
	}
	return failed, total
}

// cut shortens a text that may quote data.
func cut(text string) string {
	const most = 200
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
