package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/otelscope/otelscope/internal/loadgen"
	"github.com/otelscope/otelscope/test/internal/collector"
)

// results are what bench.json holds.
type results struct {
	Command     string                `json:"command"`
	Environment collector.Environment `json:"environment"`
	Load        float64               `json:"load_average"` // of the machine, when the run began
	Pairs       []pair                `json:"pairs,omitempty"`
	Ratio       float64               `json:"ratio,omitempty"` // the median of the pairs'
	Native      *measurement          `json:"native,omitempty"`
	Durable     *measurement          `json:"durable,omitempty"`
	Found       *foundLatency         `json:"found,omitempty"`
	// The pipeline without and with one processor.
	CorrelateSpans  []compared     `json:"correlate_spans,omitempty"`
	CorrelateEvents []compared     `json:"correlate_events,omitempty"`
	PressureSpans   []compared     `json:"pressure_spans,omitempty"`
	PressureEvents  []compared     `json:"pressure_events,omitempty"`
	Causal          *causalLatency `json:"causal,omitempty"`
	Lookups         struct {
		Checked int     `json:"checked"`
		Lost    int     `json:"lost"`
		P99ms   float64 `json:"p99_ms"`
	} `json:"lookups"`

	lookups loadgen.Histogram
}

// pair is the plain collector and the whole pipeline, one after the other.
type pair struct {
	Plain measurement `json:"plain"`
	Scope measurement `json:"scope"`
	Ratio float64     `json:"ratio"`
}

type foundLatency struct {
	Load    measurement `json:"load"`
	Samples uint64      `json:"samples"`
	P50ms   float64     `json:"p50_ms"`
	P99ms   float64     `json:"p99_ms"`
	MaxMs   float64     `json:"max_ms"`
}

func median(pairs []pair) float64 {
	ratios := make([]float64, len(pairs))
	for i, p := range pairs {
		ratios[i] = p.Ratio
	}
	slices.Sort(ratios)
	mid := len(ratios) / 2
	if len(ratios)%2 == 0 {
		return (ratios[mid-1] + ratios[mid]) / 2
	}
	return ratios[mid]
}

// load reads an earlier run; nil when there is none.
func load(name string) (*results, error) {
	body, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r results
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("%s is no earlier result: %w", name, err)
	}
	return &r, nil
}

// figure is a number worth comparing.
type figure struct {
	name, unit string
	value      float64
	goal       string
}

// figures are the headline, as far as it was measured.
func (r *results) figures() []figure {
	var all []figure
	if len(r.Pairs) > 0 {
		all = append(all,
			figure{"whole pipeline / plain otlp -> nop", "", r.Ratio, "0.50"},
			figure{"plain otlp -> nop", "spans/s", mean(r.Pairs, func(p pair) float64 { return p.Plain.PerSecond }), ""},
			figure{"whole pipeline", "spans/s", mean(r.Pairs, func(p pair) float64 { return p.Scope.PerSecond }), ""},
			figure{"CPU, plain", "µs/span", mean(r.Pairs, func(p pair) float64 { return p.Plain.ServerCPUus }), ""},
			figure{"CPU, whole pipeline", "µs/span", mean(r.Pairs, func(p pair) float64 { return p.Scope.ServerCPUus }), ""},
			figure{"CPU, plain / whole pipeline", "", mean(r.Pairs, func(p pair) float64 { return p.Plain.ServerCPUus / p.Scope.ServerCPUus }), ""},
			figure{"peak RSS, whole pipeline", "MB", slices.MaxFunc(r.Pairs, func(a, b pair) int { return cmp.Compare(a.Scope.PeakRSSMB, b.Scope.PeakRSSMB) }).Scope.PeakRSSMB, "< 500"},
			figure{"on disk", "bytes/span", mean(r.Pairs, func(p pair) float64 { return p.Scope.BytesPerSpan }), ""},
			figure{"load generator, without the kernel", "µs/span", mean(r.Pairs, func(p pair) float64 { return p.Scope.ClientUserus }), "0.3"},
		)
	}
	if r.Native != nil {
		all = append(all,
			figure{"native events", "events/s", r.Native.PerSecond, "150000"},
			figure{"CPU, native", "µs/event", r.Native.ServerCPUus, ""},
			figure{"peak RSS, native", "MB", r.Native.PeakRSSMB, "< 500"})
	}
	if r.Durable != nil {
		all = append(all,
			figure{"sent to durable at 10,000 spans/s, p50", "ms", r.Durable.P50ms, ""},
			figure{"sent to durable at 10,000 spans/s, p99", "ms", r.Durable.P99ms, "< 10"})
	}
	if r.Found != nil {
		all = append(all,
			figure{"sent to found at 20,000 events/s, p50", "ms", r.Found.P50ms, ""},
			figure{"sent to found at 20,000 events/s, p99", "ms", r.Found.P99ms, "< 50"})
	}
	for i := range comparisons {
		c := &comparisons[i]
		for load, pairs := range c.of(r) {
			throughput, cpu := medianCost(pairs)
			all = append(all,
				figure{c.processor + " costs, of throughput, " + load, "%", 100 * throughput, c.goal},
				figure{c.processor + " costs, more CPU, " + load, "%", 100 * cpu, ""})
		}
	}
	if c := r.Causal; c != nil {
		all = append(all,
			figure{"spans stored when causes are asked for", "", float64(c.Spans), ""},
			figure{"direct causes, p99", "ms", c.Cause.P99ms, "< 5"},
			figure{"correlation group, p99", "ms", c.Group.P99ms, "< 10"},
			figure{"chain of 1,000 spans, p99", "ms", c.Chain.P99ms, "< 50"})
	}
	return all
}

func mean(pairs []pair, of func(pair) float64) float64 {
	sum := 0.0
	for _, p := range pairs {
		sum += of(p)
	}
	return sum / float64(len(pairs))
}

// printAgainst prints the headline, and how it changed since before, which may
// be nil. Numbers of another machine or day are only a hint.
func (r *results) printAgainst(w io.Writer, before *results) {
	r.Lookups.P99ms = ms(r.lookups.Counts().Quantile(0.99))
	old := map[string]float64{}
	if before != nil {
		for _, f := range before.figures() {
			old[f.name] = f.value
		}
	}
	fmt.Fprintln(w)
	for _, f := range r.figures() {
		change := ""
		if was := old[f.name]; was != 0 {
			change = fmt.Sprintf("  %+.1f %%", 100*(f.value-was)/was)
		}
		fmt.Fprintf(w, "%-42s %12s %-10s%s\n", f.name, number(f.value), f.unit, change)
	}
	fmt.Fprintf(w, "%-42s %12d of %d, p99 %.1f ms\n", "acknowledged but not found", r.Lookups.Lost, r.Lookups.Checked, r.Lookups.P99ms)
	if before != nil && before.Environment != r.Environment {
		fmt.Fprintln(w, "(the earlier run was made elsewhere or otherwise: see its environment)")
	}
}

func number(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// save writes both files into dir.
func (r *results) save(dir string) error {
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "bench.json"), append(body, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "bench.md"), []byte(r.markdown()), 0o644)
}

func (r *results) markdown() string {
	var b strings.Builder
	e := r.Environment
	fmt.Fprintf(&b, "# Benchmark\n\nWritten by `make bench` (`%s`). All figures of a run come from the same machine, one after another; compare ratios, not numbers of different days.\n\n", r.Command)
	fmt.Fprintf(&b, "%s, %d cores, %d MB; %s; stores on %s; %s, GOGC=%s, GOMEMLIMIT=%s. Load generator and collector share the cores; load average when the run began: %.1f.\n\n", e.CPU, e.Cores, e.MemoryMB, e.Kernel, e.FileSystem, e.Go, e.GOGC, e.GOMEMLIMIT, r.Load)
	b.WriteString("| | | | goal |\n|---|---:|---|---|\n")
	for _, f := range r.figures() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", f.name, number(f.value), f.unit, f.goal)
	}
	fmt.Fprintf(&b, "| acknowledged, looked up, not found | %d | of %d | 0 |\n", r.Lookups.Lost, r.Lookups.Checked)
	fmt.Fprintf(&b, "| lookups after the load, p99 (4 readers) | %.2f | ms | |\n\n", r.Lookups.P99ms)
	fmt.Fprintf(&b, "## Throughput\n\nClosed loop: requests of %d spans (about 350 bytes and 10 attributes a span, traces of 5 to 10 spans, 20 services, 200 span names, one span in ten half of a message), %d in flight over %d gRPC connections. plain: `otlp -> nop`. scope: the whole of `collector-config.yaml`, fsync before each answer, from an empty store. Blocks that are cut under load are full, so there is nothing to compact; `make crash` is where compaction happens.\n\n", requestSize, inFlight, connections)
	b.WriteString("| pair | server | spans/s | ratio | CPU µs/span | p50 ms | p99 ms | max ms | peak RSS MB | refused | cuts | compactions | bytes/span |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for i, p := range r.Pairs {
		fmt.Fprintf(&b, "| %d | plain | %s |\n", i+1, row(p.Plain, ""))
		fmt.Fprintf(&b, "| %d | scope | %s |\n", i+1, row(p.Scope, fmt.Sprintf("%.3f", p.Ratio)))
	}
	b.WriteString("\n## Native events and latencies\n\nNative: NDJSON bodies of 500 events of about 300 bytes, 8 in flight, closed loop. Durable: 100 requests of 100 spans a second, open loop, from when a request was due to its answer. Found: 200 requests of 100 events a second, open loop; sampled events are asked for by id from the moment their sending began.\n\n")
	b.WriteString("| load | items/s | CPU µs/item | p50 ms | p99 ms | max ms | peak RSS MB | refused | cuts |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, m := range r.loads() {
		fmt.Fprintf(&b, "| %s | %.0f | %.2f | %.2f | %.2f | %.2f | %.0f | %d | %d |\n", m.Server, m.PerSecond, m.ServerCPUus, m.P50ms, m.P99ms, m.MaxMs, m.PeakRSSMB, m.Refused, m.Cuts)
	}
	if r.Found != nil {
		fmt.Fprintf(&b, "\nSent to found: p50 %.2f ms, p99 %.2f ms, max %.2f ms of %d events.\n", r.Found.P50ms, r.Found.P99ms, r.Found.MaxMs, r.Found.Samples)
	}
	r.comparisonTables(&b)
	r.causalTable(&b)
	return b.String()
}

func (r *results) comparisonTables(b *strings.Builder) {
	for i := range comparisons {
		c := &comparisons[i]
		titled := false
		for load, pairs := range c.of(r) {
			if !titled {
				fmt.Fprintf(b, "\n## What %s costs\n\nThe same loads on the same pipeline without and with `%s`, by turns.\n\n| load | pair | processors | items/s | CPU µs/item | p99 ms | peak RSS MB | costs |\n|---|---|---|---:|---:|---:|---:|---:|\n", c.processor, c.processor)
				titled = true
			}
			for i, p := range pairs {
				fmt.Fprintf(b, "| %s | %d | %s | %.0f | %.2f | %.2f | %.0f | |\n", load, i+1, strings.Join(c.without, ", "), p.Without.PerSecond, p.Without.ServerCPUus, p.Without.P99ms, p.Without.PeakRSSMB)
				fmt.Fprintf(b, "| %s | %d | %s | %.0f | %.2f | %.2f | %.0f | %.1f %% |\n", load, i+1, strings.Join(c.with, ", "), p.With.PerSecond, p.With.ServerCPUus, p.With.P99ms, p.With.PeakRSSMB, 100*p.Cost)
			}
		}
	}
}

func (r *results) causalTable(b *strings.Builder) {
	if c := r.Causal; c != nil {
		fmt.Fprintf(b, "\n## Causal questions\n\nOver HTTP, one at a time, with %d spans of the shop stored (%d blocks and the head). The chains' spans lie far apart: they were sent all the while.\n\n| question | asked | p50 ms | p99 ms | max ms |\n|---|---:|---:|---:|---:|\n", c.Spans, c.Blocks)
		for _, q := range []struct {
			name string
			l    latency
		}{{"direct causes of a span", c.Cause}, {"a correlation group", c.Group}, {"a chain of 1,000 spans", c.Chain}} {
			fmt.Fprintf(b, "| %s | %d | %.2f | %.2f | %.2f |\n", q.name, q.l.Samples, q.l.P50ms, q.l.P99ms, q.l.MaxMs)
		}
	}
}

func (r *results) loads() []measurement {
	var all []measurement
	if r.Native != nil {
		all = append(all, *r.Native)
	}
	if r.Durable != nil {
		all = append(all, *r.Durable)
	}
	if r.Found != nil {
		all = append(all, r.Found.Load)
	}
	return all
}

func row(m measurement, ratio string) string {
	return fmt.Sprintf("%.0f | %s | %.2f | %.2f | %.2f | %.1f | %.0f | %d | %d | %d | %.0f",
		m.PerSecond, ratio, m.ServerCPUus, m.P50ms, m.P99ms, m.MaxMs, m.PeakRSSMB, m.Refused, m.Cuts, m.Compactions, m.BytesPerSpan)
}
