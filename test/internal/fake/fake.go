// Package fake is a collector that is simple enough to be right, or wrong on
// purpose: what the crash test and the benchmark are tested against. It runs as
// a process of its own: a test binary calls Main from TestMain when it was
// started with Env set.
//
// It keeps whole requests in one file, appended before each answer, and all of
// them in memory. Env says how it behaves: "well"; "loses" one request in ten;
// "doubles" spans that come again; "forgets" returns.
package fake

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"

	"github.com/otelscope/otelscope/internal/event"
)

// Env is the environment variable that makes a test binary a fake collector.
const Env = "SCOPE_FAKE_COLLECTOR"

type fake struct {
	ptraceotlp.UnimplementedGRPCServer
	behaviour string
	mu        sync.Mutex
	file      *os.File
	requests  int
	traces    map[pcommon.TraceID][]span
	events    map[string]*span
}

type span struct {
	Trace pcommon.TraceID
	ID    pcommon.SpanID
	Event string
	State string
}

// Main runs until SIGTERM and returns the exit code.
func Main(args []string) int {
	if err := serve(args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

var (
	endpoint  = regexp.MustCompile(`(\w+): \{endpoint: "([^"]+)"`)
	directory = regexp.MustCompile(`directory: "([^"]+)"\n`)
)

func serve(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	config, err := os.ReadFile(args[len(args)-1])
	if err != nil {
		return err
	}
	f := &fake{behaviour: os.Getenv(Env), traces: map[pcommon.TraceID][]span{}, events: map[string]*span{}}
	if m := directory.FindSubmatch(config); m != nil {
		if err := f.open(string(m[1])); err != nil {
			return err
		}
	}
	var servers []io.Closer
	for _, m := range endpoint.FindAllSubmatch(config, -1) {
		lis, err := net.Listen("tcp", string(m[2]))
		if err != nil {
			return err
		}
		if string(m[1]) == "grpc" {
			g := grpc.NewServer()
			ptraceotlp.RegisterGRPCServer(g, f)
			go func() { _ = g.Serve(lis) }()
			continue
		}
		srv := &http.Server{Handler: f}
		servers = append(servers, srv)
		go func() { _ = srv.Serve(lis) }()
	}
	<-ctx.Done()
	for _, s := range servers {
		s.Close()
	}
	return nil
}

// open reads what was stored; a torn last line is what a kill left.
func (f *fake) open(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name := filepath.Join(dir, "requests")
	var err error
	if f.file, err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644); err != nil {
		return err
	}
	body, err := io.ReadAll(f.file)
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(body, '\n') + 1
	for line := range bytes.Lines(body[:whole]) {
		raw, err := hex.DecodeString(string(line[1 : len(line)-1]))
		if err != nil {
			return err
		}
		f.take(line[0], raw)
	}
	return f.file.Truncate(int64(whole))
}

// put stores a request durably enough for a kill, then takes it.
func (f *fake) put(format byte, raw []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.file != nil && !(f.behaviour == "loses" && f.requests%10 == 0) {
		if _, err := fmt.Fprintf(f.file, "%c%x\n", format, raw); err != nil {
			return err
		}
	}
	f.take(format, raw)
	return nil
}

func (f *fake) take(format byte, raw []byte) {
	if format == 'e' {
		res, err := event.Decode(event.FormatNDJSON, raw, func() string { return "" })
		if err != nil || len(res.Rejected) > 0 {
			panic("the harness sends invalid events")
		}
		for i := range res.Events {
			f.event(&res.Events[i])
		}
		return
	}
	req := ptraceotlp.NewExportRequest()
	if err := req.UnmarshalProto(raw); err != nil {
		panic(err)
	}
	for _, rs := range req.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				f.add(span{Trace: s.TraceID(), ID: s.SpanID()})
			}
		}
	}
}

// event makes one trace of each process, which is what the crash test's events
// are.
func (f *fake) event(e *event.Event) {
	trace := pcommon.TraceID(xxh3.HashString128(e.Node + e.Process).Bytes())
	if e.Kind == event.KindReturn {
		call := f.events[e.CallID]
		if call == nil || f.behaviour == "forgets" {
			return
		}
		call.State = "returned"
		f.events[e.ID] = call
		return
	}
	id := xxh3.HashString128(e.ID).Bytes()
	s := span{Trace: trace, ID: pcommon.SpanID(id[:8]), Event: e.ID}
	if e.Kind == event.KindCall {
		s.State = "open"
	}
	if f.add(s) {
		f.events[e.ID] = &s
	}
}

func (f *fake) add(s span) bool {
	if f.behaviour != "doubles" {
		for _, other := range f.traces[s.Trace] {
			if other.ID == s.ID {
				return false
			}
		}
	}
	f.traces[s.Trace] = append(f.traces[s.Trace], s)
	return true
}

// Export takes OTLP.
func (f *fake) Export(_ context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	raw, err := req.MarshalProto()
	if err != nil {
		return ptraceotlp.NewExportResponse(), err
	}
	return ptraceotlp.NewExportResponse(), f.put('o', raw)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, last := filepath.Split(r.URL.Path)
	switch {
	case r.URL.Path == "/v1/events":
		raw, err := io.ReadAll(r.Body)
		if err != nil || f.put('e', raw) != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, `{"accepted":%d,"rejected":[]}`, bytes.Count(raw, []byte("\n")))
	case last == "chain", strings.HasPrefix(r.URL.Path, "/api/v1/correlations/"):
		nodes := 2
		if n, err := strconv.Atoi(r.URL.Query().Get("limit")); err == nil {
			nodes = n
		}
		fmt.Fprintf(w, `{"nodes":[{}%s]}`, strings.Repeat(",{}", nodes-1))
	case strings.HasPrefix(r.URL.Path, "/api/v1/events/"):
		f.mu.Lock()
		defer f.mu.Unlock()
		s := f.events[last]
		if s == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"trace_id": s.Trace.String(), "span_id": s.ID.String(), "event_id": s.Event, "state": s.State, "others": []any{},
		})
	case strings.HasPrefix(r.URL.Path, "/api/v1/traces/"):
		f.answerTrace(w, last)
	case r.URL.Path == "/api/v1/status":
		f.mu.Lock()
		defer f.mu.Unlock()
		fmt.Fprintf(w, `{"store":{"spans":%d,"oldest":""}}`, f.requests)
	}
}

func (f *fake) answerTrace(w http.ResponseWriter, id string) {
	var trace pcommon.TraceID
	_, _ = hex.Decode(trace[:], []byte(id))
	f.mu.Lock()
	defer f.mu.Unlock()
	spans := f.traces[trace]
	if len(spans) == 0 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	td := ptrace.NewTraces()
	out := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for _, s := range spans {
		one := out.AppendEmpty()
		one.SetTraceID(s.Trace)
		one.SetSpanID(s.ID)
	}
	body, _ := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	_, _ = w.Write(body)
}
