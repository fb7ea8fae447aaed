package scopestoreexporter

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func TestConfigFile(t *testing.T) {
	all := createDefaultConfig().(*Config)
	all.Store = component.MustNewIDWithName("scope_query", "second")
	all.TimeoutConfig.Timeout = 2 * time.Second
	all.RetryConfig.InitialInterval = 20 * time.Millisecond
	all.RetryConfig.MaxInterval = 200 * time.Millisecond
	all.RetryConfig.MaxElapsedTime = time.Second

	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for id, want := range map[string]component.Config{
		"scope_store":     createDefaultConfig(),
		"scope_store/all": all,
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
		`store: "" is not allowed`:            func(c *Config) { c.Store = component.ID{} },
		"retry_on_failure: max_interval":      func(c *Config) { c.RetryConfig.MaxInterval = -1 },
		"timeout value must be":               func(c *Config) { c.TimeoutConfig.Timeout = -1 },
		"retry_on_failure: 'max_elapsed_time": func(c *Config) { c.RetryConfig.MaxElapsedTime = 1 },
	} {
		cfg := createDefaultConfig().(*Config)
		change(cfg)
		require.ErrorContains(t, confmap.Validate(cfg), want)
	}
}
