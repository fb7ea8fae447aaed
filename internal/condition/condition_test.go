package condition

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"
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

	c, err := NewCompiler(componenttest.NewNopTelemetrySettings())
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
		condition, err := c.Compile(when)
		require.NoError(t, err, when)
		met, err := condition(resource, scope, span)
		require.NoError(t, err, when)
		require.Equal(t, want, met, when)
	}

	condition, err := c.Compile(`ParseJSON(name) == nil`)
	require.NoError(t, err)
	met, err := condition(resource, scope, span)
	require.Error(t, err)
	require.False(t, met, "what cannot be evaluated is not met")
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConditionsThatCannotBeCompiled(t *testing.T) {
	c, err := NewCompiler(componenttest.NewNopTelemetrySettings())
	require.NoError(t, err)

	for when, want := range map[string]string{
		`kind = 1`:                 "invalid syntax",
		`nonsense == 1`:            "nonsense",
		`metric.name == "x"`:       "metric",
		`kind == SPAN_KIND_X`:      "SPAN_KIND_X",
		`Unknown(name)`:            "Unknown",
		`set(name, "x")`:           "invalid syntax",
		`name == "a" where 1 == 1`: "where",
	} {
		_, err := c.Compile(when)
		require.ErrorContains(t, err, want, when)
	}
}
