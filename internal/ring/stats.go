package ring

import (
	"math"
	"time"
)

// Stats are the ring's figures at one moment.
type Stats struct {
	QueuedItems   int64   `json:"queued_items"` // wait for a worker
	QueuedBytes   int64   `json:"queued_bytes"`
	FlightItems   int64   `json:"in_flight_items"` // held by workers
	FlightBytes   int64   `json:"in_flight_bytes"`
	MaxItems      int64   `json:"max_items"`
	MaxBytes      int64   `json:"max_bytes"`
	Fill          float64 `json:"fill"` // 0 to 1, items or bytes
	Partitions    int     `json:"partitions"`
	Deepest       int64   `json:"deepest_partition_items"` // waiting in the fullest partition
	Batches       int     `json:"batches_in_flight"`
	Blocked       int     `json:"blocked_requests"`
	Overflow      string  `json:"overflow"`
	Bound         float64 `json:"bound"`   // the fraction of the maximum that is used, 0 to 1
	Clients       int     `json:"clients"` // that share the ring
	OldestMillis  int64   `json:"oldest_waiting_ms"`
	AcceptedItems int64   `json:"accepted_items"` // since start
	RefusedItems  int64   `json:"refused_items"`
	UnfairItems   int64   `json:"unfair_refused_items"` // of these: there was room, kept for other clients
	DroppedItems  int64   `json:"dropped_items"`
}

// Stats returns the figures; it visits every partition once.
func (r *Ring[W]) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.core.stats(r.now())
}

func (c *core[W]) stats(now int64) Stats {
	c.clients.expire(now)
	s := Stats{
		QueuedItems: c.queued.items, QueuedBytes: c.queued.bytes,
		FlightItems: c.flight.items, FlightBytes: c.flight.bytes,
		MaxItems: c.limit.items, MaxBytes: c.limit.bytes, Fill: c.used().of(c.limit),
		Partitions: c.shared(), Batches: len(c.batches), Blocked: len(c.blocked),
		Overflow: c.overflow.String(), Bound: c.fraction, Clients: len(c.clients.known),
		OldestMillis:  c.waited(now).Milliseconds(),
		AcceptedItems: c.accepted, RefusedItems: c.refused, UnfairItems: c.unfair, DroppedItems: c.dropped,
	}
	for i := range c.partitions {
		s.Deepest = max(s.Deepest, c.partitions[i].items)
	}
	return s
}

// Backlog returns how many items no worker has taken, and for how long the
// oldest of them has waited.
func (r *Ring[W]) Backlog() (items int64, oldest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.core.queued.items, r.core.waited(r.now())
}

// waited is for how long the oldest entry has waited.
func (c *core[W]) waited(now int64) time.Duration {
	if e := c.oldest(); e != nil {
		return time.Duration(now - e.at)
	}
	return 0
}

// Fill returns how full the ring is, 0 to 1: of items or of bytes, whichever
// is more. Work that workers hold counts.
func (r *Ring[W]) Fill() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.core.used().of(r.core.limit)
}

// Pressure returns how near the ring is to refusing its largest client, 0 to
// 1. It takes no lock.
func (r *Ring[W]) Pressure() float64 { return math.Float64frombits(r.door.pressure.Load()) }

func (c *core[W]) pressure(now int64) float64 {
	c.clients.expire(now)
	return min(1, c.used().of(c.clients.ceiling(c.bound)))
}
