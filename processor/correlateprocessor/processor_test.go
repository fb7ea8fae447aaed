package correlateprocessor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/correlate"
	"github.com/otelscope/otelscope/internal/hub/hubtest"
	"github.com/otelscope/otelscope/processor/correlateprocessor/internal/metadata"
	"github.com/otelscope/otelscope/processor/correlateprocessor/internal/metadatatest"
)

func newLifecycleHost() component.Host { return hubtest.NewHost(newHub()) }

// message is one half of a message in a trace of its own.
type message struct {
	trace byte
	kind  ptrace.SpanKind
	id    string
	state string // tracestate
}

func traces(messages ...message) ptrace.Traces {
	td := ptrace.NewTraces()
	for _, m := range messages {
		resource := td.ResourceSpans().AppendEmpty()
		resource.Resource().Attributes().PutStr("service.name", "shop")
		span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID{15: m.trace})
		span.SetSpanID(pcommon.SpanID{7: m.trace})
		span.SetName(fmt.Sprintf("message %s", m.id))
		span.SetKind(m.kind)
		span.TraceState().FromRaw(m.state)
		span.Attributes().PutStr("invoice.id", m.id)
	}
	return td
}

func sent(trace byte, id string) message {
	return message{trace: trace, kind: ptrace.SpanKindProducer, id: id}
}

func received(trace byte, id string) message {
	return message{trace: trace, kind: ptrace.SpanKindConsumer, id: id}
}

// ruled is a configuration with the rule invoice alone.
func ruled() *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.Builtin = nil
	r := ruleOf("invoice")
	r.Cause.Key, r.Effect.Key = []string{"invoice.id"}, []string{"invoice.id"}
	cfg.Rules = []RuleConfig{r}
	return cfg
}

func create(t *testing.T, cfg *Config, next consumer.Traces, set ...processor.Settings) *correlateProcessor {
	set = append(set, processortest.NewNopSettings(metadata.Type))
	set[0].ID = component.NewID(metadata.Type)
	p, err := NewFactory().CreateTraces(t.Context(), set[0], cfg, next)
	require.NoError(t, err)
	return p.(*correlateProcessor)
}

func started(t *testing.T, cfg *Config, next consumer.Traces, host component.Host) *correlateProcessor {
	p := create(t, cfg, next)
	require.NoError(t, p.Start(t.Context(), host))
	return p
}

// links says which links the spans of a batch have: "1 -> 2" on the effect,
// "(1) -> 2" on the cause.
func links(td ptrace.Traces) (found []string) {
	for _, resource := range td.ResourceSpans().All() {
		span := resource.ScopeSpans().At(0).Spans().At(0)
		for _, l := range span.Links().All() {
			this, other := span.TraceID()[15], l.TraceID()[15]
			if roleOf(l) == "cause" {
				found = append(found, fmt.Sprintf("%d -> %d", other, this))
			} else {
				found = append(found, fmt.Sprintf("(%d) -> %d", this, other))
			}
		}
	}
	return found
}

func consume(t *testing.T, p *correlateProcessor, messages ...message) ptrace.Traces {
	td := traces(messages...)
	require.NoError(t, p.ConsumeTraces(t.Context(), td))
	return td
}

func TestLinksWhatBelongsTogether(t *testing.T) {
	next := new(consumertest.TracesSink)
	p := started(t, ruled(), next, componenttest.NewNopHost())
	require.True(t, p.Capabilities().MutatesData)

	require.Empty(t, links(consume(t, p, sent(1, "a"))))
	td := consume(t, p, received(2, "a"))
	require.Equal(t, []string{"1 -> 2"}, links(td))
	require.Equal(t, td, next.AllTraces()[1])
	require.Equal(t, []map[string]any{{
		"scope.link.type": "message_flow", "scope.link.confidence": 1.0, "scope.link.rule": "invoice",
	}}, attributesOf(td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)))

	require.Equal(t, []string{"1 -> 2"}, links(consume(t, p, received(2, "a"))), "sent again, found again")
	require.Empty(t, links(consume(t, p, sent(1, "a"))), "the one that came first carries nothing")

	require.Empty(t, links(consume(t, p, received(4, "b"))))
	require.Equal(t, []string{"(3) -> 4"}, links(consume(t, p, sent(3, "b"))), "a cause that comes late")
	require.Equal(t, []string{"5 -> 6"}, links(consume(t, p, sent(5, "c"), received(6, "c"))), "in one batch")
	require.NoError(t, p.Shutdown(t.Context()))
}

func TestWhatIsNotConcernedIsNotTouched(t *testing.T) {
	p := started(t, ruled(), consumertest.NewNop(), componenttest.NewNopHost())
	td, want := traces(sent(1, "a"), received(2, "b")), traces(sent(1, "a"), received(2, "b"))
	require.NoError(t, p.ConsumeTraces(t.Context(), td))
	require.Equal(t, want, td)
	require.NoError(t, p.ConsumeTraces(t.Context(), ptrace.NewTraces()))
	require.NoError(t, p.Shutdown(t.Context()))
}

func TestInheritsFromTheCausalRoot(t *testing.T) {
	p := started(t, ruled(), consumertest.NewNop(), componenttest.NewNopHost())
	cause := traces(sent(9, "a"))
	cause.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr("scope.correlation.id", "order-7")
	require.NoError(t, p.ConsumeTraces(t.Context(), cause))

	effect := received(2, "a")
	effect.state = "vendor=1"
	span := consume(t, p, effect).ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	require.Equal(t, "ot=rv:00000000000009,vendor=1", span.TraceState().AsRaw())
	group, _ := span.Attributes().Get("scope.correlation.id")
	require.Equal(t, "order-7", group.AsString())
	require.NoError(t, p.Shutdown(t.Context()))
}

func TestHandsBackTheAnswer(t *testing.T) {
	refused := errors.New("full")
	p := create(t, createDefaultConfig().(*Config), consumertest.NewErr(refused))
	require.ErrorIs(t, p.ConsumeTraces(t.Context(), traces(sent(1, "a"))), refused)
	require.NoError(t, p.Shutdown(t.Context()))
}

func TestRuleThatCannotBeCompiledIsNamed(t *testing.T) {
	cfg := ruled()
	cfg.Rules[0].Effect.When = "nonsense =="
	_, err := NewFactory().CreateTraces(t.Context(), processortest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
	require.ErrorContains(t, err, `rules[0]::effect::when: "nonsense ==" of rule "invoice" is no OTTL condition on spans: `)
}

func TestKeyThatCannotBeReadIsNamed(t *testing.T) {
	cfg := ruled()
	cfg.Rules[0].Cause.Key = []string{"@nonsense"}
	_, err := NewFactory().CreateTraces(t.Context(), processortest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
	require.ErrorContains(t, err, `rules: rule "invoice": cause::key[0]: `)

	cfg = ruled()
	cfg.Builtin, cfg.Rules[0].Name = causal.Types, "messaging_id"
	_, err = NewFactory().CreateTraces(t.Context(), processortest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
	require.ErrorContains(t, err, `name: "messaging_id" is not allowed: must be another name: it is that of a built-in rule`)
}

// The rules that are used without being configured, on spans as SDKs send them.
func TestBuiltinRules(t *testing.T) {
	half := func(m message) ptrace.Traces {
		td := traces(m)
		attributes := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes()
		attributes.PutStr("messaging.system", "rabbitmq")
		attributes.PutStr("messaging.destination.name", "orders")
		attributes.PutStr("messaging.message.id", m.id)
		return td
	}
	for _, c := range []struct {
		builtin []causal.Type
		want    []string
	}{{causal.Types, []string{"1 -> 2"}}, {[]causal.Type{causal.ProcessSpawn}, nil}} {
		cfg := createDefaultConfig().(*Config)
		cfg.Builtin = c.builtin
		p := started(t, cfg, consumertest.NewNop(), componenttest.NewNopHost())
		require.NoError(t, p.ConsumeTraces(t.Context(), half(sent(1, "m"))))
		effect := half(received(2, "m"))
		require.NoError(t, p.ConsumeTraces(t.Context(), effect))
		require.Equal(t, c.want, links(effect))
		require.NoError(t, p.Shutdown(t.Context()))
	}
}

type stranger struct {
	component.StartFunc
	component.ShutdownFunc
}

func TestStorageMustBeThere(t *testing.T) {
	cfg := ruled()
	cfg.Storage = &memoryID
	p := create(t, cfg, consumertest.NewNop())
	require.EqualError(t, p.Start(t.Context(), componenttest.NewNopHost()),
		`storage: no extension "memory": is it listed under service.extensions?`)
	require.EqualError(t, p.Start(t.Context(), hubtest.Host{memoryID: stranger{}}),
		`storage: extension "memory" is neither a scope_query nor a storage extension`)

	m := newMemory()
	m.refuse = true
	require.EqualError(t, p.Start(t.Context(), hubtest.Host{memoryID: m}), `storage: extension "memory": the disk is full`)
	require.NoError(t, p.Shutdown(t.Context()))
}

// unreadable is a storage whose clients fail.
type unreadable struct{ *memory }

func (u unreadable) GetClient(ctx context.Context, kind component.Kind, id component.ID, name string) (c storage.Client, err error) {
	c, err = u.memory.GetClient(ctx, kind, id, name)
	u.refuse = true
	return c, err
}

func TestStateThatCannotBeRead(t *testing.T) {
	cfg := ruled()
	cfg.Storage = &memoryID
	p := create(t, cfg, consumertest.NewNop())
	m := newMemory()
	require.EqualError(t, p.Start(t.Context(), hubtest.Host{memoryID: unreadable{m}}),
		`storage: extension "memory": cannot read what was remembered: the disk is full`)
	require.Zero(t, m.open, "the client is closed")
	require.NoError(t, p.Shutdown(t.Context()))
}

func TestStatus(t *testing.T) {
	cfg := ruled()
	cfg.Storage = &hubtest.ID
	h := newHub()
	p := started(t, cfg, consumertest.NewNop(), hubtest.NewHost(h))
	consume(t, p, sent(1, "a"), received(2, "a"))
	figures := h.Status()[p.settings.ID]().(processorStatus)
	require.Equal(t, map[string]int64{"invoice": 1}, figures.Edges)
	require.Positive(t, figures.Memory.Entries)
	require.Equal(t, 1_000_000, figures.MaxEntries)
	require.NoError(t, p.Shutdown(t.Context()))
	require.Empty(t, h.Status())
}

// sum adds up the points of a metric; 0 where there are none.
func sum(t *testing.T, telemetry *componenttest.Telemetry, name string) (sum int64) {
	got, err := telemetry.GetMetric(name)
	if err != nil {
		return 0
	}
	var points []metricdata.DataPoint[int64]
	switch data := got.Data.(type) {
	case metricdata.Sum[int64]:
		points = data.DataPoints
	case metricdata.Gauge[int64]:
		points = data.DataPoints
	default:
		require.Fail(t, "unknown kind", name)
	}
	for _, point := range points {
		sum += point.Value
	}
	return sum
}

func TestMetrics(t *testing.T) {
	telemetry := componenttest.NewTelemetry()
	cfg := ruled()
	cfg.MaxLinksPerSpan = 1
	broken := ruleOf("broken")
	broken.Cause.When = `ParseJSON(name) == nil`
	cfg.Rules = append(cfg.Rules, broken)
	cfg.Storage = &memoryID
	p := create(t, cfg, consumertest.NewNop(), metadatatest.NewSettings(telemetry))
	require.NoError(t, p.Start(t.Context(), hubtest.Host{memoryID: newMemory()}))

	td := traces(sent(1, "a"), received(2, "a"), received(3, "a"))
	td.ResourceSpans().At(2).ScopeSpans().At(0).Spans().At(0).Links().AppendEmpty()
	require.NoError(t, p.ConsumeTraces(t.Context(), td))

	sum := func(name string) int64 { return sum(t, telemetry, name) }
	require.EqualValues(t, 2, sum("otelcol_scope_correlate_edges"))
	require.EqualValues(t, 1, sum("otelcol_scope_correlate_dropped_links"))
	require.EqualValues(t, 3, sum("otelcol_scope_correlate_condition_errors"))
	require.Positive(t, sum("otelcol_scope_correlate_entries"))
	require.Positive(t, sum("otelcol_scope_correlate_bytes"))
	require.Zero(t, sum("otelcol_scope_correlate_evicted_early"))
	require.Zero(t, sum("otelcol_scope_correlate_evicted_unmatched_causes"))
	require.Zero(t, sum("otelcol_scope_correlate_evicted_unmatched_effects"))
	require.NoError(t, p.journal.Load().stop(t.Context()))
	require.EqualValues(t, 1, sum("otelcol_scope_correlate_journal_flushes"))
	require.Equal(t, sum("otelcol_scope_correlate_journal_written"), sum("otelcol_scope_correlate_journal_bytes"))
	require.Positive(t, sum("otelcol_scope_correlate_journal_written"))
	p.journal.Store(nil)
	require.NoError(t, p.Shutdown(t.Context()))
	require.NoError(t, telemetry.Shutdown(t.Context()))
}

// Many workers at once: each message is linked once, on whichever half came
// last.
func TestManyWorkers(t *testing.T) {
	cfg := ruled()
	cfg.Storage = &memoryID
	next := new(consumertest.TracesSink)
	p := started(t, cfg, next, hubtest.Host{memoryID: newMemory()})
	const workers, messages = 8, 100
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range messages {
				half := ptrace.SpanKindProducer
				if w%2 == 1 {
					half = ptrace.SpanKindConsumer
				}
				n := uint64(w/2*messages+i)<<1 | uint64(w%2) + 1
				td := traces(message{kind: half, id: fmt.Sprintf("%d-%d", w/2, i)})
				span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
				var trace pcommon.TraceID
				binary.BigEndian.PutUint64(trace[:], n)
				span.SetTraceID(trace)
				span.SetSpanID(pcommon.SpanID(trace[:8]))
				if err := p.ConsumeTraces(t.Context(), td); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	found := 0
	for _, td := range next.AllTraces() {
		found += td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Links().Len()
	}
	require.Equal(t, workers/2*messages, found)
	require.NoError(t, p.Shutdown(t.Context()))
}

type panics struct{}

func (panics) Extract(ptrace.Traces) []correlate.Observation { panic("a bug") }

func TestPanicLeavesNothingBehind(t *testing.T) {
	next := new(consumertest.TracesSink)
	p := started(t, ruled(), next, componenttest.NewNopHost())
	consume(t, p, sent(1, "a"))
	w := p.works.Get().(*work)
	w.extractor = panics{}
	fresh := p.works.New
	p.works = sync.Pool{New: func() any { p.works.New = fresh; return w }}
	require.Panics(t, func() { _ = p.ConsumeTraces(t.Context(), traces(received(2, "a"))) })
	require.Equal(t, []string{"1 -> 2"}, links(consume(t, p, received(2, "a"))))
	require.NoError(t, p.Shutdown(t.Context()))
}
