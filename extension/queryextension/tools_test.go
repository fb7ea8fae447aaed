package queryextension

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.yaml.in/yaml/v3"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// shopStart is when the shop's data begin, in seconds since the epoch.
const shopStart = 1_700_000_000

// toolShop has three traces: web publishes (trace 1, span 2), which makes pay
// charge (trace 2, span 3), which makes mail notify (trace 3, span 4). The first
// link stands on its effect, the second on its cause, as when a cause arrives
// late.
func toolShop(t *testing.T) *faulty {
	s := newFaulty()
	write(t, s, toolSpans()...)
	return s
}

// storedShop has the same in a real store.
func storedShop(t *testing.T) *client {
	s := newStoring(t, 1000)
	write(t, s.extension.store, toolSpans()...)
	return s.client
}

func toolSpans() (all []ptrace.Traces) {
	span := func(service string, trace, id, parent uint64, name string, fill ...func(ptrace.Span)) {
		at := pcommon.Timestamp(shopStart*1e9 + id*1e6)
		fill = slices.Insert(fill, 0, func(span ptrace.Span) {
			span.SetTraceID(storetest.TraceID(trace))
			span.SetSpanID(storetest.SpanID(id))
			if parent > 0 {
				span.SetParentSpanID(storetest.SpanID(parent))
			}
			span.SetName(name)
			span.SetStartTimestamp(at)
			span.SetEndTimestamp(at + 3e6)
			span.Attributes().PutInt("http.status_code", 200)
		})
		all = append(all, native(service, "n1", name, fill...))
	}
	span("web", 1, 1, 0, "checkout", func(s ptrace.Span) { s.SetKind(ptrace.SpanKindServer) })
	span("web", 1, 2, 1, "publish")
	span("pay", 2, 3, 0, "charge", func(s ptrace.Span) {
		s.SetKind(ptrace.SpanKindConsumer)
		s.Status().SetCode(ptrace.StatusCodeError)
		linkOn(s, 1, 2, causal.LinkRoleCause)
		linkOn(s, 3, 4, causal.LinkRoleEffect)
	})
	span("mail", 3, 4, 0, "notify")
	return all
}

func linkOn(span ptrace.Span, trace, id uint64, role string) {
	l := span.Links().AppendEmpty()
	l.SetTraceID(storetest.TraceID(trace))
	l.SetSpanID(storetest.SpanID(id))
	l.Attributes().PutStr(causal.AttrLinkType, string(causal.MessageFlow))
	l.Attributes().PutStr(causal.AttrLinkRole, role)
	l.Attributes().PutStr(causal.AttrLinkRule, "kafka")
	l.Attributes().PutDouble(causal.AttrLinkConfidence, 1)
}

func hexTrace(n uint64) string { return storetest.TraceID(n).String() }

func hexSpan(n uint64) string { return storetest.SpanID(n).String() }

// ok reads a good answer of a tool.
func (c *client) ok(t *testing.T, path string, into any) {
	t.Helper()
	c.get(t, path).into(t, into)
}

var acceptProtobuf = http.Header{"Accept": {"application/protobuf"}}

// TestWhoseTraceItIs tells Jaeger's and Tempo's clients apart where they have
// the same path.
func TestWhoseTraceItIs(t *testing.T) {
	c := serving(t, toolShop(t))
	for path, jaeger := range map[string]bool{
		"/api/traces/":        true,
		"/jaeger/api/traces/": true,
		"/tempo/api/traces/":  false,
	} {
		var got map[string]any
		c.ok(t, path+hexTrace(1), &got)
		require.Equal(t, jaeger, got["data"] != nil, path)
		require.Equal(t, !jaeger, got["batches"] != nil, path)
		require.Equal(t, "Accept", c.get(t, path+hexTrace(1)).header.Get("Vary"))

		got404 := c.get(t, path+hexTrace(9))
		require.Equal(t, http.StatusNotFound, got404.status)
		require.Equal(t, jaeger, got404.header.Get("Content-Type") == "application/json", path)
	}
	for path, tempo := range map[string]bool{
		"/api/traces/":        true,
		"/jaeger/api/traces/": false,
		"/tempo/api/traces/":  true,
	} {
		got := c.do(t, "GET", path+hexTrace(1), "", acceptProtobuf)
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, tempo, got.header.Get("Content-Type") == "application/protobuf", path)
		got = c.do(t, "GET", path+hexTrace(9), "", acceptProtobuf)
		require.Equal(t, tempo, got.header.Get("Content-Type") == "text/plain; charset=utf-8", path)
	}
}

// TestMetricsAreRefused has each tool's error where its UI shows it.
func TestMetricsAreRefused(t *testing.T) {
	c := serving(t, newFaulty())
	const want = "metrics of spans are not supported: GET /api/v1/views/operations has rates, errors and durations"
	for _, kind := range []string{"query", "query_range", "summary"} { // grafana/tempo pkg/api/http.go
		got := c.get(t, "/api/metrics/"+kind+"?q=%7B%7D+%7C+rate%28%29")
		require.Equal(t, http.StatusNotImplemented, got.status)
		require.Equal(t, want, string(got.body))
	}
	for _, kind := range []string{"latencies", "calls", "errors", "minstep"} { // jaegertracing/jaeger http_handler.go
		got := c.get(t, "/jaeger/api/metrics/"+kind+"?service=pay")
		require.Equal(t, http.StatusNotImplemented, got.status)
		require.JSONEq(t, `{"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":501,"msg":"`+want+`"}]}`, string(got.body))
	}
}

// TestPathsWithSlashes are as clients send them that do not encode a slash.
func TestPathsWithSlashes(t *testing.T) {
	c := newStoring(t, 1000)
	write(t, c.extension.store, native("a/b", "", "e", func(span ptrace.Span) { span.Attributes().PutStr("app/name", "x") }))
	for _, path := range []string{"/api/services/a/b/operations", "/api/services/a%2Fb/operations"} {
		var got struct{ Data []string }
		c.ok(t, path, &got)
		require.Equal(t, []string{"send order"}, got.Data)
	}
	for _, path := range []string{"/api/v2/search/tag/span.app/name/values", "/tempo/api/v2/search/tag/span.app%2Fname/values"} {
		var got struct {
			TagValues []struct{ Type, Value string }
		}
		c.ok(t, path, &got)
		require.Len(t, got.TagValues, 1)
		require.Equal(t, "x", got.TagValues[0].Value)
	}
	for _, path := range []string{"/api/services/a", "/api/services//operations", "/api/v2/search/tag/a", "/api/search/tag/a/value"} {
		got := c.get(t, path)
		require.Equal(t, http.StatusNotFound, got.status, path)
	}
}

// TestToolsFailures has each tool's form of a failure, whatever failed.
func TestToolsFailures(t *testing.T) {
	c := serving(t, toolShop(t), func(cfg *Config) { cfg.Query.MaxBytes = 100 })
	for path, want := range map[string]string{
		"/api/traces/x":                               `{"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":400,"msg":"\"x\" is no trace id: must be up to 32 hex digits, not all zero"}]}`,
		"/api/traces/" + hexTrace(1):                  `{"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":422,"msg":"the answer would be made of 2 spans or more, of 476 bytes: allowed are 100B (query::max_bytes of the extension)"}]}`,
		"/api/operations":                             `{"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":400,"msg":"parameter service is required"}]}`,
		"/api/traces?limit=x":                         `{"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":400,"msg":"parameter limit: \"x\" is not allowed: must be a number from 1 to 1500"}]}`,
		"/api/traces?traceID=0":                       `{"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":400,"msg":"\"0\" is no trace id: must be up to 32 hex digits, not all zero"}]}`,
		"/api/dependencies?endTs=x":                   `{"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":400,"msg":"parameter endTs: \"x\" is not allowed: must be milliseconds"}]}`,
		"/api/v3/traces/x":                            `{"error":{"httpCode":400,"message":"\"x\" is no trace id: must be up to 32 hex digits, not all zero"}}`,
		"/api/v3/traces?query.filter=x":               `{"error":{"httpCode":400,"message":"parameter query.filter: filter expressions are not supported: use query.attributes, or Scope's own search"}}`,
		"/api/v3/trace-summaries?query.searchDepth=0": `{"error":{"httpCode":400,"message":"parameter query.searchDepth: \"0\" is not allowed: must be a number from 1 to 1500"}}`,
		"/api/v3/operations":                          `{"error":{"httpCode":400,"message":"parameter service is required"}}`,
		"/api/v3/dependencies?startTime=1":            `{"error":{"httpCode":400,"message":"parameter startTime: \"1\" is not allowed: must be a time such as 2026-03-01T12:00:00Z (RFC 3339)"}}`,
		"/api/v3/traces/" + hexTrace(9):               `{"error":{"httpCode":404,"message":"trace not found: ` + hexTrace(9) + ` is not stored"}}`,
		"/api/v3/traces?query.serviceName=none":       `{"error":{"httpCode":404,"message":"No traces found"}}`,
	} {
		got := c.get(t, path)
		require.Equal(t, "application/json", got.header.Get("Content-Type"), path)
		require.JSONEq(t, want, string(got.body), path)
	}
	for path, want := range map[string]string{
		"/api/v2/traces/x":                          `"x" is no trace id: must be up to 32 hex digits, not all zero`,
		"/api/v2/traces/" + hexTrace(9):             "trace not found: " + hexTrace(9) + " is not stored",
		"/tempo/api/traces/" + hexTrace(9):          "trace not found: " + hexTrace(9) + " is not stored",
		"/api/search?q=%7B+status+%3D+%7D":          "column 12: expected a field or a value, found \"}\"",
		"/api/search?q=%7B%7D+%7C+rate%28%29":       "column 6: the metrics function rate() is not supported",
		"/api/search?limit=0":                       `invalid limit: "0" is not allowed: must be a number from 1 to 1000`,
		"/api/search/tags?scope=trace":              `invalid scope: "trace" is not allowed: must be span, resource, event, link, instrumentation or intrinsic`,
		"/api/v2/search/tags?start=x":               `invalid start: "x" is not allowed: must be seconds since the epoch`,
		"/api/v2/search/tags?limit=-1":              `invalid limit: "-1" is not allowed: must be a number from 0 to 9223372036854775807`,
		"/api/search/tag/a/values?limit=x":          `invalid limit: "x" is not allowed: must be a number from 0 to 9223372036854775807`,
		"/api/v2/search/tag/a/values?end=1&start=2": `invalid end: start must be before end: start=2 end=1`,
	} {
		got := c.get(t, path)
		require.Equal(t, "text/plain; charset=utf-8", got.header.Get("Content-Type"), path)
		require.Equal(t, want, string(got.body), path)
	}
}

// TestLessThanAllLinks says so where it can be said.
func TestLessThanAllLinks(t *testing.T) {
	s := newFaulty()
	write(t, s, native("web", "", "a"))
	for i := range uint64(maxForeign + 2) {
		write(t, s, native("pay", "", "b", func(span ptrace.Span) {
			span.SetTraceID(storetest.TraceID(100 + i))
			span.SetSpanID(storetest.SpanID(100 + i))
			linkOn(span, 7, 9, causal.LinkRoleCause)
		}))
	}
	c := serving(t, s)
	var jaeger struct {
		Data []struct {
			Warnings []string
			Spans    []struct{ References []any }
		}
	}
	const want = "more spans of other traces are linked to these than can be shown"
	c.ok(t, "/api/traces/"+hexTrace(7), &jaeger)
	require.Equal(t, []string{want}, jaeger.Data[0].Warnings)
	require.GreaterOrEqual(t, len(jaeger.Data[0].Spans[0].References), maxForeign)
	var tempo struct{ Status, Message string }
	c.ok(t, "/api/v2/traces/"+hexTrace(7), &tempo)
	require.Equal(t, "PARTIAL", tempo.Status)
	require.Equal(t, want, tempo.Message)
}

// broken is a store of which searches and lists fail; gone are the spans that
// a search found.
type broken struct {
	*faulty
	err       error
	referring bool // only what refers to spans fails
}

func (b *broken) Select(ctx context.Context, sel store.Selection) iter.Seq2[store.Span, error] {
	if b.referring {
		return b.Model.Select(ctx, sel)
	}
	return func(yield func(store.Span, error) bool) { yield(store.Span{}, b.err) }
}

func (b *broken) Values(context.Context, store.Field, uint64, uint64, int) (store.Values, error) {
	return store.Values{}, b.err
}

func (b *broken) Fields(context.Context, uint64, uint64) ([]store.Field, error) { return nil, b.err }

func (b *broken) Referring(context.Context, []causal.SpanRef, int) ([]store.Span, bool, error) {
	return nil, false, b.err
}

// toolPaths ask each call that reads spans for something that is stored.
var toolPaths = []string{
	"/api/services", "/api/traces", "/api/traces/" + hexTrace(1), "/api/v3/services", "/api/v3/traces", "/api/v3/traces/" + hexTrace(1), "/api/v3/trace-summaries",
	"/api/search", "/api/search/tags", "/api/v2/search/tags", "/api/search/tag/a/values", "/api/v2/search/tag/a/values?q=%7B+name+%3D+%22a%22+%7D",
	"/api/v2/traces/" + hexTrace(1), "/tempo/api/traces/" + hexTrace(1),
}

func TestBrokenStore(t *testing.T) {
	s := &broken{faulty: toolShop(t), err: errors.New("block 7: bad checksum")}
	s.trace = func(context.Context, pcommon.TraceID) ([]store.Span, error) { return nil, s.err }
	c := serving(t, s)
	for _, path := range toolPaths {
		got := c.get(t, path)
		require.Equal(t, http.StatusInternalServerError, got.status, path)
		require.Contains(t, string(got.body), "bad checksum", path)
	}
	s.referring = true // what is found cannot be read
	for _, path := range []string{"/api/traces", "/api/v3/traces", "/api/v3/trace-summaries", "/api/search"} {
		require.Equal(t, http.StatusInternalServerError, c.get(t, path).status, path)
	}
	s.trace = nil // what is linked cannot
	for _, path := range []string{"/api/traces", "/api/v3/traces", "/api/v2/traces/" + hexTrace(1), "/tempo/api/traces/" + hexTrace(1)} {
		require.Equal(t, http.StatusInternalServerError, c.get(t, path).status, path)
	}
}

// TestMalformedSpans has what the search read and cannot be read again.
func TestMalformedSpans(t *testing.T) {
	s := toolShop(t)
	read := map[pcommon.TraceID]bool{}
	s.trace = func(ctx context.Context, id pcommon.TraceID) ([]store.Span, error) {
		if read[id] {
			return []store.Span{{Bytes: []byte{1}}}, nil
		}
		read[id] = true
		return s.Model.Trace(ctx, id)
	}
	c := serving(t, s)
	for _, path := range []string{"/api/traces", "/api/v3/traces", "/api/v3/trace-summaries", "/api/search"} {
		clear(read)
		got := c.get(t, path)
		require.Equal(t, http.StatusInternalServerError, got.status, path)
		require.Contains(t, string(got.body), "malformed", path)
	}
}

// TestDroppedMeanwhile has traces that are gone when they are read whole.
func TestDroppedMeanwhile(t *testing.T) {
	s := toolShop(t)
	read := map[pcommon.TraceID]bool{}
	s.trace = func(ctx context.Context, id pcommon.TraceID) ([]store.Span, error) {
		if read[id] {
			return nil, nil
		}
		read[id] = true // by the search
		return s.Model.Trace(ctx, id)
	}
	c := serving(t, s)
	for path, want := range map[string]string{
		"/api/traces":             `{"data":[],"total":0,"limit":0,"offset":0,"errors":null}`,
		"/api/v3/trace-summaries": `{"summaries":[]}`,
		"/api/v3/traces":          `{"error":{"httpCode":404,"message":"trace not found: ` + hexTrace(3) + ` is not stored"}}`,
		"/api/search?q=%7B%7D":    `{"traces":[],"metrics":{}}`,
	} {
		clear(read)
		require.JSONEq(t, want, string(c.get(t, path).body), path)
	}
}

// toolCalls show every answer and a failure of the tools' calls.
var toolCalls = []call{
	{method: "GET", path: "/api/services", status: 200},
	{method: "GET", path: "/api/services/web/operations", status: 200},
	{method: "GET", path: "/api/operations?service=web&spanKind=server", status: 200},
	{method: "GET", path: "/api/operations", status: 400},
	{method: "GET", path: "/api/traces?service=web&tag=a:b&tags=%7B%7D&limit=20", status: 200},
	{method: "GET", path: "/api/traces?tag=a", status: 400},
	{method: "GET", path: "/api/traces/" + hexTrace(1), status: 200},
	{method: "GET", path: "/api/traces/" + hexTrace(1), header: acceptProtobuf, status: 200},
	{method: "GET", path: "/api/traces/" + hexTrace(9), status: 404},
	{method: "GET", path: "/api/traces/" + hexTrace(9), header: acceptProtobuf, status: 404},
	{method: "GET", path: "/api/dependencies?endTs=1700000000000&lookback=1000", status: 200},
	{method: "GET", path: "/api/dependencies?lookback=-1", status: 400},
	{method: "GET", path: "/api/v3/services", status: 200},
	{method: "GET", path: "/api/v3/operations?service=web", status: 200},
	{method: "GET", path: "/api/v3/operations", status: 400},
	{method: "GET", path: "/api/v3/traces?query.serviceName=web", status: 200},
	{method: "GET", path: "/api/v3/traces?query.serviceName=none", status: 404},
	{method: "GET", path: "/api/v3/traces/" + hexTrace(2), status: 200},
	{method: "GET", path: "/api/v3/traces/x", status: 400},
	{method: "GET", path: "/api/v3/trace-summaries?query.searchDepth=20", status: 200},
	{method: "GET", path: "/api/v3/trace-summaries?query.durationMin=x", status: 400},
	{method: "GET", path: "/api/v3/dependencies", status: 200},
	{method: "GET", path: "/api/v3/dependencies?startTime=x", status: 400},
	{method: "GET", path: "/api/metrics/query_range", status: 501},
	{method: "GET", path: "/api/metrics/latencies", status: 501},
	{method: "GET", path: "/api/echo", status: 200},
	{method: "GET", path: "/api/status/buildinfo", status: 200},
	{method: "GET", path: "/api/search?q=%7B%7D&limit=20&spss=3&start=1700000000&end=1700003600", status: 200},
	{method: "GET", path: "/api/search?q=%7B", status: 400},
	{method: "GET", path: "/api/search/tags", status: 200},
	{method: "GET", path: "/api/search/tags?scope=x", status: 400},
	{method: "GET", path: "/api/v2/search/tags?limit=5000", status: 200},
	{method: "GET", path: "/api/v2/search/tags?scope=x", status: 400},
	{method: "GET", path: "/api/search/tag/name/values", status: 200},
	{method: "GET", path: "/api/search/tag/name/values?start=2&end=1", status: 400},
	{method: "GET", path: "/api/v2/search/tag/span.http.status_code/values?limit=5000", status: 200},
	{method: "GET", path: "/api/v2/search/tag/name/values?start=2&end=1", status: 400},
	{method: "GET", path: "/api/v2/traces/" + hexTrace(1), status: 200},
	{method: "GET", path: "/api/v2/traces/" + hexTrace(1), header: acceptProtobuf, status: 200},
	{method: "GET", path: "/api/v2/traces/x", status: 400},
}

// TestGrafanaExample asks the base URLs of the example for what Grafana's "Save
// & test" asks for.
func TestGrafanaExample(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", "grafana", "scope.yaml"))
	require.NoError(t, err)
	var example struct {
		Datasources []struct{ Type, URL string }
	}
	require.NoError(t, yaml.Unmarshal(text, &example))
	c := serving(t, toolShop(t))
	health := map[string]string{"tempo": "/api/echo", "jaeger": "/api/services"}
	require.Len(t, example.Datasources, len(health))
	for _, source := range example.Datasources {
		base, ok := strings.CutPrefix(source.URL, "http://localhost:4320")
		require.True(t, ok)
		require.Equal(t, http.StatusOK, c.get(t, base+health[source.Type]).status, source.Type)
	}
}
