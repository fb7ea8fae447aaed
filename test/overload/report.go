package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/otelscope/otelscope/test/internal/collector"
)

// results are what overload.json holds: of each scenario its newest run.
type results struct {
	Storm      *stormResult      `json:"storm,omitempty"`
	Downstream *downstreamResult `json:"downstream,omitempty"`
	Neighbours *neighboursResult `json:"neighbours,omitempty"`
	Ladder     *ladderResult     `json:"ladder,omitempty"`

	// Of the run that is under way.
	command     string
	environment collector.Environment
	problems    []string
}

func figures(report string) string { return strings.TrimSuffix(report, ".md") + ".json" }

// read returns the results of earlier runs, if there are any.
func read(report string) (*results, error) {
	r := &results{}
	body, err := os.ReadFile(figures(report))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fmt.Errorf("%s holds no earlier results: %w", figures(report), err)
	}
	return r, nil
}

// save writes the report and its figures.
func (r *results) save(report string) error {
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(figures(report), append(body, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(report, []byte(r.markdown()), 0o644)
}

func (r *results) markdown() string {
	var b strings.Builder
	b.WriteString("# Overload\n\nWritten by `make overload`: what the distribution does when it is offered more than it can take. Load generator and collector share the cores of one machine and talk over its loopback interface; the collector has two cores and GOMEMLIMIT=" + memlimit + ". Figures of one scenario come from one run.\n\nWhat is sent are chains of five hops: each hop is a trace of its own, in a request of its own, caused by a message of the hop before. One chain in a hundred ends in an error.\n")
	if r.Storm != nil {
		r.Storm.markdown(&b)
	}
	if r.Downstream != nil {
		r.Downstream.markdown(&b)
	}
	if r.Neighbours != nil {
		r.Neighbours.markdown(&b)
	}
	if r.Ladder != nil {
		r.Ladder.markdown(&b)
	}
	return b.String()
}

func heading(b *strings.Builder, title, command string, e collector.Environment) {
	fmt.Fprintf(b, "\n## %s\n\n`%s`; %s, %d cores, %d MB; %s; stores on %s; %s.\n\n", title, command, e.CPU, e.Cores, e.MemoryMB, e.Kernel, e.FileSystem, e.Go)
}

func (s *stormResult) markdown(b *strings.Builder) {
	heading(b, "Ten times what the machine takes", s.Command, s.Environment)
	fmt.Fprintf(b, "First the load that the machine takes is measured (closed loop, %d requests in flight), then ten times that is offered, open loop, to a collector that is not told. Six services, two of them rare, each at an address of its own; native events over HTTP (NDJSON) and OTLP over gRPC, about 450 items a request. A request that is refused is not sent again. Load average before: %.1f.\n\n", measureFlight, s.Load)
	b.WriteString("| | | goal |\n|---|---:|---|\n")
	line := func(name, goal, format string, args ...any) {
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, fmt.Sprintf(format, args...), goal)
	}
	a, w := &s.Accounts, &s.Watched
	line("taken in a closed loop", "", "%.0f spans/s", s.Capacity)
	line("offered", "ten times that", "%.0f spans/s", s.Offered)
	line("really sent (the generator shares the cores)", "", "%.0f spans/s, %.1f times", s.Attempted, share(s.Attempted, s.Capacity))
	line("how long", "10 min", "%.0f s", w.Seconds)
	line("requests acknowledged / refused / without an answer / not sent", "", "%d / %d / %d / %d", s.Requests.Acked, s.Requests.Refused, s.Requests.Unknown, s.Requests.Skipped)
	line("acknowledged requests, p50 / p99", "", "%.0f / %.0f ms", s.P50ms, s.P99ms)
	line("CPU, collector / generator", "", "%.0f / %.0f s", s.ServerCPU, s.GeneratorCPU)
	line("peak RSS", "< 500 MB", "%.0f MB", w.PeakRSSMB)
	line("highest fill of the ring, highest score", "", "%.0f %%, %.2f", 100*w.MaxFill, w.MaxScore)
	line("seconds at each level", "", "%s", levels(w.AtLevel))
	line("least sampling ratio", "", "%.3f", w.MinRatio)
	line("items that the ring refused", "", "%d", w.Refused)
	line("ring empty after the load", "seconds", "%.1f s", s.Recovery.EmptySeconds)
	line("level normal after the load", "seconds", "%.1f s", s.Recovery.NormalSeconds)
	line("RSS / heap then", "", "%.0f / %.0f MB", s.Recovery.RSSMB, s.Recovery.HeapMB)
	line("acknowledged errors looked up, not found", "0", "%d of %d", s.Lookups.Lost, s.Lookups.Asked)
	line("spans acknowledged", "", "%d", a.Acked)
	line("stored", "", "%d", a.Stored)
	line("sampled out", "", "%d", a.SampledOut)
	line("stored + sampled out - acknowledged", fmt.Sprintf("0 to %d, what was taken without an answer that said so", a.Allowed), "%d", a.Difference)
	line("stored but never sent, stored twice, unlike their trace", "0", "%d, %d, %d", a.Foreign, a.Doubled, a.Mixed)
	line("acknowledged errors stored", "all", "%d of %d", a.ErrorsStored, a.ErrorsAcked)
	for _, k := range []struct {
		name string
		*wholeness
	}{{"native", &a.Native}, {"OTLP", &a.OTLP}} {
		line(k.name+" chains of several hops of which anything is stored: whole", "", "%d of %d", k.LongWhole, k.Long)
		line("of these only rescued spans, which came too late for the hops before", "", "%d", k.RescuedOnly)
		if k.Sampled == 0 {
			line("of the others, sampled", "", "none")
			continue
		}
		line("of the others, sampled: whole", "> 99 %", "%.2f %% of %d", 100*k.Share, k.Sampled)
		line("the same if each trace were decided alone", "", "%.2f %%", 100*k.Alone)
	}
	line("errors of which all that led to them is stored", "", "%.2f %% of %d", 100*share(float64(a.LedUp.Whole), float64(a.LedUp.Segments)), a.LedUp.Segments)
	line("of these with spans that were rescued", "", "%.2f %%", 100*share(float64(a.LedUp.Rescued), float64(a.LedUp.Segments)))
	fmt.Fprintf(b, "\nAll but losses and errors is of the storm itself, without the measurement before. Hops of a chain are about %.0f ms apart. A refused hop cuts a chain; each run of hops that were all acknowledged counts as a chain. Deciding each trace alone is the expectation for the same chains with the same probabilities, computed, not tried.\n\n", s.HopMs)
	b.WriteString("Adjusted counts: each stored span stands for 1/p spans by its `ot=th`, a rescued one for none. Goal: within 2 % or 3 standard errors, whichever is larger.\n\n| service | acknowledged | stored | estimated | error | standard errors | |\n|---|---:|---:|---:|---:|---:|---|\n")
	for _, e := range a.Services {
		fmt.Fprintf(b, "| %s | %d | %d | %.0f | %+.2f %% | %+.1f | %s |\n", e.Service, e.Accepted, e.Stored, e.Estimate, 100*e.Error, e.Errors, map[bool]string{true: "good", false: "off"}[e.Good])
	}
	turns(b, "Levels", s.History)
	if len(s.Problems) > 0 {
		b.WriteString("\nNot as it must be:\n\n- " + strings.Join(s.Problems, "\n- ") + "\n")
	}
}

func levels(at map[string]float64) string {
	var all []string
	for _, level := range slices.Sorted(maps.Keys(at)) {
		all = append(all, fmt.Sprintf("%s %.0f", level, at[level]))
	}
	return strings.Join(all, ", ")
}

func turns(b *strings.Builder, title string, all []turn) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s:\n\n| when | from | to | why |\n|---|---|---|---|\n", title)
	for _, t := range all {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", strings.Trim(string(t.Time), `"`), t.From, t.To, strings.ReplaceAll(t.Reason, "|", "/"))
	}
}

func (d *downstreamResult) markdown(b *strings.Builder) {
	heading(b, "A back end that fails", d.Command, d.Environment)
	b.WriteString("The pipeline of `collector-config.yaml` with an OTLP exporter in place of the store, without a sending queue; the breaker opens after 5 failures for 5 s. Clients send about 10,000 spans a second, each request again until it is acknowledged. The back end answers, fails at once (UNAVAILABLE), does not answer at all, or answers and fails by turns of 2 s.\n")
	for _, r := range d.Runs {
		fmt.Fprintf(b, "\n`acknowledge: %s`: %d spans acknowledged, **%d of them not at the back end** (goal 0; %d sampled out), %d came more than once; ring empty %.1f s after the load; peak RSS %.0f MB.\n\n", r.Acknowledge, r.Acked, r.Missing, r.SampledOut, r.Again, r.EmptySeconds, r.Watched.PeakRSSMB)
		b.WriteString("| back end | s | acknowledged | refusals | unanswered | p50 ms | p99 ms | breaker at the end | level |\n|---|---:|---:|---:|---:|---:|---:|---|---|\n")
		for _, p := range r.Phases {
			fmt.Fprintf(b, "| %s | %.0f | %d | %d | %d | %.1f | %.1f | %s | %s |\n", p.Manner, p.Seconds, p.Acked, p.Refused, p.Unknown, p.P50ms, p.P99ms, p.Breaker, p.Level)
		}
		turns(b, "Breaker", r.Breaker)
	}
}

func (n *neighboursResult) markdown(b *strings.Builder) {
	heading(b, "Neighbours", n.Command, n.Environment)
	fmt.Fprintf(b, "A quiet client sends %d requests a second of %d native events, each once. Beside it a noisy one sends OTLP over %d gRPC connections, far more than the collector takes, up to %d requests in flight, none again.\n\n", quietRate, quietEvents, noisyConnections, noisySenders)
	b.WriteString("| the quiet one | taken at first try | p50 ms | p99 ms | noisy: acknowledged | refused | unanswered | not sent | peak RSS MB |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, c := range n.Cases {
		fmt.Fprintf(b, "| %s | %.1f %% of %d | %.1f | %.1f | %d | %d | %d | %d | %.0f |\n", c.Case, 100*share(float64(c.FirstTry), float64(c.Quiet)), c.Quiet, c.P50ms, c.P99ms, c.NoisyAcked, c.NoisyRefused, c.NoisyUnknown, c.NoisyNotSent, c.Watched.PeakRSSMB)
	}
}

func (l *ladderResult) markdown(b *strings.Builder) {
	heading(b, "Rising load", l.Command, l.Environment)
	b.WriteString("Open loop, about 100 spans a request, latency from when a request was due to its answer. Goal: at 10,000 and 20,000 spans/s the level stays normal, p99 below 10 ms. Then the rate rises by a tenth every 3 s until the level leaves normal, requests are refused, or the generator cannot send more.\n")
	for _, c := range l.Climbs {
		fmt.Fprintf(b, "\n%s: ended at %.0f spans/s: %s. %s\n\n| offered/s | acknowledged/s | s | level | p50 ms | p99 ms | refused | not sent |\n|---:|---:|---:|---|---:|---:|---:|---:|\n", c.Format, c.Rate, c.End, c.Reason)
		for _, s := range c.Steps {
			fmt.Fprintf(b, "| %.0f | %.0f | %.0f | %s | %.2f | %.2f | %d | %d |\n", s.Offered, s.Acked, s.Seconds, s.Level, s.P50ms, s.P99ms, s.Refused, s.NotSent)
		}
	}
	if len(l.Priority) > 0 {
		b.WriteString("\nPriority: native events while the collector is saturated.\n\n| priority | acknowledged | refused | p50 ms | p99 ms |\n|---|---:|---:|---:|---:|\n")
		for _, p := range l.Priority {
			fmt.Fprintf(b, "| %s | %d | %d | %.1f | %.1f |\n", p.Who, p.Acked, p.Refused, p.P50ms, p.P99ms)
		}
	}
}
