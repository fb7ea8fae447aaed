package queryextension

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelscope/otelscope/extension/queryextension/internal/metadata"
	"github.com/otelscope/otelscope/internal/store"
)

func TestMetrics(t *testing.T) {
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	s := newFaulty()
	s.stats = func() store.Stats { return figures("full") }
	set := extensiontest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	e := newExtension(testConfig(), set, opens(s))
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	c := &client{extension: e, url: "http://" + e.listener.Addr().String()}
	for _, path := range []string{"/api/v1/status", "/api/v1/events/a", "/api/v1/events/b", "/x", "/y"} {
		c.get(t, path)
	}
	c.http.CloseIdleConnections()

	for name, want := range map[string]int64{
		"spans": 1, "open_calls": 2, "blocks": 3, "block_bytes": 4 << 20, "log_segments": 5, "log_bytes": 6 << 20,
		"head_spans": 7, "head_bytes": 8 << 20, "cuts": 9, "compactions": 10, "duplicates": 11, "dropped_blocks": 12, "healthy": 0,
	} {
		got, err := tel.GetMetric("otelcol_scope_store_" + name)
		require.NoError(t, err)
		switch data := got.Data.(type) {
		case metricdata.Gauge[int64]:
			require.Equal(t, want, data.DataPoints[0].Value, name)
		case metricdata.Sum[int64]:
			require.True(t, data.IsMonotonic)
			require.Equal(t, want, data.DataPoints[0].Value, name)
		default:
			t.Fatalf("%s is a %T", name, data)
		}
	}

	got, err := tel.GetMetric("otelcol_scope_query_request_duration")
	require.NoError(t, err)
	counts := map[attribute.Set]uint64{}
	for _, point := range got.Data.(metricdata.Histogram[float64]).DataPoints {
		counts[point.Attributes] = point.Count
	}
	of := func(route string, status int) attribute.Set {
		return attribute.NewSet(attribute.String("http.request.method", "GET"),
			attribute.String("http.route", route), attribute.Int("http.response.status_code", status))
	}
	require.Equal(t, map[attribute.Set]uint64{
		of("/api/v1/status", 200):            1,
		of("/api/v1/events/{event_id}", 404): 2,
		of("other", 404):                     2,
	}, counts)

	require.NoError(t, e.Shutdown(t.Context()))
	_, err = tel.GetMetric("otelcol_scope_store_spans")
	require.Error(t, err, "nothing is read after Shutdown")
}

func TestHealthy(t *testing.T) {
	require.Equal(t, int64(1), healthy(store.Stats{}))
}

// failingMeters makes meters that cannot make one of the metrics, or cannot
// observe it.
type failingMeters struct {
	noop.MeterProvider
	onCreate, onRegister error
}

func (m failingMeters) Meter(string, ...metric.MeterOption) metric.Meter {
	return failingMeter{of: m}
}

type failingMeter struct {
	noop.Meter
	of failingMeters
}

func (m failingMeter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return noop.Float64Histogram{}, m.of.onCreate
}

func (m failingMeter) RegisterCallback(metric.Callback, ...metric.Observable) (metric.Registration, error) {
	return noop.Registration{}, m.of.onRegister
}

func TestMetricsThatCannotBeMade(t *testing.T) {
	odd := errors.New("odd")
	for _, meter := range []failingMeters{{onCreate: odd}, {onRegister: odd}} {
		set := extensiontest.NewNopSettings(metadata.Type)
		set.MeterProvider = meter
		e := newExtension(testConfig(), set, opens(newFaulty()))
		require.ErrorIs(t, e.Start(t.Context(), componenttest.NewNopHost()), odd)
		require.NoError(t, e.Shutdown(t.Context()))
	}
}

func TestTroubleIsLoggedSparsely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		begin := time.Now()
		at := func(from, to time.Duration) bool {
			now := time.Since(begin)
			return now >= from && now < to
		}
		ctx, cancel := context.WithCancel(t.Context())
		go watchTrouble(ctx, func() store.Stats {
			switch {
			case at(2*time.Second, 5*time.Second), at(3*time.Minute, 6*time.Minute):
				return store.Stats{Trouble: "no space"}
			case at(5*time.Second, 7*time.Second):
				return store.Stats{Trouble: "slow disk"} // too soon after the other
			}
			return store.Stats{}
		}, zap.New(core))
		time.Sleep(10 * time.Minute)
		cancel()
		synctest.Wait()

		type line struct {
			at      time.Duration
			trouble string
		}
		var got []line
		for _, entry := range logs.All() {
			trouble, _ := entry.ContextMap()["trouble"].(string)
			got = append(got, line{entry.Time.Sub(begin).Round(time.Second), trouble})
		}
		require.Equal(t, []line{
			{2 * time.Second, "no space"}, {7 * time.Second, ""},
			{3 * time.Minute, "no space"}, {4 * time.Minute, "no space"}, {5 * time.Minute, "no space"}, {6 * time.Minute, ""},
		}, got)
	})
}

func TestTroubleThatChanges(t *testing.T) {
	var l troubleLog
	now := time.Unix(0, 0)
	require.Equal(t, troubleBegan, l.note(now, "a"))
	require.Equal(t, troubleNothing, l.note(now.Add(troublePause-1), "b"))
	require.Equal(t, troubleBegan, l.note(now.Add(troublePause), "b"))
	require.Equal(t, troubleEnded, l.note(now.Add(troublePause+1), ""))
	require.Equal(t, troubleNothing, l.note(now.Add(troublePause+2), "b"), "comes and goes")
}

func TestEventsAreLoggedSparsely(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	now := time.Unix(0, 0)
	l := eventLog{logger: zap.New(core), now: func() time.Time { return now }}
	full := errors.New("disk full")
	l.observe(store.Event{Kind: store.EventCut, Spans: 5, Bytes: 6, Blocks: 1, Duration: time.Second})
	for range 3 {
		l.observe(store.Event{Kind: store.EventAppend, Err: full})
	}
	l.observe(store.Event{Kind: store.EventCut, Err: full})
	now = now.Add(troublePause)
	l.observe(store.Event{Kind: store.EventAppend, Err: full})
	l.observe(store.Event{Kind: store.EventAppend, Err: full})

	type line struct {
		level, event string
		hidden       any
	}
	var got []line
	for _, entry := range logs.All() {
		fields := entry.ContextMap()
		got = append(got, line{entry.Level.String(), fields["event"].(string), fields["not_logged"]})
	}
	require.Equal(t, []line{
		{"debug", "cut", nil}, {"warn", "append", int64(0)}, {"warn", "cut", int64(0)}, {"warn", "append", int64(2)},
	}, got)
	require.Equal(t, map[string]any{"event": "cut", "spans": int64(5), "bytes": int64(6), "blocks": int64(1), "took": time.Second},
		logs.All()[0].ContextMap())
}
