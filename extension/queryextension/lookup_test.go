package queryextension

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

func TestTraceIsOTLP(t *testing.T) {
	s := newFaulty()
	write(t, s, storetest.Traces(
		storetest.Spec{Service: "pay", Trace: 1, Span: 1, Name: "a", Start: 10},
		storetest.Spec{Service: "cart", Trace: 1, Span: 2, Name: "b", Start: 11, State: "open", Event: "e2"},
		storetest.Spec{Service: "pay", Trace: 1, Span: 3, Name: "c", Start: 12, Links: []uint64{1}},
		storetest.Spec{Service: "pay", Trace: 2, Span: 4, Name: "other"},
	))
	got := serving(t, s).get(t, "/api/v1/traces/"+storetest.TraceID(1).String())
	require.Equal(t, http.StatusOK, got.status)
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(got.body)
	require.NoError(t, err)

	want := storetest.Traces(
		storetest.Spec{Service: "pay", Trace: 1, Span: 1, Name: "a", Start: 10},
		storetest.Spec{Service: "pay", Trace: 1, Span: 3, Name: "c", Start: 12, Links: []uint64{1}},
		storetest.Spec{Service: "cart", Trace: 1, Span: 2, Name: "b", Start: 11, State: "open", Event: "e2"},
	)
	require.Equal(t, 2, td.ResourceSpans().Len(), "spans of one origin come together")
	storetest.SameSet(t, storetest.Split(want), storetest.Split(td))
}

func TestTraceRefused(t *testing.T) {
	c := serving(t, newFaulty())
	for _, id := range []string{"1", strings.Repeat("0", 32), strings.Repeat("g", 32), strings.Repeat("a", 34), "%20"} {
		p := c.get(t, "/api/v1/traces/"+id).problem(t, http.StatusBadRequest)
		require.Equal(t, "trace_id", p.Parameter, id)
	}
	p := c.get(t, "/api/v1/traces/"+strings.Repeat("A", 32)).problem(t, http.StatusNotFound)
	require.Equal(t, "trace "+strings.Repeat("a", 32)+" is not stored", p.Detail)
	require.Equal(t, "trace_id", p.Parameter)
}

func TestAnswersAreUTF8(t *testing.T) {
	s := newFaulty()
	write(t, s, native("pay\xff", "", "e", func(span ptrace.Span) { span.SetName("a\xc3(") }))
	c := serving(t, s)
	for _, path := range []string{"/api/v1/traces/" + storetest.TraceID(7).String(), "/api/v1/events/e"} {
		got := c.get(t, path)
		require.Equal(t, http.StatusOK, got.status)
		require.True(t, utf8.Valid(got.body), path)
		require.Contains(t, string(got.body), `pay`)
	}
}

func TestEventIsASpan(t *testing.T) {
	s := newFaulty()
	write(t, s, native("pay", "n1", "e1", func(span ptrace.Span) {
		span.SetParentSpanID(storetest.SpanID(8))
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage("declined")
		span.Attributes().PutStr("scope.call.state", "returned")
		span.Attributes().PutStr("scope.return.event.id", "e1-return")
		span.Attributes().PutInt("big", math.MaxInt64)
		span.Attributes().PutDouble("half", 0.5)
		span.Attributes().PutDouble("nan", math.NaN())
		span.Attributes().PutDouble("inf", math.Inf(1))
		span.Attributes().PutDouble("ninf", math.Inf(-1))
		span.Attributes().PutBool("yes", true)
		span.Attributes().PutEmpty("null")
		span.Attributes().PutEmptyBytes("bytes").FromRaw([]byte("hi"))
		list := span.Attributes().PutEmptySlice("list")
		list.AppendEmpty().SetInt(1)
		list.AppendEmpty().SetEmptyMap().PutStr("k", "v")
		link := span.Links().AppendEmpty()
		link.SetTraceID(storetest.TraceID(1))
		link.SetSpanID(storetest.SpanID(2))
		link.Attributes().PutStr("scope.link.type", "message_flow")
	}))
	c := serving(t, s)
	want := `{
		"trace_id": "` + storetest.TraceID(7).String() + `",
		"span_id": "0000000000000009", "parent_span_id": "0000000000000008",
		"event_id": "e1", "event_kind": "send", "name": "send order", "kind": "producer",
		"service": "pay", "node": "n1", "process": "<0.83.0>",
		"start": "1700000000000000001", "end": "1700000000000000002",
		"status": "error", "status_message": "declined", "state": "returned",
		"attributes": {
			"scope.event.id": "e1", "scope.event.kind": "send", "scope.process.id": "<0.83.0>",
			"scope.call.state": "returned", "scope.return.event.id": "e1-return",
			"big": 9223372036854775807, "half": 0.5, "nan": "NaN", "inf": "Infinity", "ninf": "-Infinity",
			"yes": true, "null": null, "bytes": "aGk=", "list": [1, {"k": "v"}]
		},
		"links": [{
			"trace_id": "` + storetest.TraceID(1).String() + `", "span_id": "0000000000000002",
			"attributes": {"scope.link.type": "message_flow"}
		}],
		"others": [], "truncated": false
	}`
	for _, id := range []string{"e1", "e1-return"} {
		got := c.get(t, "/api/v1/events/"+id)
		require.Equal(t, http.StatusOK, got.status)
		require.JSONEq(t, want, string(got.body))
		require.Contains(t, string(got.body), `"big":9223372036854775807`)
	}
}

func TestPlainSpan(t *testing.T) {
	s := newFaulty()
	s.event = func(context.Context, string) ([]store.Span, error) {
		return s.Model.Trace(t.Context(), storetest.TraceID(1))
	}
	write(t, s, storetest.Traces(storetest.Spec{Trace: 1, Span: 1, Name: "GET /"}))
	var got spanJSON
	serving(t, s).get(t, "/api/v1/events/x").into(t, &got)
	require.Equal(t, spanJSON{
		TraceID: storetest.TraceID(1).String(), SpanID: "0000000000000001", Name: "GET /", Kind: "unspecified",
		Start: "0", End: "5", Status: "unset", Attributes: map[string]any{"n": 1.0}, Links: []linkJSON{},
	}, got)
}

func TestEventIDsOfAnyForm(t *testing.T) {
	ids := []string{
		"<0.83.0>", "a/b", "/a/", "//", ".", "..", "a b", "ü-€-😀", "a?b=c&d#e", "%2F", `q"uote\`,
		strings.Repeat("x", 60_000), "\xff\xfe", "\x00", "status",
	}
	s := newFaulty()
	for i, id := range ids {
		write(t, s, native("pay", "", id, func(span ptrace.Span) { span.SetSpanID(storetest.SpanID(uint64(i + 1))) }))
	}
	c := serving(t, s)
	for i, id := range ids {
		var got spanJSON
		c.get(t, "/api/v1/events/"+escape(id)).into(t, &got)
		require.Equal(t, storetest.SpanID(uint64(i+1)).String(), got.SpanID, id)
	}
}

// escape encodes what stands for itself too, since ServeMux takes . and .. for
// steps.
func escape(id string) string {
	return strings.ReplaceAll(url.PathEscape(id), ".", "%2E")
}

func TestEventBorneByMany(t *testing.T) {
	s := newFaulty()
	for i, of := range [][2]string{{"pay", "n1"}, {"pay", "n2"}, {"cart", "n1"}} {
		write(t, s, native(of[0], of[1], "1", func(span ptrace.Span) { span.SetSpanID(storetest.SpanID(uint64(i + 1))) }))
	}
	c := serving(t, s)
	for query, want := range map[string][]int{
		"":                       {3, 2, 1},
		"?service=&node=":        {3, 2, 1},
		"?service=pay":           {2, 1},
		"?node=n1":               {3, 1},
		"?service=pay&node=n1":   {1},
		"?limit=2":               {3, 2, 1},
		"?limit=1&service=pay":   {2, 1},
		"?limit=1000&node=n2":    {2},
		"?service=cart&limit=10": {3},
	} {
		var got eventJSON
		c.get(t, "/api/v1/events/1"+query).into(t, &got)
		spans := []int{spanNumber(t, got.spanJSON)}
		for _, other := range got.Others {
			spans = append(spans, spanNumber(t, other))
		}
		require.Equal(t, want, spans, query)
		require.False(t, got.Truncated, query)
	}
	var got eventJSON
	c.get(t, "/api/v1/events/1?limit=1").into(t, &got)
	require.Len(t, got.Others, 1)
	require.True(t, got.Truncated)

	for query, detail := range map[string]string{
		"?service=x":        `event "1" is not stored for this service`,
		"?node=x":           `event "1" is not stored for this node`,
		"?service=x&node=y": `event "1" is not stored for this service and node`,
	} {
		p := c.get(t, "/api/v1/events/1"+query).problem(t, http.StatusNotFound)
		require.Equal(t, detail, p.Detail)
	}
	p := c.get(t, "/api/v1/events/2").problem(t, http.StatusNotFound)
	require.Equal(t, problem{Type: "about:blank", Title: "Not Found", Status: 404, Detail: `event "2" is not stored`, Parameter: "event_id"}, p)
	for _, limit := range []string{"0", "1001", "many", "-1", "1.5"} {
		p := c.get(t, "/api/v1/events/1?limit="+limit).problem(t, http.StatusBadRequest)
		require.Equal(t, "limit", p.Parameter)
	}
}

func spanNumber(t *testing.T, span spanJSON) int {
	n, err := strconv.ParseInt(span.SpanID, 16, 64)
	require.NoError(t, err)
	return int(n)
}

func TestAnswersAreBounded(t *testing.T) {
	s := newFaulty()
	write(t, s,
		native("pay", "", "e", func(span ptrace.Span) { span.Attributes().PutStr("big", strings.Repeat("x", 1000)) }),
		native("pay", "", "e", func(span ptrace.Span) { span.SetSpanID(storetest.SpanID(10)) }))
	c := serving(t, s, func(cfg *Config) { cfg.Query.MaxBytes = 1000 })
	p := c.get(t, "/api/v1/traces/"+storetest.TraceID(7).String()).problem(t, http.StatusUnprocessableEntity)
	require.Contains(t, p.Detail, "2 spans or more")
	require.Contains(t, p.Detail, "query::max_bytes")
	c.get(t, "/api/v1/events/e").problem(t, http.StatusUnprocessableEntity)
}

func TestWhatIsBroken(t *testing.T) {
	s := newFaulty()
	broken := func(span store.Span) {
		s.trace = func(context.Context, pcommon.TraceID) ([]store.Span, error) { return []store.Span{span}, nil }
		s.event = func(context.Context, string) ([]store.Span, error) { return []store.Span{span}, nil }
	}
	c := serving(t, s)
	for _, span := range []store.Span{{Bytes: []byte{0xff}}, {Origin: []byte{0xff}}} {
		broken(span)
		for _, path := range []string{"/api/v1/traces/" + strings.Repeat("a", 32), "/api/v1/events/e"} {
			require.Contains(t, c.get(t, path).problem(t, http.StatusInternalServerError).Detail, "stored span: ")
		}
	}
}

func TestStopsBetweenSpans(t *testing.T) {
	a := &api{cfg: testConfig()}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := a.matching(ctx, make([]store.Span, 1), "", "", 1)
	require.ErrorIs(t, err, context.Canceled)
}

func BenchmarkTrace100Spans(b *testing.B) {
	s := newFaulty()
	for i := range 100 {
		td := native("pay", "n1", "e", func(span ptrace.Span) { span.SetSpanID(storetest.SpanID(uint64(i + 1))) })
		require.NoError(b, s.Write(b.Context(), td))
	}
	spans, err := s.Trace(b.Context(), storetest.TraceID(7))
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		td, err := store.Traces(spans)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td); err != nil {
			b.Fatal(err)
		}
	}
}

// TestTraceHasOneOrder: what began at once comes by its ids, in whatever order
// the store has it.
func TestTraceHasOneOrder(t *testing.T) {
	at := func(service string, id, start uint64, kind ptrace.SpanKind) ptrace.Traces {
		return native(service, "", "e", func(s ptrace.Span) {
			s.SetSpanID(storetest.SpanID(id))
			s.SetStartTimestamp(pcommon.Timestamp(start))
			s.SetKind(kind)
		})
	}
	spans := []ptrace.Traces{
		at("b", 1, 10, ptrace.SpanKindServer), at("b", 2, 10, ptrace.SpanKindClient), at("b", 2, 10, ptrace.SpanKindConsumer), at("b", 1, 11, ptrace.SpanKindClient),
		at("a", 3, 10, ptrace.SpanKindServer), at("c", 9, 9, ptrace.SpanKindServer),
	}
	var want string
	for i := range spans {
		s := newFaulty()
		write(t, s, append(slices.Clone(spans[i:]), spans[:i]...)...)
		got := serving(t, s).get(t, storedTrace)
		require.Equal(t, http.StatusOK, got.status)
		if i == 0 {
			want = string(got.body)
		}
		require.Equal(t, want, string(got.body))
	}
	require.Less(t, strings.Index(want, `"c"`), strings.Index(want, `"b"`))
	require.Less(t, strings.Index(want, `"b"`), strings.Index(want, `"a"`))
}
