package pressureprocessor

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/otelscope/otelscope/internal/bytesize"
	"github.com/otelscope/otelscope/internal/pressure"
)

// Config is the configuration of pressure.
type Config struct {
	// Hub is the scope_query extension that shares its monitor of pressure; nil
	// means that the processor goes by what it measures itself.
	Hub *component.ID `mapstructure:"hub"`
	// Levels are where pressure begins and ends.
	Levels LevelsConfig `mapstructure:"levels"`
	// Strategy is what is done under pressure, at the levels that Strategies
	// does not name.
	Strategy   pressure.Strategy                    `mapstructure:"strategy"`
	Strategies map[pressure.Level]pressure.Strategy `mapstructure:"strategies"`
	// Keep are OTTL conditions on spans; what meets one of them is kept, and
	// so are the chains that it belongs to.
	Keep []string `mapstructure:"keep"`
	// Key are the attributes of a chain's causal root by which sampling
	// ratios differ.
	Key []string `mapstructure:"key"`
	// MinRatio is the least part of a key's chains that sampling keeps.
	MinRatio float64 `mapstructure:"min_ratio"`
	// MaxChains is how many chains are remembered while there is sampling, so
	// that a chain is decided once.
	MaxChains int `mapstructure:"max_chains"`
	// Rescue holds what was sampled out, for chains that must be kept.
	Rescue RescueConfig `mapstructure:"rescue"`
	// Breaker stops trying where nothing gets through.
	Breaker BreakerConfig `mapstructure:"breaker"`
}

// LevelsConfig are scores between 0 and 1 at which a level begins. It ends
// when the score has been Hysteresis lower for all of Hold.
type LevelsConfig struct {
	Moderate   float64       `mapstructure:"moderate"`
	High       float64       `mapstructure:"high"`
	Critical   float64       `mapstructure:"critical"`
	Hysteresis float64       `mapstructure:"hysteresis"`
	Hold       time.Duration `mapstructure:"hold"`
}

// RescueConfig bounds what is held of what was sampled out.
type RescueConfig struct {
	// Directory is where a file for it is made, of at most MaxBytes; "" means
	// that it is held in memory.
	Directory string            `mapstructure:"directory"`
	MaxBytes  bytesize.ByteSize `mapstructure:"max_bytes"` // 0: nothing is held
	Window    time.Duration     `mapstructure:"window"`
}

// BreakerConfig says when the breaker opens, and for how long.
type BreakerConfig struct {
	ConsecutiveFailures int           `mapstructure:"consecutive_failures"`
	OpenFor             time.Duration `mapstructure:"open_for"`
	// Timeout is when a batch that the next consumer has not answered counts
	// as failed. It goes on all the same: nothing is sent twice for it.
	Timeout time.Duration `mapstructure:"timeout"`
}

func createDefaultConfig() component.Config {
	return &Config{
		Levels:    LevelsConfig(pressure.DefaultThresholds),
		Strategy:  pressure.AdaptiveSampling,
		Keep:      []string{`status.code == STATUS_CODE_ERROR`, `attributes["scope.priority"] == "high"`},
		Key:       []string{"service.name", "span.name"},
		MinRatio:  0.01,
		MaxChains: 100_000,
		Rescue:    RescueConfig{MaxBytes: 32 * bytesize.MiB, Window: 3 * time.Second},
		Breaker:   BreakerConfig{ConsecutiveFailures: 5, OpenFor: 30 * time.Second, Timeout: 10 * time.Second},
	}
}

// settings are what the monitor goes by.
func (c *Config) settings() pressure.Settings {
	return pressure.Settings{
		Thresholds: pressure.Thresholds(c.Levels),
		Strategy:   c.Strategy,
		ByLevel:    maps.Clone(c.Strategies),
	}
}

// Validate names each key that is wrong, its value, and what is allowed. Keep
// is compiled when the processor is made.
func (c *Config) Validate() error {
	var p problems
	p.levels(c.Levels)
	p.strategy("strategy", c.Strategy)
	for _, level := range slices.Sorted(maps.Keys(c.Strategies)) {
		at := "strategies::" + level.String()
		p.strategy(at, c.Strategies[level])
		if level == pressure.Normal {
			p.add(at, c.Strategies[level], "left out: at level normal nothing is shed")
		}
	}
	p.list("keep", c.Keep)
	p.list("key", c.Key)
	if len(c.Key) == 0 {
		p.add("key", "[]", "at least one attribute")
	}
	if !(c.MinRatio > 0 && c.MinRatio <= 1) { // NaN is refused too
		p.add("min_ratio", c.MinRatio, "greater than 0 and at most 1")
	}
	if c.MaxChains < 1 || c.MaxChains > maxMaxChains {
		p.add("max_chains", c.MaxChains, fmt.Sprintf("from 1 to %d", maxMaxChains))
	}
	if c.Rescue.MaxBytes < 0 {
		p.add("rescue::max_bytes", c.Rescue.MaxBytes, "a size such as 32MiB, or 0 to hold nothing")
	}
	if c.Rescue.Window <= 0 {
		p.add("rescue::window", c.Rescue.Window, "longer than 0s")
	}
	if c.Breaker.ConsecutiveFailures < 1 {
		p.add("breaker::consecutive_failures", c.Breaker.ConsecutiveFailures, "1 or more")
	}
	if c.Breaker.OpenFor <= 0 {
		p.add("breaker::open_for", c.Breaker.OpenFor, "longer than 0s")
	}
	if c.Breaker.Timeout <= 0 {
		p.add("breaker::timeout", c.Breaker.Timeout, "longer than 0s")
	}
	return errors.Join(p...)
}

// maxMaxChains is about 1 GB of memory.
const maxMaxChains = 1 << 24

// problems are what Validate found so far.
type problems []error

func (p *problems) add(key string, value any, allowed string) {
	*p = append(*p, fmt.Errorf("%s: %q is not allowed: must be %s", key, fmt.Sprint(value), allowed))
}

func (p *problems) levels(l LevelsConfig) {
	if !(l.Moderate > 0 && l.Moderate < 1) {
		p.add("levels::moderate", l.Moderate, "between 0 and 1")
	}
	if !(l.High > l.Moderate && l.High < 1) {
		p.add("levels::high", l.High, fmt.Sprintf("greater than levels::moderate (%v) and less than 1", l.Moderate))
	}
	if !(l.Critical > l.High && l.Critical <= 1) {
		p.add("levels::critical", l.Critical, fmt.Sprintf("greater than levels::high (%v) and at most 1", l.High))
	}
	if !(l.Hysteresis >= 0 && l.Hysteresis < l.Moderate) {
		p.add("levels::hysteresis", l.Hysteresis, fmt.Sprintf("0 or more and less than levels::moderate (%v)", l.Moderate))
	}
	if l.Hold < 0 {
		p.add("levels::hold", l.Hold, "0s or longer")
	}
}

func (p *problems) strategy(key string, s pressure.Strategy) {
	if _, err := pressure.ParseStrategy(string(s)); err != nil {
		p.add(key, s, "one of "+pressure.StrategyNames())
	}
}

func (p *problems) list(key string, values []string) {
	for i, value := range values {
		at := fmt.Sprintf("%s[%d]", key, i)
		if strings.TrimSpace(value) == "" {
			p.add(at, value, "not empty")
		}
		if slices.Contains(values[:i], value) {
			p.add(at, value, "listed once only")
		}
	}
}
