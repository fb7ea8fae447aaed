package queryextension

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/otelscope/otelscope/internal/causal"
)

// requireLinks reads a trace of one span as OTLP JSON, below a field if it is
// not "", and has its links in short.
func requireLinks(t *testing.T, body []byte, below string, want ...string) {
	t.Helper()
	if below != "" {
		var outer map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(body, &outer))
		body = outer[below]
	}
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(body)
	require.NoError(t, err)
	requireLinksOf(t, td, want...)
}

func requireLinksOf(t *testing.T, td ptrace.Traces, want ...string) {
	t.Helper()
	require.Equal(t, 1, td.SpanCount())
	var got []string
	for _, l := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Links().All() {
		role, _ := l.Attributes().Get(causal.AttrLinkRole)
		trace, span := l.TraceID(), l.SpanID()
		got = append(got, fmt.Sprintf("%s %d.%d", role.Str(), trace[15], span[7]))
	}
	require.ElementsMatch(t, want, got)
}

func TestTempoIsThere(t *testing.T) {
	c := serving(t, newFaulty())
	// grafana/grafana-tempo-datasource pkg/tempo/tempo.go: CheckHealth
	got := c.get(t, "/tempo/api/echo")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "echo", string(got.body))
	// grafana/grafana public/app/plugins/datasource/tempo/datasource.ts: getTempoVersion
	var build map[string]string
	c.ok(t, "/api/status/buildinfo", &build)
	require.Equal(t, "2.7.0", build["version"])
	require.Equal(t, "scope 1.2.3", build["revision"])
}

// TestTempoTrace asks as grafana/grafana-tempo-datasource pkg/tempo/trace.go
// does, and as its forerunners did.
func TestTempoTrace(t *testing.T) {
	c := serving(t, toolShop(t))
	for trace, want := range map[uint64][]string{2: {"cause 1.2", "effect 3.4"}, 3: {"cause 2.3"}} {
		path := hexTrace(trace) + "?end=1700003600&start=1700000000"
		got := c.do(t, "GET", "/api/v2/traces/"+path, "", acceptProtobuf)
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, "application/protobuf", got.header.Get("Content-Type"))
		number, kind, n := protowire.ConsumeTag(got.body)
		require.EqualValues(t, 1, number)
		require.Equal(t, protowire.BytesType, kind)
		encoded, size := protowire.ConsumeBytes(got.body[n:])
		require.Equal(t, len(got.body), n+size)
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(encoded)
		require.NoError(t, err)
		requireLinksOf(t, td, want...)

		got = c.do(t, "GET", "/api/traces/"+path, "", acceptProtobuf)
		require.Equal(t, encoded, got.body)

		requireLinks(t, c.get(t, "/api/v2/traces/"+path).body, "trace", want...)
		var old struct{ Batches []any }
		c.ok(t, "/tempo/api/traces/"+path, &old)
		require.Len(t, old.Batches, 1)
	}
	// Tempo's own answers leave out leading zeros.
	s := newFaulty()
	write(t, s, native("pay", "", "e", func(span ptrace.Span) { span.SetTraceID(pcommon.TraceID{15: 0xab}) }))
	c = serving(t, s)
	for _, id := range []string{"ab", "0AB", fmt.Sprintf("%032x", 0xab)} {
		require.Equal(t, http.StatusOK, c.get(t, "/api/v2/traces/"+id).status, id)
	}
}

// tempoSearched is an answer as tempopb.SearchResponse declares it
// (grafana/tempo pkg/tempopb/tempo.proto). Its decoder refuses other fields.
type tempoSearched struct {
	Traces []struct {
		TraceID           string `json:"traceID"`
		RootServiceName   string `json:"rootServiceName"`
		RootTraceName     string `json:"rootTraceName"`
		StartTimeUnixNano uint64 `json:"startTimeUnixNano,string"`
		DurationMs        uint32 `json:"durationMs"`
		SpanSet           *tempoSpanSet
		SpanSets          []tempoSpanSet                                 `json:"spanSets"`
		ServiceStats      map[string]struct{ SpanCount, ErrorCount int } `json:"serviceStats"`
	} `json:"traces"`
	Metrics struct {
		InspectedTraces int    `json:"inspectedTraces"`
		InspectedBytes  uint64 `json:"inspectedBytes,string"`
		TotalBlocks     int    `json:"totalBlocks"`
	} `json:"metrics"`
}

type tempoSpanSet struct {
	Spans []struct {
		SpanID            string `json:"spanID"`
		Name              string `json:"name"`
		StartTimeUnixNano uint64 `json:"startTimeUnixNano,string"`
		DurationNanos     uint64 `json:"durationNanos,string"`
		Attributes        []tempoAttribute
	}
	Matched    int
	Attributes []tempoAttribute
}

type tempoAttribute struct {
	Key   string
	Value map[string]any
}

// tempoSearch asks as grafana/grafana-tempo-datasource pkg/tempo/search.go does.
func (c *client) tempoSearch(t *testing.T, q string) tempoSearched {
	got := c.get(t, "/api/search?q="+url.QueryEscape(q)+"&start=1700000000&end=1700003600&limit=20&spss=1")
	require.Equal(t, http.StatusOK, got.status, string(got.body))
	var searched tempoSearched
	decoder := json.NewDecoder(bytes.NewReader(got.body))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&searched), string(got.body))
	return searched
}

// attributes are a span set's, in short.
func attributes(list []tempoAttribute) string {
	text := ""
	for _, a := range list {
		for kind, value := range a.Value {
			text += fmt.Sprintf("%s %s %v;", a.Key, kind, value)
		}
	}
	return text
}

func TestTempoSearch(t *testing.T) {
	c := serving(t, toolShop(t))
	got := c.tempoSearch(t, `{ resource.service.name = "web" && span.http.status_code >= 200 && duration > 1ms }`)
	require.Len(t, got.Traces, 1)
	trace := got.Traces[0]
	require.Equal(t, hexTrace(1), trace.TraceID)
	require.Equal(t, "web", trace.RootServiceName)
	require.Equal(t, "checkout", trace.RootTraceName)
	require.EqualValues(t, 1_700_000_000_001_000_000, trace.StartTimeUnixNano)
	require.EqualValues(t, 4, trace.DurationMs)
	require.Equal(t, 2, trace.ServiceStats["web"].SpanCount)
	require.Len(t, trace.SpanSets, 1)
	require.Equal(t, &trace.SpanSets[0], trace.SpanSet)
	require.Equal(t, 2, trace.SpanSet.Matched)
	require.Len(t, trace.SpanSet.Spans, 1, "spss")
	span := trace.SpanSet.Spans[0]
	require.Equal(t, hexSpan(1), span.SpanID)
	require.Equal(t, "checkout", span.Name)
	require.EqualValues(t, 3_000_000, span.DurationNanos)
	require.Equal(t, "service.name stringValue web;http.status_code intValue 200;", attributes(span.Attributes))
	require.Equal(t, 1, got.Metrics.InspectedTraces)
	require.Positive(t, got.Metrics.InspectedBytes)

	got = c.tempoSearch(t, `{} | by(name) | count() > 0 | select(status, span:id)`)
	require.Len(t, got.Traces, 3)
	require.Len(t, got.Traces[2].SpanSets, 2)
	require.Nil(t, got.Traces[2].SpanSet, "there are two")
	require.Equal(t, "by(name) stringValue charge;count() doubleValue 1;", attributes(got.Traces[1].SpanSet.Attributes))
	require.Equal(t, "status stringValue error;span:id stringValue "+hexSpan(3)+";", attributes(got.Traces[1].SpanSet.Spans[0].Attributes))

	require.Empty(t, c.tempoSearch(t, `{ name = "none" }`).Traces)
}

// TestTempoCausalSearch has spans of several traces in one spanset.
func TestTempoCausalSearch(t *testing.T) {
	c := serving(t, toolShop(t))
	got := c.tempoSearch(t, `{ name = "publish" } ->> {}`)
	var found []string
	for _, trace := range got.Traces {
		found = append(found, trace.TraceID+" "+trace.SpanSet.Spans[0].Name)
	}
	require.ElementsMatch(t, []string{hexTrace(2) + " charge", hexTrace(3) + " notify"}, found)
}

// TestTempoOldSearch asks as grafana/tempo pkg/httpclient/client.go does by tags.
func TestTempoOldSearch(t *testing.T) {
	c := serving(t, toolShop(t))
	for tags, want := range map[string][]string{
		"service.name=WE":                  {hexTrace(1)},
		"http.status_code=200 name=notify": {hexTrace(3)},
		"error=true":                       {hexTrace(2)},
		"service.name=web name=charge":     {},
	} {
		var got tempoSearched
		c.ok(t, "/api/search?tags="+url.QueryEscape(tags), &got)
		found := []string{}
		for _, trace := range got.Traces {
			found = append(found, trace.TraceID)
		}
		require.Equal(t, want, found, tags)
	}
	var got tempoSearched
	c.ok(t, "/api/search?minDuration=4ms&maxDuration=10ms", &got)
	require.Len(t, got.Traces, 1, "the trace's duration counts")
}

func TestTempoTags(t *testing.T) {
	c := serving(t, toolShop(t))
	// grafana/grafana-tempo-datasource src/language_provider.ts: fetchTags
	var scopes struct {
		Scopes []struct {
			Name string
			Tags []string
		}
	}
	c.ok(t, "/api/v2/search/tags?limit=5000", &scopes)
	require.Len(t, scopes.Scopes, 4)
	require.Equal(t, "resource", scopes.Scopes[0].Name)
	require.Equal(t, []string{"service.instance.id", "service.name"}, scopes.Scopes[0].Tags)
	require.Equal(t, "span", scopes.Scopes[1].Name)
	require.Contains(t, scopes.Scopes[1].Tags, "http.status_code")
	var tags struct{ TagNames []string }
	c.ok(t, "/api/search/tags?scope=resource", &tags)
	require.Equal(t, []string{"service.instance.id", "service.name"}, tags.TagNames)
}

func TestTempoValues(t *testing.T) {
	c := serving(t, toolShop(t))
	// grafana/grafana-tempo-datasource src/language_provider.ts: getOptionsV2
	for path, want := range map[string]string{
		"resource.service.name/values?limit=5000":                          "string mail;string pay;string web;",
		".http.status_code/values":                                         "int 200;",
		"span.http.status_code/values?start=1700000000&end=1700003600":     "int 200;",
		"name/values?q=%7B+resource.service.name+%3D+%22web%22+%7D":        "string checkout;string publish;",
		"status/values?q=%7B+resource.service.name+%3D+%22pay%22+%7D":      "keyword unset;keyword ok;keyword error;",
		"resource.service.name/values?q=%7B+status+%3D+error+%7D":          "string pay;",
		"resource.service.name/values?q=%7B+resource.service.name+%3D+%7D": "string mail;string pay;string web;", // not finished
		"resource.service.name/values?q=%7B%7D&limit=2":                    "string mail;string pay;",
		"span.none/values?q=%7B+status+%3D+error+%7D":                      "",
		"duration/values": "",
	} {
		var got struct {
			TagValues []struct{ Type, Value string }
		}
		c.ok(t, "/api/v2/search/tag/"+path, &got)
		text := ""
		for _, v := range got.TagValues {
			text += v.Type + " " + v.Value + ";"
		}
		require.Equal(t, want, text, path)
	}
	var got struct{ TagValues []string }
	c.ok(t, "/api/search/tag/service.name/values", &got)
	require.Equal(t, []string{"mail", "pay", "web"}, got.TagValues)
}
