package tempoapi

import (
	"encoding/json"
	"math"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/traceql"
)

func searchOf(t *testing.T, request url.Values) Search {
	s, err := ParseSearch(request)
	require.NoError(t, err)
	return s
}

func TestShownFields(t *testing.T) {
	for text, want := range map[string][]string{
		`{}`:                              nil,
		`{ name = "a" && duration > 1s }`: nil,
		`{ span.a = 1 && !(.b = resource.a || status = ok) } | { event.c != nil }`:              {"a", "b", "status", "c"},
		`({ .a = 1 } | { .b = 1 }) && { .c = 1 } | avg(span.d) > 1 | by(.e) | select(.f, kind)`: {"a", "b", "c", "d", "e", "f", "kind"},
		`{ .a = 1 } ->> { .b = 1 } | count() > 1`:                                               {"a", "b"},
	} {
		q, err := traceql.Parse(text)
		require.NoError(t, err, text)
		var got []string
		for _, f := range shown(q) {
			got = append(got, keyOf(f))
		}
		require.Equal(t, want, got, text)
	}
}

func TestSpansThatAreAsked(t *testing.T) {
	for q, want := range map[string]int{
		"{}": 3, "{} && {}": 3, "{} -> {}": 1000, "{} && ({} <<- {})": 1000, "({} -> {} | count() > 1) > {}": 1000, "({} | count() > 1)": 3,
	} {
		require.Equal(t, want, searchOf(t, url.Values{"q": {q}}).Spans, q)
	}
}

func stored(t *testing.T, trace, span uint64) store.Span {
	td := storetest.Traces(storetest.Spec{Service: "pay", Trace: trace, Span: span, Name: "charge", Start: 1000})
	s := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	s.SetEndTimestamp(s.StartTimestamp() + 7)
	s.SetKind(ptrace.SpanKindServer)
	s.Attributes().PutInt("n", 5)
	s.Attributes().PutBool("yes", true)
	s.Attributes().PutDouble("half", 0.5)
	s.Attributes().PutDouble("nan", math.NaN())
	return storetest.Split(td)[0].Encode(1)
}

// TestResults has spans of three traces in one spanset, of which two are asked
// for, with one span each.
func TestResults(t *testing.T) {
	r := NewResults(searchOf(t, url.Values{
		"q":     {`{} -> { .n = 5 && .yes = true && .half > 0 && .nan != 0 && kind = server && .none != nil && .service.name != "x" }`},
		"limit": {"2"}, "spss": {"1"},
	}))
	set := query.Spanset{
		Spans: []store.Span{stored(t, 1, 1), stored(t, 1, 2), stored(t, 2, 3), stored(t, 3, 4)}, Matched: 9,
		By:      []query.GroupValue{{Field: traceql.Duration, Value: time.Second}, {Field: traceql.Kind, Value: nil}},
		Figures: []query.Figure{{Aggregate: traceql.Aggregate{Fn: traceql.Count}, Value: 4}},
	}
	require.NoError(t, r.Add(set))
	require.Equal(t, storetest.TraceID(1), r.Traces()[0])
	require.Len(t, r.Traces(), 2)
	summary, err := query.Summarize([]store.Span{stored(t, 1, 1)})
	require.NoError(t, err)
	got, err := r.Trace(storetest.TraceID(1), summary)
	require.NoError(t, err)
	encoded, err := json.Marshal(got)
	require.NoError(t, err)
	spanSet := `{"matched": 2,
		"spans": [{"spanID": "` + storetest.SpanID(1).String() + `", "name": "charge", "startTimeUnixNano": "1000", "durationNanos": "7", "attributes": [
			{"key": "n", "value": {"intValue": "5"}}, {"key": "yes", "value": {"boolValue": true}}, {"key": "half", "value": {"doubleValue": 0.5}},
			{"key": "nan", "value": {"stringValue": "NaN"}}, {"key": "kind", "value": {"stringValue": "server"}}, {"key": "service.name", "value": {"stringValue": "pay"}}]}],
		"attributes": [{"key": "by(duration)", "value": {"stringValue": "1s"}}, {"key": "count()", "value": {"doubleValue": 4}}]}`
	require.JSONEq(t, `{"traceID": "`+storetest.TraceID(1).String()+`", "rootServiceName": "pay", "rootTraceName": "charge",
		"startTimeUnixNano": "1000", "serviceStats": {"pay": {"spanCount": 1}}, "spanSet": `+spanSet+`, "spanSets": [`+spanSet+`]}`, string(encoded))

	// What is found of one trace counts what was left out before.
	set.Spans = set.Spans[:1]
	require.NoError(t, r.Add(set))
	got, err = r.Trace(storetest.TraceID(1), summary)
	require.NoError(t, err)
	require.Nil(t, got.SpanSet)
	require.Equal(t, 9, got.SpanSets[1].Matched)
}

func TestResultsOfOddSpans(t *testing.T) {
	r := NewResults(searchOf(t, nil))
	require.ErrorContains(t, r.Add(query.Spanset{Spans: []store.Span{{Bytes: []byte{1}}}}), "malformed")
	_, err := r.Trace(storetest.TraceID(1), query.Summary{Root: store.Span{Bytes: []byte{1}}})
	require.ErrorContains(t, err, "malformed")
	got, err := r.Trace(storetest.TraceID(1), query.Summary{Start: 5, End: 1}) // no root
	require.NoError(t, err)
	require.Empty(t, got.RootName)
	require.Zero(t, got.DurationMillis)
	got, err = r.Trace(storetest.TraceID(1), query.Summary{End: math.MaxUint64})
	require.NoError(t, err)
	require.EqualValues(t, math.MaxUint32, got.DurationMillis)
}
