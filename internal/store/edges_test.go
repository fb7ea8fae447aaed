package store_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/vfs"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

// TestBlocksWithoutEdgeRuns: of blocks from before there were runs for edges
// the answers are the same, and merging them writes the runs.
func TestBlocksWithoutEdgeRuns(t *testing.T) {
	cfg := store.Config{Directory: "/data/store", FS: memfs.New(), ReserveBytes: -1}
	reopen := func(st store.Store) store.Store {
		if st != nil {
			require.NoError(t, st.Close(ctx))
		}
		st, err := store.Open(cfg)
		require.NoError(t, err)
		return st
	}
	st := reopen(nil)
	for i := range uint64(3) {
		write(t, st,
			storetest.Spec{Trace: 1, Span: i + 1, Parent: i, Group: "g", Links: []uint64{i, 9}},
			storetest.Spec{Trace: 2, Span: 1, Parent: 9 + i, State: causal.CallOpen, Group: "h", Links: []uint64{i}},
			storetest.Spec{Trace: 3 + i, Span: 1, Parent: 2})
		require.NoError(t, store.Cut(st))
	}
	all := stored(t, st)
	require.NoError(t, storetest.CheckEdges(ctx, st, all))
	hideEdgeRuns(t, cfg.FS)
	st = reopen(st)
	require.Equal(t, 3, st.Stats().Blocks)
	require.NoError(t, storetest.CheckEdges(ctx, st, all))

	write(t, st, storetest.Spec{Trace: 9, Span: 1, Parent: 1})
	require.NoError(t, store.Cut(st))
	require.NoError(t, store.Compact(st))
	require.Equal(t, 1, st.Stats().Blocks)
	require.NoError(t, storetest.CheckEdges(ctx, st, stored(t, st)))
	for _, name := range idsFiles(t, cfg.FS) {
		data, err := vfs.ReadFile(cfg.FS, name, 1<<20)
		require.NoError(t, err)
		require.Contains(t, string(data), "referring")
		require.Contains(t, string(data), "leading")
		require.Contains(t, string(data), "correlation")
	}
	require.NoError(t, st.Close(ctx))
}

// stored returns all spans, by their traces.
func stored(t *testing.T, st store.Store) []storetest.Plain {
	all, err := readAll(st)
	require.NoError(t, err)
	return all
}

const blocksDir = "/data/store/blocks/"

func idsFiles(t *testing.T, fsys vfs.FS) (found []string) {
	names, err := fsys.ReadDir(blocksDir)
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, ".ids") {
			found = append(found, blocksDir+name)
		}
	}
	return found
}

// hideEdgeRuns makes blocks as they were before there were runs for edges.
func hideEdgeRuns(t *testing.T, fsys vfs.FS) {
	hideSections(t, fsys, "referring", "leading", "correlation", "zones")
}

// hideSections gives sections names that nobody knows.
func hideSections(t *testing.T, fsys vfs.FS, sections ...string) {
	for _, name := range idsFiles(t, fsys) {
		data, err := vfs.ReadFile(fsys, name, 1<<20)
		require.NoError(t, err)
		foot := data[len(data)-24:]
		toc := data[binary.LittleEndian.Uint64(foot) : len(data)-24]
		for _, section := range sections {
			require.Contains(t, string(toc), section)
			copy(toc, bytes.ReplaceAll(toc, []byte(section), []byte(strings.ToUpper(section))))
		}
		binary.LittleEndian.PutUint32(foot[12:], crc32.Checksum(toc, crc32.MakeTable(crc32.Castagnoli)))
		f, err := fsys.Create(name)
		require.NoError(t, err)
		_, err = f.WriteAt(data, 0)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
}
