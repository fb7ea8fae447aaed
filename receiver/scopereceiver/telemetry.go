package scopereceiver

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelscope/otelscope/internal/assemble"
	"github.com/otelscope/otelscope/internal/ring"
	"github.com/otelscope/otelscope/receiver/scopereceiver/internal/metadata"
)

// counts counts twice: for metrics, and for the status page, which cannot read
// metrics back.
type counts struct {
	metrics *metadata.TelemetryBuilder

	acceptedEvents  atomic.Int64
	rejectedEvents  atomic.Int64
	refusedRequests atomic.Int64
	deadLetters     atomic.Int64
	restarts        atomic.Int64
	lostItems       atomic.Int64
}

func (c *counts) accepted(ctx context.Context, n int) {
	c.acceptedEvents.Add(int64(n))
	c.metrics.ScopeReceiverAcceptedEvents.Add(ctx, int64(n))
}

func (c *counts) rejected(ctx context.Context, n int) {
	c.rejectedEvents.Add(int64(n))
	c.metrics.ScopeReceiverRejectedEvents.Add(ctx, int64(n))
}

func (c *counts) refused() {
	c.refusedRequests.Add(1)
	c.metrics.ScopeReceiverRefusedRequests.Add(context.Background(), 1)
}

func (c *counts) letter(source string, n int) {
	c.deadLetters.Add(int64(n))
	c.metrics.ScopeReceiverDeadLetters.Add(context.Background(), int64(n), metric.WithAttributes(attribute.String("source", source)))
}

func (c *counts) restart() {
	c.restarts.Add(1)
	c.metrics.ScopeReceiverWorkerRestarts.Add(context.Background(), 1)
}

func (c *counts) lost(n int) {
	c.lostItems.Add(int64(n))
	c.metrics.ScopeReceiverLostItems.Add(context.Background(), int64(n))
}

func (c *counts) batch(items int, took time.Duration) {
	c.metrics.ScopeReceiverBatchSize.Record(context.Background(), int64(items))
	c.metrics.ScopeReceiverBatchDuration.Record(context.Background(), took.Seconds())
}

// observe registers the metrics that are read when they are asked for.
func (r *scopeReceiver) observe() error {
	m := r.counts.metrics
	assembly := func(of func(assemble.Stats) int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(of(r.handler.stats()))
			return nil
		}
	}
	figure := func(of func() int64) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(of())
			return nil
		}
	}
	return errors.Join(
		m.RegisterScopeReceiverDuplicateEventsCallback(assembly(func(s assemble.Stats) int64 { return s.Duplicates })),
		m.RegisterScopeReceiverOpenCallsCallback(assembly(func(s assemble.Stats) int64 { return int64(s.OpenCalls) })),
		m.RegisterScopeReceiverOrphanReturnsCallback(assembly(func(s assemble.Stats) int64 { return s.Orphans })),
		m.RegisterScopeReceiverAbandonedCallsCallback(assembly(func(s assemble.Stats) int64 { return s.Abandoned })),
		m.RegisterScopeReceiverUnwoundCallsCallback(assembly(func(s assemble.Stats) int64 { return s.Unwound })),
		m.RegisterScopeReceiverDedupEntriesCallback(assembly(func(s assemble.Stats) int64 { return int64(s.DedupEntries) })),
		m.RegisterScopeReceiverProcessesCallback(assembly(func(s assemble.Stats) int64 { return int64(s.Processes) })),
		m.RegisterScopeReceiverRingItemsCallback(figure(func() int64 { s := r.ring.Stats(); return s.QueuedItems + s.FlightItems })),
		m.RegisterScopeReceiverRingBytesCallback(figure(func() int64 { s := r.ring.Stats(); return s.QueuedBytes + s.FlightBytes })),
		m.RegisterScopeReceiverRingDroppedItemsCallback(figure(func() int64 { return r.ring.Stats().DroppedItems })),
		m.RegisterScopeReceiverRingRefusedItemsCallback(figure(func() int64 { return r.ring.Stats().RefusedItems })),
		m.RegisterScopeReceiverRingFillCallback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(r.ring.Fill())
			return nil
		}),
		m.RegisterScopeReceiverWorkersCallback(figure(func() int64 { return int64(r.pool.count()) })),
		m.RegisterScopeReceiverStoredDeadLettersCallback(figure(func() int64 { return int64(r.letters.stats().Count) })),
	)
}

// stats adds up what the assemblers said last.
func (h *handler) stats() assemble.Stats {
	var sum assemble.Stats
	for i := range h.partitions {
		s := h.partitions[i].stats.Load()
		if s == nil {
			continue
		}
		sum.Processes += s.Processes
		sum.OpenCalls += s.OpenCalls
		sum.WaitingReturns += s.WaitingReturns
		sum.DedupEntries += s.DedupEntries
		sum.Duplicates += s.Duplicates
		sum.Orphans += s.Orphans
		sum.Unwound += s.Unwound
		sum.Abandoned += s.Abandoned
		sum.EvictedProcesses += s.EvictedProcesses
	}
	return sum
}

// receiverStatus is this receiver's part of the status page.
type receiverStatus struct {
	Ring        ring.Stats     `json:"ring"`
	Workers     workersStatus  `json:"workers"`
	Batch       batchStatus    `json:"batch"`
	DeadLetters lettersStatus  `json:"dead_letters"`
	Assembly    assemblyStatus `json:"assembly"`
	Events      eventsStatus   `json:"events"`
	Restored    restoredStatus `json:"restored"`
	Acknowledge string         `json:"acknowledge"`
	Paused      bool           `json:"paused"`
}

type lettersStatus struct {
	Count   int       `json:"count"`
	Bytes   int64     `json:"bytes"`
	Oldest  time.Time `json:"oldest"`
	Dropped uint64    `json:"dropped"` // to make room, since start
}

type workersStatus struct {
	Min      int            `json:"min"`
	Max      int            `json:"max"`
	Now      int            `json:"now"`
	Busy     int            `json:"busy"`
	Retrying int            `json:"retrying"` // busy with what the pipeline has refused for now
	Restarts int64          `json:"restarts"`
	Each     []workerStatus `json:"each"`
}

type batchStatus struct {
	MinSize  int     `json:"min_size"`
	MaxSize  int     `json:"max_size"`
	Target   int     `json:"target_size"` // what a worker would take now
	Last     int     `json:"last_size"`
	P50      int     `json:"p50_size"`
	P50Milli float64 `json:"p50_ms"`
}

type assemblyStatus struct {
	Processes      int   `json:"processes"`
	OpenCalls      int   `json:"open_calls"`
	WaitingReturns int   `json:"waiting_returns"`
	DedupEntries   int   `json:"dedup_entries"`
	DedupMax       int   `json:"dedup_max_entries"`
	Orphans        int64 `json:"orphan_returns"`
	Unwound        int64 `json:"unwound_calls"`
	Abandoned      int64 `json:"abandoned_calls"`
	Evicted        int64 `json:"evicted_processes"`
}

type eventsStatus struct {
	Accepted        int64 `json:"accepted"`
	Rejected        int64 `json:"rejected"`
	Duplicates      int64 `json:"duplicates"`
	DeadLetters     int64 `json:"dead_letters"`
	RefusedRequests int64 `json:"refused_requests"`
	Lost            int64 `json:"lost"` // events and spans, acknowledged as buffered
}

type restoredStatus struct {
	OpenCalls int     `json:"open_calls"`
	Spans     int     `json:"spans"`
	Seconds   float64 `json:"seconds"`
}

func (r *scopeReceiver) status() any {
	a := r.handler.stats()
	l := r.pool.load()
	workers, batch, paused := r.pool.inForce()
	last, p50, took := r.pool.sizes.last()
	return receiverStatus{
		Ring: r.ring.Stats(),
		Workers: workersStatus{
			Min: workers.Min, Max: workers.Max, Now: l.workers, Busy: l.busy, Retrying: l.retrying,
			Restarts: r.counts.restarts.Load(), Each: r.pool.status(),
		},
		Batch: batchStatus{
			MinSize: batch.MinSize, MaxSize: batch.MaxSize, Target: batchTarget(l, batch),
			Last: last, P50: p50, P50Milli: float64(took.Microseconds()) / 1000,
		},
		DeadLetters: lettersStatus(r.letters.stats()),
		Assembly: assemblyStatus{
			a.Processes, a.OpenCalls, a.WaitingReturns, a.DedupEntries, r.cfg.Dedup.MaxEvents,
			a.Orphans, a.Unwound, a.Abandoned, a.EvictedProcesses,
		},
		Events: eventsStatus{
			Accepted: r.counts.acceptedEvents.Load(), Rejected: r.counts.rejectedEvents.Load(), Duplicates: a.Duplicates,
			DeadLetters: r.counts.deadLetters.Load(), RefusedRequests: r.counts.refusedRequests.Load(),
			Lost: r.counts.lostItems.Load(),
		},
		Restored:    restoredStatus{r.restored.openCalls, r.restored.spans, r.restored.took.Seconds()},
		Acknowledge: r.cfg.Acknowledge,
		Paused:      paused,
	}
}
