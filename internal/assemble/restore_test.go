package assemble

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

func parse(t *testing.T, lines ...string) (events []*event.Event) {
	for _, line := range lines {
		ev, err := parseEvent(line)
		require.NoError(t, err)
		events = append(events, ev)
	}
	return events
}

// Spans of other origin are passed over, whatever they bear.
func TestRestoreKnowsItsOwn(t *testing.T) {
	s := newStage(testConfig())
	s.run(parse(t, "mark p a id=1 @1")...)
	own := s.store.versions()[0]
	key, ok := RestoreKey(own.resource, own.span)
	require.True(t, ok)
	require.Equal(t, PartitionKey("s", "n", "p"), key)

	a := New(testConfig())
	for _, lacks := range []string{causal.AttrEventID, causal.AttrEventKind, causal.AttrProcessID, causal.AttrEventSeq} {
		span := ptrace.NewSpan()
		own.span.CopyTo(span)
		span.Attributes().Remove(lacks)
		a.Restore(own.resource, span, 1)
		span.Attributes().PutEmptySlice(lacks)
		a.Restore(own.resource, span, 1)
	}
	a.Restore(pcommon.NewMap(), ptrace.NewSpan(), 1)
	a.FinishRestore(1)
	require.Equal(t, Stats{}, a.Stats())
	_, ok = RestoreKey(pcommon.NewMap(), ptrace.NewSpan())
	require.False(t, ok)
}

// restored hands what is stored to an assembler, but for the events named.
func (s *stage) restored(cfg Config, without ...string) *stage {
	r := newStage(cfg)
	r.store, r.now = s.store, s.now
	for _, v := range s.store.versions() {
		lost := false
		for _, id := range without {
			lost = lost || str(v.span.Attributes(), causal.AttrEventID) == id
		}
		if !lost {
			r.Restore(v.resource, v.span, v.received)
		}
	}
	r.FinishRestore(s.now)
	return r
}

// When the event that began an activity is not stored any more, its open
// calls still tell its trace and root.
func TestRestoreWithoutTheBeginning(t *testing.T) {
	s := newStage(testConfig())
	s.run(parse(t, "receive p m id=1 @1", "call p f id=2 @2", "call p g id=3 @3")...)
	want, _ := s.attempt(parse(t, "return p f id=4 @4", "call p h id=5 @5", "return p h id=6 @6")...)
	s.Rollback()
	got, _ := s.restored(testConfig(), "1").attempt(parse(t, "return p f id=4 @4", "call p h id=5 @5", "return p h id=6 @6")...)
	require.Equal(t, texts(want), texts(got))
}

func texts(td ptrace.Traces) (all []string) {
	for resource, span := range spansOf(td) {
		all = append(all, (&version{resource, span, 0}).text())
	}
	return all
}

// Calls that an activity's beginning or an exit must have closed are not open,
// even if what closed them is not stored (it may have been sampled out).
func TestRestoreDropsWhatCannotBeOpen(t *testing.T) {
	s := newStage(testConfig())
	s.run(parse(t, "call p f id=1 @1", "call q f id=2 @2")...)
	s.run(parse(t, "return p f id=3 @3", "return q f id=4 @4")...)
	s.run(parse(t, "call p g id=5 @5", "exit q id=6 @6")...)
	s.run(parse(t, "return p g id=7 @7", "mark q a id=8 @8")...)
	for id, k := range s.store {
		if k.open != nil {
			s.store[id] = &kept{open: k.open}
		}
	}
	r := s.restored(testConfig())
	require.Equal(t, 1, r.Stats().OpenCalls)
	require.Equal(t, "g", r.busy.first.stack[0].name)
}

// A restart under tighter bounds keeps what is newest.
func TestRestoreKeepsBounds(t *testing.T) {
	s := newStage(testConfig())
	for _, p := range []string{"p", "q", "r"} {
		s.now++
		s.run(parse(t, "return "+p+" f id=1"+p+" @1 call=A", "return "+p+" f id=2"+p+" @2 call=B", "return "+p+" f id=3"+p+" @3 call=C",
			"call "+p+" f id=4"+p+" @4", "call "+p+" g id=5"+p+" @5", "call "+p+" h id=6"+p+" @6")...)
	}
	s.run(parse(t, "mark u a id=7 @7")...)
	cfg := testConfig()
	cfg.StackDepth, cfg.OpenCalls, cfg.Processes, cfg.Dedup = 2, 3, 1, NewBudget(2)
	r := s.restored(cfg)
	require.Equal(t, Stats{Processes: 1, OpenCalls: 2, WaitingReturns: 1, DedupEntries: 2}, r.Stats())
	p := r.busy.first
	require.Equal(t, "r", p.name)
	require.Equal(t, "g", p.stack[0].name)
	require.Equal(t, "C", p.waiting[0].id)
}

// Events older than the window are not recognised after a restart either.
func TestRestoreKeepsTheWindow(t *testing.T) {
	cfg := testConfig()
	cfg.DedupWindow = 10 * time.Nanosecond
	s := newStage(cfg)
	s.now = 5
	s.run(parse(t, "mark p a id=1 @1")...)
	s.now = 6
	s.run(parse(t, "mark p b id=2 @1")...)
	s.now = 16
	_, known := s.restored(cfg).attempt(parse(t, "mark p a id=1 @1", "mark p b id=2 @1")...)
	require.Equal(t, []string{"2"}, known)
}

// What the pipeline added to an open call's span on its way to the store is
// not taken for the call's own, but for attributes.
func TestRestoredCallComesAsItWas(t *testing.T) {
	s := newStage(testConfig())
	s.run(parse(t, "call p f id=1 @1")...)
	for _, v := range s.store.versions() {
		v.span.TraceState().FromRaw("ot=th:8")
		v.span.Links().AppendEmpty().SetSpanID(pcommon.SpanID{1})
		v.span.Attributes().PutStr("region", "eu")
	}
	td, _ := s.restored(testConfig()).attempt(parse(t, "return p f id=2 @2")...)
	for _, span := range spansOf(td) {
		require.Empty(t, span.TraceState().AsRaw())
		require.Zero(t, span.Links().Len())
		require.Equal(t, "eu", str(span.Attributes(), "region"))
	}
}

// All types of the sender's attributes arrive as they are.
func TestAttributeTypes(t *testing.T) {
	text := event.Value{Type: event.ValueString, Str: "x"}
	ev := parse(t, "mark p a id=1 @1")[0]
	ev.Attributes = []event.KeyValue{
		{Key: "null"},
		{Key: "string", Value: text},
		{Key: "bool", Value: event.Value{Type: event.ValueBool, Bool: true}},
		{Key: "int", Value: event.Value{Type: event.ValueInt, Int: 1 << 60}},
		{Key: "double", Value: event.Value{Type: event.ValueDouble, Double: 0.5}},
		{Key: "bytes", Value: event.Value{Type: event.ValueBytes, Str: "\xff\x00"}},
		{Key: "array", Value: event.Value{Type: event.ValueArray, Array: []event.Value{text, {}}}},
		{Key: "map", Value: event.Value{Type: event.ValueMap, Map: []event.KeyValue{{Key: "k", Value: text}}}},
	}
	s := newStage(testConfig())
	td, _ := s.run(ev)
	got := map[string]any{}
	for _, span := range spansOf(td) {
		got = span.Attributes().AsRaw()
	}
	for key := range got {
		if key[:min(6, len(key))] == "scope." {
			delete(got, key)
		}
	}
	require.Equal(t, map[string]any{
		"null": nil, "string": "x", "bool": true, "int": int64(1 << 60), "double": 0.5, "bytes": []byte("\xff\x00"),
		"array": []any{"x", nil}, "map": map[string]any{"k": "x"},
	}, got)
}

func TestOutputGroupsByResource(t *testing.T) {
	a, out := New(testConfig()), NewOutput("v1")
	a.Begin()
	for _, ev := range parse(t, "mark p a id=1 @1", "mark p a id=2 @1 node=m", "mark q a id=3 @1", "mark q a id=4 @1 node=m", "mark q a id=5 @1 service=other") {
		ev.Node = map[bool]string{true: "", false: ev.Node}[ev.Service == "other"]
		require.True(t, a.Add(ev, 1, out))
	}
	a.End(1, out)
	a.Commit()
	require.Equal(t, 5, out.Spans())
	td := out.Traces()
	require.Zero(t, out.Spans())
	require.Zero(t, out.Traces().SpanCount())
	require.Equal(t, 3, td.ResourceSpans().Len())
	for i, want := range []struct {
		resource map[string]any
		spans    int
	}{
		{map[string]any{"service.name": "s", "service.instance.id": "n"}, 2},
		{map[string]any{"service.name": "s", "service.instance.id": "m"}, 2},
		{map[string]any{"service.name": "other"}, 1},
	} {
		rs := td.ResourceSpans().At(i)
		require.Equal(t, want.resource, rs.Resource().Attributes().AsRaw())
		require.Equal(t, 1, rs.ScopeSpans().Len())
		require.Equal(t, ScopeName, rs.ScopeSpans().At(0).Scope().Name())
		require.Equal(t, "v1", rs.ScopeSpans().At(0).Scope().Version())
		require.Equal(t, want.spans, rs.ScopeSpans().At(0).Spans().Len())
	}
}

// One large transaction does not make the assembler large for good.
func TestLargeTransactionsLeaveNoMemory(t *testing.T) {
	cfg := testConfig()
	cfg.Processes = 10_000
	s := newStage(cfg)
	s.run(workload(2000, 2000)...)
	require.Zero(t, cap(s.tx.touched))
	s.run(parse(t, "mark p a id=1 @1")...)
	require.Equal(t, 1, cap(s.tx.touched))
}

// Of the two versions of a call the complete one counts, whichever comes
// first: here only it knows the group.
func TestRestorePrefersCompleteCalls(t *testing.T) {
	s := newStage(testConfig())
	s.run(parse(t, "call p f id=1 @1")...)
	s.run(parse(t, "return p f id=2 @2 corr=c")...)
	for seed := range int64(20) {
		s.crash(seed)
		td, _ := s.attempt(parse(t, "mark p a id=3 @3")...)
		s.Rollback()
		for _, span := range spansOf(td) {
			require.Equal(t, "c", str(span.Attributes(), causal.AttrCorrelationID))
		}
	}
}
