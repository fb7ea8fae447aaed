// Command queries fills a store with millions of spans through the real
// pipeline, and then measures what it costs to ask: look-ups, searches,
// causal searches, views, live tails, the page, and the questions that other
// tools ask, while spans keep coming in. It also asks what nobody should, and
// sees to it that this ends in bounds and that intake does not notice. It
// writes docs/queries.md and docs/queries.json.
//
// Everything goes over real sockets of the loopback interface to the real
// binary, a process of its own. The load generator shares the cores.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/otelscope/otelscope/test/internal/collector"
)

type options struct {
	binary, config, dir, out string
	spans, rate              int
	samples                  int
	subscribers              int
	tail                     time.Duration
	gogc, memlimit           string
	victoria, tempo          string
	peerSpans                int
	seed                     uint64
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("queries", flag.ContinueOnError)
	fs.StringVar(&o.binary, "binary", "bin/otelcol-scope", "the distribution")
	fs.StringVar(&o.config, "config", "collector-config.yaml", "its config; addresses and folders are replaced")
	fs.StringVar(&o.dir, "dir", os.TempDir(), "where the store is made: a real disk, or fsync costs nothing")
	fs.StringVar(&o.out, "out", "docs/queries.md", "the report; beside it, as .json, the figures")
	fs.IntVar(&o.spans, "spans", 10_000_000, "how many are stored before questions are asked, at least 20,000")
	fs.IntVar(&o.rate, "rate", 20_000, "spans a second that keep coming in while questions are asked")
	fs.IntVar(&o.samples, "samples", 1000, "how often each cheap question is asked; dear ones a tenth as often")
	fs.IntVar(&o.subscribers, "subscribers", 100, "of live tails")
	fs.DurationVar(&o.tail, "tail", 20*time.Second, "how long tails are watched")
	fs.StringVar(&o.gogc, "gogc", "100", "GOGC of the server")
	fs.StringVar(&o.memlimit, "gomemlimit", "400MiB", "GOMEMLIMIT of the server; the default is that of make run")
	fs.StringVar(&o.victoria, "victoriatraces", "", "a VictoriaTraces binary to ask the same")
	fs.StringVar(&o.tempo, "tempo", "", "a Tempo binary to ask the same")
	fs.IntVar(&o.peerSpans, "peer-spans", 2_000_000, "how many spans each peer stores")
	fs.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of ids")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case o.spans < 20_000:
		return o, fmt.Errorf("-spans: %d must be at least 20000", o.spans)
	case o.rate < 1000:
		return o, fmt.Errorf("-rate: %d must be at least 1000", o.rate)
	case o.samples < 10:
		return o, fmt.Errorf("-samples: %d must be at least 10", o.samples)
	case o.subscribers < 1:
		return o, fmt.Errorf("-subscribers: %d must be at least 1", o.subscribers)
	case !strings.HasSuffix(o.out, ".md"):
		return o, fmt.Errorf("-out: %q must end in .md", o.out)
	}
	if _, err := os.Stat(o.binary); err != nil {
		return o, fmt.Errorf("-binary: %w (make build makes it)", err)
	}
	return o, nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "queries:", err)
		os.Exit(1)
	}
}

// run measures everything and writes the report. That an answer was wrong is
// an error, that one was slow is not.
func run(ctx context.Context, o options) error {
	r := &results{Command: collector.Command("./test/queries"), Environment: collector.Describe(o.binary, o.dir, o.gogc, o.memlimit), Load: collector.Load1()}
	if r.Environment.FileSystem == "tmpfs" {
		fmt.Println("! stores lie on tmpfs, where fsync costs nothing: say -dir")
	}
	if r.Load > collector.BusyLoad {
		fmt.Printf("! this machine is busy (load average %.1f): the figures will say more of that than of the collector\n", r.Load)
	}
	err := o.with(ctx, func(s *server) error {
		known, err := o.fill(ctx, s, r)
		if err != nil {
			return err
		}
		return o.while(ctx, s, r, known)
	})
	if err != nil {
		return err
	}
	if err := o.peers(ctx, r); err != nil {
		return err
	}
	return r.save(o.out)
}
