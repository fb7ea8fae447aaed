package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/otelscope/otelscope/test/internal/collector"
)

// results are what queries.json holds.
type results struct {
	Command     string                `json:"command"`
	Environment collector.Environment `json:"environment"`
	Load        float64               `json:"load"`
	Filled      filled                `json:"filled"`
	Rate        int                   `json:"rate"`
	Answers     []asked               `json:"answers"`
	Quiet       arrived               `json:"intake"` // while the questions were asked
	Tails       tailed                `json:"tails"`
	Hostile     hostileResult         `json:"hostile"`
	Peers       []peerResult          `json:"peers,omitempty"`
	PeakRSSMB   float64               `json:"peak_rss_mb"`
}

type filled struct {
	Spans        int64   `json:"spans"`
	Seconds      float64 `json:"seconds"`
	Blocks       int     `json:"blocks"`
	BlockMB      float64 `json:"block_mb"`
	BytesPerSpan float64 `json:"bytes_per_span"`
	PeakRSSMB    float64 `json:"peak_rss_mb"`
	SampledOut   int64   `json:"sampled_out"` // under pressure, while they were sent
}

type asked struct {
	Question string  `json:"question"`
	Samples  uint64  `json:"samples"`
	P50ms    float64 `json:"p50_ms"`
	P99ms    float64 `json:"p99_ms"`
	MaxMs    float64 `json:"max_ms"`
	Goal     float64 `json:"goal_ms,omitempty"`
	Missing  int     `json:"missing,omitempty"` // asked for, and sampled out
}

// save writes the report and its figures.
func (r *results) save(report string) error {
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(strings.TrimSuffix(report, ".md")+".json", append(body, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(report, []byte(r.markdown()), 0o644)
}

func (r *results) markdown() string {
	var b strings.Builder
	e := r.Environment
	fmt.Fprintf(&b, "# Questions, measured\n\nWritten by `make queries` (`%s`).\n\n", r.Command)
	fmt.Fprintf(&b, "%s, %d cores, %d MB; %s; store on %s; %s, GOGC=%s, GOMEMLIMIT=%s. Load generator and collector share the cores; load average when the run began: %.1f.\n\n", e.CPU, e.Cores, e.MemoryMB, e.Kernel, e.FileSystem, e.Go, e.GOGC, e.GOMEMLIMIT, r.Load)
	f := r.Filled
	fmt.Fprintf(&b, "Stored by the whole pipeline first: %d spans in %.0f s (%.0f a second), %d blocks of %.0f MB together, %.0f bytes a span, peak RSS %.0f MB; %d spans more were sampled out under pressure. ", f.Spans, f.Seconds, float64(f.Spans)/f.Seconds, f.Blocks, f.BlockMB, f.BytesPerSpan, f.PeakRSSMB, f.SampledOut)
	fmt.Fprintf(&b, "All of them began within the hour that is searched. Then, with nothing left to be cut into a block, the questions were asked over HTTP, one at a time, while %d spans a second kept coming in (%.0f did; durable p99 %.1f ms). Peak RSS at the end: %.0f MB.\n\n", r.Rate, r.Quiet.PerSecond, r.Quiet.P99ms, r.PeakRSSMB)
	b.WriteString("| question | asked | p50 ms | p99 ms | max ms | goal (p99) | |\n|---|---:|---:|---:|---:|---:|---|\n")
	for _, a := range r.Answers {
		goal, kept := "", ""
		if a.Goal > 0 {
			goal, kept = fmt.Sprintf("%.0f", a.Goal), "kept"
			if a.P99ms > a.Goal {
				kept = "SHORT"
			}
		}
		if a.Missing > 0 {
			kept += fmt.Sprintf(" (%d were sampled out)", a.Missing)
		}
		fmt.Fprintf(&b, "| %s | %d | %.2f | %.2f | %.2f | %s | %s |\n", a.Question, a.Samples, a.P50ms, a.P99ms, a.MaxMs, goal, kept)
	}
	t := r.Tails
	fmt.Fprintf(&b, "\n## Tails\n\n%d subscribers, each with a query of its own, for %.0f s while %.0f spans a second came in: %d spans delivered, %d lost by slow readers. From commit to subscriber: p50 %.2f ms, p99 %.2f ms, max %.2f ms (goal: under 100).\n", t.Subscribers, t.Seconds, t.Intake.PerSecond, t.Spans, t.Lost, t.P50ms, t.P99ms, t.MaxMs)
	h := r.Hostile
	fmt.Fprintf(&b, "\n## What nobody should ask\n\nAll %d at once. Intake before: %.0f spans a second, durable p50 %.1f, p99 %.1f, max %.1f ms; meanwhile: %.0f a second, p50 %.1f, p99 %.1f, max %.1f ms, %d requests refused. Peak RSS grew by %.0f MB, to %.0f MB.\n\n| question | status | ms | bytes | |\n|---|---:|---:|---:|---|\n", h.AtOnce, h.Before.PerSecond, h.Before.P50ms, h.Before.P99ms, h.Before.MaxMs, h.During.PerSecond, h.During.P50ms, h.During.P99ms, h.During.MaxMs, h.During.Refused, h.RSSGrew, h.PeakMB)
	for _, e := range h.Ended {
		fmt.Fprintf(&b, "| %s | %d | %.0f | %d | %s |\n", e.Question, e.Status, e.Ms, e.Bytes, strings.ReplaceAll(cut(e.Detail), "|", "\\|"))
	}
	if len(r.Peers) > 0 {
		b.WriteString("\n## Peers\n\nThe same spans (without the shop's), sent to each alone on the same machine in the same run, then asked through its own API, nothing coming in meanwhile.\n\n| who | spans | stored in s | MB on disk | question | p50 ms | p99 ms |\n|---|---:|---:|---:|---|---:|---:|\n")
		for _, p := range r.Peers {
			for _, a := range p.Answers {
				fmt.Fprintf(&b, "| %s | %d | %.0f | %.0f | %s | %.2f | %.2f |\n", p.Name, p.Spans, p.Seconds, p.DiskMB, a.Question, a.P50ms, a.P99ms)
			}
		}
	}
	return b.String()
}

func cut(text string) string {
	const most = 160
	if len(text) <= most {
		return text
	}
	return text[:most] + " …"
}
