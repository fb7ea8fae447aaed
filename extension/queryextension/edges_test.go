package queryextension

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// edgeLines decodes a stream of edges, each brief: type cause>effect.
func edgeLines(t *testing.T, body string) []string {
	found := []string{}
	for line := range strings.Lines(body) {
		var e edgeJSON
		require.True(t, strings.HasSuffix(line, "\n"))
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		found = append(found, string(e.Type)+" "+e.Cause.brief()+">"+e.Effect.brief())
	}
	slices.Sort(found)
	return found
}

func TestEdgesAreStreamed(t *testing.T) {
	c := serving(t, shop(t))
	all := []string{
		"error_propagation charge>hear", "message_flow send>charge", "parent_child ?>charge",
		"parent_child order>send", "state_transition hear>retry",
	}
	for query, want := range map[string][]string{
		"":                                      all,
		"?types=message_flow,error_propagation": all[:2],
		"?min_confidence=1":                     {all[0], all[2], all[3], all[4]},
		"?start=300":                            {all[0], all[4]},
		"?start=110&end=301":                    {all[0], all[3]},
		"?end=1970-01-01T00:00:00.0000001Z":     {all[1], all[2]},
		"?start=2200-01-01T00:00:00%2B02:00":    {},
	} {
		got := c.get(t, "/api/v1/edges"+query)
		require.Equal(t, http.StatusOK, got.status, string(got.body))
		require.Equal(t, "application/x-ndjson", got.header.Get("Content-Type"))
		require.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
		require.Equal(t, want, edgeLines(t, string(got.body)), query)
	}
	require.Contains(t, string(c.get(t, "/api/v1/edges?types=state_transition").body),
		`{"type":"state_transition","confidence":1,"rule":"rule",`+
			`"cause":{"trace_id":"`+storetest.TraceID(3).String()+`","span_id":"0000000000000004","event_id":"hear"},`+
			`"effect":{"trace_id":"`+storetest.TraceID(3).String()+`","span_id":"0000000000000005","event_id":"retry"}}`)
}

func TestBadEdges(t *testing.T) {
	c := serving(t, shop(t))
	for query, want := range map[string][2]string{
		"types=spawn":                  {"types", `"spawn" is no type of edges`},
		"min_confidence=2":             {"min_confidence", "must be a number from 0 to 1"},
		"start=yesterday":              {"start", `"yesterday" is no time: must be as 2026-03-01T12:00:00Z (RFC 3339, with + as %2B) or nanoseconds since the epoch`},
		"start=-1":                     {"start", "is no time"},
		"start=1960-01-01T00:00:00Z":   {"start", "is no time"},
		"end=2300-01-01T00:00:00Z":     {"end", "is no time"},
		"end=18446744073709551616":     {"end", "is no time"},
		"end=0":                        {"end", "the end 0 is not after the start 0"},
		"start=7&end=7":                {"end", "the end 7 is not after the start 7 (nanoseconds since the epoch)"},
		"limit=1":                      {"limit", `unknown parameter "limit": allowed are start, end, types, min_confidence`},
		"start=2026-01-01T00:00:00+02": {"start", "is no time"},
	} {
		p := c.get(t, "/api/v1/edges?"+query).problem(t, http.StatusBadRequest)
		require.Equal(t, want[0], p.Parameter, query)
		require.Contains(t, p.Detail, want[1], query)
	}
}

func TestHeadOfEdges(t *testing.T) {
	s := newFaulty()
	s.scan = func(context.Context) iter.Seq2[store.Span, error] { panic("nobody asked for edges") }
	got := serving(t, s).do(t, "HEAD", "/api/v1/edges", "", nil)
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "application/x-ndjson", got.header.Get("Content-Type"))
}

// flood makes a scan of n spans, 0 is no end, each with a parent that is not
// stored; it ends with err, and closes ended.
func (f *faulty) flood(n uint64, err error) (ended chan struct{}) {
	ended = make(chan struct{})
	f.spans = func(context.Context, []causal.SpanRef) ([]store.Span, error) { return nil, nil }
	f.scan = func(ctx context.Context) iter.Seq2[store.Span, error] {
		return func(yield func(store.Span, error) bool) {
			defer close(ended)
			for i := uint64(1); n == 0 || i <= n; i++ {
				if ctx.Err() != nil {
					yield(store.Span{}, ctx.Err())
					return
				}
				td := storetest.Traces(storetest.Spec{Trace: i, Span: 2, Parent: 1})
				if !yield(storetest.Split(td)[0].Encode(1), nil) {
					return
				}
			}
			if err != nil {
				yield(store.Span{}, err)
			}
		}
	}
	return ended
}

func TestFailureInTheMiddle(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"broken": {errors.New("block 7: bad checksum"), http.StatusInternalServerError},
		"closed": {store.ErrClosed, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFaulty()
			s.flood(5000, c.err)
			got := serving(t, s).get(t, "/api/v1/edges")
			require.Equal(t, http.StatusOK, got.status)
			lines := strings.Split(strings.TrimSpace(string(got.body)), "\n")
			var last struct{ Error problem }
			require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
			require.Equal(t, c.status, last.Error.Status)
			require.Contains(t, last.Error.Detail, c.err.Error())
			require.Len(t, edgeLines(t, strings.Join(lines[:len(lines)-1], "\n")+"\n"), 4096, "what waited when it failed is not sent")
		})
	}
}

// opened asks for edges and returns the answer once its header is there.
func opened(t *testing.T, c *client) *http.Response {
	req, err := http.NewRequestWithContext(t.Context(), "GET", c.url+"/api/v1/edges", nil)
	require.NoError(t, err)
	res, err := c.http.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = res.Body.Close() })
	require.Equal(t, http.StatusOK, res.StatusCode)
	return res
}

// TestEdgesComeBeforeTheEnd reads all lines of a batch while the scan has not
// gone on.
func TestEdgesComeBeforeTheEnd(t *testing.T) {
	s := newFaulty()
	s.flood(4096, nil)
	flood, ended := s.scan, make(chan struct{})
	s.scan = func(ctx context.Context) iter.Seq2[store.Span, error] {
		return func(yield func(store.Span, error) bool) {
			defer close(ended)
			flood(ctx)(yield)
			<-ctx.Done()
		}
	}
	res := opened(t, serving(t, s))
	lines := bufio.NewReader(res.Body)
	for range 4096 {
		_, err := lines.ReadString('\n')
		require.NoError(t, err)
	}
	require.NoError(t, res.Body.Close())
	<-ended
}

func TestStoppingPipelinesEndsEdges(t *testing.T) {
	s := newFaulty()
	ended := s.flood(0, nil)
	c := serving(t, s)
	res := opened(t, c)
	lines := bufio.NewReader(res.Body)
	_, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.NoError(t, c.extension.NotReady())
	var last string
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		last = line
	}
	<-ended
	require.Contains(t, last, `{"error":{"type":"about:blank","title":"Service Unavailable","status":503`)
}

func TestSlowReadersAreGivenUp(t *testing.T) {
	s := newFaulty()
	ended := s.flood(0, nil)
	c := serving(t, s, func(cfg *Config) { cfg.Query.Timeout = 20 * time.Millisecond })
	conn, err := net.Dial("tcp", c.extension.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("GET /api/v1/edges HTTP/1.1\r\nHost: x\r\n\r\n"))
	require.NoError(t, err)
	<-ended // though the connection is open and nobody reads
}
