package correlateprocessor

import (
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/otelscope/otelscope/internal/bytesize"
	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/hub/hubtest"
)

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
		Window:          time.Minute,
		MaxEntries:      5000,
		MaxBytes:        16 * bytesize.MiB,
		MinConfidence:   0.9,
		MaxLinksPerSpan: 16,
		Storage:         &hubtest.ID,
		Rules:           []RuleConfig{},
		Builtin:         []causal.Type{causal.MessageFlow, causal.ProcessSpawn},
	}, cfg)

	cfg = load(t, "correlate/rules")
	require.NoError(t, confmap.Validate(cfg))
	require.Equal(t, []RuleConfig{
		{
			Name:       "invoice",
			Type:       causal.MessageFlow,
			Cause:      EndConfig{When: "span.kind == SPAN_KIND_PRODUCER", Key: []string{"invoice.id"}},
			Effect:     EndConfig{When: "kind == SPAN_KIND_CONSUMER", Key: []string{"order.invoice"}},
			Window:     time.Minute,
			Confidence: 0.8,
		},
		{
			Name:       "deploy",
			Type:       causal.StateTransition,
			Cause:      EndConfig{When: `name == "deploy"`, Key: []string{"service.name", "version"}},
			Effect:     EndConfig{When: `name == "start"`, Key: []string{"service.name", "version"}},
			Confidence: 1,
		},
	}, cfg.Rules)
}

// ruleOf is a rule that is allowed.
func ruleOf(name string) RuleConfig {
	return RuleConfig{
		Name: name, Type: causal.MessageFlow, Confidence: 1,
		Cause:  EndConfig{When: "kind == SPAN_KIND_PRODUCER", Key: []string{"id"}},
		Effect: EndConfig{When: "kind == SPAN_KIND_CONSUMER", Key: []string{"id"}},
	}
}

func TestConfigRefused(t *testing.T) {
	for want, change := range map[string]func(*Config){
		`window: "0s" is not allowed: must be longer than 0s`:                 func(c *Config) { c.Window = 0 },
		`max_entries: "-1" is not allowed`:                                    func(c *Config) { c.MaxEntries = -1 },
		`max_bytes: "0B" is not allowed`:                                      func(c *Config) { c.MaxBytes = 0 },
		`min_confidence: "0" is not allowed`:                                  func(c *Config) { c.MinConfidence = 0 },
		`min_confidence: "1.1" is not allowed`:                                func(c *Config) { c.MinConfidence = 1.1 },
		`min_confidence: "NaN" is not allowed`:                                func(c *Config) { c.MinConfidence = math.NaN() },
		`max_links_per_span: "0" is not allowed: must be greater than 0`:      func(c *Config) { c.MaxLinksPerSpan = 0 },
		`builtin[1]: "other" is not allowed: must be one of parent_child,`:    func(c *Config) { c.Builtin[1] = causal.Other },
		`builtin[1]: "parent_child" is not allowed: must be listed once only`: func(c *Config) { c.Builtin[1] = causal.ParentChild },

		`rules[1]::name: " " is not allowed: must be a name`:                                                     func(c *Config) { c.Rules[1].Name = " " },
		`rules[1]::name: "a" is not allowed: must be another than those of the rules before it`:                  func(c *Config) { c.Rules[1].Name = "a" },
		`rules[1]::type: "" is not allowed: must be one of message_flow, state_transition, error_propagation, p`: func(c *Config) { c.Rules[1].Type = "" },
		`rules[1]::type: "parent_child" is not allowed: must be one of message_flow, `:                           func(c *Config) { c.Rules[1].Type = causal.ParentChild },
		`rules[1]::cause::when: "" is not allowed: must be an OTTL condition on spans`:                           func(c *Config) { c.Rules[1].Cause.When = "" },
		`rules[1]::cause::key: "[]" is not allowed: must be at least one attribute`:                              func(c *Config) { c.Rules[1].Cause.Key = nil },
		`rules[1]::effect::when: "\t" is not allowed: must be an OTTL condition on spans`:                        func(c *Config) { c.Rules[1].Effect.When = "\t" },
		`rules[1]::effect::key[0]: "" is not allowed: must be the name of an attribute`:                          func(c *Config) { c.Rules[1].Effect.Key = []string{""} },
		`rules[1]::effect::key[1]: "x" is not allowed: must be listed once only`:                                 func(c *Config) { c.Rules[1].Effect.Key = []string{"x", "x"} },
		`rules[1]::effect::key: "[x y]" is not allowed: must be as many attributes as rules[1]::cause::key has (1)`: func(c *Config) {
			c.Rules[1].Effect.Key = []string{"x", "y"}
		},
		`rules[1]::window: "-1s" is not allowed: must be 0s or longer and at most window (5m0s)`:          func(c *Config) { c.Rules[1].Window = -time.Second },
		`rules[1]::window: "6m0s" is not allowed: must be 0s or longer and at most window (5m0s)`:         func(c *Config) { c.Rules[1].Window = 6 * time.Minute },
		`rules[1]::confidence: "0" is not allowed: must be at least min_confidence (0.5) and at most 1`:   func(c *Config) { c.Rules[1].Confidence = 0 },
		`rules[1]::confidence: "0.4" is not allowed: must be at least min_confidence (0.5) and at most 1`: func(c *Config) { c.Rules[1].Confidence = 0.4 },
		`rules[1]::confidence: "1.1" is not allowed: must be at least min_confidence (0.5) and at most 1`: func(c *Config) { c.Rules[1].Confidence = 1.1 },
		`rules[1]::confidence: "NaN" is not allowed: must be at least min_confidence (0.5) and at most 1`: func(c *Config) { c.Rules[1].Confidence = math.NaN() },
	} {
		cfg := createDefaultConfig().(*Config)
		cfg.Rules = []RuleConfig{ruleOf("a"), ruleOf("b")}
		require.NoError(t, confmap.Validate(cfg))
		change(cfg)
		require.ErrorContains(t, confmap.Validate(cfg), want)
	}
	require.Equal(t, causal.MessageFlow, causal.Types[1], "a configuration has a list of its own")
}
