package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const distribution = "../../bin/otelcol-scope"

// A short run against the distribution itself, where it has been built: all
// questions are answered as they must be, whatever they took.
func TestTheDistributionAnswers(t *testing.T) {
	if _, err := os.Stat(distribution); err != nil {
		t.Skip("bin/otelcol-scope is not built: make build")
	}
	report := filepath.Join(t.TempDir(), "queries.md")
	o, err := parse([]string{
		"-binary", distribution, "-config", "../../collector-config.yaml", "-dir", t.TempDir(), "-out", report,
		"-spans", "150000", "-rate", "1000", "-samples", "10", "-subscribers", "100", "-tail", "1s", "-seed", "2",
	})
	require.NoError(t, err)
	require.NoError(t, run(t.Context(), o))
	text, err := os.ReadFile(report)
	require.NoError(t, err)
	for _, q := range questions {
		require.Contains(t, string(text), "| "+q.Name+" |")
	}
	for _, q := range worst {
		require.Contains(t, string(text), "| "+q.name+" |")
	}
	require.FileExists(t, filepath.Join(filepath.Dir(report), "queries.json"))
}

func TestErrorsAreClear(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for want, args := range map[string][]string{
		"-spans: 1 must":        {"-spans", "1"},
		"-rate: 1 must":         {"-rate", "1"},
		"-samples: 1 must":      {"-samples", "1"},
		"-subscribers: 0 must":  {"-subscribers", "0"},
		`-out: "x" must end in`: {"-out", "x"},
		"make build":            {"-binary", "nowhere"},
		"flag provided but not": {"-nonsense"},
	} {
		_, err := parse(append([]string{"-binary", self}, args...))
		require.ErrorContains(t, err, want)
	}
}

// TestContent has what is searched for in what is sent.
func TestContent(t *testing.T) {
	k, err := newKnown(7)
	require.NoError(t, err)
	require.NotEmpty(t, k.failure(true).root)
	made := templates(7, requestSize)
	service, err := request{made[0], 3}.service(17)
	require.NoError(t, err)
	require.Contains(t, service, "-service")
	_, err = request{made[0], 3}.service(requestSize)
	require.Error(t, err)
}
