package scopestoreexporter

import (
	"errors"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// Config is the configuration of scope_store.
type Config struct {
	// Store is the scope_query extension whose store is written.
	Store component.ID `mapstructure:"store"`
	// TimeoutConfig bounds the wait for one try.
	TimeoutConfig exporterhelper.TimeoutConfig `mapstructure:",squash"`
	// RetryConfig says how long a refused batch is tried again before the
	// sender is told.
	RetryConfig configretry.BackOffConfig `mapstructure:"retry_on_failure"`
}

func createDefaultConfig() component.Config {
	retry := configretry.NewDefaultBackOffConfig()
	// The whole must end before the 10 s after which OTLP clients give up.
	retry.InitialInterval = 50 * time.Millisecond
	retry.MaxInterval = 500 * time.Millisecond
	retry.MaxElapsedTime = 3 * time.Second
	return &Config{
		Store:         component.MustNewID("scope_query"),
		TimeoutConfig: exporterhelper.TimeoutConfig{Timeout: 5 * time.Second},
		RetryConfig:   retry,
	}
}

// Validate names the key that is wrong and what is allowed; timeout and
// retry_on_failure validate themselves.
func (c *Config) Validate() error {
	if c.Store == (component.ID{}) {
		return errors.New(`store: "" is not allowed: must be the id of a scope_query extension`)
	}
	return nil
}
