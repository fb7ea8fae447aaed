package block

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/vfs"
)

var update = flag.Bool("update", false, "write the block of the current format version into testdata")

// newestGolden is the folder that -update writes.
const newestGolden = "v1-links"

// TestGolden reads blocks that were written when what they have was new: what
// was stored once must stay readable. A new version, and a version's new
// section, gets a folder of its own; the files of old ones never change.
//
//	v1         without the runs "referring" and "correlation"
//	v1-edges   with them
//	v1-fields  with the run "leading" and what searches need
//	v1-links   with the run "linking"
func TestGolden(t *testing.T) {
	if *update {
		writeGolden(t, filepath.Join("testdata", newestGolden))
	}
	for sections, folder := range []string{"v1", "v1-edges", "v1-fields", newestGolden} {
		t.Run(folder, func(t *testing.T) { readGolden(t, filepath.Join("testdata", folder), sections) })
	}
}

// readGolden reads a block; sections counts the versions of the format before
// its own.
func readGolden(t *testing.T, dir string, sections int) {
	expected := filepath.Join(dir, goldenRows)
	data, err := os.ReadFile(expected)
	require.NoError(t, err)
	var rows []Row
	require.NoError(t, json.Unmarshal(data, &rows))
	b, err := NewSet(vfs.OS, dir).Open(7)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	require.Equal(t, sections > 0, b.ids.referring.there)
	require.Equal(t, sections > 0, b.ids.correlation.there)
	require.Equal(t, sections > 1, b.ids.leading.there)
	require.Equal(t, sections > 1, b.ids.search.there)
	require.Equal(t, sections > 2, b.ids.linking.there)
	require.Equal(t, rows, collect(t, b.Scan(context.Background())))
	checkEdges(t, b, rows)
	checkSearch(t, b, rows)
	for _, r := range rows {
		h := headOf(r.Span)
		got, err := traceOf(b, h.trace)
		require.NoError(t, err)
		require.Contains(t, got, r)
		got, err = b.Span(h.trace, h.span)
		require.NoError(t, err)
		require.Equal(t, []Row{r}, got)
		got, err = b.Event(eventOf(t, r))
		require.NoError(t, err)
		require.Equal(t, []Row{r}, got)
	}
}

// eventOf returns a row's native event.
func eventOf(t *testing.T, r Row) string {
	span, _ := decode(t, r)
	v, ok := span.Attributes().Get(causal.AttrEventID)
	require.True(t, ok)
	return v.Str()
}

const goldenRows = "rows.json"

func writeGolden(t *testing.T, dir string) {
	rows := append(linked(t, 40), valuedRows(t, 300)...)
	require.NoError(t, os.MkdirAll(dir, 0o750))
	_, err := NewWriter(vfs.OS, dir).Write(7, rows)
	require.NoError(t, err)
	data, err := json.MarshalIndent(sorted(rows), "", " ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, goldenRows), append(data, '\n'), 0o600))
}
