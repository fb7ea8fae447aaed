package loadgen

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"pgregory.net/rapid"
)

const now = 1_800_000_000_123_456_789

func decode(t require.TestingT, body []byte) []ptrace.Span {
	req := ptraceotlp.NewExportRequest()
	require.NoError(t, req.UnmarshalProto(body))
	var spans []ptrace.Span
	for _, rs := range req.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				spans = append(spans, s)
			}
		}
	}
	return spans
}

func TestSpansAreTracesOfTheirOwn(t *testing.T) {
	tmpl := Spans(7, 3, 500)
	ids := map[pcommon.SpanID]pcommon.TraceID{}
	sizes := map[pcommon.TraceID]int{}
	messages := map[string][]ptrace.SpanKind{}
	attributes, names := 0, map[string]bool{}
	body := tmpl.Fill(11, now)
	spans := decode(t, body)
	require.Len(t, spans, 500)
	for _, s := range spans {
		ids[s.SpanID()] = s.TraceID()
		sizes[s.TraceID()]++
		attributes += s.Attributes().Len()
		names[s.Name()] = true
		require.LessOrEqual(t, s.StartTimestamp(), s.EndTimestamp())
		require.InDelta(t, now, int64(s.StartTimestamp()), 1e7)
		if id, ok := s.Attributes().Get("messaging.message.id"); ok {
			messages[id.Str()] = append(messages[id.Str()], s.Kind())
		}
		for _, v := range s.Attributes().All() {
			require.NotContains(t, v.AsString(), "~", "a marker that was not filled")
		}
	}
	require.Len(t, ids, 500)
	require.Len(t, sizes, tmpl.TraceCount)
	for n := range tmpl.TraceCount {
		require.Equal(t, tmpl.TraceSize(n), sizes[tmpl.TraceID(11, n)])
	}
	for n := range 500 {
		require.Contains(t, ids, pcommon.SpanID(tmpl.SpanID(11, n)))
	}
	for _, s := range spans {
		if !s.ParentSpanID().IsEmpty() {
			require.Equal(t, s.TraceID(), ids[s.ParentSpanID()])
		}
	}
	pairs := 0
	for _, kinds := range messages {
		if len(kinds) == 2 {
			pairs++
		}
	}
	require.Greater(t, pairs, 15)
	require.InDelta(t, 10, float64(attributes)/500, 0.1)
	require.InDelta(t, 320, len(body)/500, 40)
	require.Greater(t, len(names), 40)
	t.Logf("%d bytes and %.1f attributes a span, %d messages of %d whole", len(body)/500, float64(attributes)/500, pairs, len(messages))
}

func TestFillIsAFunctionOfItsArguments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		one := Spans(seed, 0, 30)
		two := one.Clone()
		first := bytes.Clone(one.Fill(a, now))
		second := bytes.Clone(two.Fill(b, now))
		require.Equal(t, a == b, bytes.Equal(first, second))
		require.Equal(t, first, two.Fill(a, now))
		require.Len(t, decode(t, second), 30)
	})
}

func TestEventsAreValidAndBalanced(t *testing.T) {
	tmpl := Events(7, 2, 20)
	require.Equal(t, 20*EventsPerProcess, tmpl.Items)
	body := tmpl.Fill(5, now)
	require.InDelta(t, 300, len(body)/tmpl.Items, 60)
	open := map[string]string{}
	for i, line := range bytes.Split(bytes.TrimSpace(body), []byte("\n")) {
		var e struct {
			ID, Kind, Process, Service, Node string
			CallID                           string `json:"call_id"`
			Time                             int64
		}
		require.NoError(t, json.Unmarshal(line, &e), "%s", line)
		require.Equal(t, tmpl.Text(5, i), e.ID)
		require.InDelta(t, now, e.Time, 1e9)
		require.NotContains(t, string(line), "~0")
		switch e.Kind {
		case "call":
			open[e.ID] = e.Process
		case "return":
			require.Equal(t, open[e.CallID], e.Process)
			delete(open, e.CallID)
		}
	}
	require.Empty(t, open)
	t.Logf("%d bytes an event", len(body)/tmpl.Items)
}

func TestMarksThatAreNone(t *testing.T) {
	tmpl := compile(1, 1, []byte("a@b ~x \xfe \xfeX12345678 @12345678901234567x"))
	require.Empty(t, tmpl.slots[:max(0, len(tmpl.slots)-1)])
	hexed := compile(1, 1, []byte(`"`+hexMark(3)+`"`))
	got := hexed.Fill(1, now)
	_, err := hex.DecodeString(string(got[1:17]))
	require.NoError(t, err)
	require.Equal(t, hexed.Text(1, 3), string(got[1:17]))
}

func BenchmarkFillSpans500(b *testing.B) {
	tmpl := Spans(1, 0, 500)
	b.ReportAllocs()
	seq := uint64(0)
	for b.Loop() {
		seq++
		tmpl.Fill(seq, now)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/span")
}

func BenchmarkFillEvents500(b *testing.B) {
	tmpl := Events(1, 0, 50)
	b.ReportAllocs()
	seq := uint64(0)
	for b.Loop() {
		seq++
		tmpl.Fill(seq, now)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/event")
}
