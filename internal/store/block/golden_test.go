package block

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/vfs"
)

var update = flag.Bool("update", false, "write the block of the current format version into testdata")

// TestGolden reads a block that was written when its format version was new:
// what was stored once must stay readable. A new version gets a folder of its
// own; the files of old ones never change.
func TestGolden(t *testing.T) {
	dir := filepath.Join("testdata", "v1")
	expected := filepath.Join(dir, "rows.json")
	if *update {
		writeGolden(t, dir, expected)
	}
	data, err := os.ReadFile(expected)
	require.NoError(t, err)
	var rows []Row
	require.NoError(t, json.Unmarshal(data, &rows))
	b, err := Open(vfs.OS, dir, 7)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	require.Equal(t, rows, collect(t, b.Scan(context.Background())))
	for _, r := range rows {
		h := headOf(r.Span)
		got, err := b.Trace(h.trace)
		require.NoError(t, err)
		require.Contains(t, got, r)
		got, err = b.Span(h.trace, h.span)
		require.NoError(t, err)
		require.Equal(t, []Row{r}, got)
		got, err = b.Event(h.span.String())
		require.NoError(t, err)
		require.Equal(t, []Row{r}, got)
	}
}

func writeGolden(t *testing.T, dir, expected string) {
	rows := realistic(t, 40)
	require.NoError(t, os.MkdirAll(dir, 0o750))
	_, err := NewWriter(vfs.OS, dir).Write(7, rows)
	require.NoError(t, err)
	data, err := json.MarshalIndent(sorted(rows), "", " ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(expected, append(data, '\n'), 0o600))
}
