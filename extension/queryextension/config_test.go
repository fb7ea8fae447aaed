package queryextension

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/otelscope/otelscope/internal/bytesize"
)

func TestConfigFile(t *testing.T) {
	all := createDefaultConfig().(*Config)
	all.HTTP.NetAddr.Endpoint = "0.0.0.0:14320"
	all.HTTP.WriteTimeout = time.Minute
	all.Control = true
	all.Query = QueryConfig{
		Timeout:       45 * time.Second,
		MaxBytes:      16 * bytesize.MiB,
		MaxVisited:    1000,
		MaxConcurrent: 3,
		Tail:          TailConfig{BufferBytes: 64 * bytesize.MiB, MaxSubscriptions: 50},
	}
	all.Storage = StorageConfig{
		Directory: "/var/lib/scope",
		CutBytes:  128 * bytesize.MiB,
		CutAge:    time.Minute,
		Retention: RetentionConfig{MaxAge: 24 * time.Hour, MaxBytes: 10 * bytesize.GiB},
	}
	unbounded := createDefaultConfig().(*Config)
	unbounded.Storage.Retention = RetentionConfig{}

	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for id, want := range map[string]any{
		"scope_query":           createDefaultConfig(),
		"scope_query/all":       all,
		"scope_query/unbounded": unbounded,
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
		`http::endpoint: "" is not allowed: must be an address`: func(c *Config) { c.HTTP.NetAddr.Endpoint = "" },
		`query::timeout: "0s" is not allowed: must be longer`:   func(c *Config) { c.Query.Timeout = 0 },
		`query::timeout: "30s" is not allowed: must be shorter than http::write_timeout (30s)`: func(c *Config) {
			c.Query.Timeout = 30 * time.Second
		},
		`query::max_bytes: "0B" is not allowed`:          func(c *Config) { c.Query.MaxBytes = 0 },
		`query::max_visited: "0" is not allowed`:         func(c *Config) { c.Query.MaxVisited = 0 },
		`query::max_concurrent: "0" is not allowed`:      func(c *Config) { c.Query.MaxConcurrent = 0 },
		`query::cache_bytes: "-1B" is not allowed`:       func(c *Config) { c.Query.CacheBytes = -1 },
		`query::tail::buffer_bytes: "1023KiB" is not`:    func(c *Config) { c.Query.Tail.BufferBytes = 1023 * bytesize.KiB },
		`query::tail::buffer_bytes: "2GiB" is not all`:   func(c *Config) { c.Query.Tail.BufferBytes = 2 * bytesize.GiB },
		`query::tail::max_subscriptions: "0" is not al`:  func(c *Config) { c.Query.Tail.MaxSubscriptions = 0 },
		`storage::directory: "" is not allowed`:          func(c *Config) { c.Storage.Directory = "" },
		`storage::cut_bytes: "1023KiB" is not allowed`:   func(c *Config) { c.Storage.CutBytes = 1023 * bytesize.KiB },
		`storage::cut_bytes: "2GiB" is not allowed`:      func(c *Config) { c.Storage.CutBytes = 2 * bytesize.GiB },
		`storage::cut_age: "1ms" is not allowed`:         func(c *Config) { c.Storage.CutAge = time.Millisecond },
		`storage::retention::max_age: "1s"`:              func(c *Config) { c.Storage.Retention.MaxAge = time.Second },
		`storage::retention::max_age: "-1h0m0s"`:         func(c *Config) { c.Storage.Retention.MaxAge = -time.Hour },
		`storage::retention::max_bytes: "1B" is not`:     func(c *Config) { c.Storage.Retention.MaxBytes = 1 },
		`storage::retention::max_bytes: "-1B" is not al`: func(c *Config) { c.Storage.Retention.MaxBytes = -1 },
	} {
		cfg := createDefaultConfig().(*Config)
		change(cfg)
		require.ErrorContains(t, confmap.Validate(cfg), want)
	}
	cfg := createDefaultConfig().(*Config)
	cfg.HTTP.WriteTimeout = 0
	cfg.Query.Timeout = time.Hour
	require.NoError(t, confmap.Validate(cfg), "without a write timeout a query may be long")
}
