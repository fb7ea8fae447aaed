package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

func controlled(config string) string {
	return strings.Replace(config, "control: false", "control: true", 1)
}

// set changes something through the API.
func (c *collector) set(method, path, body string) answer {
	c.t.Helper()
	return c.request(method, c.api, "/api/v1/pipeline/"+path, "application/json", strings.NewReader(body))
}

// figures are what these tests look at of the status.
type figures struct {
	Pressure struct {
		Level    string
		Strategy string
	}
	Components struct {
		Pressure struct {
			Sampling struct{ Active bool }
			Spans    struct {
				SampledOut map[string]int64 `json:"sampled_out"`
				Rescued    int64
			}
		}
		Scope struct {
			Paused  bool
			Workers struct{ Min, Max int }
			Batch   struct {
				MinSize int `json:"min_size"`
			}
		}
	}
}

func (c *collector) figures() (f figures) {
	c.t.Helper()
	a := c.get("/api/v1/status")
	require.Equal(c.t, http.StatusOK, a.status)
	a.decode(c.t, &f)
	return f
}

// chain sends an order that goes from one process to another and, if it fails,
// fails there. Each hop is a request. It returns the ids of its spans.
func (c *collector) chain(name string, fails bool) (ids []string) {
	c.t.Helper()
	line := func(id, rest string) string {
		ids = append(ids, id)
		return fmt.Sprintf(`{"id":%q,"time":%s,"service":"shop",%s}`, id, now(), rest)
	}
	sender, worker := "sender-"+name, "worker-"+name
	c.accept(
		line(name+"-receive", fmt.Sprintf(`"kind":"receive","process":%q,"name":"order","message_id":"in-%s"`, sender, name)),
		line(name+"-send", fmt.Sprintf(`"kind":"send","process":%q,"name":"charge","peer":%q,"message_id":"m-%s"`, sender, worker, name)),
	)
	c.accept(
		line(name+"-take", fmt.Sprintf(`"kind":"receive","process":%q,"name":"charge","message_id":"m-%s"`, worker, name)),
		line(name+"-note", fmt.Sprintf(`"kind":"mark","process":%q,"name":"charging"`, worker)),
	)
	if fails {
		c.accept(line(name+"-error", fmt.Sprintf(`"kind":"error","process":%q,"error":{"type":"card_declined"}`, worker)))
	}
	return ids
}

// stored counts those of ids that are stored, and those that were rescued.
func (c *collector) stored(ids []string) (stored, rescued int) {
	for _, id := range ids {
		a := c.get("/api/v1/events/" + id)
		if a.status != http.StatusOK {
			require.Equal(c.t, http.StatusNotFound, a.status, string(a.body))
			continue
		}
		stored++
		var s span
		a.decode(c.t, &s)
		if s.Attributes["scope.sampling.rescued"] == true {
			rescued++
		}
	}
	return stored, rescued
}

// Half of the chains are kept, each whole; of those that fail all are, with
// what had been sampled out of them.
func TestChainsAreSampledWholeAndFailuresRescued(t *testing.T) {
	c := newCollector(t, t.TempDir(), controlled)
	c.start()
	require.Equal(t, http.StatusOK, c.set(http.MethodPut, "sampling", `{"ratio":0.5}`).status)
	require.Eventually(t, func() bool { return c.figures().Components.Pressure.Sampling.Active }, patience, 20*time.Millisecond)

	kept, gone := 0, 0
	for i := range 60 {
		ids := c.chain(fmt.Sprint("c", i), false)
		switch n, _ := c.stored(ids); n {
		case 0:
			gone++
		case len(ids):
			kept++
		default:
			t.Errorf("of chain %d, %d of %d spans are stored", i, n, len(ids))
		}
	}
	require.Positive(t, kept, "the chance of none is one in 10^18")
	require.Positive(t, gone)

	rescued := 0
	for i := range 30 {
		ids := c.chain(fmt.Sprint("f", i), true)
		n, r := c.stored(ids)
		require.Equal(t, len(ids), n, "failing chain %d is stored whole", i)
		require.Contains(t, []int{0, 4}, r)
		rescued += r
	}
	require.Positive(t, rescued)
	f := c.figures().Components.Pressure.Spans
	require.EqualValues(t, 4*gone+rescued, f.SampledOut["fixed"])
	require.EqualValues(t, rescued, f.Rescued)

	require.Equal(t, http.StatusOK, c.set(http.MethodPut, "sampling", `{"ratio":null}`).status)
	bad := c.set(http.MethodPut, "sampling", `{"ratio":2}`)
	require.Equal(t, http.StatusBadRequest, bad.status)
	require.Contains(t, string(bad.body), "ratio")
}

func TestThePipelineIsControlledThroughTheAPI(t *testing.T) {
	c := newCollector(t, t.TempDir(), controlled)
	c.start()
	require.Equal(t, http.StatusOK, c.set(http.MethodPost, "pause", "").status)
	require.True(t, c.figures().Components.Scope.Paused)
	waiting := make(chan answer, 1)
	go func() {
		waiting <- c.send(`{"id":"waits","kind":"mark","time":` + now() + `,"process":"p","name":"n"}`)
	}()
	require.Eventually(t, func() bool { return strings.Contains(c.text("/api/v1/status"), `"queued_items":1`) }, patience, 10*time.Millisecond)
	require.Equal(t, http.StatusNotFound, c.get("/api/v1/events/waits").status)
	require.Equal(t, http.StatusOK, c.set(http.MethodPost, "resume", "").status)
	require.Equal(t, http.StatusOK, (<-waiting).status)
	c.event("waits")

	require.Equal(t, http.StatusOK, c.set(http.MethodPut, "workers", `{"min":3,"max":5}`).status)
	require.Equal(t, http.StatusOK, c.set(http.MethodPut, "batch", `{"min_size":7,"max_size":500}`).status)
	require.Equal(t, http.StatusOK, c.set(http.MethodPut, "strategy", `{"strategy":"refuse"}`).status)
	f := c.figures()
	require.Equal(t, 3, f.Components.Scope.Workers.Min)
	require.Equal(t, 5, f.Components.Scope.Workers.Max)
	require.Equal(t, 7, f.Components.Scope.Batch.MinSize)
	require.Equal(t, "refuse", f.Pressure.Strategy)
	bad := c.set(http.MethodPut, "workers", `{"min":9,"max":5}`)
	require.Equal(t, http.StatusBadRequest, bad.status)
	require.Contains(t, string(bad.body), "max")

	plain := startCollector(t)
	require.Equal(t, http.StatusForbidden, plain.set(http.MethodPost, "pause", "").status)
}

// In a plain collector, without a hub: the breaker opens before a back end that
// fails, health_check hears of it, and it closes when the back end is well.
func TestPressureAloneInAnyCollector(t *testing.T) {
	var down atomic.Bool
	var came atomic.Int64
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		came.Add(1)
	}))
	defer backend.Close()
	c := newCollector(t, t.TempDir(), nil)
	health := freeAddress(t)
	c.args = []string{"--feature-gates", "+extension.healthcheck.useComponentStatus"}
	c.configure(fmt.Sprintf(`
receivers:
  otlp: {protocols: {http: {endpoint: %q}}}
processors:
  pressure: {breaker: {consecutive_failures: 3, open_for: 1s}, levels: {hold: 1s}}
exporters:
  otlp_http: {endpoint: %q, compression: none, retry_on_failure: {enabled: false}, sending_queue: {enabled: false}}
extensions:
  health_check:
    use_v2: true
    http: {endpoint: %q, status: {enabled: true, path: /status}}
    component_health: {include_recoverable_errors: true, recovery_duration: 0s}
service:
  extensions: [health_check]
  pipelines: {traces: {receivers: [otlp], processors: [pressure], exporters: [otlp_http]}}
  telemetry: {metrics: {level: none}}
`, c.http, backend.URL, health))
	well := func() int {
		resp, err := http.Get("http://" + health + "/status?verbose")
		if err != nil {
			return 0
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	c.up = func() bool { return c.listens(c.http) && well() == http.StatusOK }
	c.start()

	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID([16]byte{1})
	span.SetSpanID([8]byte{1})
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	require.NoError(t, err)
	export := func() answer {
		return c.request(http.MethodPost, c.http, "/v1/traces", "application/x-protobuf", strings.NewReader(string(body)))
	}
	require.Equal(t, http.StatusOK, export().status)
	down.Store(true)
	for range 3 {
		require.NotEqual(t, http.StatusOK, export().status)
	}
	refused := export()
	require.Equal(t, http.StatusServiceUnavailable, refused.status)
	require.Equal(t, "1", refused.header.Get("Retry-After"))
	require.Contains(t, string(refused.body), "the breaker is open")
	require.Eventually(t, func() bool { return well() == http.StatusInternalServerError }, patience, 20*time.Millisecond, "health_check says so")

	down.Store(false)
	require.Eventually(t, func() bool { return export().status == http.StatusOK }, patience, 100*time.Millisecond)
	require.Positive(t, came.Load())
	require.Eventually(t, func() bool { return well() == http.StatusOK }, patience, 50*time.Millisecond)
	c.terminate()
}
