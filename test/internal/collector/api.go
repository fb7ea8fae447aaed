package collector

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/internal/store"
)

// API asks a collector's query API. Safe for concurrent use.
type API struct {
	base   string
	client *http.Client
}

// NewAPI returns a client of the API at base that keeps n connections.
func NewAPI(base string, n int) *API {
	client := loadgen.Client(n)
	client.Timeout = 30 * time.Second
	return &API{base, client}
}

// Close ends connections that nobody uses.
func (a *API) Close() { a.client.CloseIdleConnections() }

// get returns the body of an answer; found is false for 404.
func (a *API) get(ctx context.Context, path string) (body []byte, found bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, nil)
	if err != nil {
		return nil, false, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return nil, false, err
	case resp.StatusCode == http.StatusNotFound:
		return nil, false, nil
	case resp.StatusCode != http.StatusOK:
		return nil, false, fmt.Errorf("GET %s: %s: %.200s", path, resp.Status, body)
	}
	return body, true, nil
}

// Trace counts the spans of a trace by span id. Of one that is not stored the
// map is empty.
func (a *API) Trace(ctx context.Context, id [16]byte) (map[[8]byte]int, error) {
	path := fmt.Sprintf("/api/v1/traces/%x", id)
	body, found, err := a.get(ctx, path)
	if err != nil || !found {
		return nil, err
	}
	td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(body)
	if err != nil {
		return nil, fmt.Errorf("GET %s: no OTLP JSON: %w", path, err)
	}
	spans := map[[8]byte]int{}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				if s.TraceID() != id {
					return nil, fmt.Errorf("GET %s: holds a span of trace %s", path, s.TraceID())
				}
				spans[s.SpanID()]++
			}
		}
	}
	return spans, nil
}

// EventSpan is what matters here of the answer to an event.
type EventSpan struct {
	TraceID      string            `json:"trace_id"`
	SpanID       string            `json:"span_id"`
	ParentSpanID string            `json:"parent_span_id"`
	EventID      string            `json:"event_id"`
	State        string            `json:"state"`
	Others       []json.RawMessage `json:"others"`
}

// Event looks an event up, of whatever service and node; nil means that it is
// not stored.
func (a *API) Event(ctx context.Context, id string) (*EventSpan, error) {
	path := "/api/v1/events/" + url.PathEscape(id)
	body, found, err := a.get(ctx, path)
	if err != nil || !found {
		return nil, err
	}
	var span EventSpan
	if err := json.Unmarshal(body, &span); err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	return &span, nil
}

// Status decodes the status into a value of the caller's.
func (a *API) Status(ctx context.Context, into any) error {
	body, _, err := a.get(ctx, "/api/v1/status")
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// Store returns the store's figures from the status.
func (a *API) Store(ctx context.Context) (store.Stats, error) {
	var status struct {
		Store struct {
			store.Stats
			Oldest string `json:"oldest"`
		} `json:"store"`
	}
	err := a.Status(ctx, &status)
	return status.Store.Stats, err
}

// EventPath is the path of an event.
func EventPath(id string) string { return "/api/v1/events/" + url.PathEscape(id) }

// Nodes asks for a chain or a group and counts its spans.
func (a *API) Nodes(ctx context.Context, path string) (int, error) {
	body, found, err := a.get(ctx, path)
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, fmt.Errorf("GET %s: not found", path)
	}
	var answer struct {
		Nodes, Spans []struct {
			SpanID string `json:"span_id"`
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, fmt.Errorf("GET %s: %w", path, err)
	}
	return len(answer.Nodes) + len(answer.Spans), nil
}
