package pressureprocessor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
)

// Strategy is what is done under pressure.
type Strategy string

// The strategies.
const (
	AdaptiveSampling Strategy = "adaptive_sampling"
	PriorityBased    Strategy = "priority_based"
	DropOldest       Strategy = "drop_oldest"
	Refuse           Strategy = "refuse"
	Off              Strategy = "off"
)

var strategies = []Strategy{AdaptiveSampling, PriorityBased, DropOldest, Refuse, Off}

// Config is the configuration of pressure.
type Config struct {
	// Hub is the scope_query extension that shares the level of pressure; nil
	// means that there is none.
	Hub *component.ID `mapstructure:"hub"`
	// Levels are where pressure begins and ends.
	Levels LevelsConfig `mapstructure:"levels"`
	// Strategy is what is done under pressure.
	Strategy Strategy `mapstructure:"strategy"`
	// Keep are OTTL conditions on spans; what meets one of them is shed last.
	Keep []string `mapstructure:"keep"`
	// Key are the attributes of a chain's causal root by which sampling
	// ratios differ.
	Key []string `mapstructure:"key"`
	// MinRatio is the least part of a key's chains that sampling keeps.
	MinRatio float64 `mapstructure:"min_ratio"`
	// Breaker stops trying where nothing gets through.
	Breaker BreakerConfig `mapstructure:"breaker"`
}

// LevelsConfig are fill levels between 0 and 1 at which a level begins. It
// ends Hysteresis lower, and not before Hold is over.
type LevelsConfig struct {
	Moderate   float64       `mapstructure:"moderate"`
	High       float64       `mapstructure:"high"`
	Critical   float64       `mapstructure:"critical"`
	Hysteresis float64       `mapstructure:"hysteresis"`
	Hold       time.Duration `mapstructure:"hold"`
}

// BreakerConfig says when the breaker opens, and for how long.
type BreakerConfig struct {
	ConsecutiveFailures int           `mapstructure:"consecutive_failures"`
	OpenFor             time.Duration `mapstructure:"open_for"`
}

func createDefaultConfig() component.Config {
	return &Config{
		Levels:   LevelsConfig{Moderate: 0.60, High: 0.80, Critical: 0.95, Hysteresis: 0.10, Hold: 10 * time.Second},
		Strategy: AdaptiveSampling,
		Keep:     []string{`status.code == STATUS_CODE_ERROR`, `attributes["scope.priority"] == "high"`},
		Key:      []string{"service.name", "span.name"},
		MinRatio: 0.01,
		Breaker:  BreakerConfig{ConsecutiveFailures: 5, OpenFor: 30 * time.Second},
	}
}

// Validate names each key that is wrong, its value, and what is allowed.
func (c *Config) Validate() error {
	var p problems
	p.levels(c.Levels)
	if !slices.Contains(strategies, c.Strategy) {
		p.add("strategy", c.Strategy, "one of "+strategyNames())
	}
	p.list("keep", c.Keep)
	p.list("key", c.Key)
	if len(c.Key) == 0 {
		p.add("key", "[]", "at least one attribute")
	}
	if !(c.MinRatio > 0 && c.MinRatio <= 1) { // NaN is refused too
		p.add("min_ratio", c.MinRatio, "greater than 0 and at most 1")
	}
	if c.Breaker.ConsecutiveFailures < 1 {
		p.add("breaker::consecutive_failures", c.Breaker.ConsecutiveFailures, "1 or more")
	}
	if c.Breaker.OpenFor <= 0 {
		p.add("breaker::open_for", c.Breaker.OpenFor, "longer than 0s")
	}
	return errors.Join(p...)
}

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

func strategyNames() string {
	names := make([]string, 0, len(strategies))
	for _, s := range strategies {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}
