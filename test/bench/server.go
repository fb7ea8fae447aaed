package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/test/internal/collector"
)

// server is a collector in a folder of its own.
type server struct {
	*collector.Process
	at    collector.Addresses
	dir   string
	scope bool
	api   *collector.API
}

// start starts the plain collector, or the whole pipeline on an empty store
// with other processors where they are not nil, and waits until it is ready.
func (o options) start(ctx context.Context, scope bool, processors []string) (*server, error) {
	at, err := collector.NewAddresses()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.dir, "scope-bench-")
	if err != nil {
		return nil, err
	}
	s := &server{at: at, dir: dir, scope: scope, api: collector.NewAPI(at.APIURL(), 16)}
	var configs []string
	if scope {
		configs, err = collector.ScopeConfig(dir, o.config, at, collector.Storage{Directory: filepath.Join(dir, "data"), Processors: processors}, o.profile != "")
	} else {
		configs, err = collector.PlainConfig(dir, at, o.profile != "")
	}
	if err == nil {
		s.Process, err = collector.Start(collector.Settings{
			Binary: o.binary, Configs: configs, Dir: dir, Env: []string{"GOGC=" + o.gogc, "GOMEMLIMIT=" + o.memlimit},
		})
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := s.Ready(ctx, at.HealthURL()); err != nil {
		s.Kill()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// stop ends the server and removes its folder.
func (s *server) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	s.api.Close()
	return errors.Join(s.Stop(ctx), os.RemoveAll(s.dir))
}

// with runs do against a fresh server, and ends it.
func (o options) with(ctx context.Context, scope bool, do func(*server) error) error {
	return o.run(ctx, scope, nil, do)
}

// withProcessors is with for a pipeline of other processors.
func (o options) withProcessors(ctx context.Context, processors []string, do func(*server) error) error {
	return o.run(ctx, true, processors, do)
}

func (o options) run(ctx context.Context, scope bool, processors []string, do func(*server) error) error {
	s, err := o.start(ctx, scope, processors)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.stop())
}

// measurement is one server under one load, from the end of the warm-up on.
type measurement struct {
	Server       string  `json:"server"`
	Seconds      float64 `json:"seconds"`
	PerSecond    float64 `json:"per_second"`
	ServerCPUus  float64 `json:"server_cpu_us"` // an item
	ClientCPUus  float64 `json:"client_cpu_us"` // an item, kernel included
	ClientUserus float64 `json:"client_user_us"`
	PeakRSSMB    float64 `json:"peak_rss_mb"` // since the start
	Refused      int64   `json:"refused"`
	P50ms        float64 `json:"p50_ms"` // of a request
	P99ms        float64 `json:"p99_ms"`
	MaxMs        float64 `json:"max_ms"`

	Cuts         int64   `json:"cuts,omitempty"`
	Compactions  int64   `json:"compactions,omitempty"`
	BytesPerSpan float64 `json:"bytes_per_span,omitempty"` // of blocks with their id runs
}

// reading is everything that counts up, at one moment.
type reading struct {
	at           time.Time
	items        int64
	refused      int64
	latency      *loadgen.Counts
	server       time.Duration
	client, user time.Duration
	cuts, merges int64
}

func (s *server) read(ctx context.Context, m *loadgen.Meter) (reading, error) {
	r := reading{at: time.Now(), items: m.Items.Load(), refused: m.Refused.Load(), latency: m.Latency.Counts()}
	var err error
	if r.server, err = s.CPU(); err != nil {
		return r, err
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return r, err
	}
	r.user = time.Duration(usage.Utime.Nano())
	r.client = r.user + time.Duration(usage.Stime.Nano())
	if s.scope {
		stats, err := s.api.Store(ctx)
		if err != nil {
			return r, err
		}
		r.cuts, r.merges = stats.Cuts, stats.Compactions
	}
	return r, nil
}

// measure lets load run, through the warm-up and the measurement, and says
// what happened in the latter. load must end when its context does.
func (o options) measure(ctx context.Context, s *server, name string, m *loadgen.Meter, load func(context.Context) error) (measurement, error) {
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- load(running) }()

	var readings [2]reading
	for i, d := range []time.Duration{o.warm, o.steady} {
		var err error
		if i == 1 && o.profile != "" {
			err = s.profile(running, filepath.Join(o.profile, name+".pprof"), d)
		} else {
			err = wait(running, d, ended)
		}
		if err == nil {
			readings[i], err = s.read(ctx, m)
		}
		if err != nil {
			cancel()
			return measurement{}, err
		}
	}
	cancel()
	if err := <-ended; err != nil {
		return measurement{}, err
	}
	out := between(readings[0], readings[1])
	out.Server = name
	return out, s.size(ctx, &out)
}

func wait(ctx context.Context, d time.Duration, ended <-chan error) error {
	select {
	case <-time.After(d):
		return nil
	case err := <-ended:
		return errors.Join(errors.New("the load ended early"), err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func between(a, b reading) measurement {
	items := float64(max(1, b.items-a.items))
	seconds := b.at.Sub(a.at).Seconds()
	latency := b.latency.Since(a.latency)
	return measurement{
		Seconds: seconds, PerSecond: items / seconds,
		ServerCPUus:  us(b.server-a.server) / items,
		ClientCPUus:  us(b.client-a.client) / items,
		ClientUserus: us(b.user-a.user) / items,
		Refused:      b.refused - a.refused,
		P50ms:        ms(latency.Quantile(0.5)), P99ms: ms(latency.Quantile(0.99)), MaxMs: ms(latency.Quantile(1)),
		Cuts: b.cuts - a.cuts, Compactions: b.merges - a.merges,
	}
}

func us(d time.Duration) float64 { return float64(d) / 1e3 }
func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// size adds what memory and disk took by the end.
func (s *server) size(ctx context.Context, m *measurement) error {
	rss, err := s.PeakRSS()
	if err != nil {
		return err
	}
	m.PeakRSSMB = float64(rss) / 1e6
	if !s.scope {
		return nil
	}
	stats, err := s.api.Store(ctx)
	if err != nil {
		return err
	}
	if inBlocks := stats.Spans - stats.HeadSpans; inBlocks > 0 {
		m.BytesPerSpan = float64(stats.BlockBytes) / float64(inBlocks)
	}
	return nil
}

// profile takes d for a CPU profile of the server.
func (s *server) profile(ctx context.Context, name string, d time.Duration) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.at.Pprof, max(1, int(d.Seconds())))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, resp.Body)
	return errors.Join(err, f.Close())
}
