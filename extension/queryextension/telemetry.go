package queryextension

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelscope/otelscope/extension/queryextension/internal/metadata"
	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/tail"
)

// newTelemetry registers the figures of the store, of pressure and of tails, read
// whenever metrics are. The caller ends it with the builder's Shutdown.
func newTelemetry(settings component.TelemetrySettings, stats func() store.Stats, state func() pressure.State, tails func() tail.Stats) (*metadata.TelemetryBuilder, error) {
	b, err := metadata.NewTelemetryBuilder(settings)
	if err != nil {
		return nil, err
	}
	figure := func(register func(metric.Int64Callback) error, read func(store.Stats) int64) error {
		return register(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(read(stats()))
			return nil
		})
	}
	tailed := func(register func(metric.Int64Callback) error, read func(tail.Stats) int64) error {
		return register(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(read(tails()))
			return nil
		})
	}
	err = errors.Join(
		tailed(b.RegisterScopeTailDeliveredCallback, func(s tail.Stats) int64 { return s.Delivered }),
		tailed(b.RegisterScopeTailLostCallback, func(s tail.Stats) int64 { return s.Lost }),
		tailed(b.RegisterScopeTailSubscriptionsCallback, func(s tail.Stats) int64 { return int64(s.Subscriptions) }),
		b.RegisterScopePressureLevelCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(state().Level))
			return nil
		}),
		b.RegisterScopePressureReadingCallback(func(_ context.Context, o metric.Float64Observer) error {
			for _, g := range state().Readings {
				o.Observe(g.Value, metric.WithAttributes(attribute.String("source", string(g.Kind))))
			}
			return nil
		}),
		b.RegisterScopeStoreBacklogCallback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(stats().Backlog)
			return nil
		}),
		figure(b.RegisterScopeStoreBlockBytesCallback, func(s store.Stats) int64 { return s.BlockBytes }),
		figure(b.RegisterScopeStoreBlocksCallback, func(s store.Stats) int64 { return int64(s.Blocks) }),
		figure(b.RegisterScopeStoreCompactionsCallback, func(s store.Stats) int64 { return s.Compactions }),
		figure(b.RegisterScopeStoreCutsCallback, func(s store.Stats) int64 { return s.Cuts }),
		figure(b.RegisterScopeStoreDroppedBlocksCallback, func(s store.Stats) int64 { return s.DroppedBlocks }),
		figure(b.RegisterScopeStoreDuplicatesCallback, func(s store.Stats) int64 { return s.Duplicates }),
		figure(b.RegisterScopeStoreHeadBytesCallback, func(s store.Stats) int64 { return s.HeadBytes }),
		figure(b.RegisterScopeStoreHeadSpansCallback, func(s store.Stats) int64 { return s.HeadSpans }),
		figure(b.RegisterScopeStoreHealthyCallback, healthy),
		figure(b.RegisterScopeStoreLogBytesCallback, func(s store.Stats) int64 { return s.LogBytes }),
		figure(b.RegisterScopeStoreLogSegmentsCallback, func(s store.Stats) int64 { return int64(s.LogSegments) }),
		figure(b.RegisterScopeStoreOpenCallsCallback, func(s store.Stats) int64 { return s.OpenCalls }),
		figure(b.RegisterScopeStoreSpansCallback, func(s store.Stats) int64 { return s.Spans }),
	)
	if err != nil {
		b.Shutdown()
		return nil, err
	}
	return b, nil
}

func healthy(s store.Stats) int64 {
	if s.Trouble != "" {
		return 0
	}
	return 1
}

// countChanges returns what counts that a level was entered. All levels are
// there from the start, so that the first change shows as one.
func countChanges(b *metadata.TelemetryBuilder) func(entered pressure.Level) {
	add := func(n int64, level pressure.Level) {
		b.ScopePressureChanges.Add(context.Background(), n, metric.WithAttributes(attribute.String("level", level.String())))
	}
	for level := pressure.Normal; level <= pressure.Critical; level++ {
		add(0, level)
	}
	return func(entered pressure.Level) { add(1, entered) }
}

// recordRequest returns the api's record func.
func recordRequest(b *metadata.TelemetryBuilder) func(context.Context, string, string, int, time.Duration) {
	return func(ctx context.Context, method, route string, status int, took time.Duration) {
		b.ScopeQueryRequestDuration.Record(ctx, took.Seconds(), metric.WithAttributes(
			attribute.String("http.request.method", method),
			attribute.String("http.route", route),
			attribute.Int("http.response.status_code", status),
		))
	}
}

// countLookups returns what counts a question to the cache.
func countLookups(b *metadata.TelemetryBuilder) func(hit bool) {
	result := func(name string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("result", name)))
	}
	hits, misses := result("hit"), result("miss")
	return func(hit bool) {
		if hit {
			b.ScopeQueryCacheLookups.Add(context.Background(), 1, hits)
			return
		}
		b.ScopeQueryCacheLookups.Add(context.Background(), 1, misses)
	}
}
