package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// spanset is the API's form of what a search found.
type spanset struct {
	Spans   []span `json:"spans"`
	Path    []span `json:"path"`
	Matched int    `json:"matched"`
}

// search asks a query and returns the events of what it found, each spanset's
// with commas between.
func (c *collector) search(query string) (sets []string, raw []spanset) {
	c.t.Helper()
	var found struct {
		Spansets  []spanset `json:"spansets"`
		Truncated bool      `json:"truncated"`
	}
	require.NoError(c.t, json.Unmarshal([]byte(c.text("/api/v1/search?q="+url.QueryEscape(query))), &found))
	require.False(c.t, found.Truncated)
	for _, set := range found.Spansets {
		events := strings.Split(ids(set.Spans), ",")
		slices.Sort(events) // all began at one time
		sets = append(sets, strings.Join(events, ","))
	}
	return sets, found.Spansets
}

func ids(spans []span) string {
	var of []string
	for _, s := range spans {
		of = append(of, s.EventID)
	}
	return strings.Join(of, ",")
}

// TestWhatLedToWhat asks the story in TraceQL: before and after the spans went
// from memory into blocks, and over a kill.
func TestWhatLedToWhat(t *testing.T) {
	c := newCollector(t, t.TempDir(), func(config string) string {
		return strings.Replace(config, "      sync: true", "      sync: true\n      cut_age: 1s", 1)
	})
	c.start()
	first, second := story()
	c.accept(first...)
	c.accept(second...)

	check := func() {
		t.Helper()
		for query, want := range map[string][]string{
			`{ span.scope.process.id = "worker" && status = error && name = "charge_card" }`:                                               {"w2"},
			`{ span.scope.event.id = "o2" && kind = producer } -> { kind = consumer }`:                                                     {"w1"},
			`{ name = "order" } ->> { name = "charge_card" && status = error }`:                                                            {"w2"},
			`{ name = "order" } ->[message_flow] { }`:                                                                                      nil,
			`{ span.scope.process.id = "worker" && status = error } ->> { span.scope.process.id = "supervisor" }`:                          {"s2,s3"},
			`{ span.scope.process.id = "worker2" } <<- { name = "order" }`:                                                                 {"o1"},
			`{ name = "order" } ->> { span.scope.process.id = "worker2" } within 1h`:                                                       {"v1"},
			`{ span.scope.process.id = "order" } ->> { span.scope.process.id = "worker" } | count() > 100`:                                 nil,
			`{ span.scope.event.id = "nothing" }`:                                                                                          nil,
			`{ resource.service.name =~ "sh.p" && span.scope.event.kind = "spawn" && name != "x" } -> { name = "started" } | count() >= 1`: nil,
		} {
			got, _ := c.search(query)
			if strings.Contains(query, "spawn") { // both spawns are the supervisor's, in activities of their own
				require.NotEmpty(t, got, query)
				continue
			}
			require.Equal(t, want, got, query)
		}
		_, sets := c.search(`{ name = "order" } ->> { span.scope.process.id = "worker2" } | select(path)`)
		require.Len(t, sets, 1)
		path := "," + ids(sets[0].Path) + ","
		require.True(t, strings.HasPrefix(path, ",o1,") && strings.HasSuffix(path, ",v1,"), path)
		for _, between := range []string{",o2,", ",w1,", ",w4,"} {
			require.Contains(t, path, between)
		}
	}
	check()
	require.Eventually(t, func() bool {
		var status struct {
			Store struct {
				Blocks int `json:"blocks"`
			} `json:"store"`
		}
		c.get("/api/v1/status").decode(t, &status)
		return status.Store.Blocks > 0
	}, patience, 50*time.Millisecond)
	check()
	c.kill()
	c.start()
	check()
}

// TestEveryCallAnswers makes every call of the API, well and badly.
func TestEveryCallAnswers(t *testing.T) {
	c := newCollector(t, t.TempDir(), func(config string) string {
		return strings.Replace(config, "control: false", "control: true", 1)
	})
	c.start()
	first, second := story()
	c.accept(first...)
	c.accept(append(second, `{"time":`+now()+`,"service":"shop","node":"n1","id":"st1","kind":"state","process":"order","entity":"order-17","version":1,"from":"new","to":"paid"}`)...)
	w2 := c.event("w2")
	spanPath := "/api/v1/traces/" + w2.TraceID + "/spans/" + w2.SpanID
	q := url.QueryEscape
	for _, call := range []struct {
		path   string
		status int
		has    string // in the body
	}{
		{"/api/v1/traces/" + w2.TraceID, 200, "resourceSpans"},
		{"/api/v1/traces/xyz", 400, "trace_id"},
		{"/api/v1/traces/" + strings.Repeat("a", 32), 404, "not stored"},
		{"/api/v1/events/w2", 200, `"charge_card"`},
		{"/api/v1/events/w3?service=shop&node=n1", 200, `"w2"`},
		{"/api/v1/events/none", 404, "none"},
		{"/api/v1/events/w2/chain?direction=causes&types=message_flow,parent_child&min_confidence=0.5&depth=9&limit=9", 200, `"o2"`},
		{"/api/v1/events/w2/chain?direction=sideways", 400, "sideways"},
		{"/api/v1/events/none/chain", 404, "none"},
		{spanPath + "/chain", 200, `"nodes"`},
		{spanPath + "/chain?depth=x", 400, "depth"},
		{"/api/v1/traces/" + w2.TraceID + "/spans/aaaaaaaaaaaaaaaa/chain", 404, "not stored"},
		{"/api/v1/edges", 200, `"message_flow"`},
		{"/api/v1/edges?types=magic", 400, "magic"},
		{"/api/v1/edges?start=5&end=4", 400, "end"},
		{"/api/v1/graph?event=w2", 200, `"nodes"`},
		{"/api/v1/graph?event=w2&format=dot", 200, "digraph"},
		{"/api/v1/graph?event=w2&format=mermaid", 200, "flowchart"},
		{"/api/v1/graph?event=w2&format=svg", 200, "<svg"},
		{"/api/v1/graph?format=svg&q=" + q(`{ name = "order" } ->> { name = "charge_card" }`), 200, "<svg"},
		{"/api/v1/graph?event=w2&format=png", 400, "png"},
		{"/api/v1/graph", 400, "event"},
		{"/api/v1/search?q=" + q(`{ status = error }`), 200, `"spansets"`},
		{"/api/v1/search?explain=true&q=" + q(`{ status = error } ->> { }`), 200, `"plan"`},
		{"/api/v1/search?q=" + q(`{ status = eror }`), 400, "column"},
		{"/api/v1/search?q=" + q(`{ } | rate()`), 400, "rate"},
		{"/api/v1/search", 400, `"q"`},
		{"/api/v1/search?q=" + q(`{ }`) + "&limit=0", 400, "limit"},
		{"/api/v1/search?q=" + q(`{ }`) + "&cursor=!", 400, "cursor"},
		{"/api/v1/search?q=" + q(`{ }`) + "&start=yesterday", 400, "start"},
		{"/api/v1/search?q=" + q(`{ }`) + "&wat=1", 400, "wat"},
		{"/api/v1/processes", 200, `"worker2"`},
		{"/api/v1/processes?service=shop&node=n1&limit=1", 200, `"truncated":true`},
		{"/api/v1/processes?limit=x", 400, "limit"},
		{"/api/v1/processes/worker/timeline?service=shop&node=n1", 200, `"w4"`},
		{"/api/v1/processes/nobody/timeline", 404, "nobody"},
		{"/api/v1/processes/worker/timeline?start=x", 400, "start"},
		{"/api/v1/correlations/order-17", 200, `"o2"`},
		{"/api/v1/correlations/none", 404, "none"},
		{"/api/v1/state/order-17", 200, `"paid"`},
		{"/api/v1/state/order-17?at=1970-01-01T00:00:01Z", 200, `"history"`},
		{"/api/v1/state/none", 404, "none"},
		{"/api/v1/state/order-17?at=x", 400, "at"},
		{"/api/v1/tail?q=" + q(`{ } >> { }`), 400, ">>"},
		{"/api/v1/tail?q=" + q(`{`), 400, "column"},
		{"/api/v1/views", 200, "service_graph"},
		{"/api/v1/views/service_graph", 200, "message_flow"},
		{"/api/v1/views/operations", 200, "charge_card"},
		{"/api/v1/views/errors", 200, "badmatch"},
		{"/api/v1/views/processes", 200, "supervisor"},
		{"/api/v1/views/weather", 404, "service_graph"},
		{"/api/v1/status", 200, `"pressure"`},
		{"/api/v1/dead-letters", 200, `"dead_letters"`},
		{"/api/v1/dead-letters?cursor=!", 400, "cursor"},
		{"/", 200, "charge_card"},
		{"/?q=" + q(`{ name = "charge_card" }`), 200, "charge_card"},
		{"/?q=" + q(`{ name = }`), 400, "column"},
		{"/chain?event=w2", 200, "<svg"},
		{"/nowhere", 404, "/nowhere"},
	} {
		got := c.get(call.path)
		require.Equal(t, call.status, got.status, "%s: %s", call.path, got.body)
		require.Contains(t, string(got.body), call.has, call.path)
		if call.status >= 400 && !strings.HasPrefix(call.path, "/?") {
			require.Equal(t, "application/problem+json", got.header.Get("Content-Type"), call.path)
		}
	}
	for _, call := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/api/v1/pipeline/pause", "", 200},
		{"POST", "/api/v1/pipeline/resume", "", 200},
		{"PUT", "/api/v1/pipeline/workers", `{"min":2,"max":4}`, 200},
		{"PUT", "/api/v1/pipeline/workers", `{"min":9,"max":4}`, 400},
		{"PUT", "/api/v1/pipeline/batch", `{"min_size":10,"max_size":1000}`, 200},
		{"PUT", "/api/v1/pipeline/strategy", `{"strategy":"off"}`, 200},
		{"PUT", "/api/v1/pipeline/sampling", `{"ratio":null}`, 200},
		{"POST", "/api/v1/dead-letters/replay", "", 200},
		{"DELETE", "/api/v1/status", "", 405},
	} {
		contentType := ""
		if call.body != "" {
			contentType = "application/json"
		}
		got := c.request(call.method, c.api, call.path, contentType, strings.NewReader(call.body))
		require.Equal(t, call.status, got.status, "%s %s: %s", call.method, call.path, got.body)
	}
}

// tailed is an event of a live tail.
type tailed struct{ event, id, data string }

// tail follows a query until the test ends or the connection does, after the
// event with id where that is not "".
func (c *collector) tail(query, after string) (<-chan tailed, context.CancelFunc) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.api+"/api/v1/tail?q="+url.QueryEscape(query), nil)
	require.NoError(c.t, err)
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	require.Equal(c.t, http.StatusOK, resp.StatusCode)
	require.Equal(c.t, "text/event-stream", resp.Header.Get("Content-Type"))
	events := make(chan tailed, 1000)
	go func() {
		defer close(events)
		defer func() { _ = resp.Body.Close() }()
		var e tailed
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ":")
			value = strings.TrimPrefix(value, " ")
			switch name {
			case "event":
				e.event = value
			case "id":
				e.id = value
			case "data":
				e.data = value
			case "":
				if e.event != "" {
					events <- e
				}
				e = tailed{}
			}
		}
	}()
	return events, cancel
}

func next(t *testing.T, events <-chan tailed) (id string, s span) {
	t.Helper()
	select {
	case e, open := <-events:
		require.True(t, open, "the stream ended")
		require.Equal(t, "span", e.event, e.data)
		require.NoError(t, json.Unmarshal([]byte(e.data), &s), e.data)
		return e.id, s
	case <-time.After(patience):
		t.Fatal("nothing came")
		return "", s
	}
}

// TestTailGoesOnAfterAKill follows spans, loses the collector, and misses and
// doubles none.
func TestTailGoesOnAfterAKill(t *testing.T) {
	c := startCollector(t)
	at := now()
	mark := func(n int) string {
		return fmt.Sprintf(`{"time":%s,"service":"shop","node":"n1","id":"m%d","kind":"mark","process":"p","name":"tick"}`, at, n)
	}
	events, hangUp := c.tail(`{ name = "tick" }`, "")
	c.accept(mark(0), `{"time":`+now()+`,"service":"shop","node":"n1","id":"other","kind":"mark","process":"p","name":"tock"}`)
	last, s := next(t, events)
	require.Equal(t, "m0", s.EventID)
	hangUp()

	c.accept(mark(1))
	c.kill()
	c.start()
	c.accept(mark(1), mark(2)) // the first was sent again
	events, _ = c.tail(`{ name = "tick" }`, last)
	for n := 1; n <= 2; n++ {
		_, s = next(t, events)
		require.Equal(t, fmt.Sprint("m", n), s.EventID)
	}
	c.accept(mark(3))
	_, s = next(t, events)
	require.Equal(t, "m3", s.EventID)
	require.Empty(t, events)
}
