package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/test/internal/collector"
)

// peerResult is what another system made of the same spans and questions.
type peerResult struct {
	Name    string  `json:"name"`
	Spans   int64   `json:"spans"`
	Seconds float64 `json:"seconds"` // until all were acknowledged
	DiskMB  float64 `json:"disk_mb"`
	Answers []asked `json:"answers"`
}

// peer is a system that takes OTLP and answers questions.
type peer struct {
	name    string
	binary  string
	prepare func(dir, api, grpc, inner string) (args []string, err error)
	sender  func(api, grpc string) (loadgen.Sender, func() error, error)
	ready   string
	asks    []question
}

// peers fills and asks those whose binaries were named.
func (o options) peers(ctx context.Context, r *results) error {
	for _, p := range []peer{victoria(o.victoria), tempo(o.tempo)} {
		if p.binary == "" {
			continue
		}
		fmt.Printf("%s: storing %d spans …\n", p.name, o.peerSpans)
		result, err := o.peer(ctx, p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		r.Peers = append(r.Peers, result)
	}
	return nil
}

func victoria(binary string) peer {
	jaeger := func(query string) string {
		now := time.Now()
		return fmt.Sprintf("/select/jaeger/api/traces?limit=20&start=%d&end=%d&%s", now.Add(-hour).UnixMicro(), now.Add(time.Minute).UnixMicro(), query)
	}
	return peer{
		name: "VictoriaTraces", binary: binary, ready: "/health",
		prepare: func(dir, api, _, _ string) ([]string, error) {
			return []string{"-httpListenAddr=" + api, "-storageDataPath=" + filepath.Join(dir, "data"), "-loggerLevel=ERROR"}, nil
		},
		sender: func(api, _ string) (loadgen.Sender, func() error, error) {
			h := loadgen.NewHTTP("http://"+api+"/insert/opentelemetry/v1/traces", inFlight)
			return h, func() error { h.Close(); return nil }, nil
		},
		asks: []question{
			{Name: "trace by id", times: 0.5, least: 1, count: countList("data"), path: func(k *known) string {
				r, span := k.request()
				return fmt.Sprintf("/select/jaeger/api/traces/%x", r.template.TraceID(r.seq, span%r.template.TraceCount))
			}},
			{Name: "search: one user's span", times: 0.1, least: 1, count: countList("data"), path: func(k *known) string {
				r, span := k.request()
				service, err := r.service(span)
				if err != nil {
					panic(err) // the template is our own
				}
				return jaeger("service=" + service + "&tags=" + url.QueryEscape(fmt.Sprintf(`{"user.id":%q}`, r.user(span))))
			}},
			{Name: "search: failures of one operation", times: 0.1, least: 1, count: countList("data"), path: func(k *known) string {
				f := k.failure(false)
				return jaeger("service=" + f.service + "&operation=" + f.name + "&tags=" + url.QueryEscape(`{"error":"true"}`))
			}},
		},
	}
}

func tempo(binary string) peer {
	search := func(query string) string {
		now := time.Now()
		return fmt.Sprintf("/api/search?limit=20&start=%d&end=%d&q=%s", now.Add(-hour).Unix(), now.Add(time.Minute).Unix(), url.QueryEscape(query))
	}
	return peer{
		name: "Tempo", binary: binary, ready: "/ready",
		prepare: func(dir, api, grpc, inner string) ([]string, error) {
			_, port, _ := strings.Cut(api, ":")
			_, innerPort, _ := strings.Cut(inner, ":")
			config := fmt.Sprintf(`stream_over_http_enabled: true
server: {http_listen_address: 127.0.0.1, http_listen_port: %s, grpc_listen_address: 127.0.0.1, grpc_listen_port: %s, log_level: error}
distributor: {receivers: {otlp: {protocols: {grpc: {endpoint: %q}}}}}
usage_report: {reporting_enabled: false}
storage: {trace: {backend: local, wal: {path: %q}, local: {path: %q}}}
overrides: {defaults: {ingestion: {rate_limit_bytes: 1000000000, burst_size_bytes: 1000000000, max_traces_per_user: 0}}}
`, port, innerPort, grpc, filepath.Join(dir, "wal"), filepath.Join(dir, "blocks"))
			name := filepath.Join(dir, "tempo.yaml")
			return []string{"-config.file=" + name}, os.WriteFile(name, []byte(config), 0o644)
		},
		sender: func(_, grpc string) (loadgen.Sender, func() error, error) {
			g, err := loadgen.NewGRPC(grpc, connections)
			if err != nil {
				return nil, nil, err
			}
			return g, g.Close, nil
		},
		asks: []question{
			{Name: "trace by id", times: 0.5, least: 1, count: countBytes, path: func(k *known) string {
				r, span := k.request()
				return fmt.Sprintf("/api/v2/traces/%x", r.template.TraceID(r.seq, span%r.template.TraceCount))
			}},
			{Name: "search: one user's span", times: 0.1, least: 1, count: countList("traces"), path: func(k *known) string {
				r, span := k.request()
				return search(fmt.Sprintf(`{ span.user.id = %q }`, r.user(span)))
			}},
			{Name: "search: failures of one operation", times: 0.1, least: 1, count: countList("traces"), path: func(k *known) string {
				return search(failed(k.failure(false)))
			}},
			{Name: "search: a failure below a root", times: 0.1, least: 1, count: countList("traces"), path: func(k *known) string {
				return search(below(k.failure(true)))
			}},
		},
	}
}

func (o options) peer(ctx context.Context, p peer) (result peerResult, err error) {
	dir, err := os.MkdirTemp(o.dir, "scope-peer-")
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ports, err := collector.FreePorts(3)
	if err != nil {
		return result, err
	}
	api, grpc, inner := ports[0], ports[1], ports[2]
	args, err := p.prepare(dir, api, grpc, inner)
	if err != nil {
		return result, err
	}
	process, err := collector.Start(collector.Settings{Binary: p.binary, Args: args, Dir: dir})
	if err != nil {
		return result, err
	}
	defer process.Kill()
	starting, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := process.Ready(starting, "http://"+api+p.ready); err != nil {
		return result, err
	}
	sender, closing, err := p.sender(api, grpc)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, closing()) }()
	k, err := newKnown(o.seed)
	if err != nil {
		return result, err
	}
	begin := time.Now()
	if result.Spans, err = o.send(ctx, sender, k); err != nil {
		return result, err
	}
	result.Name, result.Seconds = p.name, time.Since(begin).Seconds()
	client := loadgen.Client(4)
	client.Timeout = time.Minute
	defer client.CloseIdleConnections()
	if err := settled(ctx, client, "http://"+api, p.asks[1], k); err != nil {
		return result, err
	}
	for _, q := range p.asks {
		a, err := o.ask(ctx, client, "http://"+api, q, k)
		if err != nil {
			return result, fmt.Errorf("%s: %w", q.Name, err)
		}
		fmt.Printf("  %-45s p50 %7.2f ms, p99 %7.2f ms of %d\n", q.Name, a.P50ms, a.P99ms, a.Samples)
		result.Answers = append(result.Answers, a)
	}
	result.DiskMB, err = megabytes(dir)
	return result, err
}

// send sends o.peerSpans spans in a closed loop.
func (o options) send(ctx context.Context, to loadgen.Sender, k *known) (int64, error) {
	sending, done := context.WithCancel(ctx)
	defer done()
	var meter loadgen.Meter
	ended := make(chan error, 1)
	go func() {
		ended <- loadgen.Closed(sending, &meter, o.workers(inFlight, requestSize, 0, to, k.sent))
	}()
	for meter.Items.Load() < int64(o.peerSpans) {
		select {
		case err := <-ended:
			return 0, fmt.Errorf("the load ended early: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	done()
	return meter.Items.Load(), <-ended
}

// settled waits until what was sent can be searched for: some show it only a
// while after they took it.
func settled(ctx context.Context, client *http.Client, base string, q question, k *known) error {
	const patience = 3 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for in := 0; in < 20; in++ { // some in a row, so that it is not by chance
		body, status, err := get(ctx, client, base+q.path(k))
		if err != nil {
			return fmt.Errorf("%s is not found %s after it was sent: %w", q.Name, patience, err)
		}
		if n, err := q.count(body); err != nil || status != http.StatusOK || n < q.least {
			in = -1
			time.Sleep(200 * time.Millisecond)
		}
	}
	return nil
}

func megabytes(dir string) (float64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) { // merged away meanwhile
			return nil
		}
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return float64(sum) / 1e6, err
}
