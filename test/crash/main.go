// Command crash kills the collector again and again, and asks each time for
// all that it had acknowledged.
//
// A round is: load (OTLP and native events, calls that are opened and calls
// that are returned); kill -9 at a random moment, now and then once more while
// it starts; restart; look up every trace and event that was acknowledged in
// the round; send again, unchanged, what had no answer and some of what had
// one; return some of the calls that are still open; look up all that this
// touched. After the last round comes a clean stop, and everything of all
// rounds is looked up once more.
//
// What was acknowledged and is not found is lost; a span that an answer holds
// twice is doubled; a call that does not have the state that it must have is
// wrong. Any of them fails the run, and the data folder is kept.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

type options struct {
	binary, config, dir string
	rounds              int
	seed                uint64
	rate                float64
	load                time.Duration
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("crash", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.StringVar(&o.binary, "binary", "bin/otelcol-scope", "the distribution")
	fs.StringVar(&o.config, "config", "collector-config.yaml", "its config; addresses and folders are replaced")
	fs.StringVar(&o.dir, "dir", os.TempDir(), "where the data folder is made")
	fs.IntVar(&o.rounds, "rounds", 50, "how often to kill")
	fs.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the moments, the requests and their ids")
	fs.Float64Var(&o.rate, "rate", 40, "requests a second of each of the workers")
	fs.DurationVar(&o.load, "load", 2500*time.Millisecond, "longest load before a kill")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds: %d must be at least 1", o.rounds)
	case !(o.rate > 0):
		return o, fmt.Errorf("-rate: %v must be above 0", o.rate)
	case o.load < time.Millisecond:
		return o, fmt.Errorf("-load: %s must be at least 1ms", o.load)
	}
	if _, err := os.Stat(o.binary); err != nil {
		return o, fmt.Errorf("-binary: %w (make build makes it)", err)
	}
	return o, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "scope-crash-")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "crash: seed %d (again: -seed %d -rounds %d), data in %s\n", o.seed, o.seed, o.rounds, filepath.Join(dir, "data"))
	c, err := newCampaign(o, dir, out)
	if err == nil {
		err = c.run(ctx)
		c.summary()
	}
	if err != nil {
		return fmt.Errorf("%w\nthe data folder and the collector's log are kept in %s", err, dir)
	}
	return os.RemoveAll(dir)
}
