package pressureprocessor

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/otelscope/otelscope/internal/sample"
	"github.com/otelscope/otelscope/processor/pressureprocessor/internal/metadata"
)

// kit is a processor without its control goroutine, and what it handed on.
type kit struct {
	*pressureProcessor
	next *sink
}

// sink keeps what it takes, and fails while err is set.
type sink struct {
	mu  sync.Mutex
	err error
	got []ptrace.Traces
}

func (*sink) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s *sink) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.got = append(s.got, td)
	return nil
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// spans returns what came, by name, and forgets it.
func (s *sink) spans() map[string]ptrace.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]ptrace.Span{}
	for _, td := range s.got {
		for _, resource := range td.ResourceSpans().All() {
			for _, scope := range resource.ScopeSpans().All() {
				for _, span := range scope.Spans().All() {
					if _, twice := all[span.Name()]; twice {
						panic("span " + span.Name() + " came twice")
					}
					all[span.Name()] = span
				}
			}
		}
	}
	s.got = nil
	return all
}

// names are the spans that came, sorted.
func (s *sink) names() []string {
	names := []string{}
	for name := range s.spans() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func newTestProcessor(t testing.TB, change func(*Config), next consumer.Traces) *pressureProcessor {
	cfg := createDefaultConfig().(*Config)
	if change != nil {
		change(cfg)
	}
	require.NoError(t, cfg.Validate())
	p, err := NewFactory().CreateTraces(context.Background(), processortest.NewNopSettings(metadata.Type), cfg, next)
	require.NoError(t, err)
	return p.(*pressureProcessor)
}

// newKit returns a processor that sheds down to a ratio.
func newKit(t testing.TB, ratio float64, change func(*Config)) *kit {
	next := new(sink)
	k := &kit{newTestProcessor(t, change, next), next}
	s := k.newShedding()
	s.sampler.Fix(ratio)
	k.now.Store(s)
	return k
}

// traceAt is a trace id whose number is this far, 0 to 1, among all numbers.
func traceAt(part float64) (id pcommon.TraceID) {
	id[0] = 1
	binary.BigEndian.PutUint64(id[8:], uint64(part*float64(sample.Numbers)))
	return id
}

// one is a batch of one span.
func one(name string, part float64, change ...func(ptrace.Span)) ptrace.Traces {
	td := ptrace.NewTraces()
	resource := td.ResourceSpans().AppendEmpty()
	resource.SetSchemaUrl("https://example.com/resource")
	resource.Resource().Attributes().PutStr("service.name", "shop")
	scope := resource.ScopeSpans().AppendEmpty()
	scope.SetSchemaUrl("https://example.com/scope")
	scope.Scope().SetName("lib")
	span := scope.Spans().AppendEmpty()
	span.SetTraceID(traceAt(part))
	span.SetSpanID(pcommon.SpanID{1, byte(len(name))})
	span.SetName(name)
	for _, c := range change {
		c(span)
	}
	return td
}

func join(batches ...ptrace.Traces) ptrace.Traces {
	td := ptrace.NewTraces()
	for _, b := range batches {
		b.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	}
	return td
}

func failed(span ptrace.Span) { span.Status().SetCode(ptrace.StatusCodeError) }

func having(key, value string) func(ptrace.Span) {
	return func(span ptrace.Span) { span.Attributes().PutStr(key, value) }
}

func state(raw string) func(ptrace.Span) {
	return func(span ptrace.Span) { span.TraceState().FromRaw(raw) }
}

func (k *kit) consume(t testing.TB, batches ...ptrace.Traces) {
	require.NoError(t, k.ConsumeTraces(context.Background(), join(batches...)))
}

func (k *kit) spansStatus() spansStatus {
	return spansStatus{
		Kept: k.counts.kept.Load(), Sure: k.counts.sure.Load(), Rescued: k.counts.rescued.Load(),
		SampledOut: map[string]int64{"fixed": k.counts.sampledOut[sample.Fixed].Load()},
		Refused:    k.counts.refused.Load(),
	}
}

func nopSettings() processor.Settings { return processortest.NewNopSettings(metadata.Type) }
