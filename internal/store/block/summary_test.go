package block

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/vfs"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

func TestSummaryIsKeptAsItIs(t *testing.T) {
	w := NewWriter(memfs.New(), "blocks")
	require.NoError(t, w.fs.MkdirAll("blocks"))
	for _, summary := range [][]byte{nil, {}, []byte("all is well")} {
		_, err := w.WriteSummarized(7, linked(t, 20), summary)
		require.NoError(t, err)
		b, err := NewSet(w.fs, "blocks").Open(7)
		require.NoError(t, err)
		got, err := b.Summary()
		require.NoError(t, err)
		require.Equal(t, summary, got)
		require.NoError(t, b.Close())
		_, err = w.Write(7, linked(t, 20)) // has none of its own
		require.NoError(t, err)
		b, err = NewSet(w.fs, "blocks").Open(7)
		require.NoError(t, err)
		got, err = b.Summary()
		require.NoError(t, err)
		require.Nil(t, got)
		require.NoError(t, b.Close())
	}
}

func TestBlocksFromBeforeHaveNoSummary(t *testing.T) {
	b, err := NewSet(vfs.OS, filepath.Join("testdata", "v1")).Open(7)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	got, err := b.Summary()
	require.NoError(t, err)
	require.Nil(t, got)
}

func TestDamagedSummaryIsFound(t *testing.T) {
	fsys := memfs.New()
	require.NoError(t, fsys.MkdirAll("blocks"))
	_, err := NewWriter(fsys, "blocks").WriteSummarized(7, linked(t, 20), []byte("all is well"))
	require.NoError(t, err)
	name := IDsName(7)
	data := contents(t, fsys, name)
	b := open(t, fsys)
	data[b.ids.toc[sectionSummary].offset] ^= 1
	overwrite(t, fsys, name, data)
	damaged, err := NewSet(fsys, "blocks").Open(7)
	require.NoError(t, err, "it is read when it is asked for")
	defer func() { require.NoError(t, damaged.Close()) }()
	_, err = damaged.Summary()
	requireDamage(t, err, name, "summary")
}
