package scopereceiver

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"

	"github.com/otelscope/otelscope/internal/bytesize"
	"github.com/otelscope/otelscope/internal/ring"
)

// What Config.Acknowledge and Config.OpenCalls may say.
const (
	acknowledgeStored   = "stored"
	acknowledgeBuffered = "buffered"
	openCallsStore      = "store"
	openCallsDrop       = "drop"
)

// Config is the receiver's configuration.
type Config struct {
	Protocols Protocols `mapstructure:"protocols"`
	// Acknowledge says what a positive answer means: "stored", the pipeline
	// has taken all of the request; "buffered", the ring has it.
	Acknowledge string `mapstructure:"acknowledge"`
	// Timeout bounds how long a request waits for its answer, and how long
	// Shutdown waits for the requests that are under way.
	Timeout     time.Duration     `mapstructure:"timeout"`
	Ring        RingConfig        `mapstructure:"ring"`
	Workers     WorkersConfig     `mapstructure:"workers"`
	Batch       BatchConfig       `mapstructure:"batch"`
	DeadLetters DeadLettersConfig `mapstructure:"dead_letters"`
	// OpenCalls says whether calls that have not returned are handed on:
	// "store" or "drop".
	OpenCalls string       `mapstructure:"open_calls"`
	Dedup     DedupConfig  `mapstructure:"dedup"`
	Limits    LimitsConfig `mapstructure:"limits"`
	// Hub is the scope_query extension that shares its store and shows this
	// receiver's status and dead letters. Without it nothing is restored at
	// start.
	Hub *component.ID `mapstructure:"hub"`
}

// Protocols are the servers; one that is not mentioned does not run.
type Protocols struct {
	GRPC   configoptional.Optional[configgrpc.ServerConfig] `mapstructure:"grpc"`
	HTTP   configoptional.Optional[otlpreceiver.HTTPConfig] `mapstructure:"http"`
	Events configoptional.Optional[confighttp.ServerConfig] `mapstructure:"events"`
}

// RingConfig bounds what is held between the servers and the workers.
type RingConfig struct {
	MaxItems   int64             `mapstructure:"max_items"` // events and spans
	MaxBytes   bytesize.ByteSize `mapstructure:"max_bytes"` // memory
	Partitions int               `mapstructure:"partitions"`
	Overflow   string            `mapstructure:"overflow"`
}

// WorkersConfig bounds how many workers run.
type WorkersConfig struct {
	Min int `mapstructure:"min"`
	Max int `mapstructure:"max"`
}

// BatchConfig bounds what a worker takes at once.
type BatchConfig struct {
	// MinSize is what a worker waits for while another one is busy, for
	// MaxDelay at the longest.
	MinSize  int           `mapstructure:"min_size"`
	MaxSize  int           `mapstructure:"max_size"`
	MaxDelay time.Duration `mapstructure:"max_delay"`
}

// DeadLettersConfig says where dead letters are kept.
type DeadLettersConfig struct {
	Directory string            `mapstructure:"directory"`
	MaxBytes  bytesize.ByteSize `mapstructure:"max_bytes"` // then the oldest go
}

// DedupConfig bounds the recognition of events that are sent again.
type DedupConfig struct {
	Window    time.Duration `mapstructure:"window"` // from arrival
	MaxEvents int           `mapstructure:"max_events"`
}

// LimitsConfig bounds the state of one process.
type LimitsConfig struct {
	StackDepth      int `mapstructure:"stack_depth"`
	OpenCalls       int `mapstructure:"open_calls_per_process"`
	WaitingMessages int `mapstructure:"waiting_messages_per_process"`
}

const (
	defaultEventsEndpoint = "localhost:4319"
	defaultMaxBody        = 20 << 20
)

func createDefaultConfig() component.Config {
	otlp := otlpreceiver.NewFactory().CreateDefaultConfig().(*otlpreceiver.Config)
	events := confighttp.NewDefaultServerConfig()
	events.NetAddr.Endpoint = defaultEventsEndpoint
	events.ReadHeaderTimeout = 10 * time.Second
	events.ReadTimeout = 30 * time.Second
	events.WriteTimeout = time.Minute
	events.MaxRequestBodySize = defaultMaxBody
	return &Config{
		Protocols: Protocols{
			GRPC:   otlp.Protocols.GRPC,
			HTTP:   otlp.Protocols.HTTP,
			Events: configoptional.Default(events),
		},
		Acknowledge: acknowledgeStored,
		Timeout:     10 * time.Second,
		Ring: RingConfig{
			MaxItems:   262144,
			MaxBytes:   128 * bytesize.MiB,
			Partitions: 64,
			Overflow:   ring.Refuse.String(),
		},
		Workers:     WorkersConfig{Min: 2, Max: 16},
		Batch:       BatchConfig{MinSize: 100, MaxSize: 10000, MaxDelay: 10 * time.Millisecond},
		DeadLetters: DeadLettersConfig{Directory: "./data/dead-letters", MaxBytes: 256 * bytesize.MiB},
		OpenCalls:   openCallsStore,
		Dedup:       DedupConfig{Window: 10 * time.Minute, MaxEvents: 1_000_000},
		Limits:      LimitsConfig{StackDepth: 1024, OpenCalls: 4096, WaitingMessages: 100_000},
	}
}

// Validate reports everything that is wrong, each with its key.
func (c *Config) Validate() error {
	return errors.Join(
		c.validateProtocols(),
		oneOf("acknowledge", c.Acknowledge, acknowledgeStored, acknowledgeBuffered),
		oneOf("open_calls", c.OpenCalls, openCallsStore, openCallsDrop),
		longerThanZero("timeout", c.Timeout),
		c.validateRing(),
		c.Workers.validate("workers."),
		c.Batch.validate("batch."),
		c.validateDeadLetters(),
		longerThanZero("dedup.window", c.Dedup.Window),
		atLeast("dedup.max_events", int64(c.Dedup.MaxEvents), 1),
		atLeast("limits.stack_depth", int64(c.Limits.StackDepth), 1),
		atLeast("limits.open_calls_per_process", int64(c.Limits.OpenCalls), 1),
		atLeast("limits.waiting_messages_per_process", int64(c.Limits.WaitingMessages), 1),
	)
}

func (c *Config) validateProtocols() error {
	p := &c.Protocols
	if !p.GRPC.HasValue() && !p.HTTP.HasValue() && !p.Events.HasValue() {
		return errors.New("protocols: is empty: at least one of grpc, http, events is needed")
	}
	return nil
}

func (c *Config) validateRing() error {
	_, err := ring.ParseOverflow(c.Ring.Overflow)
	if err != nil {
		err = fmt.Errorf("ring.overflow: %w", err)
	}
	return errors.Join(
		atLeast("ring.max_items", c.Ring.MaxItems, 1),
		atLeast("ring.max_bytes", int64(c.Ring.MaxBytes), int64(bytesize.MiB)),
		between("ring.partitions", int64(c.Ring.Partitions), 1, 65536),
		err,
	)
}

// validate names the keys with prefix before them.
func (c WorkersConfig) validate(prefix string) error {
	return errors.Join(
		atLeast(prefix+"min", int64(c.Min), 1),
		between(prefix+"max", int64(c.Max), int64(max(1, c.Min)), 1024),
	)
}

// validate names the keys with prefix before them.
func (c BatchConfig) validate(prefix string) error {
	var err error
	if c.MaxDelay < 0 {
		err = fmt.Errorf("%smax_delay: %v is negative: 0s (do not wait) or longer is allowed", prefix, c.MaxDelay)
	}
	return errors.Join(
		atLeast(prefix+"min_size", int64(c.MinSize), 1),
		atLeast(prefix+"max_size", int64(c.MaxSize), int64(max(1, c.MinSize))),
		err,
	)
}

func (c *Config) validateDeadLetters() error {
	var err error
	if c.DeadLetters.Directory == "" {
		err = errors.New(`dead_letters.directory: "" is no folder: the path of one is needed`)
	}
	return errors.Join(err, atLeast("dead_letters.max_bytes", int64(c.DeadLetters.MaxBytes), int64(bytesize.MiB)))
}

func oneOf(key, value, a, b string) error {
	if value == a || value == b {
		return nil
	}
	return fmt.Errorf("%s: %q is not one of %s, %s", key, value, a, b)
}

func atLeast(key string, value, least int64) error {
	if value >= least {
		return nil
	}
	return fmt.Errorf("%s: %d is too small: at least %d is allowed", key, value, least)
}

func between(key string, value, least, most int64) error {
	if value >= least && value <= most {
		return nil
	}
	return fmt.Errorf("%s: %d is out of range: %d to %d is allowed", key, value, least, most)
}

func longerThanZero(key string, d time.Duration) error {
	if d > 0 {
		return nil
	}
	return fmt.Errorf("%s: %v is too short: more than 0s is needed", key, d)
}
