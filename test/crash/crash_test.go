package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/otelscope/otelscope/internal/event"
	"github.com/otelscope/otelscope/test/internal/fake"
)

func TestMain(m *testing.M) {
	if os.Getenv(fake.Env) != "" {
		os.Exit(fake.Main(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// against runs the crash test against a fake collector that behaves like this.
func against(t *testing.T, behaviour string, args ...string) (string, error) {
	t.Setenv(fake.Env, behaviour)
	self, err := os.Executable()
	require.NoError(t, err)
	var out bytes.Buffer
	err = run(t.Context(), append([]string{"-binary", self, "-dir", t.TempDir(), "-load", "150ms", "-seed", "11"}, args...), &out)
	t.Log(out.String())
	return out.String(), err
}

func TestAWellBehavedCollectorPasses(t *testing.T) {
	out, err := against(t, "well", "-rounds", "6")
	require.NoError(t, err)
	require.Regexp(t, regexp.MustCompile(`6 rounds, 0 cuts, 0 compactions, [1-9]\d+ spans and events acknowledged, [1-9]\d+ lookups, 0 lost, 0 doubled, 0 wrong; restart p50 \d+ ms`), out)
}

func TestWhatIsLostDoubledOrWrongFailsTheRun(t *testing.T) {
	for behaviour, want := range map[string]string{"loses": `[1-9]\d* lost`, "doubles": `[1-9]\d* doubled`, "forgets": `[1-9]\d* wrong|[1-9]\d* lost`} {
		t.Run(behaviour, func(t *testing.T) {
			out, err := against(t, behaviour, "-rounds", "6")
			require.Error(t, err)
			require.Regexp(t, want, err.Error())
			require.Contains(t, err.Error(), "kept in")
			kept := strings.TrimSpace(err.Error()[strings.LastIndex(err.Error(), " "):])
			require.FileExists(t, filepath.Join(kept, "collector.log"))
			require.Contains(t, out, "seed 11")
		})
	}
}

func TestErrorsAreClear(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for want, args := range map[string][]string{
		"-rounds: 0":        {"-rounds", "0", "-binary", self},
		"-rate: 0":          {"-rate", "0", "-binary", self},
		"-load: 0s":         {"-load", "0s", "-binary", self},
		"make build":        {"-binary", "nowhere"},
		"flag provided but": {"-nonsense"},
		"no such file":      {"-binary", self, "-dir", "/nonexistent"},
	} {
		require.ErrorContains(t, run(t.Context(), args, io.Discard), want)
	}
	require.NoError(t, run(t.Context(), []string{"-h"}, io.Discard))
	require.ErrorContains(t, run(t.Context(), []string{"-binary", "/bin/false", "-dir", t.TempDir()}, io.Discard), "ended before it was ready")
}

func TestBodiesAreValidAndCanBeBuiltAgain(t *testing.T) {
	w := newWorker(1, 3, true)
	seen := map[kind]int{}
	for range 200 {
		r := w.next()
		seen[r.kind]++
		body := w.maker.body(r)
		require.Equal(t, body, w.maker.body(r))
		res, err := event.Decode(event.FormatNDJSON, body, func() string { return "" })
		require.NoError(t, err)
		require.Empty(t, res.Rejected)
		require.Len(t, res.Events, r.events())
		w.acknowledged(r)
		w.acknowledged(r)
	}
	require.Len(t, seen, 3)
	require.Len(t, w.open, seen[opens]-seen[returns])
}
