package correlateprocessor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func TestConditions(t *testing.T) {
	resource := ptrace.NewTraces().ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "shop")
	scope := resource.ScopeSpans().AppendEmpty()
	scope.Scope().SetName("lib")
	span := scope.Spans().AppendEmpty()
	span.SetName("pay")
	span.SetKind(ptrace.SpanKindProducer)
	span.Status().SetCode(ptrace.StatusCodeError)
	span.Attributes().PutStr("id", "7")

	type failure struct{ rule, when string }
	var failures []failure
	c, err := newConditions(componenttest.NewNopTelemetrySettings(), func(rule, when string, err error) {
		require.Error(t, err)
		failures = append(failures, failure{rule, when})
	})
	require.NoError(t, err)

	for when, want := range map[string]bool{
		`kind == SPAN_KIND_PRODUCER`:                                  true,
		`span.kind == SPAN_KIND_PRODUCER`:                             true,
		`kind.string == "Producer"`:                                   true,
		`kind == SPAN_KIND_CONSUMER`:                                  false,
		`attributes["id"] == "7" and span.name == "pay"`:              true,
		`attributes["id"] == "7" and resource.attributes["x"] != nil`: false,
		`resource.attributes["service.name"] == "shop"`:               true,
		`scope.name == "lib" and name == "pay"`:                       true,
		`instrumentation_scope.name == "lib"`:                         true,
		`status.code == STATUS_CODE_ERROR`:                            true,
		`IsRootSpan()`:                                                true,
		`IsMatch(name, "^p")`:                                         true,
		`true`:                                                        true,
		`Int(attributes["id"]) == 7`:                                  true,
	} {
		met, err := c.compile("r", when)
		require.NoError(t, err, when)
		require.Equal(t, want, met(resource, scope, span), when)
	}
	require.Empty(t, failures)

	const bad = `ParseJSON(name) == nil`
	met, err := c.compile("broken", bad)
	require.NoError(t, err)
	require.False(t, met(resource, scope, span), "what cannot be evaluated is not met")
	require.Equal(t, []failure{{"broken", bad}}, failures)
}

func TestConditionsThatCannotBeCompiled(t *testing.T) {
	c, err := newConditions(componenttest.NewNopTelemetrySettings(), nil)
	require.NoError(t, err)
	for when, want := range map[string]string{
		`kind = 1`:                 "invalid syntax",
		`nonsense == 1`:            "nonsense",
		`metric.name == "x"`:       "metric",
		`kind == SPAN_KIND_X`:      "SPAN_KIND_X",
		`Unknown(name)`:            "Unknown",
		`set(name, "x")`:           "set",
		`name == "a" where 1 == 1`: "where",
	} {
		rules := []RuleConfig{ruleOf("good"), ruleOf("bad")}
		rules[1].Cause.When = when
		_, err = define(rules, c)
		require.ErrorContains(t, err, `rules[1]::cause::when: "`, when)
		require.ErrorContains(t, err, `of rule "bad" is no OTTL condition on spans: `, when)
		require.ErrorContains(t, err, want, when)

		rules[1] = ruleOf("bad")
		rules[1].Effect.When = when
		_, err = define(rules, c)
		require.ErrorContains(t, err, `rules[1]::effect::when: "`, when)
	}
}
