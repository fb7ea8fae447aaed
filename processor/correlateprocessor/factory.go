package correlateprocessor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/condition"
	"github.com/otelscope/otelscope/internal/correlate/rule"
	"github.com/otelscope/otelscope/processor/correlateprocessor/internal/metadata"
)

// NewFactory returns the factory of correlate.
func NewFactory() processor.Factory {
	return processor.NewFactory(metadata.Type, createDefaultConfig,
		processor.WithTraces(createTraces, metadata.TracesStability))
}

func createTraces(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	c := cfg.(*Config)
	metrics, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	counts := &counts{metrics: metrics}
	compiler, err := condition.NewCompiler(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	definitions, err := define(c.Rules, compiler, logFailures(set.Logger, counts))
	if err != nil {
		return nil, err
	}
	rules, err := rule.Compile(c.Builtin, definitions, c.Window)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return newProcessor(set, c, next, counts, rules.Rules(), func() extractor { return rules.NewExtractor() })
}

// define brings configured rules, with their conditions compiled, into the
// form of the built-in ones. failed is told when one cannot be evaluated on a
// span, which then does not meet it.
func define(configured []RuleConfig, compiler *condition.Compiler, failed func(rule, when string, err error)) ([]rule.Definition, error) {
	var errs []error
	definitions := make([]rule.Definition, len(configured))
	for i, r := range configured {
		end := func(name string, e EndConfig) rule.End {
			met, err := compiler.Compile(e.When)
			if err != nil {
				errs = append(errs, fmt.Errorf("rules[%d]::%s::when: %q of rule %q is no OTTL condition on spans: %w", i, name, e.When, r.Name, err))
			}
			return rule.End{When: e.When, Key: e.Key, Met: func(resource ptrace.ResourceSpans, scope ptrace.ScopeSpans, span ptrace.Span) bool {
				yes, err := met(resource, scope, span)
				if err != nil {
					failed(r.Name, e.When, err)
				}
				return yes
			}}
		}
		definitions[i] = rule.Definition{
			Name: r.Name, Type: r.Type, Window: r.Window, Confidence: r.Confidence,
			Cause: end("cause", r.Cause), Effect: end("effect", r.Effect),
		}
	}
	return definitions, errors.Join(errs...)
}

// logFailures counts the conditions that cannot be evaluated, and logs some.
func logFailures(logger *zap.Logger, counts *counts) func(rule, when string, err error) {
	logs := new(sparing)
	return func(rule, when string, err error) {
		counts.conditionFailed(rule)
		if hidden, due := logs.due(time.Now()); due {
			logger.Warn("A condition cannot be evaluated on a span, and counts as not met",
				zap.String("rule", rule), zap.String("condition", when), zap.Int("not_logged", hidden), zap.Error(err))
		}
	}
}
