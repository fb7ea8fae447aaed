package queryextension

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// spansOf are the spans of requests as a store has them.
func spansOf(requests ...ptrace.Traces) []store.Span {
	var spans []store.Span
	for _, td := range requests {
		for _, plain := range storetest.Split(td) {
			spans = append(spans, plain.Encode(0))
		}
	}
	return spans
}

func called(name string, fill ...func(ptrace.Span)) ptrace.Traces {
	return native("pay", "n1", "e/"+name, append(fill, func(s ptrace.Span) { s.SetName(name) })...)
}

func (c *client) publish(t *testing.T, received int64, requests ...ptrace.Traces) {
	require.NoError(t, c.extension.tail.Publish(received, spansOf(requests...)))
}

// sseEvent is an event as a browser sees it.
type sseEvent struct{ event, id, data string }

// brief is the name of a span, and of a lag how many were missed.
func (e sseEvent) brief() string {
	var data struct {
		Name   string `json:"name"`
		Missed *int   `json:"missed"`
	}
	if err := json.Unmarshal([]byte(e.data), &data); err != nil {
		return err.Error()
	}
	switch {
	case e.event == "span":
		return data.Name
	case data.Missed != nil:
		return fmt.Sprintf("%s of %d", e.event, *data.Missed)
	}
	return e.event
}

// sseReader reads a stream as the standard of Server-Sent Events has it.
type sseReader struct {
	lines  *bufio.Reader
	lastID string
	retry  string
	alive  int // comments
}

// next returns the next event that has data.
func (r *sseReader) next() (e sseEvent, err error) {
	var data []string
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil {
			return e, err
		}
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if len(data) > 0 {
				e.id, e.data = r.lastID, strings.Join(data, "\n")
				return e, nil
			}
			e = sseEvent{}
		case name == "":
			r.alive++
		case name == "event":
			e.event = value
		case name == "data":
			data = append(data, value)
		case name == "id":
			r.lastID = value
		case name == "retry":
			r.retry = value
		default:
			return e, fmt.Errorf("unknown field %q", line)
		}
	}
}

// tails begins a tail, and returns once the subscription is there.
func (c *client) tails(t *testing.T, q, last string) *sseReader {
	before := c.extension.tail.Stats().Subscriptions
	req, err := http.NewRequestWithContext(t.Context(), "GET", c.url+"/api/v1/tail?q="+url.QueryEscape(q), nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Accept-Encoding", "gzip")
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := c.http.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	require.Equal(t, "no-cache", res.Header.Get("Cache-Control"))
	require.Equal(t, "no", res.Header.Get("X-Accel-Buffering"))
	require.Empty(t, res.Header.Get("Content-Encoding"))
	require.Equal(t, before+1, c.extension.tail.Stats().Subscriptions)
	return &sseReader{lines: bufio.NewReader(res.Body)}
}

func (r *sseReader) expect(t *testing.T, brief string) sseEvent {
	e, err := r.next()
	require.NoError(t, err)
	require.Equal(t, brief, e.brief())
	return e
}
