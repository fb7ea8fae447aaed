package correlateprocessor

import (
	"context"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
)

type spanCondition = *ottl.Condition[*ottlspan.TransformContext]

// conditions compiles the conditions of rules.
type conditions struct {
	parsers *ottl.ParserCollection[spanCondition]
	// failed is called when a condition of this rule cannot be evaluated.
	failed func(rule, when string, err error)
}

func newConditions(set component.TelemetrySettings, failed func(rule, when string, err error)) (*conditions, error) {
	functions := ottlfuncs.StandardConverters[*ottlspan.TransformContext]()
	isRoot := ottlfuncs.NewIsRootSpanFactory()
	functions[isRoot.Name()] = isRoot
	// What a condition does not find is no matter of the log: see failed.
	set.Logger = zap.NewNop()
	parser, err := ottlspan.NewParser(functions, set, ottlspan.EnablePathContextNames())
	if err != nil {
		return nil, err
	}
	parsers, err := ottl.NewParserCollection(set, ottl.WithParserCollectionContext(ottlspan.ContextName, &parser,
		ottl.WithConditionConverter(func(_ *ottl.ParserCollection[spanCondition], _ ottl.ConditionsGetter, parsed []spanCondition) (spanCondition, error) {
			return parsed[0], nil
		})))
	if err != nil {
		return nil, err
	}
	return &conditions{parsers, failed}, nil
}

// compile compiles one condition. Its paths may begin with span, or with
// nothing, which means the same. One that cannot be evaluated is not met.
func (c *conditions) compile(rule, when string) (func(ptrace.ResourceSpans, ptrace.ScopeSpans, ptrace.Span) bool, error) {
	parsed, err := c.parsers.ParseConditionsWithContext(ottlspan.ContextName, ottl.NewConditionsGetter([]string{when}), true)
	if err != nil {
		return nil, err
	}
	return func(resource ptrace.ResourceSpans, scope ptrace.ScopeSpans, span ptrace.Span) bool {
		tc := ottlspan.NewTransformContext(resource, scope, span)
		defer tc.Close()
		met, err := parsed.Eval(context.Background(), tc)
		if err != nil {
			c.failed(rule, when, err)
		}
		return met && err == nil
	}, nil
}
