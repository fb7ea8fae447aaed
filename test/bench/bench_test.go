package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelscope/otelscope/test/internal/fake"
)

func TestMain(m *testing.M) {
	if os.Getenv(fake.Env) != "" {
		os.Exit(fake.Main(os.Args[1:]))
	}
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

func short(t *testing.T, args ...string) options {
	self, err := os.Executable()
	require.NoError(t, err)
	o, err := parse(append([]string{"-binary", self, "-dir", t.TempDir(), "-out", t.TempDir(), "-pairs", "2", "-warm", "100ms", "-steady", "300ms", "-samples", "40", "-spans", "10000"}, args...))
	require.NoError(t, err)
	return o
}

// A whole run against a fake collector: no number means anything, but all must
// be there, and what was acknowledged found.
func TestWholeRun(t *testing.T) {
	t.Setenv(fake.Env, "well")
	o := short(t)
	require.NoError(t, bench(t.Context(), o))
	r, err := load(filepath.Join(o.out, "bench.json"))
	require.NoError(t, err)
	require.Len(t, r.Pairs, 2)
	for _, m := range append(r.loads(), r.Pairs[0].Plain, r.Pairs[1].Scope) {
		require.NotEmpty(t, m.Server)
		require.Positive(t, m.Seconds, m.Server)
		require.Positive(t, m.PeakRSSMB, m.Server)
	}
	require.Len(t, r.CorrelateSpans, 2)
	require.Len(t, r.CorrelateEvents, 2)
	require.Len(t, r.PressureSpans, 2)
	require.Len(t, r.PressureEvents, 2)
	require.Equal(t, "spans-without-pressure-1", r.PressureSpans[0].Without.Server)
	require.Equal(t, "events-with-pressure-2", r.PressureEvents[1].With.Server)
	require.Positive(t, r.Causal.Chain.P99ms)
	require.Positive(t, r.Lookups.Checked)
	require.Zero(t, r.Lookups.Lost)
	text, err := os.ReadFile(filepath.Join(o.out, "bench.md"))
	require.NoError(t, err)
	for _, want := range []string{"| whole pipeline / plain otlp -> nop |", "| pressure costs, of throughput, spans |", "| pressure costs, of throughput, native events |", "| <= 3 |", "## What pressure costs", "| spans | 1 | correlate | ", "| native events | 2 | correlate, pressure | ", "## Causal questions"} {
		require.Contains(t, string(text), want)
	}

	var out bytes.Buffer
	next, err := load(filepath.Join(o.out, "bench.json"))
	require.NoError(t, err)
	next.Ratio *= 1.1
	next.printAgainst(&out, r)
	require.Contains(t, out.String(), "+10.0 %")
}

func TestPartsAloneWriteNothing(t *testing.T) {
	t.Setenv(fake.Env, "well")
	o := short(t, "-only", "native")
	require.NoError(t, bench(t.Context(), o))
	require.NoFileExists(t, filepath.Join(o.out, "bench.json"))
}

func TestABrokenServerIsAnError(t *testing.T) {
	o := short(t, "-only", "durable")
	o.binary = "/bin/false"
	require.ErrorContains(t, bench(t.Context(), o), "durable: the collector ended before it was ready")
}

func TestErrorsAreClear(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for want, args := range map[string][]string{
		`unknown part "all"`: {"-only", "all"},
		"-pairs: 0":          {"-pairs", "0", "-binary", self},
		"make build":         {"-binary", "nowhere"},
		"flag provided but":  {"-nonsense"},
	} {
		_, err := parse(args)
		require.ErrorContains(t, err, want)
	}
	o, err := parse([]string{"-quick", "-binary", self})
	require.NoError(t, err)
	require.False(t, o.whole())
	name := filepath.Join(t.TempDir(), "bench.json")
	require.NoError(t, os.WriteFile(name, []byte("x"), 0o600))
	_, err = load(name)
	require.ErrorContains(t, err, "no earlier result")
	_, err = load(t.TempDir())
	require.Error(t, err)
	none, err := load(name + ".none")
	require.NoError(t, err)
	require.Nil(t, none)
	require.Error(t, (&results{}).save("/nonexistent"))
}

func TestMedian(t *testing.T) {
	require.InDelta(t, 0.5, median([]pair{{Ratio: 0.9}, {Ratio: 0.5}, {Ratio: 0.1}}), 1e-9)
	require.InDelta(t, 0.4, median([]pair{{Ratio: 0.5}, {Ratio: 0.3}}), 1e-9)
}

func TestNumbers(t *testing.T) {
	require.Equal(t, "12346", number(12345.6))
	require.Equal(t, "12.3", number(12.34))
	require.Equal(t, "0.512", number(0.5123))
	require.InDelta(t, 1500, us(1500*time.Microsecond), 1e-9)
}
