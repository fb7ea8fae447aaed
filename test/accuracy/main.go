// Command accuracy compares what the collector found with what the workloads
// know is true: for each of a list of workloads, from easy to vicious, it
// starts the binary, sends the workload, reads all edges from the query API,
// and writes a table by kind of edge. It fails when a bar is missed.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/otelscope/otelscope/internal/causal"
)

type options struct {
	binary, config, out string
	only                string
	seed                uint64
	size                float64
	inProcess           bool
	explain             int
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/otelcol-scope", "the collector")
	flag.StringVar(&o.config, "config", "collector-config.yaml", "its configuration")
	flag.StringVar(&o.out, "out", "docs/accuracy.md", "file for the report of a whole run")
	flag.StringVar(&o.only, "only", "", "workloads to run, by commas (default: all)")
	flag.Uint64Var(&o.seed, "seed", 1, "of all that is random")
	flag.Float64Var(&o.size, "size", 1, "how much is sent, of what the report is made with")
	flag.BoolVar(&o.inProcess, "in-process", false, "without a collector: the same code in this process, in a fixed order")
	flag.IntVar(&o.explain, "explain", 0, "how many wrong and missed edges to list of each sort")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	chosen, err := choose(o.only)
	if err != nil {
		return err
	}
	var verdicts []*verdict
	for _, r := range chosen {
		v, err := o.play(ctx, r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		verdicts = append(verdicts, v)
		summary(out, v)
		if o.explain > 0 {
			explain(out, v, o.explain)
		}
	}
	if o.out != "" && o.whole() {
		var b bytes.Buffer
		report(&b, o, verdicts)
		if err := os.WriteFile(o.out, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	if missed := failures(verdicts); len(missed) > 0 {
		return errors.New("bars missed:\n" + strings.Join(missed, "\n"))
	}
	return nil
}

// whole says whether the run is the one that the report is about.
func (o options) whole() bool { return o.only == "" && o.size == 1 && !o.inProcess }

func choose(only string) ([]recipe, error) {
	if only == "" {
		return recipes, nil
	}
	var chosen []recipe
	for _, name := range strings.Split(only, ",") {
		i := indexOf(name)
		if i < 0 {
			return nil, fmt.Errorf("-only: unknown workload %q", name)
		}
		chosen = append(chosen, recipes[i])
	}
	return chosen, nil
}

func indexOf(name string) int {
	for i, r := range recipes {
		if r.name == name {
			return i
		}
	}
	return -1
}

func (o options) play(ctx context.Context, r recipe) (*verdict, error) {
	p, err := newPlan(r, o.seed, size(o.size), !o.inProcess)
	if err != nil {
		return nil, err
	}
	if o.inProcess {
		return playInProcess(p)
	}
	return playLive(ctx, p, o.binary, o.config)
}

// summary prints a line a workload.
func summary(out io.Writer, v *verdict) {
	fmt.Fprintf(out, "%-22s %6d %s", v.plan.name, v.plan.events, v.unit())
	for _, kind := range causal.Types {
		if s := v.scores[kind]; *s != (score{}) {
			fmt.Fprintf(out, "  %s %d/%d p=%s", kind, s.right, s.truth, share(s.sureRight, s.sure))
			if s.undecidedTruth+s.undecidedFound > 0 {
				fmt.Fprintf(out, " (undecided %d/%d)", s.undecidedRight, s.undecidedTruth)
			}
		}
	}
	fmt.Fprintln(out)
}
