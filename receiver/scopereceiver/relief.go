package scopereceiver

import (
	"fmt"
	"math"
	"time"

	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/ring"
)

// relief is what the receiver does about pressure: it says how hard-pressed
// its ring is, and lets the shared monitor's state govern what the ring takes.
type relief struct {
	ring       *ring.Ring[work]
	monitor    *pressure.Monitor
	configured ring.Overflow
	tolerance  time.Duration // work that has waited so long is as bad as a full ring
	paused     func() bool

	// Owned by the goroutine that steps.
	bound    float64       // in force in the ring
	overflow ring.Overflow // likewise
	done     int64         // items that had left the ring at the last step
	stepped  time.Time
	rate     float64 // items a second that leave it, lately
}

const (
	// patience is how much work may wait at level high and above, in time. A
	// queue that stays full for longer than it takes to even out bursts only
	// adds to the latency of all, and mixes up causes and effects that came
	// after each other.
	patience = 200 * time.Millisecond
	// leastBound lets work come to a ring that nothing leaves.
	leastBound = 1.0 / 64
	// rateSeconds is how fast the rate follows.
	rateSeconds = 1.0
)

// newRelief is for a ring that is as it was made. Half of the time that clients
// wait is left to the pipeline.
func newRelief(r *ring.Ring[work], m *pressure.Monitor, configured ring.Overflow, timeout time.Duration, paused func() bool) *relief {
	return &relief{
		ring: r, monitor: m, configured: configured, tolerance: timeout / 2, paused: paused,
		bound: 1, overflow: configured, stepped: time.Now(),
	}
}

// step brings the ring in line with the monitor's state.
func (r *relief) step() {
	state := r.monitor.State()
	overflow := r.configured // unless the strategy has another at this level
	if other, err := ring.ParseOverflow(state.Strategy.Overflow(state.Level)); err == nil {
		overflow = other
	}
	if overflow != r.overflow {
		r.overflow = overflow
		r.ring.SetOverflow(overflow)
	}
	bound := min(state.Admission, r.shorten(state, time.Now()))
	if bound != r.bound {
		r.bound = bound
		r.ring.SetBound(bound)
	}
}

// shorten returns the part of the ring that workers take in patience, where the
// level says that the ring does not only even out a burst.
func (r *relief) shorten(state pressure.State, now time.Time) float64 {
	s := r.ring.Stats()
	held := s.QueuedItems + s.FlightItems
	done := s.AcceptedItems - held - s.DroppedItems
	if seconds := now.Sub(r.stepped).Seconds(); seconds > 0 {
		r.rate += (1 - math.Exp(-seconds/rateSeconds)) * (float64(done-r.done)/seconds - r.rate)
	}
	r.done, r.stepped = done, now
	if state.Level < pressure.High || state.Strategy == pressure.Off || held == 0 || r.paused() {
		return 1
	}
	return min(1, max(leastBound, s.Fill*r.rate*patience.Seconds()/float64(held)))
}

// readings is a pressure.Source.
func (r *relief) readings() []pressure.Reading {
	s := r.ring.Stats()
	return []pressure.Reading{{
		Kind: pressure.Ring, Value: r.ring.Pressure(), Words: ringWords(s),
		Held: s.QueuedBytes + s.FlightBytes, Limit: s.MaxBytes,
	}, r.waiting(s)}
}

// ringWords speaks of items or of bytes, whichever are nearer to the bound.
func ringWords(s ring.Stats) string {
	items, bytes := s.QueuedItems+s.FlightItems, s.QueuedBytes+s.FlightBytes
	maxItems, maxBytes := s.Bound*float64(s.MaxItems), s.Bound*float64(s.MaxBytes)
	if float64(items)/maxItems >= float64(bytes)/maxBytes {
		return fmt.Sprintf("the ring holds %d events and spans of %.0f", items, maxItems)
	}
	return fmt.Sprintf("the ring holds %.1f MiB of %.1f MiB", mib(float64(bytes)), mib(maxBytes))
}

func mib(n float64) float64 { return n / (1 << 20) }

// waiting reads how old the oldest work is that no worker has taken. While the
// receiver is paused that says nothing about what it could do.
func (r *relief) waiting(s ring.Stats) pressure.Reading {
	if r.paused() {
		return pressure.Reading{Kind: pressure.Waiting, Words: "the receiver is paused"}
	}
	age := time.Duration(s.OldestMillis) * time.Millisecond
	return pressure.Reading{
		Kind: pressure.Waiting, Value: age.Seconds() / r.tolerance.Seconds(),
		Words: fmt.Sprintf("the oldest work has waited %v, and may wait %v", age, r.tolerance),
	}
}
