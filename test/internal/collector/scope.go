package collector

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Addresses are where a collector of one run listens.
type Addresses struct {
	GRPC, HTTP, Events, API, Health, Metrics, Pprof string
}

// NewAddresses chooses free ones.
func NewAddresses() (Addresses, error) {
	a, err := FreePorts(7)
	if err != nil {
		return Addresses{}, err
	}
	return Addresses{a[0], a[1], a[2], a[3], a[4], a[5], a[6]}, nil
}

// HealthURL answers 200 once the pipelines run.
func (a Addresses) HealthURL() string { return "http://" + a.Health }

// EventsURL takes native events.
func (a Addresses) EventsURL() string { return "http://" + a.Events + "/v1/events" }

// APIURL is the base of the query API.
func (a Addresses) APIURL() string { return "http://" + a.API }

// Storage overrides the storage settings of a Scope run.
type Storage struct {
	Directory        string
	CutBytes, CutAge string // "" leaves the default
	// Processors, where not nil, are the pipeline's instead of the config's.
	Processors []string
}

// ScopeConfig writes what a run changes in the distribution's own config, base,
// into dir, and returns both for --config. A pprof address is listened on only
// where profile is set.
func ScopeConfig(dir, base string, a Addresses, s Storage, profile bool) ([]string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "receivers:\n  scope:\n    protocols:\n      grpc: {endpoint: %q}\n      http: {endpoint: %q}\n      events: {endpoint: %q}\n", a.GRPC, a.HTTP, a.Events)
	fmt.Fprintf(&b, "    dead_letters: {directory: %q}\n", filepath.Join(s.Directory, "dead-letters"))
	fmt.Fprintf(&b, "extensions:\n  health_check: {endpoint: %q}\n  scope_query:\n    http: {endpoint: %q}\n    storage:\n      directory: %q\n", a.Health, a.API, s.Directory)
	if s.CutBytes != "" {
		fmt.Fprintf(&b, "      cut_bytes: %s\n", s.CutBytes)
	}
	if s.CutAge != "" {
		fmt.Fprintf(&b, "      cut_age: %s\n", s.CutAge)
	}
	extensions := "scope_query, health_check"
	if profile {
		fmt.Fprintf(&b, "  pprof: {endpoint: %q}\n", a.Pprof)
		extensions += ", pprof"
	}
	fmt.Fprintf(&b, "service:\n  extensions: [%s]\n", extensions)
	if s.Processors != nil {
		fmt.Fprintf(&b, "  pipelines: {traces: {processors: [%s]}}\n", strings.Join(s.Processors, ", "))
	}
	b.WriteString(a.telemetry())
	name := filepath.Join(dir, "overlay.yaml")
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		return nil, err
	}
	return []string{base, name}, nil
}

// PlainConfig writes the config of a collector that takes OTLP and throws it
// away: what any pipeline of this binary costs at least.
func PlainConfig(dir string, a Addresses, profile bool) ([]string, error) {
	extensions, pprof := "health_check", ""
	if profile {
		extensions, pprof = "health_check, pprof", fmt.Sprintf("  pprof: {endpoint: %q}\n", a.Pprof)
	}
	body := fmt.Sprintf("receivers:\n  otlp:\n    protocols:\n      grpc: {endpoint: %q}\n      http: {endpoint: %q}\nexporters:\n  nop:\nextensions:\n  health_check: {endpoint: %q}\n%sservice:\n  extensions: [%s]\n  pipelines:\n    traces: {receivers: [otlp], exporters: [nop]}\n%s",
		a.GRPC, a.HTTP, a.Health, pprof, extensions, a.telemetry())
	name := filepath.Join(dir, "plain.yaml")
	return []string{name}, os.WriteFile(name, []byte(body), 0o644)
}

// telemetry is the same for all runs, so that it weighs the same.
func (a Addresses) telemetry() string {
	host, port, _ := strings.Cut(a.Metrics, ":")
	return fmt.Sprintf("  telemetry:\n    logs: {level: warn}\n    metrics:\n      level: normal\n      readers:\n        - pull: {exporter: {prometheus: {host: %q, port: %s}}}\n", host, port)
}
