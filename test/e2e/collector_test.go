// Package e2e runs the built binary with real clients over real sockets and
// real files, as a user would.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// patience bounds every wait for a condition; no test asserts on speed.
const patience = 60 * time.Second

// binary is the collector under test: bin/otelcol-scope.
func binary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "bin", "otelcol-scope"))
	require.NoError(t, err)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing: run make build first", path)
	}
	return path
}

// collector is one configuration and the process that runs it now.
type collector struct {
	t      *testing.T
	dir    string // data
	config string // path
	cmd    *exec.Cmd
	exited chan struct{}
	log    *syncBuffer
	args   []string    // beside --config
	up     func() bool // says that it runs; nil: native events and the API are served

	grpc, http, events, api string // host:port
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// freeAddress is not among the ports that the system gives to connections, one
// of which could have taken it by the time that it is listened on.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprint("localhost:", 20000+rand.IntN(12000))
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

// newCollector writes the root configuration with free ports and this data
// folder. edit changes the text further; nil leaves it.
func newCollector(t *testing.T, dir string, edit func(string) string) *collector {
	t.Helper()
	c := &collector{t: t, dir: dir, grpc: freeAddress(t), http: freeAddress(t), events: freeAddress(t), api: freeAddress(t), log: &syncBuffer{}}
	text, err := os.ReadFile(filepath.Join(root, "collector-config.yaml"))
	require.NoError(t, err)
	_, metricsPort, err := net.SplitHostPort(freeAddress(t))
	require.NoError(t, err)
	config := strings.NewReplacer(
		"localhost:4317", c.grpc, "localhost:4318", c.http, "localhost:4319", c.events, "localhost:4320", c.api,
		"localhost:13133", freeAddress(t), "port: 8888", "port: "+metricsPort,
	).Replace(string(text))
	if edit != nil {
		config = edit(config)
	}
	c.config = filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(c.config, []byte(config), 0o600))
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			t.Logf("the collector's log:\n%s", c.log)
		}
	})
	return c
}

// configure writes another configuration instead.
func (c *collector) configure(config string) {
	c.t.Helper()
	require.NoError(c.t, os.WriteFile(c.config, []byte(config), 0o600))
}

// startCollector is newCollector in a new folder, started.
func startCollector(t *testing.T) *collector {
	t.Helper()
	c := newCollector(t, t.TempDir(), nil)
	c.start()
	return c
}

func (c *collector) start() {
	c.t.Helper()
	c.cmd = exec.Command(binary(c.t), append([]string{"--config", c.config}, c.args...)...)
	up := c.up
	if up == nil {
		up = func() bool { return c.listens(c.events) && c.healthy() }
	}
	c.cmd.Env = append(os.Environ(), "SCOPE_DATA="+c.dir)
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	require.NoError(c.t, c.cmd.Start())
	exited := make(chan struct{})
	c.exited = exited
	cmd := c.cmd
	go func() { _ = cmd.Wait(); close(exited) }()
	require.Eventually(c.t, func() bool {
		select {
		case <-exited:
			c.t.Fatalf("the collector ended at start:\n%s", c.log)
		default:
		}
		return up()
	}, patience, 20*time.Millisecond, "the collector does not come up")
}

func (c *collector) listens(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func (c *collector) healthy() bool {
	resp, err := http.Get("http://" + c.api + "/api/v1/health")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// kill ends the process as kill -9 does, and waits for it.
func (c *collector) kill() {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Kill()
	<-c.exited
	c.cmd = nil
}

// terminate asks the process to end and waits for it; it fails the test when
// the process is still there at the end of patience.
func (c *collector) terminate() time.Duration {
	c.t.Helper()
	began := time.Now()
	require.NoError(c.t, c.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-c.exited:
	case <-time.After(patience):
		c.t.Fatal("the collector does not end after SIGTERM")
	}
	c.cmd = nil
	return time.Since(began)
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) decode(t *testing.T, into any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(a.body, into), string(a.body))
}

func (c *collector) request(method, address, path, contentType string, body io.Reader) answer {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, body)
	require.NoError(c.t, err)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(c.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return answer{resp.StatusCode, resp.Header, text}
}

// send posts native events as NDJSON.
func (c *collector) send(events ...string) answer {
	c.t.Helper()
	return c.request(http.MethodPost, c.events, "/v1/events", "application/x-ndjson", strings.NewReader(strings.Join(events, "\n")))
}

// accept posts native events and requires that all were accepted.
func (c *collector) accept(events ...string) {
	c.t.Helper()
	got := c.send(events...)
	require.Equal(c.t, http.StatusOK, got.status, string(got.body))
	var said struct{ Accepted int }
	got.decode(c.t, &said)
	require.Equal(c.t, len(events), said.Accepted, string(got.body))
}

func (c *collector) get(path string) answer {
	c.t.Helper()
	return c.request(http.MethodGet, c.api, path, "", nil)
}

// span is the API's form of a span, as far as these tests look at it.
type span struct {
	TraceID      string         `json:"trace_id"`
	SpanID       string         `json:"span_id"`
	ParentSpanID string         `json:"parent_span_id"`
	EventID      string         `json:"event_id"`
	EventKind    string         `json:"event_kind"`
	Name         string         `json:"name"`
	Kind         string         `json:"kind"`
	Service      string         `json:"service"`
	Process      string         `json:"process"`
	Start        string         `json:"start"`
	End          string         `json:"end"`
	Status       string         `json:"status"`
	State        string         `json:"state"`
	Attributes   map[string]any `json:"attributes"`
}

// event looks an event up and requires that it is found.
func (c *collector) event(id string) span {
	c.t.Helper()
	got := c.get("/api/v1/events/" + url.PathEscape(id))
	require.Equal(c.t, http.StatusOK, got.status, "event %s: %s", id, got.body)
	var s span
	got.decode(c.t, &s)
	return s
}

// now is the current time as an event carries it.
func now() string { return fmt.Sprint(time.Now().UnixNano()) }
