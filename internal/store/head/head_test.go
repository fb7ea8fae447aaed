package head_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/head"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

func parse(t require.TestingT, td ptrace.Traces) *head.Batch {
	var m ptrace.ProtoMarshaler
	payload, err := m.MarshalTraces(td)
	require.NoError(t, err)
	b, err := head.Parse(payload, td.SpanCount())
	require.NoError(t, err)
	require.Equal(t, td.SpanCount(), b.Len())
	require.Equal(t, payload, b.Payload())
	return b
}

func decode(t require.TestingT, spans []head.Span) []storetest.Plain {
	var out []storetest.Plain
	for _, s := range spans {
		p, err := storetest.Decode(store.Span{Origin: s.Origin, Bytes: s.Bytes})
		require.NoError(t, err)
		require.Equal(t, p.Open(), s.Open)
		out = append(out, p)
	}
	return out
}

func all(h *head.Head) []head.Span { return h.Rows(nil, 0, h.Sizes().Spans, false) }

// TestModel holds the head to storetest.Model, for batches of few ids.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h, now := head.New(0), time.Unix(1, 0)
		model := storetest.NewModel(func() time.Time { now = now.Add(1); return now })
		for range rapid.IntRange(1, 6).Draw(rt, "batches") {
			td := storetest.Traces(rapid.SliceOfN(storetest.Specs(), 0, 30).Draw(rt, "specs")...)
			require.NoError(rt, model.Write(context.Background(), td))
			before := h.Sizes().Spans
			require.Equal(rt, int(model.Stats().Spans)-before, h.Insert(parse(rt, td), now.UnixNano()))
		}
		sizes, want := h.Sizes(), model.Stats()
		require.EqualValues(rt, want.OpenCalls, sizes.OpenCalls)
		require.EqualValues(rt, want.Duplicates, sizes.Duplicates)
		ctx := context.Background()
		for id := range uint64(4) {
			spans, err := model.Trace(ctx, storetest.TraceID(id))
			require.NoError(rt, err)
			same(t, rt, spans, traceOf(h, storetest.TraceID(id)))
		}
		for _, id := range []string{"", "a", "b", "c"} {
			spans, err := model.Event(ctx, id)
			require.NoError(rt, err)
			same(t, rt, spans, h.Event(id))
		}
		checkEdges(t, rt, h, model)
		var open []store.Span
		for s := range model.Scan(ctx, store.ScanOptions{OpenCalls: true}) {
			open = append(open, s)
		}
		same(t, rt, open, h.Rows(nil, 0, sizes.Spans, true))
	})
}

func same(t *testing.T, rt *rapid.T, want []store.Span, got []head.Span) {
	var plain []storetest.Plain
	for _, s := range want {
		p, err := storetest.Decode(s)
		require.NoError(rt, err)
		plain = append(plain, p)
	}
	storetest.SameSet(t, plain, decode(rt, got))
}

// checkEdges holds what the head says about edges to the model.
func checkEdges(t *testing.T, rt *rapid.T, h *head.Head, model *storetest.Model) {
	ctx := context.Background()
	for trace := range uint64(4) {
		for span := range uint64(6) {
			refs := []causal.SpanRef{storetest.Ref(trace, span), storetest.Ref(1, 5)}
			want, err := model.Spans(ctx, refs)
			require.NoError(rt, err)
			if !refs[0].IsZero() { // of those the caller does not ask
				same(t, rt, want, h.At(nil, h.SpanRows(refs)))
			}
			want, _, err = model.Referring(ctx, refs, 1000)
			require.NoError(rt, err)
			same(t, rt, want, slices.DeleteFunc(h.At(nil, h.ReferringRows(refs)), func(s head.Span) bool {
				names, err := head.AppendRefs(nil, s.Bytes)
				require.NoError(rt, err)
				return !slices.ContainsFunc(names, func(r causal.SpanRef) bool { return slices.Contains(refs, r) })
			}))
			want, _, err = model.Causing(ctx, refs, 1000)
			require.NoError(t, err)
			same(t, rt, want, slices.DeleteFunc(h.At(nil, h.CausingRows(refs)), func(s head.Span) bool {
				names, err := head.AppendEffects(nil, s.Bytes)
				require.NoError(rt, err)
				return !slices.ContainsFunc(names, func(r causal.SpanRef) bool { return slices.Contains(refs, r) })
			}))
		}
	}
	for _, id := range []string{"g", "h", "none"} {
		want, _, err := model.Correlation(ctx, id, 1000)
		require.NoError(rt, err)
		same(t, rt, want, slices.DeleteFunc(h.At(nil, h.CorrelationRows(id)), func(s head.Span) bool {
			info, err := head.Peek(s.Bytes)
			require.NoError(rt, err)
			return string(info.Correlation) != id
		}))
	}
}

// TestSameVersionAgain: a version that comes again is not noted again.
func TestSameVersionAgain(t *testing.T) {
	td := storetest.Traces(storetest.Spec{Trace: 1, Span: 2, Parent: 1, State: causal.CallOpen, Group: "g", Links: []uint64{1, 3}})
	h := head.New(0)
	for range 5 {
		b := parse(t, td)
		b.Carried = true
		h.Insert(b, 1)
	}
	require.Equal(t, []uint32{0}, h.ReferringRows([]causal.SpanRef{storetest.Ref(1, 1), storetest.Ref(1, 3)}))
	require.Equal(t, []uint32{0}, h.CorrelationRows("g"))
	require.Empty(t, h.ReferringRows([]causal.SpanRef{storetest.Ref(1, 2), storetest.Ref(2, 1)}))
	require.Empty(t, h.CorrelationRows(""))
	require.Empty(t, h.SpanRows(nil))
}

func TestManySpans(t *testing.T) {
	const batches, spans = 30, 1000
	h := head.New(0) // so that tables grow
	var ids []head.Identity
	for i := range uint64(batches) {
		b := parse(t, storetest.Request(i+1, spans))
		require.Equal(t, spans, h.Insert(b, int64(i+1)))
	}
	for i, s := range all(h) {
		info, err := head.Peek(s.Bytes)
		require.NoError(t, err)
		ids = append(ids, info.Identity)
		require.EqualValues(t, i/spans+1, s.Received)
	}
	require.Len(t, ids, batches*spans)
	for i := range ids {
		_, found := h.Span(&ids[i])
		require.True(t, found)
	}
	require.Len(t, traceOf(h, ids[77].Trace), 5)
	_, found := h.Span(&head.Identity{Trace: ids[0].Trace})
	require.False(t, found)
	require.Nil(t, traceOf(h, [16]byte{1}))
	sizes := h.Sizes()
	require.Equal(t, int64(1), sizes.Oldest)
	require.Equal(t, int64(batches), sizes.Newest)
	require.Zero(t, h.Insert(parse(t, ptrace.NewTraces()), 5))
	require.Equal(t, sizes, h.Sizes())
	require.Zero(t, h.Insert(parse(t, storetest.Request(1, spans)), 99), "all were there")
}

// TestCarriedIsOlder inserts a carried open call behind another version.
func TestCarriedIsOlder(t *testing.T) {
	spec := storetest.Spec{Trace: 1, Span: 1, Name: "second", State: causal.CallOpen, Event: "b", Links: []uint64{2}}
	h := head.New(0)
	h.Insert(parse(t, storetest.Traces(spec)), 20)
	spec.Name, spec.Event, spec.Links = "first", "a", []uint64{1}
	carried := parse(t, storetest.Traces(spec))
	carried.Carried = true
	require.Zero(t, h.Insert(carried, 10))

	spans := traceOf(h, storetest.TraceID(1))
	require.True(t, spans[0].Carried)
	require.Equal(t, int64(10), spans[0].Received)
	p := decode(t, spans)[0]
	require.Equal(t, "first", p.Span().Name())
	require.Len(t, p.Links, 2)
	require.Len(t, h.Event("a"), 1)
	require.Empty(t, h.Event("b"))
	require.Equal(t, 1, h.Sizes().OpenCalls)

	spec.Name, spec.State = "complete", causal.CallReturned
	h.Insert(parse(t, storetest.Traces(spec)), 30)
	require.Zero(t, h.Sizes().OpenCalls)
	require.Len(t, h.Event("a"), 1)
	require.Equal(t, int64(30), h.Event("a")[0].Received)
}

// TestLongUnited unites spans that do not fit a chunk together.
func TestLongUnited(t *testing.T) {
	h := head.New(0)
	links := make([]uint64, 2000) // some 80 KB
	for i := range links {
		links[i] = uint64(i + 1)
	}
	spec := storetest.Spec{Trace: 1, Span: 1}
	for i := range uint64(3) {
		spec.Span = i + 1
		h.Insert(parse(t, storetest.Traces(spec)), 1)
	}
	before := traceOf(h, storetest.TraceID(1))
	for i := range uint64(3) {
		spec.Span, spec.Links = i+1, links
		h.Insert(parse(t, storetest.Traces(spec)), 1)
	}
	for i, p := range decode(t, traceOf(h, storetest.TraceID(1))) {
		require.Len(t, p.Links, len(links))
		require.Empty(t, decode(t, before)[i].Links, "what was handed out does not change")
	}
}

func TestReadersBesideInsert(t *testing.T) {
	h := head.New(0)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for i := range uint64(50) {
			h.Insert(parse(t, storetest.Traces(
				storetest.Spec{Trace: 1, Span: i + 1, Parent: 1, Event: "e", Group: "g", Links: []uint64{i}},
				storetest.Spec{Trace: 1, Span: 1, State: causal.CallOpen, Links: []uint64{i}},
			)), 1)
		}
	})
	for range 2 {
		wg.Go(func() {
			for last := 0; ; {
				spans := traceOf(h, storetest.TraceID(1))
				if len(spans) < last {
					t.Errorf("%d spans after %d", len(spans), last)
				}
				last = len(spans)
				h.Event("e")
				h.At(nil, h.SpanRows([]causal.SpanRef{storetest.Ref(1, 1)}))
				h.At(nil, h.ReferringRows([]causal.SpanRef{storetest.Ref(1, 1)}))
				h.At(nil, h.CorrelationRows("g"))
				all(h)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, h.Event("e"), 50)
}

func TestCollector(t *testing.T) {
	h := head.New(0)
	h.Insert(parse(t, storetest.Traces(
		storetest.Spec{Service: "a", Trace: 1, Span: 1, Event: "e"}, storetest.Spec{Service: "b", Trace: 1, Span: 2}, storetest.Spec{Service: "a", Trace: 1, Span: 3},
	)), 1)
	var c head.Collector
	for _, s := range all(h) {
		span := bytes.Clone(s.Bytes)
		require.NoError(t, c.Add(s.Origin, span))
		clear(span) // the collector has a copy
	}
	require.Equal(t, 3, c.Len())
	copied := head.New(0)
	require.Equal(t, 3, copied.Insert(c.Batch(), 1))
	require.Zero(t, c.Len())
	storetest.SameSet(t, decode(t, all(h)), decode(t, all(copied)))
	require.Len(t, copied.Event("e"), 1)
	require.Error(t, c.Add(nil, []byte{0xff}))
}

func TestParseRefuses(t *testing.T) {
	for _, payload := range [][]byte{
		{0xff},
		{0x0a, 5, 0x12, 3, 0x12, 1, 0xff},       // a span that is none
		{0x0a, 7, 0x12, 5, 0x12, 3, 0x0a, 1, 1}, // a trace id of one byte
		{0x0a, 7, 0x12, 5, 0x12, 3, 0x6a, 1, 1}, // a link that is none
	} {
		_, err := head.Parse(payload, 0)
		require.Error(t, err, "% x", payload)
	}
}

func TestPeek(t *testing.T) {
	kv := func(parts ...[]byte) []byte {
		b := slices.Concat(parts...)
		return append([]byte{9<<3 | 2, byte(len(b))}, b...)
	}
	key := append([]byte{0x0a, byte(len(causal.AttrEventID))}, causal.AttrEventID...)
	value := []byte{0x12, 3, 0x0a, 1, 'e'}
	for _, c := range []struct {
		name string
		span []byte
		want string // the event
		bad  bool
	}{
		{name: "empty"},
		{name: "key first", span: kv(key, value), want: "e"},
		{name: "value first", span: kv(value, key), want: "e"},
		{name: "unknown field within", span: kv([]byte{0x18, 1}, value, key), want: "e"},
		{name: "long value first", span: append([]byte{9<<3 | 2, 0xa6, 0x01}, slices.Concat([]byte{0x12, 0x93, 0x01, 0x0a, 0x90, 0x01}, bytes.Repeat([]byte{'x'}, 144), key)...), want: string(bytes.Repeat([]byte{'x'}, 144))},
		{name: "the first of a key counts", span: slices.Concat(kv(key, value), kv(key, []byte{0x12, 3, 0x0a, 1, 'f'})), want: "e"},
		{name: "no string", span: kv(key, []byte{0x12, 2, 0x18, 1})},
		{name: "no value", span: kv(key)},
		{name: "group", span: []byte{8<<3 | 3, 0}, bad: true},
		{name: "unknown fixed32", span: append([]byte{0x85, 0x01, 1, 2, 3, 4}, kv(key, value)...), want: "e"},
		{name: "cut tag", span: []byte{0xff}, bad: true},
		{name: "cut length", span: []byte{0x0a}, bad: true},
		{name: "length beyond the end", span: []byte{0x0a, 17, 1}, bad: true},
		{name: "cut start", span: []byte{7<<3 | 1, 1, 2}, bad: true},
		{name: "cut kind", span: []byte{6 << 3, 0xff}, bad: true},
		{name: "id of 3 bytes", span: []byte{0x12, 3, 1, 2, 3}, bad: true},
		{name: "attribute with a cut tag", span: kv([]byte{0xff}), bad: true},
		{name: "attribute with a cut field", span: kv([]byte{0x18}), bad: true},
		{name: "attribute with a cut length", span: kv([]byte{0x0a}), bad: true},
		{name: "field number 0", span: []byte{0x02, 0}, bad: true},
		{name: "parent id of 3 bytes", span: []byte{0x22, 3, 1, 2, 3}, bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			info, err := head.Peek(c.span)
			require.Equal(t, c.bad, err != nil, err)
			if !c.bad {
				require.Equal(t, c.want, string(info.Event))
			}
		})
	}
}

func TestAppendRefs(t *testing.T) {
	trace, span := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 8)
	field := func(num byte, b ...byte) []byte { return append([]byte{num<<3 | 2, byte(len(b))}, b...) }
	ids := func(traceField, spanField byte) []byte {
		return slices.Concat(field(traceField, trace...), field(spanField, span...))
	}
	ref := causal.SpanRef{TraceID: [16]byte(trace), SpanID: [8]byte(span)}
	for _, c := range []struct {
		name string
		span []byte
		want []causal.SpanRef
		bad  bool
	}{
		{name: "nothing"},
		{name: "parent", span: ids(1, 4), want: []causal.SpanRef{ref}},
		{name: "parent before the trace", span: slices.Concat(field(4, span...), field(1, trace...)), want: []causal.SpanRef{ref}},
		{name: "parent without a trace", span: field(4, span...)},
		{name: "an id that is taken back", span: slices.Concat(ids(1, 4), field(4))},
		{name: "link", span: field(13, ids(1, 2)...), want: []causal.SpanRef{ref}},
		{name: "both", span: slices.Concat(ids(1, 4), []byte{0x30, 2}, field(13, ids(1, 2)...)), want: []causal.SpanRef{ref, ref}},
		{name: "link with other fields", span: field(13, slices.Concat([]byte{0x35, 1, 2, 3, 4}, ids(1, 2), field(3, 'x'))...), want: []causal.SpanRef{ref}},
		{name: "link to a trace", span: field(13, field(1, trace...)...)},
		{name: "link with a short id", span: field(13, field(1, 1)...), bad: true},
		{name: "link with a short span id", span: field(13, field(2, 1)...), bad: true},
		{name: "link that ends early", span: field(13, 0x0a, 9), bad: true},
		{name: "short parent", span: field(4, 1), bad: true},
		{name: "short trace", span: field(1, 1), bad: true},
		{name: "group", span: []byte{8<<3 | 3, 0}, bad: true},
		{name: "no tag", span: []byte{0xff}, bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := head.AppendRefs(nil, c.span)
			require.Equal(t, c.bad, err != nil, err)
			if !c.bad {
				require.Equal(t, c.want, got)
			}
		})
	}
}

// effectsOf returns the spans that p names as what it caused.
func effectsOf(p storetest.Plain) (refs []causal.SpanRef) {
	for _, l := range p.Span().Links().All() {
		ref := causal.SpanRef{TraceID: l.TraceID(), SpanID: l.SpanID()}
		role, _ := l.Attributes().Get(causal.AttrLinkRole)
		if role.Str() == causal.LinkRoleEffect && !ref.IsZero() {
			refs = append(refs, ref)
		}
	}
	return refs
}

// FuzzPeek holds Peek, AppendRefs and AppendEffects to pdata wherever pdata accepts the span.
func FuzzPeek(f *testing.F) {
	for _, s := range []storetest.Spec{
		{Trace: 1, Span: 2, Kind: ptrace.SpanKindServer, Start: 5, Name: "n", Event: "e", Return: "r", State: causal.CallOpen, Parent: 7, Group: "g", Links: []uint64{1}},
		{Trace: 1, Span: 2, Links: []uint64{1}, Effects: []uint64{2, 0}},
		{Trace: 1, Event: "e\xff"},
		{},
	} {
		f.Add([]byte(storetest.Split(storetest.Traces(s))[0].Encode(1).Bytes))
	}
	f.Fuzz(func(t *testing.T, span []byte) {
		info, err := head.Peek(span)
		names, namesErr := head.AppendRefs(nil, span)
		p, pdataErr := storetest.Decode(store.Span{Origin: []byte{0x12, 0}, Bytes: span})
		if err != nil || pdataErr != nil {
			return
		}
		require.NoError(t, namesErr)
		require.ElementsMatch(t, p.Names(), names)
		effects, err := head.AppendEffects(nil, span)
		require.NoError(t, err)
		require.ElementsMatch(t, effectsOf(p), effects)
		require.Equal(t, p.Group(), string(info.Correlation))
		require.EqualValues(t, p.Span().ParentSpanID(), info.Parent)
		id, ok := p.Identity()
		require.Equal(t, ok, info.Exists())
		require.Equal(t, id.Trace, info.Trace)
		require.Equal(t, id.Span, info.Span)
		require.EqualValues(t, id.Kind, info.Kind)
		require.EqualValues(t, p.Span().StartTimestamp(), info.Start)
		require.Equal(t, p.Open(), info.Open)
		require.Equal(t, p.Span().Links().Len() > 0, info.Links)
		for _, event := range []string{string(info.Event), string(info.Return), "e", ""} {
			require.Equal(t, p.HasEvent(event), info.HasEvent(event), "%q", event)
		}
	})
}

// traceOf returns the spans of a trace in the order of arrival.
func traceOf(h *head.Head, id [16]byte) []head.Span { return h.At(nil, h.TraceRows(id)) }
