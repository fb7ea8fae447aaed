// Package condition compiles OTTL conditions on spans, as configurations hold
// them.
package condition

import (
	"context"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
)

// Condition says whether a span meets it. An error means that it cannot be
// evaluated on this span, and then it is not met.
type Condition func(ptrace.ResourceSpans, ptrace.ScopeSpans, ptrace.Span) (bool, error)

// Compiler compiles conditions.
type Compiler struct {
	parsers *ottl.ParserCollection[parsed]
}

type parsed = *ottl.Condition[*ottlspan.TransformContext]

// NewCompiler returns a compiler. What conditions do not find is no matter of
// the log: callers learn of it.
func NewCompiler(set component.TelemetrySettings) (*Compiler, error) {
	functions := ottlfuncs.StandardConverters[*ottlspan.TransformContext]()
	isRoot := ottlfuncs.NewIsRootSpanFactory()
	functions[isRoot.Name()] = isRoot
	set.Logger = zap.NewNop()
	parser, err := ottlspan.NewParser(functions, set, ottlspan.EnablePathContextNames())
	if err != nil {
		return nil, err
	}
	parsers, err := ottl.NewParserCollection(set, ottl.WithParserCollectionContext(ottlspan.ContextName, &parser,
		ottl.WithConditionConverter(func(_ *ottl.ParserCollection[parsed], _ ottl.ConditionsGetter, all []parsed) (parsed, error) {
			return all[0], nil
		})))
	if err != nil {
		return nil, err
	}
	return &Compiler{parsers}, nil
}

// Compile compiles one condition. Its paths may begin with span, or with
// nothing, which means the same.
func (c *Compiler) Compile(when string) (Condition, error) {
	condition, err := c.parsers.ParseConditionsWithContext(ottlspan.ContextName, ottl.NewConditionsGetter([]string{when}), true)
	if err != nil {
		return nil, err
	}
	return func(resource ptrace.ResourceSpans, scope ptrace.ScopeSpans, span ptrace.Span) (bool, error) {
		tc := ottlspan.NewTransformContext(resource, scope, span)
		defer tc.Close()
		met, err := condition.Eval(context.Background(), tc)
		return met && err == nil, err
	}, nil
}
