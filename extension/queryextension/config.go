package queryextension

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"

	"github.com/otelscope/otelscope/internal/bytesize"
)

// Config is the configuration of scope_query.
type Config struct {
	// HTTP serves the API.
	HTTP confighttp.ServerConfig `mapstructure:"http"`
	// Control allows the calls that change something, such as a replay of
	// dead letters.
	Control bool `mapstructure:"control"`
	// Query bounds queries.
	Query QueryConfig `mapstructure:"query"`
	// Storage says where and how spans are kept.
	Storage StorageConfig `mapstructure:"storage"`
}

// QueryConfig bounds queries; one that reaches a bound ends with an error that
// says so.
type QueryConfig struct {
	// Timeout is the longest that a query may take. Streams have no such end;
	// for them it is how long they wait for a reader that takes nothing.
	Timeout time.Duration `mapstructure:"timeout"`
	// MaxBytes is the most stored OTLP that one answer may be made of. The
	// answer takes several times that in memory while it is encoded.
	MaxBytes bytesize.ByteSize `mapstructure:"max_bytes"`
	// MaxVisited is how many spans the causal operators of one query may go
	// over.
	MaxVisited int `mapstructure:"max_visited"`
	// MaxConcurrent is how many searches run at once; others wait their turn
	// until their timeout.
	MaxConcurrent int `mapstructure:"max_concurrent"`
	// CacheBytes bounds the chains and traces that are kept ready; 0 keeps
	// none.
	CacheBytes bytesize.ByteSize `mapstructure:"cache_bytes"`
	// Tail bounds live subscriptions.
	Tail TailConfig `mapstructure:"tail"`
}

// TailConfig bounds live subscriptions.
type TailConfig struct {
	// BufferBytes is how much is held of what was committed latest, for those
	// who resume and for those who read slowly.
	BufferBytes bytesize.ByteSize `mapstructure:"buffer_bytes"`
	// MaxSubscriptions is how many there may be at once.
	MaxSubscriptions int `mapstructure:"max_subscriptions"`
}

// StorageConfig says where and how spans are kept.
type StorageConfig struct {
	// Directory is the store's own; one process at a time can have it open.
	Directory string `mapstructure:"directory"`
	// Sync makes a write wait until the disk has it. Without, what was
	// acknowledged survives the process but not the machine.
	Sync bool `mapstructure:"sync"`
	// CutBytes and CutAge are the size and the age at which what is in
	// memory is cut into a Parquet block.
	CutBytes bytesize.ByteSize `mapstructure:"cut_bytes"`
	CutAge   time.Duration     `mapstructure:"cut_age"`
	// Retention drops the oldest blocks.
	Retention RetentionConfig `mapstructure:"retention"`
}

// RetentionConfig bounds what is kept; zero means no bound.
type RetentionConfig struct {
	// MaxAge counts from a span's arrival.
	MaxAge time.Duration `mapstructure:"max_age"`
	// MaxBytes bounds the blocks on disk.
	MaxBytes bytesize.ByteSize `mapstructure:"max_bytes"`
}

func createDefaultConfig() component.Config {
	http := confighttp.NewDefaultServerConfig()
	http.NetAddr.Endpoint = "localhost:4320"
	return &Config{
		HTTP: http,
		Query: QueryConfig{
			Timeout:       20 * time.Second,
			MaxBytes:      64 * bytesize.MiB,
			MaxVisited:    100_000,
			MaxConcurrent: max(2, runtime.GOMAXPROCS(0)/2),
			CacheBytes:    16 * bytesize.MiB,
			Tail:          TailConfig{BufferBytes: 16 * bytesize.MiB, MaxSubscriptions: 1000},
		},
		Storage: StorageConfig{
			Directory: "./data",
			Sync:      true,
			CutBytes:  32 * bytesize.MiB,
			CutAge:    5 * time.Minute,
			Retention: RetentionConfig{MaxAge: 7 * 24 * time.Hour, MaxBytes: 50 * bytesize.GiB},
		},
	}
}

// Validate names each key that is wrong, its value, and what is allowed.
func (c *Config) Validate() error {
	var errs []error
	bad := func(key string, value any, allowed string) {
		errs = append(errs, fmt.Errorf("%s: %q is not allowed: must be %s", key, fmt.Sprint(value), allowed))
	}
	if c.HTTP.NetAddr.Endpoint == "" {
		bad("http::endpoint", "", "an address such as localhost:4320")
	}
	if c.Query.Timeout <= 0 {
		bad("query::timeout", c.Query.Timeout, "longer than 0s")
	}
	if w := c.HTTP.WriteTimeout; w > 0 && c.Query.Timeout >= w {
		bad("query::timeout", c.Query.Timeout,
			fmt.Sprintf("shorter than http::write_timeout (%s), or the error of a query that takes too long could not be sent", w))
	}
	if c.Query.MaxBytes <= 0 {
		bad("query::max_bytes", c.Query.MaxBytes, "a size greater than 0, such as 64MiB")
	}
	if c.Query.MaxVisited <= 0 {
		bad("query::max_visited", c.Query.MaxVisited, "a number greater than 0")
	}
	if c.Query.MaxConcurrent <= 0 {
		bad("query::max_concurrent", c.Query.MaxConcurrent, "a number greater than 0")
	}
	if c.Query.CacheBytes < 0 {
		bad("query::cache_bytes", c.Query.CacheBytes, "a size such as 16MiB, or 0 for no cache")
	}
	if size := c.Query.Tail.BufferBytes; size < bytesize.MiB || size > bytesize.GiB {
		bad("query::tail::buffer_bytes", size, "from 1MiB to 1GiB")
	}
	if n := c.Query.Tail.MaxSubscriptions; n < 1 {
		bad("query::tail::max_subscriptions", n, "1 or more")
	}
	if c.Storage.Directory == "" {
		bad("storage::directory", "", "a folder")
	}
	if c.Storage.CutBytes < bytesize.MiB || c.Storage.CutBytes > bytesize.GiB {
		bad("storage::cut_bytes", c.Storage.CutBytes, "from 1MiB to 1GiB")
	}
	if c.Storage.CutAge < time.Second {
		bad("storage::cut_age", c.Storage.CutAge, "1s or longer")
	}
	if age := c.Storage.Retention.MaxAge; age < 0 || age > 0 && age < time.Minute {
		bad("storage::retention::max_age", age, "1m or longer, or 0 for no bound")
	}
	if size := c.Storage.Retention.MaxBytes; size < 0 || size > 0 && size < bytesize.MiB {
		bad("storage::retention::max_bytes", size, "1MiB or more, or 0 for no bound")
	}
	return errors.Join(errs...)
}
