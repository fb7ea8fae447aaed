package queryextension

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

func init() { // kin-openapi knows JSON and text, not these
	openapi3filter.RegisterBodyDecoder("application/problem+json", openapi3filter.JSONBodyDecoder)
	for _, text := range []string{"text/html", "application/x-ndjson", "text/event-stream", "text/vnd.graphviz", "text/vnd.mermaid", "image/svg+xml", "application/protobuf"} {
		openapi3filter.RegisterBodyDecoder(text, plainText)
	}
}

func plainText(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	b, err := io.ReadAll(body)
	return string(b), err
}

func loadSpec(t *testing.T) *openapi3.T {
	spec, err := openapi3.NewLoader().LoadFromFile(filepath.Join("..", "..", "docs", "openapi.yaml"))
	require.NoError(t, err)
	require.NoError(t, spec.Validate(t.Context()))
	return spec
}

// TestRoutesAreDescribed holds table and description together.
func TestRoutesAreDescribed(t *testing.T) {
	spec := loadSpec(t)
	var described, served []string
	for path, item := range spec.Paths.Map() {
		for method, operation := range item.Operations() {
			call := method + " " + path
			for _, p := range operation.Parameters {
				if p.Value.In == openapi3.ParameterInQuery {
					call += " " + p.Value.Name
				}
			}
			described = append(described, call)
		}
	}
	for _, r := range routes {
		served = append(served, strings.Join(append([]string{r.method + " " + r.path}, r.query...), " "))
	}
	require.ElementsMatch(t, described, served)
}

// call is an example request and what it is answered.
type call struct {
	method, path string
	body         string
	header       http.Header
	status       int
	bad          bool // the request itself contradicts the description
}

// world is a state of the extension and calls that show it.
type world struct {
	store  func(*testing.T) store.Store
	change func(*Config)
	before func(*client)
	calls  []call
}

var (
	storedTrace  = "/api/v1/traces/" + storetest.TraceID(7).String()
	missingTrace = "/api/v1/traces/" + strings.Repeat("a", 32)
	storedSpan   = storedTrace + "/spans/" + storetest.SpanID(9).String()
	spanGraph    = "/api/v1/graph?trace=" + storetest.TraceID(7).String() + "&span=" + storetest.SpanID(9).String()
	pageOfChain  = "/chain?trace=" + storetest.TraceID(7).String() + "&span=" + storetest.SpanID(9).String()
	jsonBody     = http.Header{"Content-Type": {"application/json"}}
	plainBody    = http.Header{"Content-Type": {"text/plain"}}
)

func controlled(cfg *Config) { cfg.Control = true }

func stocked(t *testing.T) store.Store {
	s := newFaulty()
	write(t, s,
		native("pay", "n1", "order/17", func(span ptrace.Span) {
			link := span.Links().AppendEmpty()
			link.SetTraceID(storetest.TraceID(1))
			link.SetSpanID(storetest.SpanID(2))
			span.Attributes().PutStr("scope.correlation.id", "basket/3")
		}),
		native("cart", "n1", "order/17", func(span ptrace.Span) { span.SetSpanID(storetest.SpanID(10)) }),
		did("n1", "clerk", "opened", 1, 20, became("ledger", "shut", "open", 7)),
		did("n1", "clerk", "counted", 2, 30, became("ledger", "", "counted", 0), causedBy(1)),
		did("n1", "clerk", "opened too", 3, 20, became("drawer", "", "open", 0)),
		native("pay", "n1", "opened as well", func(span ptrace.Span) { span.SetSpanID(storetest.SpanID(11)) }, became("drawer", "", "open", 0)),
	)
	return s
}

func failingWith(err error) func(*testing.T) store.Store {
	return func(t *testing.T) store.Store {
		s := newFaulty()
		s.trace = func(context.Context, pcommon.TraceID) ([]store.Span, error) { return nil, err }
		s.event = func(context.Context, string) ([]store.Span, error) { return nil, err }
		s.spans = func(context.Context, []causal.SpanRef) ([]store.Span, error) { return nil, err }
		s.group = func(context.Context, string, int) ([]store.Span, bool, error) { return nil, false, err }
		s.scan = func(context.Context) iter.Seq2[store.Span, error] {
			return func(yield func(store.Span, error) bool) { yield(store.Span{}, err) }
		}
		s.selected = func(context.Context, store.Selection) iter.Seq2[store.Span, error] { return s.scan(t.Context()) }
		s.stats = func() store.Stats { return store.Stats{Trouble: "no space"} }
		return s
	}
}

func lettersFail(err error) func(*client) {
	return func(c *client) { c.extension.RegisterDeadLetters(scopeID, &letters{err: err}) }
}

var worlds = map[string]world{
	"tools": {store: func(t *testing.T) store.Store { return toolShop(t) }, calls: toolCalls},
	"tools over a broken store": {
		store: func(t *testing.T) store.Store {
			return &broken{faulty: toolShop(t), err: errors.New("block 7: bad checksum")}
		},
		calls: []call{
			{method: "GET", path: "/api/services", status: 500},
			{method: "GET", path: "/api/v3/services", status: 500},
		},
	},
	"stocked": {
		store:  stocked,
		change: controlled,
		before: func(c *client) {
			c.extension.RegisterStatus(scopeID, func() any { return map[string]any{"ring": map[string]int{"items": 3}} })
			c.extension.RegisterDeadLetters(scopeID, &letters{
				kept:  []hub.DeadLetter{letter("1", "{"), letter("2", "{}"), letter("3", "[]")},
				stuck: []string{"2"},
			})
			c.extension.RegisterIntake(scopeID, &intake{})
			c.extension.RegisterSampling(pressureID, &sampling{})
		},
		calls: []call{
			{method: "GET", path: "/", status: 200},
			{method: "GET", path: "/?a=b", status: 400},
			{method: "GET", path: "/?q=%7B%7D", status: 200},
			{method: "GET", path: "/?q=%7B", status: 400},
			{method: "GET", path: pageOfChain, status: 200},
			{method: "GET", path: "/chain?event=order%2F17&service=pay&direction=causes", status: 200},
			{method: "GET", path: "/chain", status: 400},
			{method: "GET", path: "/chain?format=svg", status: 400},
			{method: "GET", path: "/chain?event=nothing", status: 404},
			{method: "GET", path: storedTrace, status: 200},
			{method: "GET", path: "/api/v1/traces/xyz", status: 400},
			{method: "GET", path: missingTrace, status: 404},
			{method: "GET", path: "/api/v1/events/order%2F17", status: 200},
			{method: "GET", path: "/api/v1/events/order%2F17?service=cart&node=n1&limit=1", status: 200},
			{method: "GET", path: "/api/v1/events/order%2F17?limit=0", status: 400, bad: true},
			{method: "GET", path: "/api/v1/events/order%2F18", status: 404},
			{method: "GET", path: "/api/v1/events/order%2F17/chain", status: 200},
			{method: "GET", path: "/api/v1/events/order%2F17/chain?service=pay&direction=causes&types=other,message_flow&min_confidence=0.5&depth=1&limit=7", status: 200},
			{method: "GET", path: "/api/v1/events/order%2F17/chain?direction=up", status: 400, bad: true},
			{method: "GET", path: "/api/v1/events/order%2F18/chain", status: 404},
			{method: "GET", path: storedSpan + "/chain", status: 200},
			{method: "GET", path: storedSpan + "/chain?depth=0", status: 400, bad: true},
			{method: "GET", path: storedTrace + "/spans/aaaaaaaaaaaaaaaa/chain", status: 404},
			{method: "GET", path: spanGraph, status: 200},
			{method: "GET", path: "/api/v1/graph?event=order%2F17&service=pay&format=svg", status: 200},
			{method: "GET", path: "/api/v1/graph?event=order%2F17&format=dot&depth=2", status: 200},
			{method: "GET", path: "/api/v1/graph?event=order%2F17&format=mermaid", status: 200},
			{method: "GET", path: "/api/v1/graph", status: 400},
			{method: "GET", path: "/api/v1/graph?event=nothing", status: 404},
			{method: "GET", path: "/api/v1/edges", status: 200},
			{method: "GET", path: "/api/v1/edges?start=2020-01-01T00:00:00Z&end=1800000000000000000&types=other&min_confidence=1", status: 200},
			{method: "GET", path: "/api/v1/edges?types=magic", status: 400, bad: true},
			{method: "GET", path: "/api/v1/correlations/basket%2F3", status: 200},
			{method: "GET", path: "/api/v1/correlations/basket%2F3?limit=0", status: 400, bad: true},
			{method: "GET", path: "/api/v1/correlations/nothing", status: 404},
			{method: "GET", path: "/api/v1/views", status: 200},
			{method: "GET", path: "/api/v1/views?deep=1", status: 400},
			{method: "GET", path: "/api/v1/views/service_graph", status: 200},
			{method: "GET", path: "/api/v1/views/operations?service=pay&limit=1", status: 200},
			{method: "GET", path: "/api/v1/views/errors?cursor=eyJzZXJ2aWNlIjoicGF5In0", status: 200},
			{method: "GET", path: "/api/v1/views/processes", status: 200},
			{method: "GET", path: "/api/v1/views/operations?cursor=!", status: 400},
			{method: "GET", path: "/api/v1/views/operations?limit=0", status: 400, bad: true},
			{method: "GET", path: "/api/v1/views/everything", status: 404},
			{method: "GET", path: "/api/v1/processes?service=pay&node=n1&limit=7", status: 200},
			{method: "GET", path: "/api/v1/processes?cursor=!", status: 400},
			{method: "GET", path: searchPath("{ }"), status: 200},
			{method: "GET", path: searchPath(`{ name = "send order" } | by(kind) | count() > 0 | select(name, .x)`, "explain=true", "limit=1", "spans_per_spanset=1", "start=17", "types=other"), status: 200},
			{method: "GET", path: searchPath("{ } ->> { } | select(path)"), status: 200},
			{method: "GET", path: searchPath("{ } | rate()"), status: 400},
			{method: "GET", path: "/api/v1/search", status: 400, bad: true},
			{method: "GET", path: "/api/v1/graph?q={}", status: 200},
			{method: "GET", path: "/api/v1/graph?q={}&format=svg&start=17&end=1800000000000000000", status: 200},
			{method: "GET", path: "/api/v1/processes/%3C0.83.0%3E/timeline?service=pay", status: 200},
			{method: "GET", path: "/api/v1/processes/%3C0.83.0%3E/timeline?service=pay&node=n1&start=17&end=2020-01-01T00:00:00Z&types=other&min_confidence=1&limit=1", status: 404},
			{method: "GET", path: "/api/v1/processes/%3C0.83.0%3E/timeline?cursor=x", status: 400},
			{method: "GET", path: "/api/v1/processes/%3C0.83.0%3E/timeline", status: 409},
			{method: "GET", path: "/api/v1/processes/nobody/timeline", status: 404},
			{method: "GET", path: "/api/v1/state/ledger", status: 200},
			{method: "GET", path: "/api/v1/state/ledger?at=17&service=shop&types=other&min_confidence=1&limit=1", status: 200},
			{method: "GET", path: "/api/v1/state/ledger?limit=0", status: 400, bad: true},
			{method: "GET", path: "/api/v1/state/nothing", status: 404},
			{method: "GET", path: "/api/v1/state/drawer", status: 409},
			{method: "GET", path: "/api/v1/status", status: 200},
			{method: "GET", path: "/api/v1/status?verbose=1", status: 400},
			{method: "GET", path: "/api/v1/health", status: 200},
			{method: "GET", path: "/api/v1/health?deep=1", status: 400},
			{method: "GET", path: "/api/v1/dead-letters", status: 200},
			{method: "GET", path: "/api/v1/dead-letters?limit=1", status: 200},
			{method: "GET", path: "/api/v1/dead-letters?payload=true", status: 200},
			{method: "GET", path: "/api/v1/dead-letters?cursor=!", status: 400},
			{method: "POST", path: "/api/v1/dead-letters/replay", body: `{"ids":["2","3"]}`, header: jsonBody, status: 200},
			{method: "POST", path: "/api/v1/dead-letters/replay", status: 200},
			{method: "POST", path: "/api/v1/dead-letters/replay", body: `{"ids":7}`, header: jsonBody, status: 400, bad: true},
			{method: "POST", path: "/api/v1/dead-letters/replay", body: `{"receiver":"x"}`, header: jsonBody, status: 404},
			{method: "POST", path: "/api/v1/dead-letters/replay", body: "ids=7", header: plainBody, status: 415, bad: true},
			{method: "POST", path: "/api/v1/pipeline/pause", status: 200},
			{method: "POST", path: "/api/v1/pipeline/pause", body: `{"receiver":"scope"}`, header: jsonBody, status: 400, bad: true},
			{method: "POST", path: "/api/v1/pipeline/pause", body: "now", header: plainBody, status: 415, bad: true},
			{method: "POST", path: "/api/v1/pipeline/resume", body: `{}`, header: jsonBody, status: 200},
			{method: "POST", path: "/api/v1/pipeline/resume", body: `[]`, header: jsonBody, status: 400, bad: true},
			{method: "POST", path: "/api/v1/pipeline/resume", body: "now", header: plainBody, status: 415, bad: true},
			{method: "PUT", path: "/api/v1/pipeline/workers", body: `{"min":2,"max":8}`, header: jsonBody, status: 200},
			{method: "PUT", path: "/api/v1/pipeline/workers", body: `{"min":2}`, header: jsonBody, status: 400, bad: true},
			{method: "PUT", path: "/api/v1/pipeline/workers", body: "min=2", header: plainBody, status: 415, bad: true},
			{method: "PUT", path: "/api/v1/pipeline/batch", body: `{"min_size":100,"max_size":5000}`, header: jsonBody, status: 200},
			{method: "PUT", path: "/api/v1/pipeline/batch", body: `{"min_size":1.5,"max_size":5000}`, header: jsonBody, status: 400, bad: true},
			{method: "PUT", path: "/api/v1/pipeline/batch", body: "min_size=2", header: plainBody, status: 415, bad: true},
			{method: "PUT", path: "/api/v1/pipeline/strategy", body: `{"strategy":"refuse"}`, header: jsonBody, status: 200},
			{method: "PUT", path: "/api/v1/pipeline/strategy", body: `{"strategy":"hope"}`, header: jsonBody, status: 400, bad: true},
			{method: "PUT", path: "/api/v1/pipeline/strategy", body: "refuse", header: plainBody, status: 415, bad: true},
			{method: "PUT", path: "/api/v1/pipeline/sampling", body: `{"ratio":0.1}`, header: jsonBody, status: 200},
			{method: "PUT", path: "/api/v1/pipeline/sampling", body: `{"ratio":null}`, header: jsonBody, status: 200},
			{method: "PUT", path: "/api/v1/pipeline/sampling", body: `{"ratio":0}`, header: jsonBody, status: 400, bad: true},
			{method: "PUT", path: "/api/v1/pipeline/sampling", body: "0.1", header: plainBody, status: 415, bad: true},
			{method: "GET", path: "/api/v1/status", status: 200},
		},
	},
	"small": {
		store:  stocked,
		change: func(cfg *Config) { cfg.Query.MaxBytes = 10; cfg.HTTP.MaxRequestBodySize = 10; cfg.Control = true },
		calls: []call{
			{method: "GET", path: "/?q=%7B%7D", status: 422},
			{method: "GET", path: pageOfChain, status: 422},
			{method: "GET", path: storedTrace, status: 422},
			{method: "GET", path: "/api/v1/events/order%2F17", status: 422},
			{method: "GET", path: "/api/v1/events/order%2F17/chain", status: 422},
			{method: "GET", path: storedSpan + "/chain", status: 422},
			{method: "GET", path: spanGraph, status: 422},
			{method: "GET", path: "/api/v1/correlations/basket%2F3", status: 422},
			{method: "GET", path: searchPath("{ }"), status: 422},
			{method: "GET", path: "/api/v1/processes/clerk/timeline", status: 422},
			{method: "GET", path: "/api/v1/state/ledger", status: 422},
			{method: "POST", path: "/api/v1/dead-letters/replay", body: `{"ids":["1","2"]}`, header: jsonBody, status: 413},
			{method: "POST", path: "/api/v1/pipeline/pause", body: `{         }`, header: jsonBody, status: 413},
			{method: "POST", path: "/api/v1/pipeline/resume", body: `{         }`, header: jsonBody, status: 413},
			{method: "PUT", path: "/api/v1/pipeline/workers", body: `{"min":2,"max":8}`, header: jsonBody, status: 413},
			{method: "PUT", path: "/api/v1/pipeline/batch", body: `{"min_size":1,"max_size":5}`, header: jsonBody, status: 413},
			{method: "PUT", path: "/api/v1/pipeline/strategy", body: `{"strategy":"off"}`, header: jsonBody, status: 413},
			{method: "PUT", path: "/api/v1/pipeline/sampling", body: `{"ratio":null}`, header: jsonBody, status: 413},
		},
	},
	"tail": {
		store: stocked,
		before: func(c *client) {
			go func() { // hands on a span to the first subscription, and ends it
				for c.extension.tail.Stats().Subscriptions == 0 {
					time.Sleep(time.Millisecond)
				}
				_ = c.extension.tail.Publish(7, spansOf(native("pay", "n1", "order/17")))
				for c.extension.tail.Stats().Delivered == 0 {
					time.Sleep(time.Millisecond)
				}
				_ = c.extension.NotReady()
			}()
		},
		calls: []call{
			{method: "GET", path: "/api/v1/tail?q=" + url.QueryEscape(`{ name = "send order" }`), header: http.Header{"Last-Event-Id": {"5-0"}}, status: 200},
			{method: "GET", path: "/api/v1/tail?q={}", status: 503},
			{method: "GET", path: "/api/v1/tail", status: 400, bad: true},
		},
	},
	"closed": {
		store:  failingWith(store.ErrClosed),
		change: controlled,
		before: lettersFail(&store.UnavailableError{Reason: "no space"}),
		calls: []call{
			{method: "GET", path: "/?q=%7B%7D", status: 503},
			{method: "GET", path: pageOfChain, status: 503},
			{method: "GET", path: storedTrace, status: 503},
			{method: "GET", path: "/api/v1/events/e", status: 503},
			{method: "GET", path: "/api/v1/events/e/chain", status: 503},
			{method: "GET", path: storedSpan + "/chain", status: 503},
			{method: "GET", path: spanGraph, status: 503},
			{method: "GET", path: "/api/v1/correlations/c", status: 503},
			{method: "GET", path: searchPath("{ }"), status: 503},
			{method: "GET", path: "/api/v1/processes/clerk/timeline", status: 503},
			{method: "GET", path: "/api/v1/state/ledger", status: 503},
			{method: "GET", path: "/api/v1/edges", status: 503},
			{method: "GET", path: "/api/v1/health", status: 503},
			{method: "POST", path: "/api/v1/dead-letters/replay", status: 503},
			{method: "POST", path: "/api/v1/pipeline/pause", status: 409},
			{method: "POST", path: "/api/v1/pipeline/resume", status: 409},
			{method: "PUT", path: "/api/v1/pipeline/workers", body: `{"min":2,"max":8}`, header: jsonBody, status: 409},
			{method: "PUT", path: "/api/v1/pipeline/batch", body: `{"min_size":1,"max_size":5}`, header: jsonBody, status: 409},
			{method: "PUT", path: "/api/v1/pipeline/strategy", body: `{"strategy":"off"}`, header: jsonBody, status: 409},
			{method: "PUT", path: "/api/v1/pipeline/sampling", body: `{"ratio":null}`, header: jsonBody, status: 409},
		},
	},
	"broken": {
		store:  failingWith(errors.New("block 7: bad checksum")),
		change: controlled,
		before: lettersFail(errors.New("dead letters: bad checksum")),
		calls: []call{
			{method: "GET", path: "/?q=%7B%7D", status: 500},
			{method: "GET", path: pageOfChain, status: 500},
			{method: "GET", path: storedTrace, status: 500},
			{method: "GET", path: "/api/v1/events/e", status: 500},
			{method: "GET", path: "/api/v1/events/e/chain", status: 500},
			{method: "GET", path: storedSpan + "/chain", status: 500},
			{method: "GET", path: spanGraph, status: 500},
			{method: "GET", path: "/api/v1/correlations/c", status: 500},
			{method: "GET", path: searchPath("{ }"), status: 500},
			{method: "GET", path: "/api/v1/processes/clerk/timeline", status: 500},
			{method: "GET", path: "/api/v1/state/ledger", status: 500},
			{method: "GET", path: "/api/v1/edges", status: 500},
			{method: "GET", path: "/api/v1/dead-letters", status: 500},
			{method: "POST", path: "/api/v1/dead-letters/replay", status: 500},
		},
	},
	"behind": {
		store:  stocked,
		change: func(cfg *Config) { cfg.Query.Timeout = 20 * time.Millisecond },
		before: func(c *client) { c.extension.unfollow() },
		calls: []call{
			{method: "GET", path: "/api/services/web/operations", status: 504},
			{method: "GET", path: "/api/v3/operations?service=web", status: 504},
			{method: "GET", path: "/api/dependencies", status: 504},
			{method: "GET", path: "/api/v3/dependencies", status: 504},
			{method: "GET", path: "/api/v1/views", status: 504},
			{method: "GET", path: "/api/v1/views/operations", status: 504},
			{method: "GET", path: "/api/v1/processes", status: 504},
		},
	},
	"slow": {
		store:  failingWith(context.DeadlineExceeded),
		before: lettersFail(context.DeadlineExceeded),
		calls: []call{
			{method: "GET", path: "/?q=%7B%7D", status: 504},
			{method: "GET", path: pageOfChain, status: 504},
			{method: "GET", path: storedTrace, status: 504},
			{method: "GET", path: "/api/v1/events/e", status: 504},
			{method: "GET", path: "/api/v1/events/e/chain", status: 504},
			{method: "GET", path: storedSpan + "/chain", status: 504},
			{method: "GET", path: spanGraph, status: 504},
			{method: "GET", path: "/api/v1/correlations/c", status: 504},
			{method: "GET", path: searchPath("{ }"), status: 504},
			{method: "GET", path: "/api/v1/processes/clerk/timeline", status: 504},
			{method: "GET", path: "/api/v1/state/ledger", status: 504},
			{method: "GET", path: "/api/v1/dead-letters", status: 504},
			{method: "POST", path: "/api/v1/dead-letters/replay", status: 403},
			{method: "POST", path: "/api/v1/pipeline/pause", status: 403},
			{method: "POST", path: "/api/v1/pipeline/resume", status: 403},
			{method: "PUT", path: "/api/v1/pipeline/workers", body: `{"min":2,"max":8}`, header: jsonBody, status: 403},
			{method: "PUT", path: "/api/v1/pipeline/batch", body: `{"min_size":1,"max_size":5}`, header: jsonBody, status: 403},
			{method: "PUT", path: "/api/v1/pipeline/strategy", body: `{"strategy":"off"}`, header: jsonBody, status: 403},
			{method: "PUT", path: "/api/v1/pipeline/sampling", body: `{"ratio":null}`, header: jsonBody, status: 403},
		},
	},
}

// TestAnswersAreAsDescribed sends example requests to the real server, and
// validates them and the answers. Each status that is described must come.
func TestAnswersAreAsDescribed(t *testing.T) {
	spec := loadSpec(t)
	seen := map[string]bool{}
	for name, w := range worlds {
		t.Run(name, func(t *testing.T) {
			c := serving(t, w.store(t), func(cfg *Config) {
				if w.change != nil {
					w.change(cfg)
				}
			})
			if w.before != nil {
				w.before(c)
			}
			spec.Servers = openapi3.Servers{{URL: c.url}}
			router, err := gorillamux.NewRouter(spec)
			require.NoError(t, err)
			for _, example := range w.calls {
				found, operation := validated(t, router, c, example)
				status := strconv.Itoa(example.status)
				if operation.Responses.Value(status) == nil {
					status = "default"
				}
				seen[found+" "+status] = true
			}
		})
	}
	for path, item := range spec.Paths.Map() {
		for method, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				require.True(t, seen[method+" "+path+" "+status], "no example is answered %s by %s %s", status, method, path)
			}
		}
	}
}

// validated makes one call and returns the method and path it is described by,
// and the description.
func validated(t *testing.T, router routers.Router, c *client, example call) (string, *openapi3.Operation) {
	name := example.method + " " + example.path
	req, err := http.NewRequestWithContext(t.Context(), example.method, c.url+example.path, strings.NewReader(example.body))
	require.NoError(t, err)
	if example.header != nil {
		req.Header = example.header.Clone()
	}
	route, params, err := router.FindRoute(req)
	require.NoError(t, err, name)
	input := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route}
	if err := openapi3filter.ValidateRequest(t.Context(), input); example.bad {
		require.Error(t, err, name)
	} else {
		require.NoError(t, err, name)
	}

	got := c.do(t, example.method, example.path, example.body, example.header)
	require.Equal(t, example.status, got.status, "%s: %s", name, got.body)
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input,
		Status:                 got.status,
		Header:                 got.header,
		Body:                   io.NopCloser(bytes.NewReader(got.body)),
	}), "%s: %s", name, got.body)
	return route.Method + " " + route.Path, route.Operation
}

// TestDescriptionIsExact checks the schema of a span and of the figures
// against what is encoded: a field that one of them lacks is drift.
func TestDescriptionIsExact(t *testing.T) {
	spec := loadSpec(t)
	s := stocked(t).(*faulty)
	s.stats = func() store.Stats { return store.Stats{Refusing: "no space"} }
	c := serving(t, s)
	var span, status map[string]any
	c.get(t, "/api/v1/events/order%2F17").into(t, &span)
	c.awaitLevel(t, pressure.Critical)
	c.get(t, "/api/v1/status").into(t, &status)
	hard := status["pressure"].(map[string]any)
	delete(span, "others")
	delete(span, "truncated")
	var chain, group map[string]any
	c.get(t, storedSpan+"/chain").into(t, &chain)
	c.get(t, "/api/v1/correlations/basket%2F3").into(t, &group)
	var found, graph, timeline, state map[string]any
	c.get(t, searchPath("{ } | select(name)", "explain=true", "limit=1")).into(t, &found)
	c.get(t, "/api/v1/graph?q={}").into(t, &graph)
	c.get(t, "/api/v1/processes/clerk/timeline?limit=1").into(t, &timeline)
	c.get(t, "/api/v1/state/ledger?limit=1").into(t, &state)
	plan := found["plan"].(map[string]any)
	for _, optional := range []map[string]any{found, timeline, state} {
		require.NotEmpty(t, optional["cursor"])
		delete(optional, "cursor")
	}
	delete(found, "plan")
	for schema, encoded := range map[string]map[string]any{
		"SearchGraph":  graph,
		"Plan":         plan,
		"Transition":   state["history"].([]any)[0].(map[string]any),
		"Chain":        chain,
		"Group":        group,
		"Edge":         chain["edges"].([]any)[0].(map[string]any),
		"SpanFields":   span,
		"Status":       status,
		"StoreFigures": status["store"].(map[string]any),

		"Pressure":        hard,
		"PressureReading": hard["readings"].([]any)[0].(map[string]any),
		"PressureChange":  hard["history"].([]any)[0].(map[string]any),
	} {
		var described, got []string
		for name := range spec.Components.Schemas[schema].Value.Properties {
			described = append(described, name)
		}
		for name := range encoded {
			got = append(got, name)
		}
		require.ElementsMatch(t, described, got, schema)
		slices.Sort(described)
		required := slices.Sorted(slices.Values(spec.Components.Schemas[schema].Value.Required))
		require.Equal(t, described, required, schema)
	}
}
