package queryextension

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/otelscope/otelscope/extension/queryextension/internal/metadata"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/tail"
	"github.com/otelscope/otelscope/internal/traceql"
)

func TestTail(t *testing.T) {
	c := serving(t, newFaulty())
	c.publish(t, 5, called("early"))
	r := c.tails(t, `{ name =~ "order.*" } | { resource.service.name = "pay" }`, "")
	c.publish(t, 7, called("order 1"), called("other"))
	first := r.expect(t, "order 1")
	require.Equal(t, "1000", r.retry)
	require.Equal(t, sseEvent{event: "span", id: "7-0", data: first.data}, first)
	c.publish(t, 8, called("other"), called("order 2"))
	c.publish(t, 9, called("order\r\n3 \xff\u2028<b>"))
	require.Equal(t, "8-1", r.expect(t, "order 2").id)
	require.Equal(t, "9-0", r.expect(t, "order\r\n3 \ufffd\u2028<b>").id)

	// It is what a lookup answers.
	s := newFaulty()
	write(t, s, called("order 1"))
	var looked map[string]any
	require.NoError(t, json.Unmarshal(serving(t, s).get(t, "/api/v1/events/e%2Forder%201").body, &looked))
	delete(looked, "others")
	delete(looked, "truncated")
	want, err := json.Marshal(looked)
	require.NoError(t, err)
	require.JSONEq(t, string(want), first.data)
}

func TestTailBeginsWithItsPlace(t *testing.T) {
	c := serving(t, newFaulty())
	read := func(r *sseReader) string {
		var text strings.Builder
		for !strings.HasSuffix(text.String(), "\n\n") {
			line, err := r.lines.ReadString('\n')
			require.NoError(t, err)
			text.WriteString(line)
		}
		return text.String()
	}
	require.Equal(t, "retry: 1000\n\n", read(c.tails(t, "{}", "")), "nothing was committed")
	c.publish(t, 5, called("a"), called("b"))
	require.Equal(t, "retry: 1000\nid: 5-1\n\n", read(c.tails(t, "{}", "")))
	require.Equal(t, "retry: 1000\nid: 5-0\n\n", read(c.tails(t, "{}", "5-0")))
}

func TestTailResumes(t *testing.T) {
	c := serving(t, newFaulty())
	for received := range int64(3) {
		c.publish(t, 10+received, called("a"), called("b"))
	}
	r := c.tails(t, `{ name = "a" }`, "10-0")
	require.Equal(t, "11-0", r.expect(t, "a").id)
	require.Equal(t, "12-0", r.expect(t, "a").id)
	c.publish(t, 13, called("a"))
	require.Equal(t, "13-0", r.expect(t, "a").id)

	r = c.tails(t, `{ name = "a" }`, "9-7")
	require.Equal(t, `{"missed":null,"since":"9-7","reason":"what followed is not held any more"}`, r.expect(t, "lag").data)
	require.Equal(t, "10-0", r.expect(t, "a").id)
}

func TestBadTails(t *testing.T) {
	c := serving(t, newFaulty(), func(cfg *Config) { cfg.Query.Tail.MaxSubscriptions = 1 })
	for query, want := range map[string][2]string{
		"":              {"q", "q is required"},
		"?q=%7B":        {"q", "column 2"},
		"?q={}&limit=1": {"limit", `unknown parameter "limit": allowed are q`},
	} {
		p := c.get(t, "/api/v1/tail"+query).problem(t, http.StatusBadRequest)
		require.Equal(t, want[0], p.Parameter, query)
		require.Contains(t, p.Detail, want[1], query)
	}
	var unsupported problem
	a := c.get(t, "/api/v1/tail?q="+url.QueryEscape(`{}->{}`))
	require.Equal(t, http.StatusBadRequest, a.status)
	require.NoError(t, json.Unmarshal(a.body, &unsupported))
	require.Equal(t, unsupportedType, unsupported.Type)
	require.Contains(t, unsupported.Detail, "only one at a time can be matched here")
	p := c.do(t, "GET", "/api/v1/tail?q={}", "", http.Header{"Last-Event-Id": {"seven"}}).problem(t, http.StatusBadRequest)
	require.Equal(t, "Last-Event-ID", p.Parameter)
	require.Equal(t, `"seven" is no id of an event: must be <nanoseconds>-<number>, as 1700000000000000000-0`, p.Detail)

	c.tails(t, "{}", "")
	full := c.get(t, "/api/v1/tail?q={}")
	require.Equal(t, "there are 1 subscriptions, as many as there may be (query::tail::max_subscriptions of the extension)",
		full.problem(t, http.StatusServiceUnavailable).Detail)
	require.Equal(t, "5", full.header.Get("Retry-After"))
}

func TestHeadOfTail(t *testing.T) {
	c := serving(t, newFaulty())
	got := c.do(t, "HEAD", "/api/v1/tail?q={}", "", nil)
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "text/event-stream", got.header.Get("Content-Type"))
	require.Equal(t, http.StatusBadRequest, c.do(t, "HEAD", "/api/v1/tail", "", nil).status)
	require.Zero(t, c.extension.tail.Stats().Subscriptions)
}

func TestReadersThatLeaveLeaveNothing(t *testing.T) {
	c := serving(t, newFaulty())
	c.http.Transport = &http.Transport{}
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, "GET", c.url+"/api/v1/tail?q={}", nil)
		require.NoError(t, err)
		res, err := c.http.Do(req)
		require.NoError(t, err)
		require.Equal(t, 1, c.extension.tail.Stats().Subscriptions)
		cancel()
		require.NoError(t, res.Body.Close())
		c.awaitTails(t, 0)
	}
	c.http.CloseIdleConnections()
}

func (c *client) awaitTails(t *testing.T, n int) {
	require.Eventually(t, func() bool { return c.extension.tail.Stats().Subscriptions == n }, time.Minute, time.Millisecond)
}

func TestStoppingPipelinesEndTails(t *testing.T) {
	c := serving(t, newFaulty())
	r := c.tails(t, "{}", "")
	require.NoError(t, c.extension.NotReady())
	_, err := r.next()
	require.ErrorIs(t, err, io.EOF)
	c.awaitTails(t, 0)
	c.get(t, "/api/v1/tail?q={}").problem(t, http.StatusServiceUnavailable)
}

// padded is a span that takes much.
func padded(name string) ptrace.Traces {
	return called(name, func(s ptrace.Span) { s.Attributes().PutStr("padding", strings.Repeat("x", 10_000)) })
}

// The connection takes some of it; what it does not take is not waited for.
func TestSlowReadersAreTold(t *testing.T) {
	c := serving(t, newFaulty(), func(cfg *Config) { cfg.Query.Tail.BufferBytes = 1 << 20 })
	r := c.tails(t, `{ name = "a" }`, "")
	commit := spansOf(padded("a"), padded("b"))
	const commits = 3000
	for received := range int64(commits) {
		require.NoError(t, c.extension.tail.Publish(received+1, commit))
	}
	require.Less(t, c.extension.tail.Stats().Delivered, int64(commits), "nobody read yet")
	got, last := 0, int64(0)
	for got < commits {
		e, err := r.next()
		require.NoError(t, err)
		id, err := tail.ParseID(e.id)
		require.NoError(t, err)
		require.Greater(t, id.Received, last, "in order")
		if e.event == "lag" {
			var lag lagJSON
			require.NoError(t, json.Unmarshal([]byte(e.data), &lag))
			require.Equal(t, id.Received-last, *lag.Missed, "in its place")
			got += int(*lag.Missed)
		} else {
			require.Equal(t, last+1, id.Received)
			got++
		}
		last = id.Received
	}
	require.Equal(t, commits, got)
	stats := c.extension.tail.Stats()
	require.Positive(t, stats.Lost)
	require.Equal(t, int64(commits), stats.Delivered+stats.Lost)
}

func TestReadersThatTakeNothingAreCutOff(t *testing.T) {
	c := serving(t, newFaulty(), func(cfg *Config) { cfg.Query.Timeout = 20 * time.Millisecond })
	conn, err := net.Dial("tcp", c.extension.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /api/v1/tail?q={} HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	c.awaitTails(t, 1)
	commit := spansOf(padded("a"))
	for received := int64(1); c.extension.tail.Stats().Subscriptions > 0; received++ {
		require.NoError(t, c.extension.tail.Publish(received, commit))
		time.Sleep(10 * time.Microsecond)
	}
}

func TestTailMetrics(t *testing.T) {
	tel := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, tel.Shutdown(context.Background())) })
	set := extensiontest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = tel.NewTelemetrySettings()
	c := servingWith(t, newFaulty(), set, func(cfg *Config) { cfg.Query.Tail.BufferBytes = 1 })
	slow, err := c.extension.tail.Subscribe(&traceql.Query{Pipeline: traceql.Pipeline{Source: &traceql.Filter{}}}, tail.ID{})
	require.NoError(t, err)
	defer slow.Close()
	for received := range int64(5) {
		c.publish(t, 1+received, called("a"), called("b"))
	}
	_, _, err = slow.Take(nil)
	require.NoError(t, err)
	for name, want := range map[string]int64{"subscriptions": 1, "delivered": 2, "lost": 8} {
		got, err := tel.GetMetric("otelcol_scope_tail_" + name)
		require.NoError(t, err)
		switch data := got.Data.(type) {
		case metricdata.Gauge[int64]:
			require.Equal(t, want, data.DataPoints[0].Value, name)
		case metricdata.Sum[int64]:
			require.True(t, data.IsMonotonic)
			require.Equal(t, want, data.DataPoints[0].Value, name)
		default:
			t.Fatalf("%s is a %T", name, data)
		}
	}
}

func TestTailsOfBrokenSpans(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	set := extensiontest.NewNopSettings(metadata.Type)
	set.Logger = zap.New(core)
	c := servingWith(t, newFaulty(), set)
	broken := []store.Span{{Bytes: []byte{0xff}}}
	c.publish(t, 1, called("a"))
	require.NoError(t, c.extension.tail.Publish(2, broken))
	got := c.do(t, "GET", "/api/v1/tail?q={}", "", http.Header{"Last-Event-Id": {"1-0"}})
	require.Equal(t, "retry: 1000\nid: 1-0\n\n", string(got.body))
	require.Equal(t, 1, logs.FilterMessage("A tail failed").Len())

	c.tails(t, "{}", "")
	tailing{c.extension.tail, set.Logger}.committed(&store.Commit{Received: 3}, broken)
	require.Equal(t, 1, logs.FilterMessage("Tails miss spans that cannot be read").Len())
	_, err := encodeSpan(broken[0])
	require.Error(t, err)
}

// TestTailOfAStore reads what the real store commits, over a restart.
func TestTailOfAStore(t *testing.T) {
	cfg := testConfig()
	cfg.Storage.Directory = t.TempDir()
	start := func() (*client, func()) {
		ext, err := NewFactory().Create(t.Context(), extensiontest.NewNopSettings(metadata.Type), cfg)
		require.NoError(t, err)
		e := ext.(*queryExtension)
		require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
		require.NoError(t, e.Ready())
		c := &client{extension: e, url: "http://" + e.listener.Addr().String(), http: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
		return c, func() {
			require.NoError(t, e.NotReady())
			require.NoError(t, e.Shutdown(context.Background()))
		}
	}
	span := func(n uint64, name, state string) ptrace.Traces {
		return storetest.Traces(storetest.Spec{Trace: n, Span: n, Name: name, State: state})
	}
	c, stop := start()
	r := c.tails(t, `{ name = "a" }`, "")
	write(t, c.extension.Store(), span(1, "a", ""), span(2, "b", ""), span(3, "a", "open"))
	first := r.expect(t, "a")
	write(t, c.extension.Store(), span(1, "a", ""), span(3, "a", "returned"), span(4, "a", ""))
	second := r.expect(t, "a")
	require.Contains(t, second.data, `"state":"returned"`, "an open call comes when it is complete")
	third := r.expect(t, "a")
	stop()

	c, stop = start()
	r = c.tails(t, `{ name = "a" }`, first.id)
	require.Equal(t, second, r.expect(t, "a"))
	require.Equal(t, third, r.expect(t, "a"))
	write(t, c.extension.Store(), span(5, "a", ""))
	r.expect(t, "a")
	stop()
}
