// Package collector starts the distribution's binary for benchmarks and crash
// tests, on free ports of the loopback interface and with a folder of its own,
// and watches its process from outside.
//
// A Process belongs to the goroutine that started it. Kill and Stop end it and
// wait; one of them must be called. The files in its folder stay.
package collector

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Settings say what to start.
type Settings struct {
	Binary string
	// Configs are what --config gets, in this order; Args come before.
	Configs []string
	Args    []string
	// Dir is where its output goes, as collector.log, appended.
	Dir string
	// Env is added to this process's environment.
	Env []string
	// Health is the URL that answers 200 once the pipelines run.
	Health string
}

// Process is a running collector.
type Process struct {
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed once it has ended
	err  error         // how, after done
}

// Start starts the binary and returns at once.
func Start(s Settings) (*Process, error) {
	log, err := os.OpenFile(filepath.Join(s.Dir, "collector.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	args := slices.Clone(s.Args)
	for _, c := range s.Configs {
		args = append(args, "--config", c)
	}
	p := &Process{cmd: exec.Command(s.Binary, args...), log: log, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), s.Env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// readyPoll is how often Ready asks.
const readyPoll = 2 * time.Millisecond

// Ready waits until url answers 200. It fails when the process ends or ctx
// does.
func (p *Process) Ready(ctx context.Context, url string) error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("the collector ended before it was ready (%v):\n%s", p.err, tail(p.log.Name()))
		case <-ctx.Done():
			return fmt.Errorf("the collector does not get ready: %w; its log ends:\n%s", ctx.Err(), tail(p.log.Name()))
		case <-ticker.C:
		}
	}
}

// tail returns the last lines of a log.
func tail(name string) string {
	body, _ := os.ReadFile(name)
	lines := strings.Split(strings.TrimSpace(string(body)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// PID returns its process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed once the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill ends it by kill -9 and waits.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
	p.log.Close()
}

// Stop ends it by SIGTERM and waits; when ctx ends first, by kill -9, which is
// an error, as is an exit code other than 0.
func (p *Process) Stop(ctx context.Context) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		p.log.Close()
		return p.err
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("the collector did not end after SIGTERM: %w; its log ends:\n%s", ctx.Err(), tail(p.log.Name()))
	}
}

// FreePorts returns addresses on the loopback interface that nobody listens
// on.
func FreePorts(n int) ([]string, error) {
	var addrs []string
	for range n {
		lis, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer lis.Close() // not before all are chosen, or one comes twice
		addrs = append(addrs, lis.Addr().String())
	}
	return addrs, nil
}
