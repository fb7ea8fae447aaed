package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/otelscope/otelscope/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector is a small collector: it keeps what it is sent and answers the
// few calls of the API that the demo makes.
type collector struct {
	ptraceotlp.UnimplementedGRPCServer
	mu     sync.Mutex
	events map[string]event.Event
	order  map[string]int64 // last time of each process
	spans  map[string]bool
	lose   bool
	hidden bool
	fail   int // status to answer events with
}

func newCollector() *collector {
	return &collector{events: map[string]event.Event{}, order: map[string]int64{}, spans: map[string]bool{}}
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	switch {
	case r.URL.Path == "/v1/events" && c.fail != 0:
		w.WriteHeader(c.fail)
	case r.URL.Path == "/v1/events":
		res, err := event.Decode(event.FormatNDJSON, body, func() string { panic("every event has an id") })
		if err != nil || len(res.Rejected) > 0 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for _, e := range res.Events {
			if c.order[e.Node+e.Process] > e.Time {
				w.WriteHeader(http.StatusConflict)
				return
			}
			c.order[e.Node+e.Process] = e.Time
			c.events[e.ID] = e
		}
		fmt.Fprintf(w, `{"accepted":%d,"rejected":[]}`, len(res.Events))
	case r.URL.Path == "/v1/traces":
		req := ptraceotlp.NewExportRequest()
		if req.UnmarshalProto(body) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.keep(req)
	case r.URL.Path == "/api/v1/status":
	case strings.HasPrefix(r.URL.Path, "/api/v1/events/"):
		e, ok := c.events[strings.TrimPrefix(r.URL.Path, "/api/v1/events/")]
		if !ok || c.lose || r.URL.Query().Get("service") != e.Service || r.URL.Query().Get("node") != e.Node {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, `{"trace_id":"%x","name":"some span"}`, e.ID)
	case strings.HasPrefix(r.URL.Path, "/api/v1/traces/"):
		id, _ := hex.DecodeString(strings.TrimPrefix(r.URL.Path, "/api/v1/traces/"))
		if _, ok := c.events[string(id)]; !ok {
			w.WriteHeader(http.StatusNotFound)
		}
	case r.URL.Path == "/chain":
		q := r.URL.Query()
		if e, ok := c.events[q.Get("event")]; !ok || c.hidden || q.Get("service") != e.Service || q.Get("node") != e.Node {
			w.WriteHeader(http.StatusNotFound)
		}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (c *collector) keep(req ptraceotlp.ExportRequest) {
	for _, rs := range req.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				c.spans[s.TraceID().String()+s.SpanID().String()] = true
			}
		}
	}
}

func (c *collector) Export(_ context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(req)
	return ptraceotlp.NewExportResponse(), nil
}

func (c *collector) serve(t *testing.T) (url, grpcEndpoint string) {
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(g, c)
	done := make(chan struct{})
	go func() { defer close(done); _ = g.Serve(lis) }()
	t.Cleanup(func() { g.Stop(); <-done })
	return srv.URL, lis.Addr().String()
}

func truthOf(t *testing.T, file string) (ends []string, lines int) {
	body, err := os.ReadFile(file)
	require.NoError(t, err)
	for line := range bytes.Lines(body) {
		lines++
		var entry struct {
			Event struct {
				ID string `json:"event_id"`
			}
			Edge struct {
				Cause, Effect struct {
					EventID string `json:"event_id"`
					TraceID string `json:"trace_id"`
					SpanID  string `json:"span_id"`
				}
			}
			Span struct {
				TraceID string `json:"trace_id"`
				SpanID  string `json:"span_id"`
			}
		}
		require.NoError(t, json.Unmarshal(line, &entry))
		for _, id := range []string{
			entry.Event.ID, entry.Edge.Cause.EventID, entry.Edge.Effect.EventID,
			entry.Edge.Cause.TraceID + entry.Edge.Cause.SpanID, entry.Edge.Effect.TraceID + entry.Edge.Effect.SpanID, entry.Span.TraceID + entry.Span.SpanID,
		} {
			if id != "" {
				ends = append(ends, id)
			}
		}
	}
	return ends, lines
}

func TestGenerateSendsAllThatTheTruthNames(t *testing.T) {
	for _, protocol := range []string{"events", "otlp-grpc", "otlp-http"} {
		t.Run(protocol, func(t *testing.T) {
			c := newCollector()
			url, grpcEndpoint := c.serve(t)
			endpoint := map[string]string{"events": url + "/v1/events", "otlp-grpc": grpcEndpoint, "otlp-http": url + "/v1/traces"}[protocol]
			truth := filepath.Join(t.TempDir(), "truth")
			var out bytes.Buffer
			require.NoError(t, run(t.Context(), []string{"-protocol", protocol, "-endpoint", endpoint, "-orders", "30", "-truth", truth, "-seed", "5"}, &out))
			ends, lines := truthOf(t, truth)
			require.Greater(t, lines, 1000)
			for _, id := range ends {
				_, isEvent := c.events[id]
				require.True(t, isEvent || c.spans[id], id)
			}
			require.Contains(t, out.String(), fmt.Sprintf("sent %d in", len(c.events)+len(c.spans)))
		})
	}
}

func TestGeneratePacesAndEndsInTime(t *testing.T) {
	c := newCollector()
	url, _ := c.serve(t)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-endpoint", url + "/v1/events", "-rate", "900", "-duration", "300ms"}, &out))
	require.NotEmpty(t, c.events)
	require.Less(t, len(c.events), 2000)
}

func TestErrorsAreClear(t *testing.T) {
	c := newCollector()
	url, _ := c.serve(t)
	events := url + "/v1/events"
	for want, args := range map[string][]string{
		`unknown protocol "smoke": one of events, otlp-grpc, otlp-http`: {"-protocol", "smoke"},
		"-rate: -1":            {"-rate", "-1"},
		"-duration: -1s":       {"-duration", "-1s"},
		"-senders: 0":          {"-senders", "0"},
		"-nodes: -1":           {"-nodes", "-1"},
		"unknown argument":     {"what"},
		"flag provided but":    {"-nonsense"},
		"-truth:":              {"-truth", "/nonexistent/file"},
		"no collector answers": {"demo", "-api", "http://127.0.0.1:1"},
		"PaymentWorkers: 0":    {"demo", "-api", url, "-payment-workers", "0"},
		"connect to":           {"-protocol", "otlp-grpc", "-endpoint", "\x00"},
		"connection refused":   {"-endpoint", "http://127.0.0.1:1", "-orders", "100"},
	} {
		require.ErrorContains(t, run(t.Context(), args, io.Discard), want)
	}
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-h"}, &out))
	require.Contains(t, out.String(), "scopegen demo")
	c.fail = http.StatusBadRequest
	require.ErrorContains(t, run(t.Context(), []string{"demo", "-api", url, "-endpoint", events}, io.Discard), "rejected: 400")
}

func TestDemoFindsWhatItSent(t *testing.T) {
	c := newCollector()
	url, _ := c.serve(t)
	var out bytes.Buffer
	args := []string{"demo", "-api", url, "-endpoint", url + "/v1/events"}
	require.NoError(t, run(t.Context(), args, &out))
	require.Contains(t, out.String(), "something went wrong")
	require.Contains(t, out.String(), "payment worker that crashed")
	require.Contains(t, out.String(), "curl '"+url+"/api/v1/traces/")
	require.Contains(t, out.String(), "what it led to: "+url+"/chain?event=")
	require.Greater(t, len(c.events), 10_000)

	c.hidden = true
	require.ErrorContains(t, run(t.Context(), args, io.Discard), "cannot be shown")
	c.lose = true
	require.ErrorContains(t, run(t.Context(), args, io.Discard), "is not found")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, run(ended, args, io.Discard), context.Canceled)
}

func TestATruthThatCannotBeWrittenIsAnError(t *testing.T) {
	c := newCollector()
	url, grpcEndpoint := c.serve(t)
	for protocol, endpoint := range map[string]string{"events": url + "/v1/events", "otlp-grpc": grpcEndpoint} {
		err := run(t.Context(), []string{"-protocol", protocol, "-endpoint", endpoint, "-orders", "300", "-nodes", "3", "-truth", "/dev/full"}, io.Discard)
		require.ErrorContains(t, err, "no space left", protocol)
	}
}

func TestProgressIsALineASecond(t *testing.T) {
	c := newCollector()
	url, grpcEndpoint := c.serve(t)
	for protocol, endpoint := range map[string]string{"events": url + "/v1/events", "otlp-grpc": grpcEndpoint} {
		o, err := parse([]string{"-protocol", protocol, "-endpoint", endpoint}, false, io.Discard)
		require.NoError(t, err)
		s, err := o.sink(nil)
		require.NoError(t, err)
		var out bytes.Buffer
		p := newProgress(&out)
		p.next = p.start
		for range 1000 {
			p.tick(s)
		}
		require.NoError(t, s.close())
		require.NoError(t, s.close(), "again")
		require.Equal(t, 1, strings.Count(out.String(), s.unit()+" sent"))
	}
}

func TestDemoDoesNotTrustTheAPI(t *testing.T) {
	for want, answer := range map[string]string{"names no trace": `{}`, "is not found": `{"trace_id":"00"}`} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/v1/events":
				body, _ := io.ReadAll(r.Body)
				fmt.Fprintf(w, `{"accepted":%d}`, bytes.Count(body, []byte("\n")))
			case strings.HasPrefix(r.URL.Path, "/api/v1/traces/"):
				w.WriteHeader(http.StatusNotFound)
			default:
				fmt.Fprint(w, answer)
			}
		}))
		err := run(t.Context(), []string{"demo", "-api", srv.URL, "-endpoint", srv.URL + "/v1/events", "-duration", "2s"}, io.Discard)
		require.ErrorContains(t, err, want)
		srv.Close()
	}
	require.ErrorContains(t, run(t.Context(), []string{"demo", "-api", "http://\x00"}, io.Discard), "invalid")
}
