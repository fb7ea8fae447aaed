package scopestoreexporter

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/otelscope/otelscope/exporter/scopestoreexporter/internal/metadata"
	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/store"
)

// storeExporter writes one try of one batch; exporterhelper tries again.
type storeExporter struct {
	id        component.ID // of the hub
	telemetry *metadata.TelemetryBuilder
	store     store.Store // set by start, owned by the hub
}

func (e *storeExporter) start(_ context.Context, host component.Host) error {
	shared, err := hub.Find(host, "store", e.id)
	if err != nil {
		return err
	}
	e.store = shared.Store()
	return nil
}

func (e *storeExporter) shutdown(context.Context) error {
	e.telemetry.Shutdown()
	return nil
}

func (e *storeExporter) push(ctx context.Context, td ptrace.Traces) error {
	begun := time.Now()
	outcome, err := classify(e.store.Write(ctx, td))
	e.telemetry.ScopeStoreWriteDuration.Record(ctx, time.Since(begun).Seconds(), outcomes[outcome])
	return err
}

type outcome int

const (
	stored outcome = iota
	unavailable
	invalid
	failed
)

// outcomes are made once: there is one for each batch.
var outcomes = [...]metric.RecordOption{
	stored:      outcomeOption("stored"),
	unavailable: outcomeOption("unavailable"),
	invalid:     outcomeOption("invalid"),
	failed:      outcomeOption("failed"),
}

func outcomeOption(name string) metric.RecordOption {
	return metric.WithAttributeSet(attribute.NewSet(attribute.String("outcome", name)))
}

// classify says what a write's error is to the pipeline: permanent, not to be
// tried again before a time, or plain and so to be tried again.
func classify(err error) (outcome, error) {
	if err == nil {
		return stored, nil
	}
	if _, ok := errors.AsType[*store.InvalidError](err); ok {
		return invalid, consumererror.NewPermanent(err)
	}
	if u, ok := errors.AsType[*store.UnavailableError](err); ok {
		if u.RetryAfter > 0 {
			err = exporterhelper.NewThrottleRetry(err, u.RetryAfter)
		}
		return unavailable, err
	}
	return failed, err
}
