package rule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
)

// Definition is a rule as it is written: a span that meets Cause.When caused
// one that meets Effect.When if their keys are equal. Of several causes it is
// the latest that is not after the effect.
type Definition struct {
	// Name stands on the links that the rule finds; no two rules have the same.
	Name string      `yaml:"name"`
	Type causal.Type `yaml:"type"`

	Cause  End `yaml:"cause"`
	Effect End `yaml:"effect"`
	// Window is how long causes and effects wait for one another, counted from
	// their arrival; 0: as long as the whole configuration's, which is the most.
	Window time.Duration `yaml:"window"`
	// Confidence of the rule's edges, 0 < Confidence <= 1.
	Confidence float64 `yaml:"confidence"`
	// Later demands that the effect began after its cause by the spans' own
	// times, also where they are of different clocks.
	Later bool `yaml:"later"`
}

// End describes the spans at one end of a rule.
type End struct {
	// When is an OTTL condition on spans. Paths may begin with "span.".
	When string `yaml:"when"`
	// Key has the elements whose values must be equal, one by one, at both
	// ends. An element names an attribute of the span or, where the span has
	// none or an empty one, of the resource; with alternatives, "a|b", it is
	// the first that is there and not empty. Strings, integers and booleans
	// are compared by their text, so 5 equals "5"; values of other types count
	// as not there. A span that lacks an element is none of the rule's.
	//
	// "@messaging.destination" is computed: the destination of a messaging
	// span whatever the SDK calls it.
	Key []string `yaml:"key"`
	// Met evaluates When. It is needed, and called, only where When is outside
	// of the subset that this package evaluates itself: comparisons by == and
	// != of kind, status.code, name and attributes with constants, joined by
	// and, or, not and parentheses. See Evaluates.
	Met Condition `yaml:"-"`
}

// Condition says whether a span meets a condition. It may be called from many
// goroutines.
type Condition func(ptrace.ResourceSpans, ptrace.ScopeSpans, ptrace.Span) bool

// What spans tell without a rule is known under these names: links that came
// with them, and parents.
const (
	linkRule   = "link"
	parentRule = "parent"
)

// linked are the types of edges that rules find: the parent of a span is said
// by the span itself.
var linked = slices.DeleteFunc(slices.Clone(causal.Types), func(t causal.Type) bool { return t == causal.ParentChild })

// check reports all that is wrong with a user's rule but its keys' and
// conditions' syntax. taken has the names of the rules before it.
func (d *Definition) check(taken map[string]string, window time.Duration) error {
	var p problems
	switch {
	case strings.TrimSpace(d.Name) == "":
		p.add("name", d.Name, "a name")
	case taken[d.Name] != "":
		p.add("name", d.Name, "another name: it is that of "+taken[d.Name])
	}
	if !slices.Contains(linked, d.Type) {
		p.add("type", d.Type, "one of "+strings.Trim(fmt.Sprint(linked), "[]"))
	}
	d.Cause.check("cause", &p)
	d.Effect.check("effect", &p)
	if len(d.Cause.Key) != len(d.Effect.Key) {
		p.add("effect::key", fmt.Sprint(d.Effect.Key), fmt.Sprintf("as many elements as cause::key has: %d", len(d.Cause.Key)))
	}
	if d.Window < 0 || d.Window > window {
		p.add("window", d.Window, fmt.Sprintf("at least 0s and at most the window of all rules, %s", window))
	}
	if !(d.Confidence > 0 && d.Confidence <= 1) { // NaN is refused too
		p.add("confidence", d.Confidence, "greater than 0 and at most 1")
	}
	return errors.Join(p...)
}

func (e *End) check(at string, p *problems) {
	if strings.TrimSpace(e.When) == "" {
		p.add(at+"::when", e.When, "an OTTL condition on spans, such as kind == SPAN_KIND_PRODUCER")
	}
	if len(e.Key) == 0 {
		p.add(at+"::key", "[]", "at least one element")
	}
}

type problems []error

func (p *problems) add(key string, value any, allowed string) {
	*p = append(*p, fmt.Errorf("%s: %q is not allowed: must be %s", key, fmt.Sprint(value), allowed))
}
