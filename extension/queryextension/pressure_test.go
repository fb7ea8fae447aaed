package queryextension

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelscope/otelscope/extension/queryextension/internal/metadata"
	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/store"
)

func TestStoreSource(t *testing.T) {
	for name, test := range map[string]struct {
		stats          store.Stats
		stall, backlog float64
		words          string // of the stall
	}{
		"at ease":          {store.Stats{}, 0, 0, "a writer has waited 0s for room in the store, at 1s it is refused"},
		"filling":          {store.Stats{Backlog: 0.25}, 0, 0.25, "a writer has waited 0s for room in the store, at 1s it is refused"},
		"stalled":          {store.Stats{Backlog: 1, StalledMillis: 400}, 0.4, 1, "a writer has waited 400ms for room in the store, at 1s it is refused"},
		"refusing":         {store.Stats{Trouble: "space: disk full", Refusing: "space: disk full"}, 1, 0, "the store refuses writes: space: disk full"},
		"a failing keeper": {store.Stats{Trouble: "compact: bad block"}, 0, 0, "a writer has waited 0s for room in the store, at 1s it is refused"},
	} {
		t.Run(name, func(t *testing.T) {
			got := storeSource(func() store.Stats { return test.stats })()
			require.Len(t, got, 2)
			require.Equal(t, pressure.Reading{Kind: pressure.Stall, Value: test.stall, Words: test.words}, got[0])
			require.Equal(t, pressure.Backlog, got[1].Kind)
			require.Equal(t, test.backlog, got[1].Value)
		})
	}
	full := storeSource(func() store.Stats { return store.Stats{Backlog: 0.25} })()
	require.Equal(t, "the store's backlog takes 25 % of its room", full[1].Words)
}

func refusingStore() *faulty {
	s := newFaulty()
	s.stats = func() store.Stats { return store.Stats{Backlog: 0.5, Trouble: "<disk> full", Refusing: "<disk> full"} }
	return s
}

func TestStatusOfPressure(t *testing.T) {
	type parts struct {
		Pressure map[string]json.RawMessage `json:"pressure"`
	}
	var got parts
	serving(t, newFaulty()).get(t, "/api/v1/status").into(t, &got)
	require.JSONEq(t, `"normal"`, string(got.Pressure["level"]))
	require.JSONEq(t, `""`, string(got.Pressure["reason"]))
	require.JSONEq(t, `[]`, string(got.Pressure["history"]))

	c := serving(t, refusingStore())
	c.awaitLevel(t, pressure.Critical)
	c.get(t, "/api/v1/status").into(t, &got)
	since := nanoseconds(uint64(c.extension.monitor.State().Since.UnixNano()))
	const reason = `the store refuses writes: <disk> full`
	for name, want := range map[string]string{
		"level": `"critical"`, "since": `"` + since + `"`, "score": "1", "reason": `"` + reason + `"`,
		"silent": "[]", "strategy": `"off"`, "admission": "1",
		"history": `[{"time":"` + since + `","from":"normal","to":"critical","score":1,"reason":"` + reason + `"}]`,
	} {
		require.JSONEq(t, want, string(got.Pressure[name]), name)
	}
	require.Contains(t, string(got.Pressure["readings"]), `{"kind":"store_stall","value":1,"words":"`+reason+`"}`)
	require.Contains(t, string(got.Pressure["readings"]), `{"kind":"store_backlog","value":0.5,`)
}

func TestPageShowsPressure(t *testing.T) {
	require.Contains(t, string(serving(t, newFaulty()).get(t, "/").body), "Pressure is normal.")
	c := serving(t, refusingStore())
	c.awaitLevel(t, pressure.Critical)
	require.Contains(t, string(c.get(t, "/").body),
		`<p class="trouble">Pressure is critical: the store refuses writes: &lt;disk&gt; full.</p>`)
}

// The extension reads, steps, counts and logs on its own.
func TestPressureIsCountedAndLogged(t *testing.T) {
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	core, logs := observer.New(zap.InfoLevel)
	set := extensiontest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	set.Logger = zap.New(core)
	servingWith(t, refusingStore(), set)
	changed := func() []observer.LoggedEntry {
		return logs.FilterMessage("The level of pressure has changed").All()
	}
	require.Eventually(t, func() bool { return len(changed()) > 0 }, time.Minute, time.Millisecond)
	require.Equal(t, zap.WarnLevel, changed()[0].Level)
	require.Equal(t, map[string]any{"level": "critical", "from": "normal", "score": 1.0, "reason": "the store refuses writes: <disk> full"},
		changed()[0].ContextMap())

	level, err := tel.GetMetric("otelcol_scope_pressure_level")
	require.NoError(t, err)
	require.Equal(t, int64(3), level.Data.(metricdata.Gauge[int64]).DataPoints[0].Value)

	read := map[string]float64{}
	readings, err := tel.GetMetric("otelcol_scope_pressure_reading")
	require.NoError(t, err)
	for _, point := range readings.Data.(metricdata.Gauge[float64]).DataPoints {
		kind, _ := point.Attributes.Value("source")
		read[kind.AsString()] = point.Value
	}
	delete(read, "memory") // there is none without a limit
	require.Equal(t, map[string]float64{"store_stall": 1, "store_backlog": 0.5}, read)

	backlog, err := tel.GetMetric("otelcol_scope_store_backlog")
	require.NoError(t, err)
	require.Equal(t, 0.5, backlog.Data.(metricdata.Gauge[float64]).DataPoints[0].Value)

	changes, err := tel.GetMetric("otelcol_scope_pressure_changes")
	require.NoError(t, err)
	require.True(t, changes.Data.(metricdata.Sum[int64]).IsMonotonic)
	counts := map[attribute.Set]int64{}
	for _, point := range changes.Data.(metricdata.Sum[int64]).DataPoints {
		counts[point.Attributes] = point.Value
	}
	entered := func(level string) attribute.Set { return attribute.NewSet(attribute.String("level", level)) }
	require.Equal(t, map[attribute.Set]int64{
		entered("normal"): 0, entered("moderate"): 0, entered("high"): 0, entered("critical"): 1,
	}, counts)
}

// Each change is told once, with what it was; only the hard ones are warnings.
func TestWatchPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		m := pressure.NewMonitor(time.Now)
		begin, stage := time.Now(), 12*time.Second
		m.Register(func() []pressure.Reading {
			value := []float64{0.7, 0.85, 1, 0}[time.Since(begin)/stage]
			return []pressure.Reading{{Kind: pressure.Ring, Value: value, Words: "it fills"}}
		})
		ctx, cancel := context.WithCancel(t.Context())
		var entered []pressure.Level
		go m.Run(ctx)
		go watchPressure(ctx, m, func(l pressure.Level) { entered = append(entered, l) }, zap.New(core))
		time.Sleep(4*stage - time.Second)
		cancel()
		synctest.Wait()

		require.Equal(t, []pressure.Level{pressure.Moderate, pressure.High, pressure.Critical, pressure.Normal}, entered)
		type line struct{ severity, level, from, reason string }
		var got []line
		for _, entry := range logs.All() {
			fields := entry.ContextMap()
			got = append(got, line{entry.Level.String(), fields["level"].(string), fields["from"].(string), fields["reason"].(string)})
		}
		require.Equal(t, []line{
			{"info", "moderate", "normal", "it fills"},
			{"warn", "high", "moderate", "it fills"},
			{"warn", "critical", "high", "it fills"},
			{"info", "normal", "critical", ""},
		}, got)
	})
}
