// Command overload does to the distribution what it must survive, and accounts
// for what came of it: ten times the load that the machine takes, a back end
// that fails, a client that crowds out another, and a load that rises until
// pressure begins. It writes docs/overload.md and docs/overload.json.
//
// Everything goes over real sockets of the loopback interface to the real
// binary, a process of its own for each scenario. What is sent are chains: five
// hops, each a trace of its own, each in a request of its own. Each span's id
// says which span of which chain it is, so that the store can be held against
// the record of what was acknowledged.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/otelscope/otelscope/test/internal/collector"
)

type options struct {
	binary, config, dir, out string
	scenario                 string
	minutes                  float64
	measureFor               time.Duration
	inFlight                 int
	pace                     float64 // lengths of phases are multiplied by it
	seed                     uint64
}

type scenario struct {
	name string
	run  func(context.Context, options, *results) error
}

var scenarios = []scenario{{"storm", storm}, {"downstream", downstream}, {"neighbours", neighbours}, {"ladder", ladder}}

func parse(args []string) (options, error) {
	var o options
	names := []string{"all"}
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	fs := flag.NewFlagSet("overload", flag.ContinueOnError)
	fs.StringVar(&o.binary, "binary", "bin/otelcol-scope", "the distribution")
	fs.StringVar(&o.config, "config", "collector-config.yaml", "its config; addresses and folders are replaced")
	fs.StringVar(&o.dir, "dir", os.TempDir(), "where stores are made: a real disk, or fsync costs nothing")
	fs.StringVar(&o.out, "out", "docs/overload.md", "the report; beside it, as .json, the figures, where scenarios that do not run keep theirs")
	fs.StringVar(&o.scenario, "scenario", "all", strings.Join(names, ", "))
	fs.Float64Var(&o.minutes, "minutes", 10, "how long the storm lasts")
	fs.DurationVar(&o.measureFor, "measure", 10*time.Second, "how long to measure what the machine takes")
	fs.IntVar(&o.inFlight, "in-flight", 1400, "how many of the storm's requests may wait for answers at once, about 450 items each; the ring holds 262144 items")
	fs.Float64Var(&o.pace, "pace", 1, "lengths of the other scenarios' phases are multiplied by it")
	fs.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of ids")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case !slices.Contains(names, o.scenario):
		return o, fmt.Errorf("-scenario: unknown scenario %q: one of %s", o.scenario, strings.Join(names, ", "))
	case !(o.minutes > 0):
		return o, fmt.Errorf("-minutes: %v must be above 0", o.minutes)
	case !(o.pace > 0):
		return o, fmt.Errorf("-pace: %v must be above 0", o.pace)
	case o.inFlight < 1:
		return o, fmt.Errorf("-in-flight: %d must be at least 1", o.inFlight)
	case o.measureFor < 100*time.Millisecond:
		return o, fmt.Errorf("-measure: %s must be at least 100ms", o.measureFor)
	case !strings.HasSuffix(o.out, ".md"):
		return o, fmt.Errorf("-out: %q must end in .md", o.out)
	}
	if _, err := os.Stat(o.binary); err != nil {
		return o, fmt.Errorf("-binary: %w (make build makes it)", err)
	}
	return o, nil
}

// length is a phase's length at this pace.
func (o options) length(d time.Duration) time.Duration { return time.Duration(float64(d) * o.pace) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = overload(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "overload:", err)
		os.Exit(1)
	}
}

// overload runs the scenarios and writes the report; that something was not as
// it must be is an error, after the report is written.
func overload(ctx context.Context, o options) error {
	r, err := read(o.out)
	if err != nil {
		return err
	}
	r.command = collector.Command("./test/overload")
	r.environment = collector.Describe(o.binary, o.dir, gogc, memlimit)
	if r.environment.FileSystem == "tmpfs" {
		fmt.Println("! stores lie on tmpfs, where fsync costs nothing: say -dir")
	}
	for _, s := range scenarios {
		if o.scenario != "all" && o.scenario != s.name {
			continue
		}
		if err := s.run(ctx, o, r); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := r.save(o.out); err != nil {
			return err
		}
	}
	if len(r.problems) > 0 {
		return fmt.Errorf("not as it must be:\n  %s", strings.Join(r.problems, "\n  "))
	}
	return nil
}
