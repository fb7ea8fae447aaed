package rule

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
)

func TestBadDefinitions(t *testing.T) {
	for want, change := range map[string]func(d *Definition){
		`rule "": name: "" is not allowed: must be a name`: func(d *Definition) { d.Name = "" },
		`rule " ": name: " " is not allowed`:               func(d *Definition) { d.Name = " " },
		`rule "messaging_id": name: "messaging_id" is not allowed: must be another name: it is that of a built-in rule`:       func(d *Definition) { d.Name = "messaging_id" },
		`rule "spawn": name: "spawn" is not allowed: must be another name: it is that of a built-in rule`:                     func(d *Definition) { d.Name = "spawn" },
		`rule "link": name: "link" is not allowed: must be another name: it is that of links that came with spans`:            func(d *Definition) { d.Name = "link" },
		`rule "parent": name: "parent" is not allowed: must be another name: it is that of parents`:                           func(d *Definition) { d.Name = "parent" },
		`rule "mine": type: "x" is not allowed: must be one of message_flow state_transition error_propagation process_spawn`: func(d *Definition) { d.Type = "x" },
		`rule "mine": type: "parent_child" is not allowed`:                                                                    func(d *Definition) { d.Type = causal.ParentChild },
		`rule "mine": cause::when: " " is not allowed: must be an OTTL condition`:                                             func(d *Definition) { d.Cause.When = " " },
		`rule "mine": effect::when: "" is not allowed: must be an OTTL condition`:                                             func(d *Definition) { d.Effect.When = "" },
		`rule "mine": effect::when: "IsMatch(name, \"x\")" is not allowed: must be a condition that is compiled`:              func(d *Definition) { d.Effect.When = `IsMatch(name, "x")` },
		`cause::key: "[]" is not allowed: must be at least one element`:                                                       func(d *Definition) { d.Cause.Key = nil },
		`rule "mine": effect::key: "[a b]" is not allowed: must be as many elements as cause::key has: 1`:                     func(d *Definition) { d.Effect.Key = []string{"a", "b"} },
		`rule "mine": effect::key[0]: "" is not allowed: must be the name of an attribute`:                                    func(d *Definition) { d.Effect.Key = []string{""} },
		`rule "mine": cause::key[0]: "a| " is not allowed: must be the name of an attribute, or several`:                      func(d *Definition) { d.Cause.Key = []string{"a| "} },
		`rule "mine": cause::key[0]: "@x" is not allowed: of what begins with @ only @messaging.destination is known`:         func(d *Definition) { d.Cause.Key = []string{"@x"} },
		`rule "mine": window: "-1s" is not allowed: must be at least 0s and at most the window of all rules, 5m0s`:            func(d *Definition) { d.Window = -time.Second },
		`rule "mine": window: "5m1s" is not allowed`:                                                                          func(d *Definition) { d.Window = testWindow + time.Second },
		`rule "mine": confidence: "0" is not allowed: must be greater than 0 and at most 1`:                                   func(d *Definition) { d.Confidence = 0 },
		`rule "mine": confidence: "1.5" is not allowed`:                                                                       func(d *Definition) { d.Confidence = 1.5 },
		`rule "mine": confidence: "NaN" is not allowed`:                                                                       func(d *Definition) { d.Confidence = math.NaN() },
	} {
		d := keyed([]string{"k"}, []string{"k"})
		change(&d)
		s, err := Compile(causal.Types, []Definition{d}, testWindow)
		require.ErrorContains(t, err, want)
		require.Nil(t, s)
	}
	d := keyed([]string{"k"}, []string{"k"})
	_, err := Compile(nil, []Definition{d, d}, testWindow)
	require.ErrorContains(t, err, `rule "mine": name: "mine" is not allowed: must be another name: it is that of a rule before it`)
	d.Name = "spawn"
	_, err = Compile(nil, []Definition{d}, testWindow)
	require.ErrorContains(t, err, "built-in", "a built-in rule that is switched off keeps its name")
}

func TestRulesSayWhatWasDefined(t *testing.T) {
	d := keyed([]string{"k"}, []string{"k"})
	d.Window, d.Later, d.Type = time.Minute, true, causal.StateTransition
	rules := compile(t, d).Rules()
	got := rules[len(rules)-1]
	require.Equal(t, "mine", got.Name)
	require.Equal(t, causal.StateTransition, got.Type)
	require.Equal(t, 0.8, got.Confidence)
	require.EqualValues(t, time.Minute, got.Window)
	require.True(t, got.Later)
	names := map[string]bool{}
	for _, r := range rules {
		require.False(t, names[r.Name], r.Name)
		names[r.Name] = true
		require.Positive(t, r.Confidence)
		require.Contains(t, linked, r.Type)
	}
}

// A condition outside of the subset is the caller's, and asked once a span
// however many rules share it.
func TestConditionsOfTheCaller(t *testing.T) {
	asked := 0
	met := func(_ ptrace.ResourceSpans, _ ptrace.ScopeSpans, span ptrace.Span) bool {
		asked++
		return span.Name() == "cause"
	}
	d := keyed([]string{"k"}, []string{"k"})
	d.Cause.When, d.Cause.Met = `IsMatch(name, "^cause$")`, met
	other := d
	other.Name = "other"
	s := compile(t, d, other)
	require.Equal(t, []string{"1 -> 2 message_flow mine 0.8"},
		edges(t, s, spanOf{"name": "cause", "k": "v"}, spanOf{"name": "effect", "k": "v"}))
	require.Equal(t, 2, asked)

	d.Cause.When = `name == "cause"` // of the subset: nobody is asked
	require.NotEmpty(t, edges(t, compile(t, d), spanOf{"name": "cause", "k": "v"}, spanOf{"name": "effect", "k": "v"}))
	require.Equal(t, 2, asked)
}

// Built-in rules need no look-up by name, and no compiled condition.
func TestBuiltinRulesAreFast(t *testing.T) {
	require.Empty(t, compile(t).names.slots)
	for _, d := range builtinForms() {
		require.NoError(t, d.check(map[string]string{}, testWindow))
		require.True(t, Evaluates(d.Cause.When) && Evaluates(d.Effect.When), d.Name)
	}
}
