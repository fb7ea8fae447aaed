package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// A very short run against the distribution itself, where it has been built.
func TestTheDistributionIsMeasured(t *testing.T) {
	const binary = "../../bin/otelcol-scope"
	if _, err := os.Stat(binary); err != nil {
		t.Skip("bin/otelcol-scope is not built: make build")
	}
	o := short(t, "-binary", binary, "-config", "../../collector-config.yaml", "-pairs", "1")
	require.NoError(t, bench(t.Context(), o))
}
