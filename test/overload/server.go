package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/test/internal/collector"
)

// What every collector gets: two cores, and the memory limit that make run
// sets.
const (
	cores    = "2"
	gogc     = "100"
	memlimit = "400MiB"
)

// server is a collector in a folder of its own.
type server struct {
	*collector.Process
	at      collector.Addresses
	dir     string
	api     *collector.API
	stopped bool
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

// start starts the distribution's config on an empty store, with more on top of
// it where extra is not "", and waits until it is ready.
func (o options) start(ctx context.Context, extra string) (*server, error) {
	at, err := collector.NewAddresses()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.dir, "scope-overload-")
	if err != nil {
		return nil, err
	}
	s := &server{at: at, dir: dir, api: collector.NewAPI(at.APIURL(), 4)}
	configs, err := collector.ScopeConfig(dir, o.config, at, collector.Storage{Directory: s.data()}, false)
	if err == nil && extra != "" {
		name := filepath.Join(dir, "extra.yaml")
		configs, err = append(configs, name), os.WriteFile(name, []byte(extra), 0o644)
	}
	if err == nil {
		s.Process, err = collector.Start(collector.Settings{
			Binary: o.binary, Configs: configs, Dir: dir, Env: []string{"GOGC=" + gogc, "GOMEMLIMIT=" + memlimit, "GOMAXPROCS=" + cores},
		})
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	if err := s.Ready(ctx, at.HealthURL()); err != nil {
		s.Kill()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// end stops the collector. Its folder stays.
func (s *server) end() error {
	if s.stopped {
		return nil
	}
	s.stopped = true
	s.api.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return s.Stop(ctx)
}

var errGone = errors.New("the collector ended under load")

// with runs do against a fresh collector and ends it. The folder is kept where
// something went wrong.
func (o options) with(ctx context.Context, extra string, do func(*server) error) error {
	s, err := o.start(ctx, extra)
	if err != nil {
		return err
	}
	err = do(s)
	gone := false
	select {
	case <-s.Done():
		gone = !s.stopped
	default:
	}
	err = errors.Join(err, s.end())
	if gone {
		err = errors.Join(errGone, err)
	}
	if err != nil {
		return fmt.Errorf("%w\nits folder, with collector.log, is kept: %s", err, s.dir)
	}
	return os.RemoveAll(s.dir)
}

// heap asks the collector's own metrics how much of its heap is in use, bytes.
func (s *server) heap(ctx context.Context) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.at.Metrics+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	client := loadgen.Client(1)
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "otelcol_process_runtime_heap_alloc_bytes") {
			return strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		}
	}
	return 0, errors.Join(lines.Err(), errors.New("the collector's metrics say nothing of its heap"))
}
