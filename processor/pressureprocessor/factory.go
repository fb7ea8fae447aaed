package pressureprocessor

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"

	"github.com/otelscope/otelscope/internal/condition"
	"github.com/otelscope/otelscope/processor/pressureprocessor/internal/metadata"
)

// NewFactory returns the factory of pressure.
func NewFactory() processor.Factory {
	return processor.NewFactory(metadata.Type, createDefaultConfig,
		processor.WithTraces(createTraces, metadata.TracesStability))
}

func createTraces(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	c := cfg.(*Config)
	compiler, err := condition.NewCompiler(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	var errs []error
	keep := make([]condition.Condition, len(c.Keep))
	for i, when := range c.Keep {
		if keep[i], err = compiler.Compile(when); err != nil {
			errs = append(errs, fmt.Errorf("keep[%d]: %q is no OTTL condition on spans: %w", i, when, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return newProcessor(c, set, next, keep)
}
