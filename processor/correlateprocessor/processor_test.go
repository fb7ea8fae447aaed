package correlateprocessor

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
	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/hub/hubtest"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/processor/correlateprocessor/internal/metadata"
)

func newLifecycleHost() component.Host { return hubtest.NewHost(hubtest.NewHub(nil)) }

func load(t *testing.T, id string) *Config {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := conf.Sub(id)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	return cfg
}

func TestConfigFile(t *testing.T) {
	cfg := load(t, "correlate")
	require.NoError(t, confmap.Validate(cfg))
	require.Equal(t, createDefaultConfig(), cfg)

	cfg = load(t, "correlate/all")
	require.NoError(t, confmap.Validate(cfg))
	require.Equal(t, &Config{
		Window:        time.Minute,
		MaxEntries:    5000,
		MaxBytes:      16 * bytesize.MiB,
		MinConfidence: 0.9,
		Storage:       &hubtest.ID,
		Rules:         []RuleConfig{},
		Builtin:       []causal.Type{causal.MessageFlow, causal.ProcessSpawn},
	}, cfg)

	cfg = load(t, "correlate/rules")
	require.EqualError(t, confmap.Validate(cfg),
		"rules: 1 rules are given, but rules of one's own are not available in this version: must be []")
	require.Equal(t, []RuleConfig{{
		Name:       "invoice",
		Type:       causal.MessageFlow,
		Cause:      EndConfig{When: "span.kind == SPAN_KIND_PRODUCER", Key: []string{"invoice.id"}},
		Effect:     EndConfig{When: "span.kind == SPAN_KIND_CONSUMER", Key: []string{"invoice.id"}},
		Window:     time.Hour,
		Confidence: 0.8,
	}}, cfg.Rules)
}

func TestConfigRefused(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`window: "0s" is not allowed`:                                         func(c *Config) { c.Window = 0 },
		`max_entries: "-1" is not allowed`:                                    func(c *Config) { c.MaxEntries = -1 },
		`max_bytes: "0B" is not allowed`:                                      func(c *Config) { c.MaxBytes = 0 },
		`min_confidence: "0" is not allowed`:                                  func(c *Config) { c.MinConfidence = 0 },
		`min_confidence: "1.1" is not allowed`:                                func(c *Config) { c.MinConfidence = 1.1 },
		`min_confidence: "NaN" is not allowed`:                                func(c *Config) { c.MinConfidence = math.NaN() },
		`builtin[1]: "other" is not allowed: must be one of parent_child,`:    func(c *Config) { c.Builtin[1] = causal.Other },
		`builtin[1]: "parent_child" is not allowed: must be listed once only`: func(c *Config) { c.Builtin[1] = causal.ParentChild },
	} {
		cfg := createDefaultConfig().(*Config)
		change(cfg)
		require.ErrorContains(t, confmap.Validate(cfg), want)
	}
	require.Equal(t, causal.MessageFlow, causal.Types[1], "a configuration has a list of its own")
}

func TestPassesOn(t *testing.T) {
	next := new(consumertest.TracesSink)
	p, err := NewFactory().CreateTraces(t.Context(), processortest.NewNopSettings(metadata.Type), createDefaultConfig(), next)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context(), componenttest.NewNopHost()))
	require.False(t, p.Capabilities().MutatesData)

	td := storetest.Traces(storetest.Spec{Trace: 1, Span: 2, Name: "a", Links: []uint64{3}})
	td.MarkReadOnly()
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

func TestStorageMustBeThere(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Storage = &hubtest.ID
	p, err := NewFactory().CreateTraces(t.Context(), processortest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.EqualError(t, p.Start(t.Context(), componenttest.NewNopHost()),
		`storage: no extension "scope_query": is it listed under service.extensions?`)
}
