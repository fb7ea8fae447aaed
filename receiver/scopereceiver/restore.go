package scopereceiver

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/assemble"
	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store"
)

// restored says what a restore found.
type restored struct {
	openCalls, spans int // of native events
	took             time.Duration
}

// restore rebuilds the assemblers' state from what is stored: the calls that
// are open, of any age, and the spans of the dedup window, the newest parts of
// the store first, up to dedup.max_events. It comes before any Begin.
func (h *handler) restore(ctx context.Context, from store.Store, dedup DedupConfig) (restored, error) {
	start := time.Now()
	var found restored
	var err error
	if found.openCalls, err = h.replay(ctx, from, store.ScanOptions{OpenCalls: true}, -1); err != nil {
		return found, err
	}
	since := store.ScanOptions{ReceivedSince: start.Add(-dedup.Window)}
	if found.spans, err = h.replay(ctx, from, since, dedup.MaxEvents); err != nil {
		return found, err
	}
	for i := range h.partitions {
		h.partitions[i].assembler.FinishRestore(time.Now().UnixNano())
		stats := h.partitions[i].assembler.Stats()
		h.partitions[i].stats.Store(&stats)
	}
	found.took = time.Since(start)
	return found, nil
}

// nativeMark is in the encoding of every span that a native event made, and
// spares the decoding of most others.
var nativeMark = []byte(causal.AttrProcessID)

// replay hands up to limit native spans of a scan to their assemblers; a
// negative limit is none.
func (h *handler) replay(ctx context.Context, from store.Store, opts store.ScanOptions, limit int) (int, error) {
	g := group{handler: h}
	for span, err := range from.Scan(ctx, opts) {
		if err != nil {
			return g.count, fmt.Errorf("cannot read what is stored, to rebuild open calls and recognition: %w", err)
		}
		if !bytes.Contains(span.Bytes, nativeMark) {
			continue
		}
		if g.count == limit {
			break
		}
		g.count++
		if err := g.add(span); err != nil {
			return g.count, err
		}
	}
	return g.count, g.flush()
}

// group collects stored spans of one origin, to decode them together.
type group struct {
	*handler
	origin   []byte
	spans    [][]byte
	received []int64
	count    int
}

const maxGroup = 512

func (g *group) add(span store.Span) error {
	if len(g.spans) == maxGroup || !bytes.Equal(g.origin, span.Origin) {
		if err := g.flush(); err != nil {
			return err
		}
		g.origin = span.Origin
	}
	g.spans = append(g.spans, span.Bytes)
	g.received = append(g.received, span.Received)
	return nil
}

func (g *group) flush() error {
	if len(g.spans) == 0 {
		return nil
	}
	td, err := g.decode()
	if err != nil {
		return fmt.Errorf("a stored span cannot be read: %w", err)
	}
	rs := td.ResourceSpans().At(0)
	attributes := rs.Resource().Attributes()
	for i, span := range rs.ScopeSpans().At(0).Spans().All() {
		if key, ok := assemble.RestoreKey(attributes, span); ok {
			p := key % uint64(len(g.partitions))
			g.partitions[p].assembler.Restore(attributes, span, g.received[i])
		}
	}
	g.spans, g.received = g.spans[:0], g.received[:0]
	return nil
}

func (g *group) decode() (ptrace.Traces, error) {
	wire, err := otlpwire.AppendTraces(nil, g.origin, g.spans...)
	if err != nil {
		return ptrace.Traces{}, err
	}
	return (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(wire)
}
