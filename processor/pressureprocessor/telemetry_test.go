package pressureprocessor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/otelscope/otelscope/internal/sample"
	"github.com/otelscope/otelscope/processor/pressureprocessor/internal/metadata"
	"github.com/otelscope/otelscope/processor/pressureprocessor/internal/metadatatest"
)

func labels(pairs ...string) attribute.Set {
	var all []attribute.KeyValue
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, attribute.String(pairs[i], pairs[i+1]))
	}
	return attribute.NewSet(all...)
}

func TestMetrics(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	defer func() { require.NoError(t, telemetry.Shutdown(context.Background())) }()
	set := processortest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	cfg := createDefaultConfig().(*Config)
	cfg.Keep = append(cfg.Keep, `ParseJSON(name) == nil`)
	cfg.Breaker.ConsecutiveFailures = 1
	next := new(sink)
	traces, err := createTraces(context.Background(), set, cfg, next)
	require.NoError(t, err)
	k := &kit{traces.(*pressureProcessor), next}
	ignore := metricdatatest.IgnoreTimestamp()
	point := func(n int64, set attribute.Set) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Value: n, Attributes: set}
	}

	k.consume(t, one("while nothing is shed", 0.5))
	s := k.newShedding()
	s.sampler.Fix(0.5)
	k.now.Store(s)
	k.plan.Store(&planning{limited: true, budget: 7})
	k.consume(t, one("out", 0.1), one("in", 0.9))
	s.sampler.Measure(1)
	k.consume(t, one("failure", 0.1, failed))
	next.fail(errDown)
	for range 2 {
		require.Error(t, k.ConsumeTraces(context.Background(), one("x", 0.9)))
	}
	metadatatest.AssertEqualScopePressureSpans(t, telemetry, []metricdata.DataPoint[int64]{
		point(2, labels("outcome", "kept", "reason", "none")),
		point(1, labels("outcome", "kept_surely", "reason", "none")),
		point(1, labels("outcome", "sampled_out", "reason", "fixed")),
		point(1, labels("outcome", "rescued", "reason", "none")),
		point(1, labels("outcome", "refused", "reason", "breaker")),
	}, ignore)
	metadatatest.AssertEqualScopePressureBreakerChanges(t, telemetry, []metricdata.DataPoint[int64]{point(1, labels("state", "open"))}, ignore)
	metadatatest.AssertEqualScopePressureBreakerState(t, telemetry, []metricdata.DataPoint[int64]{point(2, labels())}, ignore)
	metadatatest.AssertEqualScopePressureChains(t, telemetry, []metricdata.DataPoint[int64]{point(2, labels())}, ignore)
	metadatatest.AssertEqualScopePressureConditionErrors(t, telemetry, []metricdata.DataPoint[int64]{point(4, labels())}, ignore)
	metadatatest.AssertEqualScopePressureBudget(t, telemetry, []metricdata.DataPoint[float64]{{Value: 7}}, ignore)
	metadatatest.AssertEqualScopePressureRatio(t, telemetry, []metricdata.DataPoint[float64]{
		{Value: 0.5, Attributes: labels("key", "shop / out")}, {Value: 0.5, Attributes: labels("key", "shop / in")},
	}, ignore)
	metadatatest.AssertEqualScopePressureRescueShare(t, telemetry, []metricdata.DataPoint[float64]{{Value: 1}}, ignore)
	held := s.rescue.Figures(time.Now()).Memory
	require.Positive(t, held)
	metadatatest.AssertEqualScopePressureRescueBytes(t, telemetry, []metricdata.DataPoint[int64]{point(held, labels())}, ignore)
	require.Equal(t, sample.Fixed, s.sampler.Mode())
}
