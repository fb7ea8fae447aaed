package scopereceiver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelscope/otelscope/internal/causal"
)

// pipeline stands behind the receiver. fault decides about each batch before
// it is kept; nil keeps everything.
type pipeline struct {
	mu    sync.Mutex
	spans []string // scope.event.id, or the name of an OTLP span, in order
	state map[string]string
	calls int
	fault func(td ptrace.Traces) error
}

func (*pipeline) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (p *pipeline) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	p.mu.Lock()
	fault := p.fault
	p.calls++
	p.mu.Unlock()
	if fault != nil {
		if err := fault(td); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	eachSpan(td, func(s ptrace.Span) {
		p.spans = append(p.spans, spanName(s))
		if state, ok := s.Attributes().Get(causal.AttrCallState); ok {
			p.state[spanName(s)] = state.Str()
		}
	})
	// What was handed on is the pipeline's: the receiver must not rely on it.
	td.ResourceSpans().RemoveIf(func(ptrace.ResourceSpans) bool { return true })
	return nil
}

func (p *pipeline) set(fault func(ptrace.Traces) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = fault
}

func (p *pipeline) names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.spans...)
}

func (p *pipeline) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spans, p.calls = nil, 0
}

func eachSpan(td ptrace.Traces, f func(ptrace.Span)) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				f(s)
			}
		}
	}
}

func spanName(s ptrace.Span) string {
	if id, ok := s.Attributes().Get(causal.AttrEventID); ok {
		return id.Str()
	}
	return s.Name()
}

// contains reports whether td has one of these spans.
func contains(td ptrace.Traces, names ...string) bool {
	found := false
	eachSpan(td, func(s ptrace.Span) {
		for _, name := range names {
			found = found || spanName(s) == name
		}
	})
	return found
}

var testID = component.MustNewIDWithName("scope", "test")

// rig is a receiver that runs, and its pipeline.
type rig struct {
	*scopeReceiver
	t         *testing.T
	pipeline  *pipeline
	telemetry *componenttest.Telemetry
	events    string // URL
	grpc      string // address
	http      string // URL
}

type hostWith map[component.ID]component.Component

func (h hostWith) GetExtensions() map[component.ID]component.Component { return h }

func testConfig(t *testing.T) *Config {
	cfg := createDefaultConfig().(*Config)
	otlp := otlpreceiver.NewFactory().CreateDefaultConfig().(*otlpreceiver.Config)
	grpc := *otlp.Protocols.GRPC.GetOrInsertDefault()
	grpc.NetAddr.Endpoint = freeAddress(t)
	web := *otlp.Protocols.HTTP.GetOrInsertDefault()
	web.ServerConfig.NetAddr.Endpoint = freeAddress(t)
	events := *cfg.Protocols.Events.GetOrInsertDefault()
	events.NetAddr.Endpoint = freeAddress(t)
	cfg.Protocols = Protocols{
		GRPC:   configoptional.Some[configgrpc.ServerConfig](grpc),
		HTTP:   configoptional.Some[otlpreceiver.HTTPConfig](web),
		Events: configoptional.Some[confighttp.ServerConfig](events),
	}
	cfg.DeadLetters.Directory = t.TempDir()
	require.NoError(t, cfg.Validate())
	return cfg
}

// freeAddress is not among the ports that the system gives to connections, one
// of which could have taken it by the time that it is listened on.
func freeAddress(t *testing.T) string {
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprint("localhost:", 20000+rand.IntN(12000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// start runs a receiver of cfg on a host with extensions until the test ends.
func start(t *testing.T, cfg *Config, extensions hostWith) *rig {
	t.Helper()
	r := build(t, cfg)
	require.NoError(t, r.Start(t.Context(), extensions))
	t.Cleanup(func() { require.NoError(t, r.Shutdown(context.Background())) })
	return r
}

func build(t *testing.T, cfg *Config) *rig {
	t.Helper()
	telemetry := componenttest.NewTelemetry()
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	set := receivertest.NewNopSettings(typ)
	set.TelemetrySettings = telemetry.NewTelemetrySettings()
	set.ID = testID
	p := &pipeline{state: map[string]string{}}
	traces, err := NewFactory().CreateTraces(t.Context(), receiver.Settings(set), cfg, p)
	require.NoError(t, err)
	r := &rig{scopeReceiver: traces.(*scopeReceiver), t: t, pipeline: p, telemetry: telemetry}
	if cfg.Protocols.Events.HasValue() {
		r.events = "http://" + cfg.Protocols.Events.Get().NetAddr.Endpoint + eventsPath
	}
	if cfg.Protocols.HTTP.HasValue() {
		r.grpc = cfg.Protocols.GRPC.Get().NetAddr.Endpoint
		r.http = "http://" + cfg.Protocols.HTTP.Get().ServerConfig.NetAddr.Endpoint + "/v1/traces"
	}
	return r
}

// reply is what a client saw.
type reply struct {
	status     int
	retryAfter string
	Accepted   int             `json:"accepted"`
	Rejected   []rejectedEvent `json:"rejected"`
	Error      string          `json:"error"`
	Offset     *int            `json:"offset"`
	text       string
}

var httpClient = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func (r *rig) post(body string, headers ...string) reply {
	r.t.Helper()
	return r.request(http.MethodPost, r.events, strings.NewReader(body), headers...)
}

// request sends NDJSON unless headers, which are names and values in turn, say
// otherwise.
func (r *rig) request(method, url string, body io.Reader, headers ...string) reply {
	r.t.Helper()
	got, err := send(method, url, body, headers...)
	require.NoError(r.t, err)
	return got
}

func send(method, url string, body io.Reader, headers ...string) (reply, error) {
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := httpClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{}, err
	}
	got := reply{status: res.StatusCode, retryAfter: res.Header.Get("Retry-After"), text: string(text)}
	if bytes.HasPrefix(text, []byte("{")) {
		err = json.Unmarshal(text, &got)
	}
	return got, err
}

// mark is a valid event: a span of its own.
func mark(id string) string {
	return fmt.Sprintf(`{"kind":"mark","time":"%d","service":"shop","node":"n1","process":"p-%s","id":%q,"name":"tick"}`+"\n", time.Now().UnixNano(), id, id)
}

// at is an event of a process at a fixed time, with more fields as JSON text.
func at(process, id, kind string, ms int, more string) string {
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"kind":%q,"time":"%d","service":"shop","node":"n1","process":%q,"id":%q%s}`+"\n",
		kind, testEpoch.Add(time.Duration(ms)*time.Millisecond).UnixNano(), process, id, more)
}

var testEpoch = time.Now()

// requireGood sends an event that must be taken.
func (r *rig) requireGood(id string) {
	r.t.Helper()
	got := r.post(mark(id))
	require.Equal(r.t, http.StatusOK, got.status, got.text)
	require.Equal(r.t, 1, got.Accepted)
	require.Contains(r.t, r.pipeline.names(), id)
}

// otlp makes traces with spans of these names, in two resources.
func otlp(names ...string) ptrace.Traces {
	td := ptrace.NewTraces()
	for half, part := range [][]string{names[:len(names)/2], names[len(names)/2:]} {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprint("s", half))
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		for i, name := range part {
			s := spans.AppendEmpty()
			s.SetName(name)
			s.SetTraceID([16]byte{1, byte(half), byte(i)})
			s.SetSpanID([8]byte{2, byte(half), byte(i)})
		}
	}
	return td
}
