package scopereceiver

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/otelscope/otelscope/internal/bytesize"
)

func loadConfig(t *testing.T, name string) (*Config, error) {
	t.Helper()
	conf, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	sub, err := conf.Sub(name)
	require.NoError(t, err)
	cfg := createDefaultConfig()
	return cfg.(*Config), sub.Unmarshal(cfg)
}

func TestDefaultConfig(t *testing.T) {
	cfg, err := loadConfig(t, "scope")
	require.NoError(t, err)
	require.NoError(t, confmap.Validate(cfg))
	require.False(t, cfg.Protocols.GRPC.HasValue())
	require.False(t, cfg.Protocols.HTTP.HasValue())
	require.Equal(t, "localhost:4319", cfg.Protocols.Events.Get().NetAddr.Endpoint)
	require.Equal(t, "stored", cfg.Acknowledge)
	require.Equal(t, RingConfig{MaxItems: 262144, MaxBytes: 128 * bytesize.MiB, Partitions: 64, Overflow: "refuse"}, cfg.Ring)
	require.Nil(t, cfg.Hub)
}

func TestFullConfig(t *testing.T) {
	cfg, err := loadConfig(t, "scope/full")
	require.NoError(t, err)
	require.NoError(t, confmap.Validate(cfg))
	require.Equal(t, "localhost:14317", cfg.Protocols.GRPC.Get().NetAddr.Endpoint)
	require.Equal(t, "localhost:14318", cfg.Protocols.HTTP.Get().ServerConfig.NetAddr.Endpoint)
	require.Equal(t, "/v1/traces", string(cfg.Protocols.HTTP.Get().TracesURLPath))
	require.Equal(t, int64(1<<20), cfg.Protocols.Events.Get().MaxRequestBodySize)
	hub := component.MustNewIDWithName("scope_query", "main")
	cfg.Protocols = Protocols{}
	require.Equal(t, &Config{
		Acknowledge: "buffered",
		Timeout:     3 * time.Second,
		Ring:        RingConfig{MaxItems: 1000, MaxBytes: 64 * bytesize.MiB, Partitions: 8, Overflow: "by_priority"},
		Workers:     WorkersConfig{Min: 1, Max: 4},
		Batch:       BatchConfig{MinSize: 10, MaxSize: 500, MaxDelay: 2 * time.Millisecond},
		DeadLetters: DeadLettersConfig{Directory: "/var/lib/scope/dead-letters", MaxBytes: 10 * bytesize.MiB},
		OpenCalls:   "drop",
		Dedup:       DedupConfig{Window: time.Minute, MaxEvents: 5000},
		Limits:      LimitsConfig{StackDepth: 64, OpenCalls: 100, WaitingMessages: 200},
		Hub:         &hub,
	}, cfg)
}

func TestInvalidConfig(t *testing.T) {
	cfg, err := loadConfig(t, "scope/wrong")
	require.NoError(t, err)
	err = cfg.Validate()
	for _, want := range []string{
		"protocols: is empty: at least one of grpc, http, events is needed",
		`acknowledge: "maybe" is not one of stored, buffered`,
		`open_calls: "keep" is not one of store, drop`,
		"timeout: 0s is too short: more than 0s is needed",
		"ring.max_items: 0 is too small: at least 1 is allowed",
		"ring.max_bytes: 1000 is too small: at least 1048576 is allowed",
		"ring.partitions: 0 is out of range: 1 to 65536 is allowed",
		`ring.overflow: "explode" is not one of refuse, block, drop_oldest, drop_newest, by_priority`,
		"workers.max: 2 is out of range: 4 to 1024 is allowed",
		"batch.min_size: 0 is too small: at least 1 is allowed",
		"batch.max_size: -1 is too small: at least 1 is allowed",
		"batch.max_delay: -1s is negative: 0s (do not wait) or longer is allowed",
		`dead_letters.directory: "" is no folder: the path of one is needed`,
		"dead_letters.max_bytes: 1 is too small: at least 1048576 is allowed",
		"dedup.window: -1s is too short: more than 0s is needed",
		"dedup.max_events: 0 is too small: at least 1 is allowed",
		"limits.stack_depth: 0 is too small: at least 1 is allowed",
		"limits.open_calls_per_process: 0 is too small: at least 1 is allowed",
		"limits.waiting_messages_per_process: 0 is too small: at least 1 is allowed",
	} {
		require.ErrorContains(t, err, want)
	}
	_, err = loadConfig(t, "scope/no_size")
	require.ErrorContains(t, err, `"lots" is no size`)
	_, err = loadConfig(t, "scope/typo")
	require.ErrorContains(t, err, "invalid keys: event")
}
