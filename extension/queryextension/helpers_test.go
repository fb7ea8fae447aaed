package queryextension

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/otelscope/otelscope/extension/queryextension/internal/metadata"
	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/pressure"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// faulty is a store that does as the funcs say where they are set.
type faulty struct {
	*storetest.Model
	trace    func(context.Context, pcommon.TraceID) ([]store.Span, error)
	event    func(context.Context, string) ([]store.Span, error)
	spans    func(context.Context, []causal.SpanRef) ([]store.Span, error)
	group    func(context.Context, string, int) ([]store.Span, bool, error)
	scan     func(context.Context) iter.Seq2[store.Span, error]
	selected func(context.Context, store.Selection) iter.Seq2[store.Span, error]
	causing  func(context.Context, []causal.SpanRef, int) ([]store.Span, bool, error)
	stats    func() store.Stats
	write    func(context.Context, ptrace.Traces) error
	close    func(context.Context) error
}

func newFaulty() *faulty { return &faulty{Model: storetest.NewModel(time.Now)} }

func (f *faulty) Write(ctx context.Context, td ptrace.Traces) error {
	if f.write != nil {
		return f.write(ctx, td)
	}
	return f.Model.Write(ctx, td)
}

func (f *faulty) Trace(ctx context.Context, id pcommon.TraceID) ([]store.Span, error) {
	if f.trace != nil {
		return f.trace(ctx, id)
	}
	return f.Model.Trace(ctx, id)
}

func (f *faulty) Event(ctx context.Context, id string) ([]store.Span, error) {
	if f.event != nil {
		return f.event(ctx, id)
	}
	return f.Model.Event(ctx, id)
}

func (f *faulty) Spans(ctx context.Context, refs []causal.SpanRef) ([]store.Span, error) {
	if f.spans != nil {
		return f.spans(ctx, refs)
	}
	return f.Model.Spans(ctx, refs)
}

func (f *faulty) Correlation(ctx context.Context, id string, limit int) ([]store.Span, bool, error) {
	if f.group != nil {
		return f.group(ctx, id, limit)
	}
	return f.Model.Correlation(ctx, id, limit)
}

func (f *faulty) Scan(ctx context.Context, opts store.ScanOptions) iter.Seq2[store.Span, error] {
	if f.scan != nil {
		return f.scan(ctx)
	}
	return f.Model.Scan(ctx, opts)
}

func (f *faulty) Select(ctx context.Context, sel store.Selection) iter.Seq2[store.Span, error] {
	if f.selected != nil {
		return f.selected(ctx, sel)
	}
	return f.Model.Select(ctx, sel)
}

func (f *faulty) Causing(ctx context.Context, refs []causal.SpanRef, limit int) ([]store.Span, bool, error) {
	if f.causing != nil {
		return f.causing(ctx, refs, limit)
	}
	return f.Model.Causing(ctx, refs, limit)
}

func (f *faulty) Stats() store.Stats {
	if f.stats != nil {
		return f.stats()
	}
	return f.Model.Stats()
}

func (f *faulty) Close(ctx context.Context) error {
	if f.close != nil {
		return f.close(ctx)
	}
	return f.Model.Close(ctx)
}

func testConfig() *Config {
	cfg := createDefaultConfig().(*Config)
	cfg.HTTP.NetAddr.Endpoint = "localhost:0"
	return cfg
}

func opens(s store.Store) openFunc {
	return func(StorageConfig, store.Follower, *zap.Logger) (store.Store, error) { return s, nil }
}

// serving starts the extension over a store, as a collector does.
func serving(t *testing.T, s store.Store, change ...func(*Config)) *client {
	return servingWith(t, s, extensiontest.NewNopSettings(metadata.Type), change...)
}

func servingWith(t *testing.T, s store.Store, set extension.Settings, change ...func(*Config)) *client {
	return servingOpened(t, opens(s), set, change...)
}

func servingOpened(t *testing.T, open openFunc, set extension.Settings, change ...func(*Config)) *client {
	cfg := testConfig()
	for _, c := range change {
		c(cfg)
	}
	set.BuildInfo.Version = "1.2.3"
	e := newExtension(cfg, set, open)
	require.NoError(t, e.Start(t.Context(), componenttest.NewNopHost()))
	require.NoError(t, e.Ready())
	c := &client{extension: e, url: "http://" + e.listener.Addr().String()}
	c.http.Transport = &http.Transport{DisableKeepAlives: true}
	t.Cleanup(func() {
		require.NoError(t, e.NotReady())
		require.NoError(t, e.Shutdown(context.Background()))
	})
	return c
}

type client struct {
	extension *queryExtension
	url       string
	http      http.Client
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (c *client) do(t *testing.T, method, path, body string, header http.Header) answer {
	req, err := http.NewRequestWithContext(t.Context(), method, c.url+path, bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	maps.Copy(req.Header, header)
	res, err := c.http.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{res.StatusCode, res.Header, got}
}

func (c *client) get(t *testing.T, path string) answer { return c.do(t, "GET", path, "", nil) }

// post sends JSON.
func (c *client) post(t *testing.T, path, body string) answer {
	return c.do(t, "POST", path, body, http.Header{"Content-Type": {"application/json"}})
}

// into decodes a good answer.
func (a answer) into(t *testing.T, value any) {
	require.Equal(t, http.StatusOK, a.status, string(a.body))
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	require.NoError(t, json.Unmarshal(a.body, value), string(a.body))
}

// problem decodes a failure and checks that it is one.
func (a answer) problem(t *testing.T, status int) problem {
	require.Equal(t, status, a.status, string(a.body))
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"))
	var p problem
	require.NoError(t, json.Unmarshal(a.body, &p))
	require.Equal(t, status, p.Status)
	require.Equal(t, http.StatusText(status), p.Title)
	require.Equal(t, "about:blank", p.Type)
	require.NotEmpty(t, p.Detail)
	return p
}

// letters are dead letters in memory.
type letters struct {
	kept   []hub.DeadLetter
	stuck  []string // ids that cannot be replayed
	err    error
	replay func(context.Context) // called in Replay
}

func (l *letters) List(_ context.Context, after string, limit int, payload bool) ([]hub.DeadLetter, bool, error) {
	if limit < 1 {
		return nil, false, errors.New("a limit of nothing")
	}
	var found []hub.DeadLetter
	for _, letter := range l.kept {
		if letter.ID <= after {
			continue
		}
		if len(found) == limit {
			return found, true, l.err
		}
		if !payload {
			letter.Payload = nil
		}
		found = append(found, letter)
	}
	return found, false, l.err
}

func (l *letters) Replay(ctx context.Context, ids []string) (hub.Replayed, error) {
	if l.replay != nil {
		l.replay(ctx)
		return hub.Replayed{}, ctx.Err()
	}
	var done hub.Replayed
	l.kept = slices.DeleteFunc(l.kept, func(letter hub.DeadLetter) bool {
		if len(ids) > 0 && !slices.Contains(ids, letter.ID) {
			return false
		}
		if slices.Contains(l.stuck, letter.ID) {
			done.Failed = append(done.Failed, hub.ReplayError{ID: letter.ID, Error: "still wrong"})
			return false
		}
		done.Replayed++
		return true
	})
	return done, l.err
}

func letter(id, payload string) hub.DeadLetter {
	return hub.DeadLetter{
		ID: id, Time: time.Unix(1, 5), Source: "event", Format: "json",
		Reason: "kind: unknown kind", Bytes: len(payload), Payload: []byte(payload),
	}
}

// native is a request with one span as the receiver makes it of an event.
func native(service, node, event string, fill ...func(ptrace.Span)) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", service)
	if node != "" {
		rs.Resource().Attributes().PutStr("service.instance.id", node)
	}
	span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(storetest.TraceID(7))
	span.SetSpanID(storetest.SpanID(9))
	span.SetName("send order")
	span.SetKind(ptrace.SpanKindProducer)
	span.SetStartTimestamp(1_700_000_000_000_000_001)
	span.SetEndTimestamp(1_700_000_000_000_000_002)
	span.Attributes().PutStr("scope.event.id", event)
	span.Attributes().PutStr("scope.event.kind", "send")
	span.Attributes().PutStr("scope.process.id", "<0.83.0>")
	for _, f := range fill {
		f(span)
	}
	return td
}

// write stores batches, and comes again as long as the store says so.
func write(t *testing.T, s store.Store, batches ...ptrace.Traces) {
	for _, td := range batches {
		err := s.Write(t.Context(), td)
		for begun := time.Now(); time.Since(begun) < waitFor; err = s.Write(t.Context(), td) {
			// A write waits for room before it says that there is none.
			if _, later := errors.AsType[*store.UnavailableError](err); !later {
				break
			}
		}
		require.NoError(t, err)
	}
}

var (
	scopeID    = component.MustNewID("scope")
	pressureID = component.MustNewID("pressure")
)

// intake notes what its levers are set to.
type intake struct {
	mu     sync.Mutex
	set    []string
	refuse error
}

func (i *intake) note(what string, numbers ...any) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.refuse != nil {
		return i.refuse
	}
	i.set = append(i.set, strings.TrimSpace(what+" "+fmt.Sprintln(numbers...)))
	return nil
}

func (i *intake) noted() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.set)
}

func (i *intake) Pause()                         { _ = i.note("pause") }
func (i *intake) Resume()                        { _ = i.note("resume") }
func (i *intake) SetWorkers(low, high int) error { return i.note("workers", low, high) }
func (i *intake) SetBatch(low, high int) error   { return i.note("batch", low, high) }

// sampling notes the ratios it is set to; 0 stands for none.
type sampling struct {
	mu     sync.Mutex
	ratios []float64
	refuse error
}

func (s *sampling) SetRatio(ratio *float64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	if ratio == nil {
		ratio = new(float64)
	}
	s.ratios = append(s.ratios, *ratio)
	return nil
}

func (s *sampling) noted() []float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ratios)
}

// awaitLevel waits until the monitor, which the extension steps, is there.
func (c *client) awaitLevel(t *testing.T, level pressure.Level) {
	require.Eventually(t, func() bool { return c.extension.monitor.Level() == level }, time.Minute, time.Millisecond)
}

// put sends JSON.
func (c *client) put(t *testing.T, path, body string) answer {
	return c.do(t, "PUT", path, body, http.Header{"Content-Type": {"application/json"}})
}
