package correlateprocessor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

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
	// MaxLinksPerSpan bounds the links of a span; those that it came with
	// count and are never taken off.
	MaxLinksPerSpan int `mapstructure:"max_links_per_span"`
	// Storage is the extension from which what is unmatched comes back after a
	// restart: a hub, in whose store the spans end up, or a storage extension.
	// nil means that it does not come back.
	Storage *component.ID `mapstructure:"storage"`
	// Rules are added to the built-in ones.
	Rules []RuleConfig `mapstructure:"rules"`
	// Builtin are the kinds of causality whose built-in rules are used.
	Builtin []causal.Type `mapstructure:"builtin"`
}

// RuleConfig says which spans are causes of which others.
type RuleConfig struct {
	// Name stands on the links that the rule finds.
	Name string      `mapstructure:"name"`
	Type causal.Type `mapstructure:"type"`
	// Cause and Effect have keys of the same length, whose values are equal
	// one by one.
	Cause  EndConfig `mapstructure:"cause"`
	Effect EndConfig `mapstructure:"effect"`
	// Window is shorter than the whole's; 0 is the whole's.
	Window time.Duration `mapstructure:"window"`
	// Confidence of the rule's links; 1 if it is not given.
	Confidence float64 `mapstructure:"confidence"`
}

// EndConfig describes one end of a rule: an OTTL condition that a span must
// meet, and the attributes that must be equal at both ends.
type EndConfig struct {
	When string   `mapstructure:"when"`
	Key  []string `mapstructure:"key"`
}

// Unmarshal sets what is not given.
func (r *RuleConfig) Unmarshal(conf *confmap.Conf) error {
	r.Confidence = 1
	return conf.Unmarshal(r)
}

func createDefaultConfig() component.Config {
	return &Config{
		Window:          5 * time.Minute,
		MaxEntries:      1_000_000,
		MaxBytes:        256 * bytesize.MiB,
		MinConfidence:   0.5,
		MaxLinksPerSpan: 128,
		Builtin:         slices.Clone(causal.Types),
	}
}

// Validate names each key that is wrong, its value, and what is allowed.
func (c *Config) Validate() error {
	var p problems
	if c.Window <= 0 {
		p.add("window", c.Window, "longer than 0s")
	}
	if c.MaxEntries <= 0 {
		p.add("max_entries", c.MaxEntries, "greater than 0")
	}
	if c.MaxBytes <= 0 {
		p.add("max_bytes", c.MaxBytes, "a size greater than 0, such as 256MiB")
	}
	if !(c.MinConfidence > 0 && c.MinConfidence <= 1) { // NaN is refused too
		p.add("min_confidence", c.MinConfidence, "greater than 0 and at most 1")
	}
	if c.MaxLinksPerSpan <= 0 {
		p.add("max_links_per_span", c.MaxLinksPerSpan, "greater than 0")
	}
	for i, kind := range c.Builtin {
		at := fmt.Sprintf("builtin[%d]", i)
		if !kind.Known() {
			p.add(at, kind, "one of "+join(causal.Types))
		}
		if slices.Contains(c.Builtin[:i], kind) {
			p.add(at, kind, "listed once only")
		}
	}
	for i, r := range c.Rules {
		at := fmt.Sprintf("rules[%d]::", i)
		p.rule(at, r, c)
		if slices.ContainsFunc(c.Rules[:i], func(other RuleConfig) bool { return other.Name == r.Name }) {
			p.add(at+"name", r.Name, "another than those of the rules before it")
		}
	}
	return errors.Join(p...)
}

// linked are the types of edges that links carry; the parent is a span's own.
var linked = slices.DeleteFunc(slices.Clone(causal.Types), func(t causal.Type) bool { return t == causal.ParentChild })

// problems are what Validate found so far.
type problems []error

func (p *problems) add(key string, value any, allowed string) {
	*p = append(*p, fmt.Errorf("%s: %q is not allowed: must be %s", key, fmt.Sprint(value), allowed))
}

func (p *problems) rule(at string, r RuleConfig, c *Config) {
	if strings.TrimSpace(r.Name) == "" {
		p.add(at+"name", r.Name, "a name")
	}
	if !slices.Contains(linked, r.Type) {
		p.add(at+"type", r.Type, "one of "+join(linked))
	}
	p.end(at+"cause::", r.Cause)
	p.end(at+"effect::", r.Effect)
	if len(r.Cause.Key) != len(r.Effect.Key) {
		p.add(at+"effect::key", r.Effect.Key, fmt.Sprintf("as many attributes as %scause::key has (%d)", at, len(r.Cause.Key)))
	}
	if r.Window < 0 || r.Window > c.Window {
		p.add(at+"window", r.Window, fmt.Sprintf("0s or longer and at most window (%s)", c.Window))
	}
	if !(r.Confidence >= c.MinConfidence && r.Confidence <= 1) {
		p.add(at+"confidence", r.Confidence, fmt.Sprintf("at least min_confidence (%v) and at most 1", c.MinConfidence))
	}
}

func (p *problems) end(at string, e EndConfig) {
	if strings.TrimSpace(e.When) == "" {
		p.add(at+"when", e.When, "an OTTL condition on spans, such as kind == SPAN_KIND_PRODUCER")
	}
	if len(e.Key) == 0 {
		p.add(at+"key", "[]", "at least one attribute")
	}
	for i, attribute := range e.Key {
		key := fmt.Sprintf("%skey[%d]", at, i)
		if strings.TrimSpace(attribute) == "" {
			p.add(key, attribute, "the name of an attribute")
		}
		if slices.Contains(e.Key[:i], attribute) {
			p.add(key, attribute, "listed once only")
		}
	}
}

func join(types []causal.Type) string {
	names := make([]string, 0, len(types))
	for _, t := range types {
		names = append(names, string(t))
	}
	return strings.Join(names, ", ")
}
