package pressureprocessor

import (
	"errors"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelscope/otelscope/internal/bytesize"
	"github.com/otelscope/otelscope/internal/hub/hubtest"
	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/processor/pressureprocessor/internal/metadata"
)

func newLifecycleHost() component.Host { return hubtest.NewHost(hubtest.NewHub(nil)) }

func TestConfigFile(t *testing.T) {
	second := component.MustNewIDWithName("scope_query", "second")
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for id, want := range map[string]component.Config{
		"pressure": createDefaultConfig(),
		"pressure/all": &Config{
			Hub:      &second,
			Levels:   LevelsConfig{Moderate: 0.5, High: 0.7, Critical: 0.9, Hysteresis: 0.05, Hold: 5 * time.Second},
			Strategy: pressure.Off,
			Strategies: map[pressure.Level]pressure.Strategy{
				pressure.High: pressure.PriorityBased, pressure.Critical: pressure.Refuse,
			},
			Keep:      []string{`attributes["tier"] == "gold"`},
			Key:       []string{"service.name"},
			MinRatio:  0.1,
			MaxChains: 1000,
			Rescue:    RescueConfig{MaxBytes: bytesize.MiB, Window: 2 * time.Second},
			Breaker:   BreakerConfig{ConsecutiveFailures: 3, OpenFor: 10 * time.Second, Timeout: 3 * time.Second},
		},
	} {
		sub, err := conf.Sub(id)
		require.NoError(t, err)
		cfg := createDefaultConfig()
		require.NoError(t, sub.Unmarshal(cfg))
		require.NoError(t, confmap.Validate(cfg))
		require.Equal(t, want, cfg, id)
	}
}

func TestConfigRefused(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`levels::moderate: "0" is not allowed`:                                                                        func(c *Config) { c.Levels.Moderate = 0 },
		`levels::high: "0.6" is not allowed: must be greater than levels::moderate (0.6)`:                             func(c *Config) { c.Levels.High = 0.6 },
		`levels::critical: "0.7" is not allowed: must be greater than levels::high (0.8)`:                             func(c *Config) { c.Levels.Critical = 0.7 },
		`levels::critical: "1.1" is not allowed`:                                                                      func(c *Config) { c.Levels.Critical = 1.1 },
		`levels::hysteresis: "0.6" is not allowed`:                                                                    func(c *Config) { c.Levels.Hysteresis = 0.6 },
		`levels::hysteresis: "-0.1" is not allowed`:                                                                   func(c *Config) { c.Levels.Hysteresis = -0.1 },
		`levels::hold: "-1s" is not allowed`:                                                                          func(c *Config) { c.Levels.Hold = -time.Second },
		`strategy: "best" is not allowed: must be one of adaptive_sampling, priority_based, drop_oldest, refuse, off`: func(c *Config) { c.Strategy = "best" },
		`keep[0]: " " is not allowed: must be not empty`:                                                              func(c *Config) { c.Keep = []string{" "} },
		`key[1]: "service.name" is not allowed: must be listed once only`:                                             func(c *Config) { c.Key = []string{"service.name", "service.name"} },
		`key: "[]" is not allowed: must be at least one attribute`:                                                    func(c *Config) { c.Key = nil },
		`min_ratio: "0" is not allowed`:                                                                               func(c *Config) { c.MinRatio = 0 },
		`min_ratio: "1.5" is not allowed`:                                                                             func(c *Config) { c.MinRatio = 1.5 },
		`min_ratio: "NaN" is not allowed`:                                                                             func(c *Config) { c.MinRatio = math.NaN() },
		`breaker::consecutive_failures: "0" is not allowed`:                                                           func(c *Config) { c.Breaker.ConsecutiveFailures = 0 },
		`breaker::open_for: "0s" is not allowed`:                                                                      func(c *Config) { c.Breaker.OpenFor = 0 },
		`breaker::timeout: "0s" is not allowed`:                                                                       func(c *Config) { c.Breaker.Timeout = 0 },
		`rescue::max_bytes: "-1B" is not allowed`:                                                                     func(c *Config) { c.Rescue.MaxBytes = -1 },
		`rescue::window: "0s" is not allowed`:                                                                         func(c *Config) { c.Rescue.Window = 0 },
		`max_chains: "0" is not allowed: must be from 1 to 16777216`:                                                  func(c *Config) { c.MaxChains = 0 },
		`strategies::high: "best" is not allowed: must be one of adaptive_sampling`:                                   func(c *Config) { c.Strategies = map[pressure.Level]pressure.Strategy{pressure.High: "best"} },
		`strategies::normal: "refuse" is not allowed: must be left out`:                                               func(c *Config) { c.Strategies = map[pressure.Level]pressure.Strategy{pressure.Normal: "refuse"} },
	} {
		cfg := createDefaultConfig().(*Config)
		change(cfg)
		require.ErrorContains(t, confmap.Validate(cfg), want)
	}
}

func TestPassesOn(t *testing.T) {
	next := new(consumertest.TracesSink)
	p, err := NewFactory().CreateTraces(t.Context(), processortest.NewNopSettings(metadata.Type), createDefaultConfig(), next)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	require.True(t, p.Capabilities().MutatesData)

	td := storetest.Traces(storetest.Spec{Trace: 1, Span: 2, Name: "a"})
	require.NoError(t, p.ConsumeTraces(t.Context(), td))
	require.Equal(t, td, next.AllTraces()[0])
	require.NoError(t, p.Shutdown(t.Context()))
}

func TestHandsBackTheAnswer(t *testing.T) {
	refused := errors.New("full")
	p, err := NewFactory().CreateTraces(t.Context(), processortest.NewNopSettings(metadata.Type), createDefaultConfig(), consumertest.NewErr(refused))
	require.NoError(t, err)
	require.ErrorIs(t, p.ConsumeTraces(t.Context(), storetest.Traces()), refused)
}

func TestHubMustBeThere(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Hub = &hubtest.ID
	p, err := NewFactory().CreateTraces(t.Context(), processortest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.EqualError(t, p.Start(t.Context(), componenttest.NewNopHost()),
		`hub: no extension "scope_query": is it listed under service.extensions? (there is none)`)
	require.NoError(t, p.Start(t.Context(), newLifecycleHost()))
	require.NoError(t, p.Shutdown(t.Context()))
}
