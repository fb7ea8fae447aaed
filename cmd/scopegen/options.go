package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/otelscope/otelscope/internal/workload"
)

// options are what the command line says.
type options struct {
	protocol  string
	endpoint  string
	rate      float64
	duration  time.Duration
	orders    int
	seed      uint64
	nodes     int
	workers   int
	truth     string
	propagate bool
	senders   int
	api       string
}

// endpoints are where a collector listens by default, and the protocols.
var endpoints = map[string]string{
	"events":    "http://localhost:4319/v1/events",
	"otlp-grpc": "localhost:4317",
	"otlp-http": "http://localhost:4318/v1/traces",
}

const usage = `scopegen simulates a shop and sends what happens in it to a collector.

  scopegen [flags]        send until interrupted, or as long as the flags say
  scopegen demo [flags]   send two minutes of the shop, find it again, say where to look

`

func run(ctx context.Context, args []string, out io.Writer) error {
	demo := len(args) > 0 && args[0] == "demo"
	if demo {
		args = args[1:]
	}
	o, err := parse(args, demo, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if demo {
		return runDemo(ctx, o, out)
	}
	return generate(ctx, o, out)
}

func parse(args []string, demo bool, out io.Writer) (options, error) {
	d := workload.DefaultConfig()
	o := options{protocol: "events"}
	fs := flag.NewFlagSet("scopegen", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.Usage = func() { fmt.Fprint(out, usage); fs.PrintDefaults() }
	fs.StringVar(&o.endpoint, "endpoint", "", "where to send (default: where a local collector listens)")
	fs.Uint64Var(&o.seed, "seed", d.Seed, "of all that is random; the same seed and start give the same shop")
	fs.IntVar(&o.nodes, "nodes", 0, "nodes of each service (0: as many as the rate needs)")
	fs.IntVar(&o.workers, "payment-workers", d.PaymentWorkers, "payment processes on each node")
	fs.IntVar(&o.senders, "senders", 4, "requests in flight at most")
	if demo {
		fs.StringVar(&o.api, "api", "http://localhost:4320", "the collector's query API")
		fs.DurationVar(&o.duration, "duration", 2*time.Minute, "how much of the shop's time to send")
	} else {
		fs.StringVar(&o.protocol, "protocol", o.protocol, "events, otlp-grpc or otlp-http")
		fs.DurationVar(&o.duration, "duration", 0, "how long to send (0: no end)")
		fs.Float64Var(&o.rate, "rate", 0, "events a second, about (0: as fast as answers come)")
		fs.IntVar(&o.orders, "orders", 0, "orders to send (0: no end)")
		fs.StringVar(&o.truth, "truth", "", "file for the truth, as NDJSON")
		fs.BoolVar(&o.propagate, "propagate", true, "of OTLP: trace context travels with messages")
	}
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", fs.Arg(0))
	}
	return o, o.complete()
}

// complete fills in what depends on other flags, and checks the rest.
func (o *options) complete() error {
	fallback, ok := endpoints[o.protocol]
	if !ok {
		names := make([]string, 0, len(endpoints))
		for name := range endpoints {
			names = append(names, name)
		}
		slices.Sort(names)
		return fmt.Errorf("-protocol: unknown protocol %q: one of %s", o.protocol, strings.Join(names, ", "))
	}
	if o.endpoint == "" {
		o.endpoint = fallback
	}
	switch {
	case o.rate < 0:
		return fmt.Errorf("-rate: %v is negative (0 means as fast as answers come)", o.rate)
	case o.duration < 0:
		return fmt.Errorf("-duration: %s is negative (0 means without end)", o.duration)
	case o.nodes < 0:
		return fmt.Errorf("-nodes: %d is negative (0 means as many as the rate needs)", o.nodes)
	case o.senders < 1:
		return fmt.Errorf("-senders: %d must be at least 1", o.senders)
	}
	return nil
}
