package correlateprocessor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/condition"
)

func TestWhatCannotBeEvaluatedIsToldAndNotMet(t *testing.T) {
	c, err := condition.NewCompiler(componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	r := ruleOf("broken")
	r.Cause.When = `ParseJSON(name) == nil`
	told := ""
	definitions, err := define([]RuleConfig{r}, c, func(rule, when string, err error) {
		require.Error(t, err)
		told = rule + ": " + when
	})
	require.NoError(t, err)
	resource := ptrace.NewTraces().ResourceSpans().AppendEmpty()
	scope := resource.ScopeSpans().AppendEmpty()
	span := scope.Spans().AppendEmpty()
	span.SetName("no JSON")
	require.False(t, definitions[0].Cause.Met(resource, scope, span))
	require.Equal(t, "broken: ParseJSON(name) == nil", told)
}

func TestConditionsThatCannotBeCompiled(t *testing.T) {
	c, err := condition.NewCompiler(componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)
	for _, end := range []string{"cause", "effect"} {
		rules := []RuleConfig{ruleOf("good"), ruleOf("bad")}
		if end == "cause" {
			rules[1].Cause.When = "kind = 1"
		} else {
			rules[1].Effect.When = "kind = 1"
		}
		_, err = define(rules, c, nil)
		require.ErrorContains(t, err, `rules[1]::`+end+`::when: "kind = 1" of rule "bad" is no OTTL condition on spans: `)
		require.ErrorContains(t, err, "invalid syntax")
	}
}
