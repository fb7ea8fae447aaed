package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/vfs"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

var update = flag.Bool("update", false, "write the golden file")

var errInjected = errors.New("injected")

func example() Manifest {
	return Manifest{
		FirstSegment: 7,
		NextBlock:    4,
		Blocks: []Block{
			{
				Number: 1, Level: 1, Rows: 1000, Bytes: 120_500,
				ReceivedMin: 1_700_000_000_000_000_000, ReceivedMax: 1_700_000_001_000_000_000,
				StartMin: 1_699_999_999_000_000_000, StartMax: 1<<64 - 1,
				Files: []File{{"0000000000000001.parquet", 100_000}, {"0000000000000001.ids", 20_500}},
			},
			{Number: 3, Rows: 1, ReceivedMin: -5, ReceivedMax: -5},
		},
	}
}

// numbered returns a manifest that is told from others by its number.
func numbered(n uint64) Manifest {
	m := example()
	m.FirstSegment = n
	return m
}

func put(t require.TestingT, fsys vfs.FS, data []byte) {
	f, err := fsys.Create(name)
	require.NoError(t, err)
	_, err = f.WriteAt(data, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func load(t require.TestingT, fsys vfs.FS) Manifest {
	m, found, err := Load(fsys, ".")
	require.NoError(t, err)
	require.True(t, found)
	return m
}

func TestLoadGivesWhatWasCommitted(t *testing.T) {
	fsys := memfs.New()
	m, found, err := Load(fsys, ".")
	require.NoError(t, err)
	require.False(t, found)
	require.Equal(t, Manifest{NextBlock: 1}, m)

	require.NoError(t, Commit(fsys, ".", m))
	require.Equal(t, Manifest{NextBlock: 1, Blocks: []Block{}}, load(t, fsys))
	require.NoError(t, Commit(fsys, ".", example()))
	require.Equal(t, example(), load(t, fsys))
	names, err := fsys.ReadDir(".")
	require.NoError(t, err)
	require.Equal(t, []string{"MANIFEST"}, names)
	require.Empty(t, fsys.OpenFiles())

	dir := t.TempDir()
	require.NoError(t, Commit(vfs.OS, dir, example()))
	m, _, err = Load(vfs.OS, dir)
	require.NoError(t, err)
	require.Equal(t, example(), m)
}

// Whatever fails and whenever the power goes, the old or the new manifest is
// found, and the new one if Commit returned nil.
func TestFaultsAndCrashes(t *testing.T) {
	ops := []memfs.Op{"", memfs.OpCreate, memfs.OpWrite, memfs.OpSync, memfs.OpClose, memfs.OpRename, memfs.OpSyncDir}
	rapid.Check(t, func(t *rapid.T) {
		fsys := memfs.New()
		require.NoError(t, Commit(fsys, ".", numbered(1)))
		possible := []uint64{1}
		for n := uint64(2); n < 8; n++ {
			failing := rapid.SampledFrom(ops).Draw(t, "failing")
			fsys.SetHook(func(op memfs.Op, _ string) error {
				if op == failing {
					return errInjected
				}
				return nil
			})
			fsys.SetCapacity(rapid.SampledFrom([]int64{1500, memfs.Unlimited}).Draw(t, "capacity"))
			err := Commit(fsys, ".", numbered(n))
			fsys.SetHook(nil)
			require.Empty(t, fsys.OpenFiles())
			switch {
			case err == nil:
				possible = []uint64{n}
			case failing == memfs.OpSyncDir:
				possible = append(possible, n)
			default:
				require.True(t, errors.Is(err, errInjected) || vfs.IsNoSpace(err), err)
			}
			require.Contains(t, possible, load(t, fsys).FirstSegment)
			if rapid.Bool().Draw(t, "crash") {
				fsys = fsys.Crash(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
				found := load(t, fsys).FirstSegment
				require.Contains(t, possible, found)
				possible = []uint64{found}
			}
		}
	})
}

// Power may go after every operation of a Commit.
func TestCrashInTheMiddle(t *testing.T) {
	fsys := memfs.New()
	require.NoError(t, Commit(fsys, ".", numbered(1)))
	seen := map[uint64]int{}
	fsys.SetHook(func(memfs.Op, string) error {
		for seed := range uint64(20) {
			seen[load(t, fsys.Crash(rand.New(rand.NewPCG(seed, 0)))).FirstSegment]++
		}
		return nil
	})
	require.NoError(t, Commit(fsys, ".", numbered(2)))
	require.Positive(t, seen[1])
	require.Positive(t, seen[2])
}

func TestDamageIsFound(t *testing.T) {
	good, err := encode(example())
	require.NoError(t, err)
	fsys := memfs.New()
	for at := range good {
		bad := bytes.Clone(good)
		bad[at] ^= 1 << (at % 8)
		put(t, fsys, bad)
		m, _, err := Load(fsys, ".")
		if err == nil { // white space
			require.Equal(t, example(), m, "byte %d", at)
			continue
		}
		var damaged *DamagedError
		require.ErrorAs(t, err, &damaged)
		require.ErrorContains(t, err, `manifest "MANIFEST" is damaged: `)
	}
	for end := range len(good) - 1 {
		put(t, fsys, good[:end])
		_, _, err := Load(fsys, ".")
		require.Error(t, err, end)
	}
}

// sealed returns the file for any content, with a right checksum.
func sealed(t testing.TB, content string) []byte {
	var compact bytes.Buffer
	require.NoError(t, json.Compact(&compact, []byte(content)))
	data, err := json.Marshal(envelope{Format: format, CRC32C: checksum(compact.Bytes()), Manifest: []byte(content)})
	require.NoError(t, err)
	return data
}

func TestRefusedFiles(t *testing.T) {
	for reason, data := range map[string][]byte{
		"EOF":                        nil,
		"invalid character":          []byte("garbage"),
		"bytes follow":               append(sealed(t, `{"next_block":1}`), "{}"...),
		"format is 2, only 1":        []byte(`{"format":2}`),
		"unexpected end":             []byte(`{"format":1}`),
		`unknown field "more"`:       []byte(`{"format":1,"more":1}`),
		`unknown field "other"`:      sealed(t, `{"next_block":1,"other":1}`),
		"next_block is 0":            sealed(t, `null`),
		"crc32c is \"00000000\", th": []byte(`{"format":1,"crc32c":"00000000","manifest":{"next_block":1}}`),
	} {
		fsys := memfs.New()
		put(t, fsys, data)
		_, _, err := Load(fsys, ".")
		require.ErrorContains(t, err, reason)
		require.ErrorAs(t, err, new(*DamagedError))
	}
	fsys := memfs.New()
	require.NoError(t, fsys.MkdirAll(name))
	_, _, err := Load(fsys, ".")
	require.ErrorContains(t, err, "load manifest: ")
}

func TestRefusedManifests(t *testing.T) {
	for reason, change := range map[string]func(m *Manifest){
		"next_block is 0, at least 1 is allowed":                           func(m *Manifest) { m.NextBlock = 0 },
		"block number is 3, allowed are 1 to next_block - 1 = 2":           func(m *Manifest) { m.NextBlock = 3 },
		"block number is 0, allowed are 1 to next_block - 1 = 3":           func(m *Manifest) { m.Blocks[0].Number = 0 },
		"block 3 is listed twice":                                          func(m *Manifest) { m.Blocks[0].Number = 3 },
		"block 1: level is -1, rows is 1000, bytes is 120500, none may be": func(m *Manifest) { m.Blocks[0].Level = -1 },
		"block 3: received_min is 0, at most received_max = -5 is":         func(m *Manifest) { m.Blocks[1].ReceivedMin = 0 },
		"block 3: start_min is 1, at most start_max = 0 is allowed":        func(m *Manifest) { m.Blocks[1].StartMin = 1 },
		`block 1: file "0000000000000001.ids" has -1 bytes`:                func(m *Manifest) { m.Blocks[0].Files[1].Bytes = -1 },
		`block 1: file name is "", it must be a name without a folder`:     func(m *Manifest) { m.Blocks[0].Files[0].Name = "" },
		`block 1: file name is "../x", it must be a name without a folder`: func(m *Manifest) { m.Blocks[0].Files[0].Name = "../x" },
		`block 1: file name is "..", it must be a name without a folder`:   func(m *Manifest) { m.Blocks[0].Files[0].Name = ".." },
	} {
		m := example()
		change(&m)
		fsys := memfs.New()
		require.ErrorContains(t, Commit(fsys, ".", m), "commit manifest: "+reason)
		names, err := fsys.ReadDir(".")
		require.NoError(t, err)
		require.Empty(t, names)
	}
}

// The file of format version 1 stays readable.
func TestGolden(t *testing.T) {
	path := filepath.Join("testdata", "v1", "MANIFEST")
	data, err := encode(example())
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, data, 0o644))
	}
	golden, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(golden), string(data), "what is written has changed: that is a new format version")
	fsys := memfs.New()
	put(t, fsys, golden)
	want := example()
	want.Blocks[1].Files = nil
	require.Equal(t, want, load(t, fsys))
}

func FuzzLoad(f *testing.F) {
	good, err := encode(example())
	require.NoError(f, err)
	f.Add(good)
	f.Add(sealed(f, `{"next_block":1,"blocks":null}`))
	f.Add(sealed(f, `{"next_block":2,"blocks":[{"number":1,"files":[{"name":"x"}]}]}`))
	f.Add([]byte(`{"format":1,"crc32c":"","manifest":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		fsys := memfs.New()
		put(t, fsys, data)
		m, _, err := Load(fsys, ".")
		if err != nil {
			require.ErrorAs(t, err, new(*DamagedError))
			return
		}
		require.NoError(t, Commit(fsys, ".", m))
		again := load(t, fsys)
		if m.Blocks == nil {
			m.Blocks = []Block{}
		}
		require.Equal(t, m, again)
	})
}
