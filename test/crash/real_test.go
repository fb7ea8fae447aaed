package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// A few rounds against the distribution itself, where it has been built.
func TestTheDistributionSurvives(t *testing.T) {
	const binary = "../../bin/otelcol-scope"
	if _, err := os.Stat(binary); err != nil {
		t.Skip("bin/otelcol-scope is not built: make build")
	}
	var out bytes.Buffer
	err := run(t.Context(), []string{"-binary", binary, "-config", "../../collector-config.yaml", "-dir", t.TempDir(), "-rounds", "2", "-load", "500ms"}, &out)
	t.Log(out.String())
	require.NoError(t, err)
}
