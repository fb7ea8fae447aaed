package pressureprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"

	"github.com/otelscope/otelscope/internal/hub"
)

// pressureProcessor hands batches on by the consumer that it embeds.
type pressureProcessor struct {
	consumer.Traces
	cfg *Config
}

// Capabilities implements consumer.Traces; the embedded consumer's own do not
// matter here.
func (*pressureProcessor) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: false}
}

// Start checks that the hub is there.
func (p *pressureProcessor) Start(_ context.Context, host component.Host) error {
	if p.cfg.Hub == nil {
		return nil
	}
	_, err := hub.Find(host, "hub", *p.cfg.Hub)
	return err
}

// Shutdown has nothing to end.
func (*pressureProcessor) Shutdown(context.Context) error { return nil }
