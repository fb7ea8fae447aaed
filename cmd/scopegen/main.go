// Command scopegen runs a small simulated shop and sends what happens in it to
// a collector, as native events or as OTLP spans; on request it writes the
// truth: what caused what. "scopegen demo" does so against a running collector
// and prints what to look at.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "scopegen:", err)
		os.Exit(1)
	}
}
