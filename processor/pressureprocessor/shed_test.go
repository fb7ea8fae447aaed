package pressureprocessor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/hub/hubtest"
)

func TestKeptSpansSayHowManyTheyStandFor(t *testing.T) {
	k := newKit(t, 0.5, nil)
	k.consume(t,
		one("plain", 0.75),
		one("out", 0.25),
		one("rv in", 0.25, state("ot=rv:c0000000000000")),
		one("rv out", 0.75, state("ot=rv:10000000000000")),
		one("higher", 0.9, state("ot=th:c")),
		one("lower", 0.9, state("ot=th:4")),
		one("contradicted", 0.6, state("ot=th:c")),
		one("others", 0.9, state("a=1,ot=x:y,b=2")),
		one("no tracestate", 0.9, state("=,=")),
	)
	got := k.next.spans()
	for name, want := range map[string]string{
		"plain":         "ot=th:8",
		"rv in":         "ot=rv:c0000000000000;th:8",
		"higher":        "ot=th:c",
		"lower":         "ot=th:8",
		"contradicted":  "ot=th:8",
		"others":        "ot=th:8;x:y,a=1,b=2",
		"no tracestate": "ot=th:8",
	} {
		require.Contains(t, got, name)
		require.Equal(t, want, got[name].TraceState().AsRaw(), name)
	}
	require.Len(t, got, 7)
	require.Equal(t, spansStatus{Kept: 7, SampledOut: map[string]int64{"fixed": 2}}, k.spansStatus())
}

func TestNothingIsWrittenWhereNothingIsShed(t *testing.T) {
	k := newKit(t, 1, nil)
	k.consume(t, one("a", 0), one("b", 0.5, state("ot=th:0")), one("c", 0.5, state("=,")))
	got := k.next.spans()
	require.Empty(t, got["a"].TraceState().AsRaw())
	require.Equal(t, "ot=th:0", got["b"].TraceState().AsRaw())
	require.Equal(t, "=,", got["c"].TraceState().AsRaw())
}

func TestABatchOfWhichNothingIsKeptGoesNoFurther(t *testing.T) {
	k := newKit(t, 0.5, nil)
	k.next.fail(errors.New("nobody should call"))
	k.consume(t, one("a", 0.1), one("b", 0.2))
	require.Equal(t, spansStatus{SampledOut: map[string]int64{"fixed": 2}}, k.spansStatus())
	k.consume(t)
}

func TestWhatLedToAFailureIsRescued(t *testing.T) {
	k := newKit(t, 0.5, nil)
	k.consume(t, one("cause", 0.1, state("ot=th:0;x:1"), having("k", "v")), one("other chain", 0.2))
	k.consume(t, one("kept", 0.9))
	require.Equal(t, []string{"kept"}, k.next.names())

	k.consume(t, one("effect", 0.1), one("failure", 0.1, failed))
	td := k.next.got[0]
	require.Equal(t, 3, td.ResourceSpans().Len())
	rescued := td.ResourceSpans().At(2)
	require.Equal(t, "https://example.com/resource", rescued.SchemaUrl())
	require.Equal(t, map[string]any{"service.name": "shop"}, rescued.Resource().Attributes().AsRaw())
	require.Equal(t, "https://example.com/scope", rescued.ScopeSpans().At(0).SchemaUrl())
	require.Equal(t, "lib", rescued.ScopeSpans().At(0).Scope().Name())

	got := k.next.spans()
	require.Len(t, got, 3)
	require.Equal(t, map[string]any{"k": "v", causal.AttrSamplingRescued: true}, got["cause"].Attributes().AsRaw())
	require.Equal(t, "ot=x:1", got["cause"].TraceState().AsRaw(), "it stands for nothing")
	require.Empty(t, got["effect"].Attributes().AsRaw())
	require.Empty(t, got["effect"].TraceState().AsRaw(), "it counts as one")
	require.Empty(t, got["failure"].TraceState().AsRaw())

	k.consume(t, one("later", 0.1))
	require.Equal(t, []string{"later"}, k.next.names(), "the chain is kept from now on, and nothing is rescued twice")
	require.Equal(t, spansStatus{Kept: 1, Sure: 3, Rescued: 1, SampledOut: map[string]int64{"fixed": 2}}, k.spansStatus())
}

// The same with a file, which leaves nothing behind.
func TestRescueFromAFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	p := newTestProcessor(t, func(c *Config) { c.Rescue.Directory = dir }, new(sink))
	require.NoError(t, p.openRescue())
	k := &kit{p, p.next.(*sink)}
	s := k.newShedding()
	s.sampler.Fix(0.5)
	k.now.Store(s)
	k.consume(t, one("cause", 0.1), one("other chain", 0.2))
	k.consume(t, one("failure", 0.1, failed))
	require.Equal(t, []string{"cause", "failure"}, k.next.names())
	require.Positive(t, s.rescue.Figures(time.Now()).Bytes)

	require.NoError(t, k.held.Close())
	k.consume(t, one("out", 0.3))
	require.EqualValues(t, 1, k.counts.lostHold.Load(), "counted, and nobody else is told")
	k.consume(t, one("failure 2", 0.2, failed))
	require.Equal(t, []string{"failure 2"}, k.next.names(), "what is here goes on")
	require.Error(t, k.closeRescue())
	require.NoError(t, k.closeRescue())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestAFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	p := newTestProcessor(t, func(c *Config) { c.Rescue.Directory = file }, new(sink))
	err := p.Start(context.Background(), hubtest.NewHost(hubtest.NewHub(nil)))
	require.ErrorContains(t, err, fmt.Sprintf("rescue::directory: cannot make a file in %q", file))
	require.NoError(t, p.Shutdown(context.Background()))
}

func TestHighPriorityIsKept(t *testing.T) {
	k := newKit(t, 0.5, nil)
	k.consume(t, one("a", 0.1, having("scope.priority", "high")), one("b", 0.2, having("scope.priority", "low")))
	require.Equal(t, []string{"a"}, k.next.names())
}

func TestWithoutARescueOnlyWhatIsLeftSurvives(t *testing.T) {
	k := newKit(t, 0.5, func(c *Config) { c.Rescue.MaxBytes = 0 })
	k.consume(t, one("cause", 0.1))
	k.consume(t, one("failure", 0.1, failed))
	require.Equal(t, []string{"failure"}, k.next.names())
}

func TestOpenCallsAreNotCountedNorHeld(t *testing.T) {
	k := newKit(t, 0.5, nil)
	open := having(causal.AttrCallState, causal.CallOpen)
	k.consume(t, one("open out", 0.1, open), one("open in", 0.9, open))
	k.consume(t, one("returned", 0.1), one("failure", 0.1, failed), one("open sure", 0.1, open))
	require.Equal(t, []string{"failure", "open in", "open sure", "returned"}, k.next.names())
	require.Equal(t, spansStatus{Sure: 2, SampledOut: map[string]int64{"fixed": 0}}, k.spansStatus())
}

// TestABatchThatFailsHasChangedNothing: it is not counted, its spans are not
// held, and what it would have rescued is still there when it comes again.
func TestABatchThatFailsHasChangedNothing(t *testing.T) {
	k := newKit(t, 0.5, nil)
	k.consume(t, one("cause", 0.1))
	before := k.spansStatus()
	again := func() ptrace.Traces {
		return join(one("failure", 0.1, failed), one("out", 0.2), one("in", 0.8))
	}
	down := errors.New("down")
	k.next.fail(down)
	for range 3 {
		require.ErrorIs(t, k.ConsumeTraces(context.Background(), again()), down)
	}
	require.Equal(t, before, k.spansStatus())
	k.next.fail(nil)
	k.consume(t, again())
	require.Equal(t, []string{"cause", "failure", "in"}, k.next.names())
	k.consume(t, one("late failure", 0.2, failed))
	require.Equal(t, []string{"late failure", "out"}, k.next.names(), "held once")
}

func TestAConditionThatCannotBeEvaluatedIsNotMet(t *testing.T) {
	k := newKit(t, 0.5, func(c *Config) { c.Keep = []string{`ParseJSON(name) == nil`, `name == "kept"`} })
	k.consume(t, one("kept", 0.1), one("out", 0.1+1e-9))
	require.Equal(t, []string{"kept"}, k.next.names())
	require.EqualValues(t, 2, k.counts.conditionErrors.Load())
}

func TestAConditionThatCannotBeCompiled(t *testing.T) {
	cfg := createDefaultConfig().(*Config)
	cfg.Keep = []string{`status.code = 2`}
	_, err := createTraces(context.Background(), nopSettings(), cfg, new(sink))
	require.ErrorContains(t, err, `keep[0]: "status.code = 2" is no OTTL condition on spans: `)
}

func TestKeys(t *testing.T) {
	td := one("pay", 0.1, having("tier", "gold"), having("service.name", "the span's own"))
	resource := td.ResourceSpans().At(0).Resource().Attributes()
	span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	require.Equal(t, "shop / pay / gold / Unspecified / ", labelOf([]string{"service.name", "span.name", "tier", "span.kind", "none"}, resource, span))
	require.NotEqual(t, rootOf([]string{"service.name", "none"}, resource, span), rootOf([]string{"none", "service.name"}, resource, span))

	span.SetName("\xff" + string(make([]byte, 500)))
	label := labelOf([]string{"span.name"}, resource, span)
	require.LessOrEqual(t, len(label), maxLabel+len("…"))
}

// TestEverySpanHasOneFate: of all spans that came in batches of any kind, each
// is handed on once at the most, and the counts say how many were not.
func TestEverySpanHasOneFate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		k := newKit(t, rapid.Float64Range(0.01, 1).Draw(rt, "ratio"), nil)
		sent, came, names := 0, 0, 0
		chains := rapid.SliceOfN(rapid.Float64Range(0, 0.999), 1, 5).Draw(rt, "chains")
		for range rapid.IntRange(1, 12).Draw(rt, "batches") {
			k.next.fail(nil)
			if rapid.IntRange(0, 3).Draw(rt, "down") == 0 {
				k.next.fail(errors.New("down"))
			}
			var batches []ptrace.Traces
			for range rapid.IntRange(0, 6).Draw(rt, "spans") {
				names++
				var change []func(ptrace.Span)
				if rapid.IntRange(0, 5).Draw(rt, "fails") == 0 {
					change = append(change, failed)
				}
				batches = append(batches, one(fmt.Sprint(names), rapid.SampledFrom(chains).Draw(rt, "chain"), change...))
			}
			if k.ConsumeTraces(context.Background(), join(batches...)) == nil {
				sent += len(batches)
			}
		}
		came = len(k.next.spans()) // panics where one came twice
		s := k.spansStatus()
		require.EqualValues(rt, sent, s.Kept+s.Sure+s.SampledOut["fixed"])
		require.EqualValues(rt, came, s.Kept+s.Sure+s.Rescued)
	})
}
