package queryextension

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/store"
)

func TestUnknownPath(t *testing.T) {
	c := serving(t, newFaulty())
	for _, path := range []string{"/nothing", "/api/v1/", "/api/v1/status/", "/api/v1/events/", "/api/v1/events/a/b", "/api/v1/traces/"} {
		p := c.get(t, path).problem(t, http.StatusNotFound)
		require.Contains(t, p.Detail, path)
		c.do(t, "POST", path, "", nil).problem(t, http.StatusNotFound)
	}
}

func TestWrongMethod(t *testing.T) {
	c := serving(t, newFaulty(), controlled)
	for path, allowed := range map[string]string{
		"/":                           "GET, HEAD",
		"/api/v1/status":              "GET, HEAD",
		"/api/v1/events/e":            "GET, HEAD",
		"/api/v1/dead-letters/replay": "POST",
	} {
		got := c.do(t, "DELETE", path, "", nil)
		p := got.problem(t, http.StatusMethodNotAllowed)
		require.Equal(t, "DELETE is not allowed here: allowed are "+allowed, p.Detail)
		require.Equal(t, allowed, got.header.Get("Allow"))
	}
	c.get(t, "/api/v1/dead-letters/replay").problem(t, http.StatusMethodNotAllowed)
}

func TestHead(t *testing.T) {
	c := serving(t, newFaulty())
	got := c.do(t, "HEAD", "/api/v1/health", "", nil)
	require.Equal(t, http.StatusOK, got.status)
	require.Empty(t, got.body)
	require.Equal(t, "16", got.header.Get("Content-Length"))
}

func TestQueryStrings(t *testing.T) {
	c := serving(t, newFaulty())
	for query, want := range map[string]problem{
		"/api/v1/events/e?servce=pay": {Parameter: "servce", Detail: `unknown parameter "servce": allowed are service, node, limit`},
		"/api/v1/status?x":            {Parameter: "x", Detail: `unknown parameter "x": none is allowed`},
		"/api/v1/events/e?node=&node": {Parameter: "node", Detail: `parameter "node" is given 2 times: once is allowed`},
		"/api/v1/events/e?node=%zz":   {Detail: `the query string cannot be read: invalid URL escape "%zz"`},
	} {
		p := c.get(t, query).problem(t, http.StatusBadRequest)
		require.Equal(t, want.Parameter, p.Parameter, query)
		require.Equal(t, want.Detail, p.Detail, query)
	}
}

func TestBadCompressionIsAProblem(t *testing.T) {
	c := serving(t, newFaulty(), controlled)
	got := c.do(t, "POST", "/api/v1/dead-letters/replay", "no gzip", http.Header{"Content-Encoding": {"gzip"}, "Content-Type": {"application/json"}})
	got.problem(t, http.StatusBadRequest)
	c.get(t, "/api/v1/health").into(t, &map[string]string{})
}

func TestQueryTimeout(t *testing.T) {
	s := newFaulty()
	s.trace = func(ctx context.Context, _ pcommon.TraceID) ([]store.Span, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c := serving(t, s, func(cfg *Config) { cfg.Query.Timeout = time.Millisecond })
	p := c.get(t, storedTrace).problem(t, http.StatusGatewayTimeout)
	require.Equal(t, "the query did not end within 1ms (query::timeout of the extension)", p.Detail)
}

func TestClientThatLeavesEndsItsQuery(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan error, 1)
	s := newFaulty()
	s.trace = func(ctx context.Context, _ pcommon.TraceID) ([]store.Span, error) {
		close(begun)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	}
	c := serving(t, s)
	conn, err := net.Dial("tcp", c.extension.listener.Addr().String())
	require.NoError(t, err)
	_, err = io.WriteString(conn, "GET "+storedTrace+" HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-begun
	require.NoError(t, conn.Close())
	require.ErrorIs(t, <-ended, context.Canceled)
}

func TestControlIsOff(t *testing.T) {
	c := serving(t, newFaulty())
	p := c.post(t, "/api/v1/dead-letters/replay", "").problem(t, http.StatusForbidden)
	require.Equal(t, "control is off: set control: true on the extension to allow /api/v1/dead-letters/replay", p.Detail)
}

func TestForeignPagesMayNotControl(t *testing.T) {
	c := serving(t, newFaulty(), controlled, func(cfg *Config) {
		cfg.HTTP.CORS = configoptional.Some(confighttp.CORSConfig{
			AllowedOrigins: []string{"https://ops.example.com", "https://*.example.org", "*"},
		})
	})
	for origin, status := range map[string]int{
		"":                        http.StatusOK, // no browser
		c.url:                     http.StatusOK,
		"https://ops.example.com": http.StatusOK,
		"https://evil.example":    http.StatusForbidden,
		"https://a.example.org":   http.StatusForbidden, // may read by CORS
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		got := c.do(t, "POST", "/api/v1/dead-letters/replay", "", header)
		require.Equal(t, status, got.status, origin)
		if status == http.StatusForbidden {
			require.Equal(t, "Origin", got.problem(t, status).Parameter)
		}
	}
}

func TestMethodNames(t *testing.T) {
	require.Equal(t, "GET", methodName("GET"))
	require.Equal(t, "_OTHER", methodName("BREW"))
}

func TestStreamsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s streams
		early, done := s.join(t.Context())
		require.Error(t, early.Err(), "not open yet")
		done()

		s.open()
		s.open()
		byClose, done1 := s.join(t.Context())
		byDone, done2 := s.join(t.Context())
		parent, cancel := context.WithCancel(t.Context())
		byParent, done3 := s.join(parent)
		synctest.Wait()
		require.NoError(t, byClose.Err())

		done2()
		cancel()
		require.Error(t, byDone.Err())
		require.Error(t, byParent.Err())
		require.NoError(t, byClose.Err())
		s.close()
		synctest.Wait()
		require.Error(t, byClose.Err())
		done1()
		done3()
		s.close()

		s.open()
		again, done := s.join(t.Context())
		require.NoError(t, again.Err())
		done()
		s.close()
	})
}

func TestAnswerThatCannotBeEncoded(t *testing.T) {
	c := serving(t, newFaulty())
	c.extension.RegisterStatus(scopeID, func() any { return func() {} })
	var got statusJSON
	c.get(t, "/api/v1/status").into(t, &got)
	require.Contains(t, string(got.Components["scope"]), "unsupported type")

	w := &recorder{header: http.Header{}}
	writeJSON(w, "application/json", http.StatusOK, func() {})
	require.Equal(t, http.StatusInternalServerError, w.status)
}

type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }
