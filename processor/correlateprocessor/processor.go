package correlateprocessor

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
)

// correlateProcessor hands batches on by the consumer that it embeds.
type correlateProcessor struct {
	consumer.Traces
	cfg *Config
}

// Capabilities implements consumer.Traces; the embedded consumer's own do not
// matter here.
func (*correlateProcessor) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: false}
}

// Start checks that the storage extension is there.
func (p *correlateProcessor) Start(_ context.Context, host component.Host) error {
	if p.cfg.Storage == nil {
		return nil
	}
	if _, ok := host.GetExtensions()[*p.cfg.Storage]; !ok {
		return fmt.Errorf("storage: no extension %q: is it listed under service.extensions?", p.cfg.Storage)
	}
	return nil
}

// Shutdown has nothing to end.
func (*correlateProcessor) Shutdown(context.Context) error { return nil }
