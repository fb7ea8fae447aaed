package queryextension

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"

	"github.com/otelscope/otelscope/internal/bytesize"
	"github.com/otelscope/otelscope/internal/hub"
)

var secondID = component.MustNewIDWithName("scope", "second")

func withLetters(t *testing.T, change ...func(*Config)) *client {
	c := serving(t, newFaulty(), append(change, controlled)...)
	c.extension.RegisterDeadLetters(secondID, &letters{kept: []hub.DeadLetter{letter("1", "second")}})
	c.extension.RegisterDeadLetters(scopeID, &letters{
		kept:  []hub.DeadLetter{letter("1", "one"), letter("2", "two"), letter("3", "three")},
		stuck: []string{"2"},
	})
	return c
}

func (page deadLettersJSON) names() []string {
	names := []string{}
	for _, l := range page.DeadLetters {
		names = append(names, l.Receiver+" "+l.ID)
	}
	return names
}

var allLetters = []string{"scope 1", "scope 2", "scope 3", "scope/second 1"}

func TestDeadLetters(t *testing.T) {
	got := withLetters(t).get(t, "/api/v1/dead-letters?limit=1&payload=true")
	require.Equal(t, http.StatusOK, got.status)
	require.JSONEq(t, `{
		"dead_letters": [{
			"receiver": "scope", "id": "1", "time": "1000000005", "source": "event", "format": "json",
			"reason": "kind: unknown kind", "bytes": 3, "payload": "b25l"
		}],
		"truncated": true,
		"cursor": "`+place{"scope", "1"}.cursor()+`"
	}`, string(got.body))
}

func TestNoDeadLetters(t *testing.T) {
	c := serving(t, newFaulty())
	require.JSONEq(t, `{"dead_letters":[],"truncated":false}`, string(c.get(t, "/api/v1/dead-letters").body))
	c.extension.RegisterDeadLetters(scopeID, &letters{})
	require.JSONEq(t, `{"dead_letters":[],"truncated":false}`, string(c.get(t, "/api/v1/dead-letters?payload=true").body))
}

func TestDeadLettersPageByPage(t *testing.T) {
	for _, query := range []string{"limit=1", "limit=2", "limit=3", "limit=4", "limit=1000", "payload=true&limit=2", "payload=false"} {
		c := withLetters(t)
		seen, cursor := []string{}, ""
		for range 10 {
			var page deadLettersJSON
			c.get(t, "/api/v1/dead-letters?"+query+"&cursor="+cursor).into(t, &page)
			require.Equal(t, page.Truncated, page.Cursor != "", query)
			seen = append(seen, page.names()...)
			if cursor = page.Cursor; cursor == "" {
				break
			}
		}
		require.Equal(t, allLetters, seen, query)
	}
}

// A page with payloads ends at the memory bound, but moves on.
func TestPayloadsAreBounded(t *testing.T) {
	for size, want := range map[bytesize.ByteSize][]int{1: {1, 1, 1, 1}, 6: {2, 1, 1}, 11: {3, 1}, 17: {4}} {
		c := withLetters(t, func(cfg *Config) { cfg.Query.MaxBytes = size })
		pages, cursor := []int{}, ""
		for range 10 {
			var page deadLettersJSON
			c.get(t, "/api/v1/dead-letters?payload=true&cursor="+cursor).into(t, &page)
			pages = append(pages, len(page.DeadLetters))
			if cursor = page.Cursor; cursor == "" {
				break
			}
		}
		require.Equal(t, want, pages, size)
	}
}

func TestCursorOfAReceiverThatLeft(t *testing.T) {
	c := withLetters(t)
	var page deadLettersJSON
	c.get(t, "/api/v1/dead-letters?cursor="+place{"scope/gone", "5"}.cursor()).into(t, &page)
	require.Equal(t, []string{"scope/second 1"}, page.names())
	c.get(t, "/api/v1/dead-letters?cursor="+place{"z", ""}.cursor()).into(t, &page)
	require.Empty(t, page.names())
}

func TestDeadLettersRefused(t *testing.T) {
	c := withLetters(t)
	for query, parameter := range map[string]string{
		"limit=0": "limit", "limit=1001": "limit", "payload=yes": "payload", "cursor=*": "cursor", "cursor=e30x": "cursor",
	} {
		p := c.get(t, "/api/v1/dead-letters?"+query).problem(t, http.StatusBadRequest)
		require.Equal(t, parameter, p.Parameter, query)
	}
}

func TestReplay(t *testing.T) {
	for _, test := range []struct {
		body, want string
		left       []string
	}{
		{``, `{"replayed":3,"failed":[{"receiver":"scope","id":"2","error":"still wrong"}]}`, []string{"scope 2"}},
		{`{}`, `{"replayed":3,"failed":[{"receiver":"scope","id":"2","error":"still wrong"}]}`, []string{"scope 2"}},
		{`{"receiver":"scope/second"}`, `{"replayed":1,"failed":[]}`, allLetters[:3]},
		{`{"receiver":"scope","ids":["1","3"]}`, `{"replayed":2,"failed":[]}`, []string{"scope 2", "scope/second 1"}},
	} {
		c := withLetters(t)
		got := c.post(t, "/api/v1/dead-letters/replay", test.body)
		require.Equal(t, http.StatusOK, got.status, string(got.body))
		require.JSONEq(t, test.want, string(got.body), test.body)
		var page deadLettersJSON
		c.get(t, "/api/v1/dead-letters").into(t, &page)
		require.Equal(t, test.left, page.names(), test.body)
	}
}

func TestReplayOfTheOnlyReceiver(t *testing.T) {
	c := serving(t, newFaulty(), controlled)
	c.extension.RegisterDeadLetters(scopeID, &letters{kept: []hub.DeadLetter{letter("1", ""), letter("2", "")}})
	require.JSONEq(t, `{"replayed":1,"failed":[]}`, string(c.post(t, "/api/v1/dead-letters/replay", `{"ids":["2"]}`).body))
}

func TestReplayRefused(t *testing.T) {
	c := withLetters(t, func(cfg *Config) { cfg.HTTP.MaxRequestBodySize = 100 })
	for _, test := range []struct {
		body      string
		status    int
		parameter string
		detail    string
	}{
		{`{"ids":["1"]}`, 400, "receiver", "receiver is required with ids, since 2 receivers keep dead letters"},
		{`{"receiver":"x"}`, 404, "receiver", `receiver "x" keeps no dead letters here: there are [scope, scope/second]`},
		{`{"id":"1"}`, 400, "", `unknown field "id"`},
		{`{"ids":"1"}`, 400, "", "cannot unmarshal string"},
		{`{`, 400, "", "unexpected EOF"},
		{`{}{}`, 400, "", "one JSON object"},
		{strings.Repeat(" ", 101), 413, "", "larger than 100 bytes (http::max_request_body_size)"},
	} {
		p := c.post(t, "/api/v1/dead-letters/replay", test.body).problem(t, test.status)
		require.Equal(t, test.parameter, p.Parameter, test.body)
		require.Contains(t, p.Detail, test.detail)
	}
	got := c.do(t, "POST", "/api/v1/dead-letters/replay", "{}", http.Header{"Content-Type": {"text/json"}})
	require.Equal(t, `"text/json" is not allowed: must be application/json`, got.problem(t, http.StatusUnsupportedMediaType).Detail)
}

func TestReplayOfATruncatedBody(t *testing.T) {
	c := serving(t, newFaulty(), controlled)
	conn, err := net.Dial("tcp", c.extension.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /api/v1/dead-letters/replay HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.Contains(t, string(got), "400 Bad Request")
	require.Contains(t, string(got), "the body cannot be read: unexpected EOF")
}

// A replay feeds receivers: it ends before they do, and takes no deadline.
func TestReplayEndsWithThePipelines(t *testing.T) {
	c := serving(t, newFaulty(), controlled)
	c.extension.RegisterDeadLetters(scopeID, &letters{replay: func(ctx context.Context) {
		_, limited := ctx.Deadline()
		assert.False(t, limited)
		assert.NoError(t, c.extension.NotReady())
		<-ctx.Done()
	}})
	p := c.post(t, "/api/v1/dead-letters/replay", "").problem(t, http.StatusServiceUnavailable)
	require.Contains(t, p.Detail, "the request was given up")
}
