// Command bench measures the distribution on this machine, in one run: a plain
// Collector (otlp -> nop) against the whole durable pipeline under the same
// closed-loop load, native events, and the latencies that a sender and a
// reader see. It writes docs/bench.md and docs/bench.json and prints what
// changed against the bench.json that was there.
//
// Every server is a process of its own; this one only makes load, and says
// what that cost. Servers get the same GOGC and GOMEMLIMIT. A measurement
// begins after a warm-up, so that heaps, head and blocks have their size.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/otelscope/otelscope/test/internal/collector"
)

// options are the command line's.
type options struct {
	binary, config, dir, out string
	quick                    bool
	only                     []string
	pairs, samples           int
	stored                   int
	warm, steady             time.Duration
	gogc, memlimit           string
	profile                  string
	seed                     uint64
}

// parts are what can be measured alone, in the order in which they run.
var parts = []string{"throughput", "native", "durable", "found", "correlate", "pressure", "causal"}

func parse(args []string) (options, error) {
	var o options
	var only string
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.StringVar(&o.binary, "binary", "bin/otelcol-scope", "the distribution")
	fs.StringVar(&o.config, "config", "collector-config.yaml", "its config; addresses and folders are replaced")
	fs.StringVar(&o.dir, "dir", os.TempDir(), "where stores are made: a real disk, or fsync costs nothing")
	fs.StringVar(&o.out, "out", "docs", "folder for bench.md and bench.json; a run that is quick or partial writes nothing")
	fs.BoolVar(&o.quick, "quick", false, "short measurements, one pair: is it worth a whole run?")
	fs.StringVar(&only, "only", "", "parts to measure, with commas between: "+strings.Join(parts, ","))
	fs.IntVar(&o.pairs, "pairs", 3, "how often plain and whole pipeline take turns")
	fs.IntVar(&o.samples, "samples", 2000, "lookups of what was acknowledged, after each load")
	fs.IntVar(&o.stored, "spans", 1_000_000, "how many are stored when causes are asked for, at least 10,000")
	fs.DurationVar(&o.warm, "warm", 5*time.Second, "load before a measurement begins")
	fs.DurationVar(&o.steady, "steady", 20*time.Second, "how long a measurement takes")
	fs.StringVar(&o.gogc, "gogc", "100", "GOGC of every server")
	fs.StringVar(&o.memlimit, "gomemlimit", "400MiB", "GOMEMLIMIT of every server; the default is that of make run")
	fs.StringVar(&o.profile, "cpuprofile", "", "folder for a CPU profile of each measured server")
	fs.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of ids")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	for _, part := range o.only {
		if !slices.Contains(parts, part) {
			return o, fmt.Errorf("-only: unknown part %q: some of %s", part, strings.Join(parts, ", "))
		}
	}
	if o.quick {
		o.pairs, o.stored, o.warm, o.steady = 1, o.stored/10, 2*time.Second, 5*time.Second
	}
	if o.stored < 10_000 {
		return o, fmt.Errorf("-spans: %d must be at least 10000", o.stored)
	}
	if o.pairs < 1 {
		return o, fmt.Errorf("-pairs: %d must be at least 1", o.pairs)
	}
	if _, err := os.Stat(o.binary); err != nil {
		return o, fmt.Errorf("-binary: %w (make build makes it)", err)
	}
	return o, nil
}

func (o options) wants(part string) bool { return len(o.only) == 0 || slices.Contains(o.only, part) }

func (o options) whole() bool { return len(o.only) == 0 && !o.quick }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = bench(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, o options) error {
	r := &results{Command: collector.Command("./test/bench"), Environment: collector.Describe(o.binary, o.dir, o.gogc, o.memlimit), Load: collector.Load1()}
	if r.Environment.FileSystem == "tmpfs" {
		fmt.Println("! stores lie on tmpfs, where fsync costs nothing: say -dir")
	}
	if r.Load > collector.BusyLoad {
		fmt.Printf("! this machine is busy (load average %.1f): the figures will say more of that than of the collector\n", r.Load)
	}
	for _, part := range []struct {
		name string
		run  func(context.Context, options, *results) error
	}{{"throughput", throughput}, {"native", native}, {"durable", durable}, {"found", found}, {"correlate", comparisons[0].run}, {"pressure", comparisons[1].run}, {"causal", causalQueries}} {
		if !o.wants(part.name) {
			continue
		}
		if err := part.run(ctx, o, r); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	before, err := load(filepath.Join(o.out, "bench.json"))
	if err != nil {
		return err
	}
	r.printAgainst(os.Stdout, before)
	if r.Lookups.Lost > 0 {
		return fmt.Errorf("%d of %d lookups of what was acknowledged found nothing", r.Lookups.Lost, r.Lookups.Checked)
	}
	if !o.whole() {
		return nil
	}
	return r.save(o.out)
}
