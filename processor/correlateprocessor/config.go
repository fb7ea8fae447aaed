package correlateprocessor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/otelscope/otelscope/internal/bytesize"
	"github.com/otelscope/otelscope/internal/causal"
)

// Config is the configuration of correlate.
type Config struct {
	// Window is how long an unmatched cause or effect is remembered.
	Window time.Duration `mapstructure:"window"`
	// MaxEntries and MaxBytes bound what is remembered.
	MaxEntries int               `mapstructure:"max_entries"`
	MaxBytes   bytesize.ByteSize `mapstructure:"max_bytes"`
	// MinConfidence is the least confidence an edge may have.
	MinConfidence float64 `mapstructure:"min_confidence"`
	// Storage is the extension in which what is unmatched survives a restart;
	// nil means that it does not.
	Storage *component.ID `mapstructure:"storage"`
	// Rules are added to the built-in ones.
	Rules []RuleConfig `mapstructure:"rules"`
	// Builtin are the kinds of causality whose built-in rules are used.
	Builtin []causal.Type `mapstructure:"builtin"`
}

// RuleConfig says which spans are causes of which others.
type RuleConfig struct {
	Name       string        `mapstructure:"name"`
	Type       causal.Type   `mapstructure:"type"`
	Cause      EndConfig     `mapstructure:"cause"`
	Effect     EndConfig     `mapstructure:"effect"`
	Window     time.Duration `mapstructure:"window"`
	Confidence float64       `mapstructure:"confidence"`
}

// EndConfig describes one end of a rule: an OTTL condition that a span must
// meet, and the attributes that must be equal at both ends.
type EndConfig struct {
	When string   `mapstructure:"when"`
	Key  []string `mapstructure:"key"`
}

func createDefaultConfig() component.Config {
	return &Config{
		Window:        5 * time.Minute,
		MaxEntries:    1_000_000,
		MaxBytes:      256 * bytesize.MiB,
		MinConfidence: 0.5,
		Builtin:       slices.Clone(causal.Types),
	}
}

// Validate names each key that is wrong, its value, and what is allowed.
func (c *Config) Validate() error {
	var errs []error
	bad := func(key string, value any, allowed string) {
		errs = append(errs, fmt.Errorf("%s: %q is not allowed: must be %s", key, fmt.Sprint(value), allowed))
	}
	if c.Window <= 0 {
		bad("window", c.Window, "longer than 0s")
	}
	if c.MaxEntries <= 0 {
		bad("max_entries", c.MaxEntries, "greater than 0")
	}
	if c.MaxBytes <= 0 {
		bad("max_bytes", c.MaxBytes, "a size greater than 0, such as 256MiB")
	}
	if !(c.MinConfidence > 0 && c.MinConfidence <= 1) { // NaN is refused too
		bad("min_confidence", c.MinConfidence, "greater than 0 and at most 1")
	}
	if len(c.Rules) > 0 {
		errs = append(errs, fmt.Errorf("rules: %d rules are given, but rules of one's own are not available in this version: must be []", len(c.Rules)))
	}
	for i, kind := range c.Builtin {
		if !kind.Known() {
			bad(fmt.Sprintf("builtin[%d]", i), kind, "one of "+kinds())
		}
		if slices.Contains(c.Builtin[:i], kind) {
			bad(fmt.Sprintf("builtin[%d]", i), kind, "listed once only")
		}
	}
	return errors.Join(errs...)
}

func kinds() string {
	names := make([]string, 0, len(causal.Types))
	for _, kind := range causal.Types {
		names = append(names, string(kind))
	}
	return strings.Join(names, ", ")
}
