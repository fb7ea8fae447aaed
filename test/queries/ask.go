package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/otelscope/otelscope/internal/loadgen"
)

// question is something that is asked again and again, each time of something
// else.
type question struct {
	Name string
	// times is a share of -samples.
	times float64
	path  func(*known) string
	// least is how many spans, or what stands for them, an answer has.
	least int
	// count says how many an answer has.
	count func([]byte) (int, error)
	goal  float64 // p99 in milliseconds, 0: none
}

const hour = time.Hour

// lastHour are the parameters of an hour that ends in a little while, so that
// what comes in meanwhile counts.
func lastHour() string {
	end := time.Now().Add(10 * time.Minute)
	return fmt.Sprintf("&start=%d&end=%d", end.Add(-hour).UnixNano(), end.UnixNano())
}

func search(query string) string {
	return "/api/v1/search?limit=20&q=" + url.QueryEscape(query) + lastHour()
}

// questions are asked one after the other, while spans come in.
var questions = []question{
	{Name: "trace by id", times: 1, goal: 5, least: 1, count: countTrace, path: func(k *known) string {
		r, span := k.request()
		return fmt.Sprintf("/api/v1/traces/%x", r.template.TraceID(r.seq, span%r.template.TraceCount))
	}},
	{Name: "event by id", times: 1, goal: 5, least: 1, count: countField("span_id"), path: func(k *known) string {
		return "/api/v1/events/" + url.PathEscape(k.one(k.events))
	}},
	{Name: "direct causes of an event", times: 1, goal: 5, least: 1, count: countList("nodes"), path: func(k *known) string {
		return "/api/v1/events/" + url.PathEscape(k.one(k.events)) + "/chain?direction=causes&depth=1"
	}},
	{Name: "correlation group", times: 0.2, goal: 10, least: 1, count: countList("spans"), path: func(k *known) string {
		return "/api/v1/correlations/" + url.PathEscape(k.one(k.groups))
	}},
	{Name: "state of an entity", times: 0.2, least: 1, count: countList("history"), path: func(k *known) string {
		return "/api/v1/state/" + url.PathEscape(k.one(k.entities))
	}},
	{Name: "search: one user's span", times: 0.5, goal: 100, least: 1, count: countList("spansets"), path: func(k *known) string {
		r, span := k.request()
		return search(fmt.Sprintf(`{ span.user.id = %q }`, r.user(span)))
	}},
	{Name: "search: failures of one operation", times: 0.2, goal: 100, least: 1, count: countList("spansets"), path: func(k *known) string {
		return search(failed(k.failure(false)))
	}},
	{Name: "search: a regular expression and a comparison", times: 0.2, least: 1, count: countList("spansets"), path: func(k *known) string {
		return search(fmt.Sprintf(`{ span.http.response.status_code >= 400 && span.http.route =~ "%s.*" && kind = server }`, strings.TrimSuffix(k.one(k.content.notFound), "/{id}")))
	}},
	{Name: "search: slow spans", times: 0.2, goal: 100, least: 0, count: countList("spansets"), path: func(*known) string {
		return search(`{ resource.service.name = "payments" && duration > 1s }`)
	}},
	{Name: "search: a failure below a root", times: 0.2, goal: 100, least: 1, count: countList("spansets"), path: func(k *known) string {
		return search(below(k.failure(true)))
	}},
	{Name: "search: requests that led to a failed payment", times: 0.2, goal: 100, least: 1, count: countList("spansets"), path: func(*known) string {
		return search(`{ resource.service.name = "gateway" && span:parentID = nil } ->> { resource.service.name = "payments" && status = error }`)
	}},
	{Name: "search: what crashed workers led to", times: 0.2, goal: 100, least: 1, count: countList("spansets"), path: func(*known) string {
		return search(`{ resource.service.name = "payments" && name = "exit" && status = error } ->> { resource.service.name = "payments" }`)
	}},
	{Name: "search: failed orders after a message, with paths", times: 0.2, goal: 100, least: 1, count: countList("spansets"), path: func(*known) string {
		return search(`{ resource.service.name = "gateway" && kind = producer } ->> { resource.service.name = "orders" && status = error } | select(path)`)
	}},
	{Name: "search: where a user's message went", times: 0.2, goal: 100, least: 0, count: countList("spansets"), path: func(k *known) string {
		r, span := k.request()
		return search(fmt.Sprintf(`{ span.user.id = %q } ->> { kind = consumer }`, r.user(span)))
	}},
	{Name: "search: what led to failed shipments", times: 0.2, goal: 100, least: 1, count: countList("spansets"), path: func(*known) string {
		return search(`{ resource.service.name = "shipping" && status = error } <<- { resource.service.name = "gateway" && span:parentID = nil }`)
	}},
	{Name: "view: service_graph", times: 1, goal: 5, least: 1, count: countList("edges"), path: fixed("/api/v1/views/service_graph")},
	{Name: "view: operations", times: 1, goal: 5, least: 100, count: countList("operations"), path: fixed("/api/v1/views/operations")},
	{Name: "view: errors", times: 1, goal: 5, least: 1, count: countList("errors"), path: fixed("/api/v1/views/errors")},
	{Name: "view: processes", times: 1, goal: 5, least: 1, count: countList("processes"), path: fixed("/api/v1/views/processes")},
	{Name: "the page", times: 0.05, least: 1000, count: countBytes, path: fixed("/")},
	{Name: "Tempo: search", times: 0.1, goal: 100, least: 1, count: countList("traces"), path: func(k *known) string {
		r, span := k.request()
		now := time.Now()
		return fmt.Sprintf("/tempo/api/search?limit=20&start=%d&end=%d&q=%s", now.Add(-hour).Unix(), now.Add(time.Minute).Unix(), url.QueryEscape(fmt.Sprintf(`{ .user.id = %q }`, r.user(span))))
	}},
	{Name: "Jaeger: search", times: 0.1, goal: 100, least: 1, count: countList("data"), path: func(k *known) string {
		f, now := k.failure(false), time.Now()
		return fmt.Sprintf("/jaeger/api/traces?limit=20&service=%s&operation=%s&start=%d&end=%d&tags=%s", f.service, f.name,
			now.Add(-hour).UnixMicro(), now.Add(time.Minute).UnixMicro(), url.QueryEscape(`{"error":"true"}`))
	}},
}

// failed is a query for one kind of failure.
func failed(f failure) string {
	return fmt.Sprintf(`{ resource.service.name = %q && name = %q && status = error }`, f.service, f.name)
}

// below is a query for failures below the root that they occur below.
func below(f failure) string {
	return fmt.Sprintf(`{ kind = server && resource.service.name = %q } >> { status = error && resource.service.name = %q }`, f.root, f.service)
}

func fixed(path string) func(*known) string { return func(*known) string { return path } }

// while asks everything, with spans coming in at o.rate.
func (o options) while(ctx context.Context, s *server, r *results, k *known) error {
	r.Rate = o.rate
	in, err := o.intake(ctx, s)
	if err != nil {
		return err
	}
	client := loadgen.Client(4)
	client.Timeout = time.Minute
	defer client.CloseIdleConnections()
	for _, q := range questions {
		a, err := o.ask(ctx, client, s.at.APIURL(), q, k)
		if err != nil {
			return fmt.Errorf("%s: %w", q.Name, err)
		}
		fmt.Printf("  %-45s p50 %7.2f ms, p99 %7.2f ms, max %7.2f ms of %d\n", q.Name, a.P50ms, a.P99ms, a.MaxMs, a.Samples)
		r.Answers = append(r.Answers, a)
	}
	r.Quiet = in.since()
	if err := o.tails(ctx, s, r); err != nil {
		return fmt.Errorf("tail: %w", err)
	}
	r.Tails.Intake = in.since()
	if err := o.hostile(ctx, client, s, r, in); err != nil {
		return fmt.Errorf("what nobody should ask: %w", err)
	}
	if err := in.end(); err != nil {
		return err
	}
	rss, err := s.PeakRSS()
	r.PeakRSSMB = float64(rss) / 1e6
	return err
}

// ask asks a question many times, one after the other.
func (o options) ask(ctx context.Context, client *http.Client, base string, q question, k *known) (asked, error) {
	var h loadgen.Histogram
	n := max(5, int(q.times*float64(o.samples)))
	missing := 0
	for i := range n {
		path := q.path(k)
		begin := time.Now()
		body, status, err := get(ctx, client, base+path)
		took := time.Since(begin)
		if err != nil {
			return asked{}, err
		}
		if status == http.StatusNotFound && k.sampledOut > 0 {
			missing++
			continue
		}
		if status != http.StatusOK {
			return asked{}, fmt.Errorf("GET %s: %d: %.300s", path, status, body)
		}
		if i == 0 && n > 5 { // the first opens a connection
			continue
		}
		h.Observe(took)
		found, err := q.count(body)
		if err != nil {
			return asked{}, fmt.Errorf("GET %s: %w", path, err)
		}
		if found < q.least && k.sampledOut > 0 {
			missing++
			continue
		}
		if found < q.least {
			return asked{}, fmt.Errorf("GET %s: %d came back, at least %d were expected: %.300s", path, found, q.least, body)
		}
	}
	c := h.Counts()
	return asked{Question: q.Name, Samples: c.Total(), P50ms: ms(c.Quantile(0.5)), P99ms: ms(c.Quantile(0.99)), MaxMs: ms(c.Quantile(1)), Goal: q.goal, Missing: missing}, nil
}

func get(ctx context.Context, client *http.Client, address string) (body []byte, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return body, resp.StatusCode, err
}

func countBytes(body []byte) (int, error) { return len(body), nil }

// countList counts the elements of a member.
func countList(name string) func([]byte) (int, error) {
	return func(body []byte) (int, error) {
		var answer map[string]json.RawMessage
		if err := json.Unmarshal(body, &answer); err != nil {
			return 0, err
		}
		if answer[name] == nil {
			return 0, fmt.Errorf("it has no %q", name)
		}
		var list []json.RawMessage
		err := json.Unmarshal(answer[name], &list)
		return len(list), err
	}
}

// countField is 1 where a member is there.
func countField(name string) func([]byte) (int, error) {
	return func(body []byte) (int, error) {
		var answer map[string]json.RawMessage
		if err := json.Unmarshal(body, &answer); err != nil {
			return 0, err
		}
		if answer[name] == nil {
			return 0, nil
		}
		return 1, nil
	}
}

// countTrace counts the spans of OTLP JSON.
func countTrace(body []byte) (int, error) {
	var answer struct {
		ResourceSpans []struct {
			ScopeSpans []struct{ Spans []json.RawMessage }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, err
	}
	n := 0
	for _, rs := range answer.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			n += len(ss.Spans)
		}
	}
	return n, nil
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }
