package scopereceiver

import (
	"fmt"
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

	// What is in force in the ring. Owned by the goroutine that steps.
	bound    float64
	overflow ring.Overflow
}

// newRelief is for a ring that is as it was made. Half of the time that clients
// wait is left to the pipeline.
func newRelief(r *ring.Ring[work], m *pressure.Monitor, configured ring.Overflow, timeout time.Duration, paused func() bool) *relief {
	return &relief{
		ring: r, monitor: m, configured: configured, tolerance: timeout / 2, paused: paused,
		bound: 1, overflow: configured,
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
	if state.Admission != r.bound {
		r.bound = state.Admission
		r.ring.SetBound(state.Admission)
	}
}

// readings is a pressure.Source.
func (r *relief) readings() []pressure.Reading {
	s := r.ring.Stats()
	return []pressure.Reading{{Kind: pressure.Ring, Value: r.ring.Pressure(), Words: ringWords(s)}, r.waiting(s)}
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
