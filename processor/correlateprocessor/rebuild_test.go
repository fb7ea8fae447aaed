package correlateprocessor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/hub/hubtest"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/processor/correlateprocessor/internal/metadata"
)

// storing is a next consumer that stores into the hub's store.
type storing struct{ hub hub.Hub }

func (storing) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

func (s storing) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	return s.hub.Store().Write(ctx, td)
}

func TestRemembersAcrossRestarts(t *testing.T) {
	type world struct {
		id   component.ID
		host component.Host
		next consumer.Traces
	}
	viaHub := func() (world, func(*correlateProcessor)) {
		h := newHub()
		return world{hubtest.ID, hubtest.NewHost(h), storing{h}}, nil
	}
	viaStorage := func() (world, func(*correlateProcessor)) {
		m := newMemory()
		return world{memoryID, hubtest.Host{memoryID: m}, consumertest.NewNop()}, func(p *correlateProcessor) {
			time.Sleep(flushInterval)
			synctest.Wait()
			m.set(func() { p.journal.Load().client.(*memoryClient).dead = true })
		}
	}
	for name, begin := range map[string]func() (world, func(*correlateProcessor)){"hub": viaHub, "storage": viaStorage} {
		for _, killed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/killed=%v", name, killed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, kill := begin()
					cfg := ruled()
					cfg.Storage = &w.id
					p := started(t, cfg, w.next, w.host)
					consume(t, p, sent(1, "a"), received(4, "b"), sent(5, "c"))
					consume(t, p, received(6, "c"))
					if killed && kill != nil {
						kill(p)
					}
					if !killed || kill != nil {
						require.NoError(t, p.Shutdown(t.Context()))
					}

					p = started(t, cfg, w.next, w.host)
					require.Equal(t, []string{"1 -> 2"}, links(consume(t, p, received(2, "a"))))
					require.Equal(t, []string{"(3) -> 4"}, links(consume(t, p, sent(3, "b"))))
					require.Equal(t, []string{"5 -> 6"}, links(consume(t, p, received(6, "c"))), "a retry across the restart")
					require.Empty(t, links(consume(t, p, sent(5, "c"))), "and of the other half")
					require.NoError(t, p.Shutdown(t.Context()))

					// With another rule before it, under the rule's name still.
					cfg.Rules = append([]RuleConfig{ruleOf("another")}, cfg.Rules...)
					p = started(t, cfg, w.next, w.host)
					require.Equal(t, []string{"1 -> 7"}, links(consume(t, p, received(7, "a"))))
					require.NoError(t, p.Shutdown(t.Context()))

					// Without it, nothing is left of what it observed.
					cfg.Rules = cfg.Rules[:1]
					p = started(t, cfg, w.next, w.host)
					require.Zero(t, p.engine.Stats().Live.Causes)
					require.NoError(t, p.Shutdown(t.Context()))
				})
			})
		}
	}
}

func TestStorageKnowsWhoAsks(t *testing.T) {
	cfg := ruled()
	cfg.Storage = &memoryID
	m := newMemory()
	p := started(t, cfg, consumertest.NewNop(), hubtest.Host{memoryID: m})
	require.Equal(t, []string{"Processor correlate "}, m.asked)
	require.NoError(t, p.Shutdown(t.Context()))
	require.Zero(t, m.open)
}

// rebuilt starts a processor over the hub and returns the figures that it logs.
func rebuilt(t *testing.T, cfg *Config, h hub.Hub) (*correlateProcessor, map[string]any) {
	core, logs := observer.New(zap.InfoLevel)
	set := processortest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	cfg.Storage = &hubtest.ID
	p := create(t, cfg, storing{h}, set)
	require.NoError(t, p.Start(t.Context(), hubtest.NewHost(h)))
	lines := logs.FilterMessage("What is remembered is rebuilt from the store").All()
	require.Len(t, lines, 1)
	figures := lines[0].ContextMap()
	require.Contains(t, figures, "took")
	delete(figures, "took")
	return p, figures
}

func TestRebuildsTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub()
		cfg := ruled()
		write := func(m message) { require.NoError(t, h.Store().Write(t.Context(), traces(m))) }
		write(sent(1, "old"))
		time.Sleep(time.Nanosecond)
		write(sent(2, "a"))
		time.Sleep(cfg.Window)
		write(sent(3, "b"))

		p, figures := rebuilt(t, cfg, h)
		require.Equal(t, map[string]any{"observations": int64(2), "older_left_out": int64(0)}, figures)
		require.Equal(t, []string{"2 -> 5", "3 -> 6"}, links(consume(t, p, received(4, "old"), received(5, "a"), received(6, "b"))))
		require.NoError(t, p.Shutdown(t.Context()))
	})
}

// What came at different times is forgotten at different times, and nothing is
// remembered longer than the window because the clock was set back.
func TestRebuildsWithTheTimesOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := ruled()
		p, figures := rebuilt(t, cfg, yields(
			stored(sent(1, "future"), -time.Hour),
			stored(sent(2, "early"), cfg.Window-time.Minute),
			stored(sent(3, "now"), 0),
			stored(sent(4, "outside"), cfg.Window+time.Nanosecond)))
		require.Equal(t, map[string]any{"observations": int64(3), "older_left_out": int64(0)}, figures)
		require.Equal(t, []string{"2 -> 6"}, links(consume(t, p, received(5, "outside"), received(6, "early"))))
		time.Sleep(2 * time.Minute)
		require.Equal(t, []string{"3 -> 8", "1 -> 9"}, links(consume(t, p, received(7, "early"), received(8, "now"), received(9, "future"))))
		time.Sleep(cfg.Window)
		require.Empty(t, links(consume(t, p, received(10, "now"), received(11, "future"))))
		require.NoError(t, p.Shutdown(t.Context()))
	})
}

// scanned is a store whose Scan yields spans, whatever was written to it.
type scanned struct {
	store.Store
	spans func(yield func(store.Span, error) bool)
}

func (s scanned) Scan(context.Context, store.ScanOptions) iter.Seq2[store.Span, error] {
	return s.spans
}

// stored encodes messages that came age ago, each with its own.
func stored(m message, age time.Duration) store.Span {
	return storetest.Split(traces(m))[0].Encode(time.Now().Add(-age).UnixNano())
}

func yields(spans ...store.Span) hub.Hub {
	return hubtest.NewHub(scanned{Store: storetest.NewModel(time.Now), spans: func(yield func(store.Span, error) bool) {
		for _, span := range spans {
			if !yield(span, nil) {
				return
			}
		}
	}})
}

func TestRebuildsTheNewestThatFits(t *testing.T) {
	const head, block = 100, 3 * decodeTogether
	var spans []store.Span
	for i := range head { // in the order of arrival
		spans = append(spans, stored(sent(1, fmt.Sprint("head", i)), time.Minute-time.Duration(i)*time.Millisecond))
	}
	for i := range block {
		spans = append(spans, stored(sent(2, fmt.Sprint("block", i)), 2*time.Minute))
	}
	for _, c := range []struct {
		name   string
		change func(*Config)
		least  int
	}{
		{"entries", func(c *Config) { c.MaxEntries = 80 }, 40},
		{"bytes", func(c *Config) { c.MaxBytes = 4 * 10_000 }, 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := ruled()
			c.change(cfg)
			r := recollection{maxEntries: cfg.MaxEntries, maxBytes: int(cfg.MaxBytes) / 4}
			p := create(t, cfg, consumertest.NewNop())
			require.NoError(t, p.read(t.Context(), yields(spans...).Store(), 0, &r))
			r.sort()
			require.Equal(t, head+block, len(r.kept)+r.dropped)
			require.GreaterOrEqual(t, len(r.kept), c.least)
			require.LessOrEqual(t, r.entries, cfg.MaxEntries*5/4)
			require.LessOrEqual(t, r.bytes, int(cfg.MaxBytes)/4)
			for i, k := range r.kept {
				require.Equal(t, spans[head-len(r.kept)+i].Received, k.received, "the newest")
			}
			require.NoError(t, p.Shutdown(t.Context()))
		})
	}
}

func TestRebuildsWithNothingThatFits(t *testing.T) {
	cfg := ruled()
	cfg.MaxEntries = 1
	_, figures := rebuilt(t, cfg, yields(stored(sent(1, "a"), time.Second), stored(sent(2, "b"), time.Minute)))
	require.Equal(t, map[string]any{"observations": int64(0), "older_left_out": int64(2)}, figures)
}

// A stored span does not say whether it inherited. What follows in its trace
// goes on as before.
func TestInheritsAcrossARestart(t *testing.T) {
	h := newHub()
	p, _ := rebuilt(t, ruled(), h)
	cause := traces(sent(9, "a"))
	cause.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr("scope.correlation.id", "order-7")
	require.NoError(t, p.ConsumeTraces(t.Context(), cause))
	consume(t, p, received(2, "a"))
	require.NoError(t, p.Shutdown(t.Context()))

	later := func() ptrace.Span {
		td := traces(message{trace: 2, id: "none"})
		span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		span.SetSpanID(pcommon.SpanID{1})
		span.SetParentSpanID(pcommon.SpanID{7: 2})
		require.NoError(t, p.ConsumeTraces(t.Context(), td))
		return span
	}
	p, _ = rebuilt(t, ruled(), h)
	for _, span := range []ptrace.Span{later(), consume(t, p, received(2, "a")).ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)} {
		require.Equal(t, "ot=rv:00000000000009", span.TraceState().AsRaw())
		group, _ := span.Attributes().Get("scope.correlation.id")
		require.Equal(t, "order-7", group.AsString())
	}
	require.NoError(t, p.Shutdown(t.Context()))

	// Nothing is inherited along a link that was not sure, nor is it then.
	unsure := ruled()
	unsure.Rules[0].Confidence = 0.7
	h = newHub()
	for range 2 {
		p, _ = rebuilt(t, unsure, h)
		require.NoError(t, p.ConsumeTraces(t.Context(), cause))
		require.Equal(t, []string{"9 -> 2"}, links(consume(t, p, received(2, "a"))))
		require.Empty(t, later().TraceState().AsRaw())
		require.NoError(t, p.Shutdown(t.Context()))
	}

	// A threshold is the trace's own.
	h = newHub()
	own := received(2, "a")
	own.state = "ot=th:8"
	p, _ = rebuilt(t, ruled(), h)
	consume(t, p, sent(9, "a"), own)
	require.NoError(t, p.Shutdown(t.Context()))
	p, _ = rebuilt(t, ruled(), h)
	require.Empty(t, later().TraceState().AsRaw())
	require.NoError(t, p.Shutdown(t.Context()))
}

func TestStoreThatCannotBeRead(t *testing.T) {
	torn := errors.New("torn")
	broken := stored(sent(1, "a"), 0)
	broken.Bytes = []byte{0xff}
	several := make([]store.Span, 2*decodeTogether)
	for i := range several {
		several[i] = broken
	}
	for name, c := range map[string]struct {
		hub  hub.Hub
		want string
	}{
		"scan": {hubtest.NewHub(scanned{Store: storetest.NewModel(time.Now), spans: func(yield func(store.Span, error) bool) { yield(store.Span{}, torn) }}), "torn"},
		"span": {yields(broken), "stored span: "},
		"more": {yields(several...), "stored span: "},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := ruled()
			cfg.Storage = &hubtest.ID
			p := create(t, cfg, consumertest.NewNop())
			require.ErrorContains(t, p.Start(t.Context(), hubtest.NewHost(c.hub)),
				`storage: extension "scope_query": cannot rebuild what was remembered from its store: `+c.want)
			require.Empty(t, c.hub.(*hubtest.Hub).Status())
			require.NoError(t, p.Shutdown(t.Context()))
		})
	}
}

func TestRebuildEndsWithItsContext(t *testing.T) {
	cfg := ruled()
	cfg.Storage = &hubtest.ID
	p := create(t, cfg, consumertest.NewNop())
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, p.Start(ctx, hubtest.NewHost(hubtest.NewHub(scanned{Store: storetest.NewModel(time.Now), spans: func(yield func(store.Span, error) bool) {
		yield(stored(sent(1, "a"), time.Second), nil)
		cancel()
	}}))), context.Canceled)
	require.Zero(t, p.engine.Stats().Entries)
	require.NoError(t, p.Shutdown(t.Context()))
}
