package queryextension

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/extension/queryextension/internal/metadata"
	"github.com/otelscope/otelscope/extension/queryextension/internal/metadatatest"
	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// kept is a server whose store says how often it was read.
type kept struct {
	*client
	store     *faulty
	telemetry *componenttest.Telemetry
	dropped   atomic.Int64
}

func keeping(t *testing.T, s *faulty, change ...func(*Config)) *kept {
	k := &kept{store: s, telemetry: componenttest.NewTelemetry()}
	t.Cleanup(func() { require.NoError(t, k.telemetry.Shutdown(context.WithoutCancel(t.Context()))) })
	s.stats = func() store.Stats { return store.Stats{DroppedBlocks: k.dropped.Load()} }
	set := extensiontest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = k.telemetry.NewTelemetrySettings()
	k.client = servingWith(t, s, set, change...)
	return k
}

// write writes as the exporter does.
func (k *kept) write(t *testing.T, td ptrace.Traces) {
	require.NoError(t, k.extension.Store().Write(t.Context(), td))
}

// lookups checks how many answers were kept, and not, so far.
func (k *kept) lookups(t *testing.T, hits, misses int64) {
	t.Helper()
	var points []metricdata.DataPoint[int64]
	for result, n := range map[string]int64{"hit": hits, "miss": misses} {
		if n > 0 {
			points = append(points, metricdata.DataPoint[int64]{Value: n, Attributes: attribute.NewSet(attribute.String("result", result))})
		}
	}
	metadatatest.AssertEqualScopeQueryCacheLookups(t, k.telemetry, points, metricdatatest.IgnoreTimestamp())
}

func TestHotAnswers(t *testing.T) {
	k := keeping(t, shop(t))
	trace := "/api/v1/traces/" + storetest.TraceID(3).String()
	calls := []string{
		pathOf(1, 1) + "?direction=causes", trace, pathOf(3, 4), pathOf(3, 4) + "?direction=causes", "/api/v1/events/hear/chain?depth=1",
		"/api/v1/graph?event=hear&format=svg", "/api/v1/graph?event=hear&format=dot",
	}
	var first []answer
	for _, path := range calls {
		first = append(first, k.get(t, path))
		require.Equal(t, http.StatusOK, first[len(first)-1].status)
	}
	k.lookups(t, 0, 7)
	again := func(hits, misses int64) {
		t.Helper()
		for i, path := range calls {
			got := k.get(t, path)
			require.Equal(t, string(first[i].body), string(got.body), path)
			for _, header := range []string{"Content-Type", "Content-Security-Policy", "X-Content-Type-Options"} {
				require.Equal(t, first[i].header.Get(header), got.header.Get(header))
			}
		}
		k.lookups(t, hits, misses)
	}
	again(7, 7)
	k.write(t, native("shop", "n1", "elsewhere", func(s ptrace.Span) { s.SetTraceID(storetest.TraceID(8)) }))
	again(14, 7)
	k.write(t, step{trace: 3, span: 6, parent: 4, event: "told", start: 400}.traces())
	for _, path := range calls {
		k.get(t, path)
	}
	k.lookups(t, 15, 13) // what led to the first one is not concerned
}

// TestHotAnswersMissNothing: whatever is written, in whatever pieces, answers
// are those of a server that keeps none.
func TestHotAnswersMissNothing(t *testing.T) {
	s := newFaulty()
	var dropped atomic.Int64
	s.stats = func() store.Stats { return store.Stats{DroppedBlocks: dropped.Load()} }
	s.close = func(context.Context) error { return nil } // there are two of them
	lose := func() {
		s.Model = storetest.NewModel(time.Now)
		dropped.Add(1)
	}
	hot := serving(t, s)
	cold := serving(t, s, func(cfg *Config) { cfg.Query.CacheBytes = 0 })
	rapid.Check(t, func(rt *rapid.T) {
		lose()
		id := rapid.Uint64Range(1, 4)
		rt.Repeat(map[string]func(*rapid.T){
			"write": func(rt *rapid.T) {
				td := step{
					trace: 1 + id.Draw(rt, "trace")%2, span: id.Draw(rt, "span"), parent: rapid.Uint64Range(0, 4).Draw(rt, "parent"),
					start: id.Draw(rt, "start"), event: fmt.Sprint("e", id.Draw(rt, "event")),
					links: []linked{{1 + id.Draw(rt, "to")%2, id.Draw(rt, "linked"), causal.MessageFlow, 1, rapid.Bool().Draw(rt, "effect")}},
				}.traces()
				if rapid.Bool().Draw(rt, "open") {
					td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr(causal.AttrCallState, causal.CallOpen)
				}
				require.NoError(rt, hot.extension.Store().Write(t.Context(), td))
			},
			"lose": func(rt *rapid.T) {
				if rapid.IntRange(0, 3).Draw(rt, "really") == 0 {
					lose()
				}
			},
			"": func(rt *rapid.T) {
				path := rapid.SampledFrom([]string{
					"/api/v1/traces/" + storetest.TraceID(1).String(), pathOf(1, 2), pathOf(2, 1) + "?depth=1", pathOf(2, 3) + "?direction=effects&limit=2",
					"/api/v1/events/e1/chain", "/api/v1/graph?event=e2&format=mermaid",
				}).Draw(rt, "path")
				want, got := cold.get(t, path), hot.get(t, path)
				require.Equal(rt, want.status, got.status, path)
				require.Equal(rt, string(want.body), string(got.body), path)
			},
		})
	})
}

// TestHotAnswersMindWhatTheyLeftOut: a span beyond the limit is no node, and
// what completes it may name no node any more.
func TestHotAnswersMindWhatTheyLeftOut(t *testing.T) {
	k := keeping(t, shop(t))
	k.write(t, step{trace: 7, span: 3, event: "first", start: 1, links: []linked{{7, 2, causal.MessageFlow, 1, true}}}.traces())
	open := step{trace: 7, span: 1, parent: 2, event: "last", start: 2}.traces()
	open.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr(causal.AttrCallState, causal.CallOpen)
	k.write(t, open)
	for _, query := range []string{"?direction=effects&limit=2", "?direction=effects&depth=1", "?direction=effects&types=message_flow"} {
		k.get(t, pathOf(7, 3)+query)
	}
	require.Contains(t, string(k.get(t, pathOf(7, 3)+"?direction=effects&limit=2").body), `"truncated":true`)
	require.Contains(t, string(k.get(t, pathOf(7, 3)+"?direction=effects&depth=1").body), `"truncated":true`)
	k.lookups(t, 2, 3)
	k.write(t, step{trace: 7, span: 1, event: "last", start: 2}.traces())
	require.Contains(t, string(k.get(t, pathOf(7, 3)+"?direction=effects&limit=2").body), `"truncated":false`)
	require.Contains(t, string(k.get(t, pathOf(7, 3)+"?direction=effects&depth=1").body), `"truncated":false`)
	k.get(t, pathOf(7, 3)+"?direction=effects&types=message_flow")
	k.lookups(t, 2, 6)
}

// TestHotAnswersKnowWhatTheyDependOn, or are not kept.
func TestHotAnswersKnowWhatTheyDependOn(t *testing.T) {
	k := keeping(t, shop(t))
	k.store.causing = func(ctx context.Context, refs []causal.SpanRef, limit int) ([]store.Span, bool, error) {
		spans, _, err := k.store.Model.Causing(ctx, refs, limit)
		return spans, true, err
	}
	for range 2 {
		require.Contains(t, string(k.get(t, pathOf(1, 1)+"?direction=causes").body), `"truncated":true`)
	}
	k.lookups(t, 0, 2)
}

func TestDroppedBlocksTakeHotAnswersAlong(t *testing.T) {
	k := keeping(t, shop(t))
	trace := "/api/v1/traces/" + storetest.TraceID(3).String()
	require.Equal(t, http.StatusOK, k.get(t, trace).status)
	k.store.trace = func(context.Context, pcommon.TraceID) ([]store.Span, error) { return nil, nil }
	k.dropped.Add(1)
	k.get(t, trace).problem(t, http.StatusNotFound)

	// Here they are dropped while the answer is made.
	k.store.trace = func(ctx context.Context, id pcommon.TraceID) ([]store.Span, error) {
		k.dropped.Add(1)
		return k.store.Model.Trace(ctx, id)
	}
	require.Equal(t, http.StatusOK, k.get(t, trace).status)
	require.Equal(t, http.StatusOK, k.get(t, trace).status)
	k.lookups(t, 0, 4)
}

// TestWritesThatFailLeaveNothingHot: some of what failed may be stored later.
func TestWritesThatFailLeaveNothingHot(t *testing.T) {
	k := keeping(t, shop(t))
	trace := "/api/v1/traces/" + storetest.TraceID(3).String()
	k.get(t, trace)
	k.store.write = func(context.Context, ptrace.Traces) error { return &store.InvalidError{Reason: "too large"} }
	require.Error(t, k.extension.Store().Write(t.Context(), ptrace.NewTraces()))
	k.get(t, trace)
	k.lookups(t, 1, 1)
	k.store.write = func(context.Context, ptrace.Traces) error { return context.Canceled }
	require.Error(t, k.extension.Store().Write(t.Context(), ptrace.NewTraces()))
	k.get(t, trace)
	k.get(t, trace)
	k.lookups(t, 1, 3)
	k.store.write = nil
	k.write(t, ptrace.NewTraces())
	k.get(t, trace)
	k.get(t, trace)
	k.lookups(t, 2, 4)
}

// TestFailuresAreNotKept: nor do they hold up what comes after them.
func TestFailuresAreNotKept(t *testing.T) {
	k := keeping(t, shop(t))
	trace := "/api/v1/traces/" + storetest.TraceID(3).String()
	k.store.trace = func(context.Context, pcommon.TraceID) ([]store.Span, error) { return nil, errors.New("bad checksum") }
	k.get(t, trace).problem(t, http.StatusInternalServerError)
	k.store.trace = nil
	require.Equal(t, http.StatusOK, k.get(t, trace).status)
	k.lookups(t, 0, 2)
}

func TestNoCache(t *testing.T) {
	k := keeping(t, shop(t), func(cfg *Config) { cfg.Query.CacheBytes = 0 })
	require.Equal(t, http.StatusOK, k.get(t, pathOf(3, 4)).status)
	k.write(t, ptrace.NewTraces())
	_, err := k.telemetry.GetMetric("otelcol_scope_query_cache_lookups")
	require.Error(t, err)
}
