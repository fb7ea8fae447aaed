package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/test/internal/collector"
)

// settled waits until nothing that was sent waits to be cut into a block, so that
// what is measured then is not what came before.
func (s *server) settled(ctx context.Context) (store.Stats, error) {
	for {
		stats, err := s.api.Store(ctx)
		if err != nil || stats.Backlog == 0 {
			return stats, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return stats, ctx.Err()
		}
	}
}

// server is a collector in a folder of its own.
type server struct {
	*collector.Process
	at  collector.Addresses
	api *collector.API
}

// with starts the collector on an empty store, runs do, and ends it.
func (o options) with(ctx context.Context, do func(*server) error) (err error) {
	at, err := collector.NewAddresses()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "scope-queries-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	configs, err := collector.ScopeConfig(dir, o.config, at, collector.Storage{Directory: filepath.Join(dir, "data")}, false)
	if err != nil {
		return err
	}
	process, err := collector.Start(collector.Settings{
		Binary: o.binary, Configs: configs, Dir: dir, Env: []string{"GOGC=" + o.gogc, "GOMEMLIMIT=" + o.memlimit},
	})
	if err != nil {
		return err
	}
	s := &server{Process: process, at: at, api: collector.NewAPI(at.APIURL(), 16)}
	defer func() {
		s.api.Close()
		ending, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err = errors.Join(err, s.Stop(ending))
	}()
	starting, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := s.Ready(starting, at.HealthURL()); err != nil {
		return err
	}
	if err := do(s); err != nil {
		body, _ := os.ReadFile(filepath.Join(dir, "collector.log"))
		return fmt.Errorf("%w\nthe collector's log ends:\n%s", err, body[max(0, len(body)-2000):])
	}
	return nil
}
