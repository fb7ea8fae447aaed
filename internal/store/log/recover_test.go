package log

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/vfs"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

var update = flag.Bool("update", false, "write the golden files")

func put(t testing.TB, fsys vfs.FS, name string, data []byte) {
	require.NoError(t, fsys.MkdirAll(filepath.Dir(name)))
	f, err := fsys.Create(name)
	require.NoError(t, err)
	_, err = f.WriteAt(data, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func get(t testing.TB, fsys vfs.FS, name string) []byte {
	data, err := vfs.ReadFile(fsys, name, 1<<30)
	require.NoError(t, err)
	return data
}

// example is a log of three segments: one that was rotated, one that was
// abandoned after a failed sync, and the newest with two appends.
func example(t testing.TB) (*memfs.FS, *Log) {
	fsys := memfs.New()
	l, _ := open(t, opts(fsys))
	require.NoError(t, l.Append(frame("one"), frame("two")))
	require.NoError(t, l.Append(frame("")))
	_, err := l.Rotate()
	require.NoError(t, err)
	require.NoError(t, l.Append(frame("three")))
	failOnce(fsys, memfs.OpSync)
	require.NoError(t, l.Append(frame("four")))
	require.NoError(t, l.Append(frame("five"), frame("six")))
	return fsys, l
}

var exampleFrames = []string{"one", "two", "", "three", "four", "five", "six"}

// Every bit of every byte that counts is flipped once. Only in the last append
// before a crash is damage taken for a torn write.
func TestDamageIsFound(t *testing.T) {
	for _, closed := range []bool{false, true} {
		fsys, l := example(t)
		ends := map[uint64]int64{}
		for _, s := range l.live {
			ends[s.number] = s.end
		}
		last := ends[3] - int64(2*frameHeader+len("five")+len("six"))
		if closed {
			require.NoError(t, l.Close())
			last = ends[3]
		}
		for n, end := range ends {
			name := segmentName("log", n)
			good := get(t, fsys, name)
			for at := range end {
				bad := bytes.Clone(good)
				bad[at] ^= 1 << (at % 8)
				put(t, fsys, name, bad)
				err := openError(opts(crashless(t, fsys)))
				if n == 3 && at >= last {
					require.NoError(t, err, "segment %d, byte %d", n, at)
					continue
				}
				require.Error(t, err, "closed %v, segment %d, byte %d", closed, n, at)
			}
			put(t, fsys, name, good)
		}
		_, got := open(t, opts(fsys))
		require.Equal(t, exampleFrames, got)
	}
}

// crashless copies a log folder.
func crashless(t testing.TB, fsys *memfs.FS) *memfs.FS {
	out := memfs.New()
	names, err := fsys.ReadDir("log")
	require.NoError(t, err)
	for _, name := range names {
		put(t, out, filepath.Join("log", name), get(t, fsys, filepath.Join("log", name)))
	}
	return out
}

func TestTornTail(t *testing.T) {
	for cut := int64(1); cut <= 60; cut++ {
		fsys, l := example(t)
		name := segmentName("log", 3)
		data := get(t, fsys, name)[:l.last().end-cut]
		put(t, fsys, name, append(data, make([]byte, 100)...))
		var got []string
		_, rec, err := Open(opts(fsys), func(f Frame) error {
			got = append(got, string(f.Payload))
			return nil
		})
		require.NoError(t, err)
		lost := 1
		if cut > int64(frameHeader+len("six")) {
			lost = 2
		}
		require.Equal(t, exampleFrames[:len(exampleFrames)-lost], got)
		whole := cut == int64(frameHeader+len("six"))
		require.Equal(t, whole, rec.Cut == 0, "cut %d: %d", cut, rec.Cut)
		size, err := fsys.Size(name)
		require.NoError(t, err)
		require.Equal(t, rec.Bytes, l.Size()-l.last().end+size, "nothing is left behind the end")
	}
}

func TestMissingAndForeignFiles(t *testing.T) {
	t.Run("names that are no segments", func(t *testing.T) {
		fsys, _ := example(t)
		for _, name := range []string{"x", "1.log", "0000000000000000.log", "000000000000000A.log", "0000000000000009.log.tmp"} {
			put(t, fsys, filepath.Join("log", name), []byte("x"))
		}
		_, got := open(t, opts(fsys))
		require.Equal(t, exampleFrames, got)
	})
	for n := uint64(1); n <= 2; n++ {
		t.Run(fmt.Sprintf("segment %d is missing", n), func(t *testing.T) {
			fsys, _ := example(t)
			require.NoError(t, fsys.Remove(segmentName("log", n)))
			var corrupt *CorruptError
			require.ErrorAs(t, openError(opts(fsys)), &corrupt)
			require.Equal(t, segmentName("log", n), corrupt.File)
			require.Contains(t, corrupt.Error(), "damaged at byte 0: there is no such file")
		})
	}
	t.Run("the first segment is missing", func(t *testing.T) {
		o := opts(memfs.New())
		o.First = 3
		require.ErrorContains(t, openError(o), "0000000000000003.log")
	})
	t.Run("a segment is shorter than recorded", func(t *testing.T) {
		fsys, l := example(t)
		put(t, fsys, segmentName("log", 2), get(t, fsys, segmentName("log", 2))[:l.live[1].end-1])
		require.ErrorContains(t, openError(opts(fsys)), "it ends there")
	})
	t.Run("a segment in the chain has no header", func(t *testing.T) {
		fsys, _ := example(t)
		put(t, fsys, segmentName("log", 2), make([]byte, 500))
		require.ErrorContains(t, openError(opts(fsys)), "it has no valid header")
	})
	t.Run("a copy under another number", func(t *testing.T) {
		fsys, _ := example(t)
		put(t, fsys, segmentName("log", 9), get(t, fsys, segmentName("log", 3)))
		_, got := open(t, opts(fsys))
		require.Equal(t, exampleFrames, got, "frames count only in their place")
	})
	t.Run("a header of a later version", func(t *testing.T) {
		fsys, _ := example(t)
		data := get(t, fsys, segmentName("log", 3))[:headerSize]
		data[8] = 2
		put(t, fsys, segmentName("log", 3), data)
		require.ErrorContains(t, openError(opts(fsys)), "format version 2, only 1 is known")
	})
}

// A creation that was cut short leaves no header; one that failed late may
// leave a whole segment that nothing was ever appended to.
func TestUnfinishedSegments(t *testing.T) {
	fsys, _ := example(t)
	for n, data := range map[uint64][]byte{
		4: {},
		5: header{segment: 5, previous: 3, previousAt: 40}.append(nil)[:20],
		6: make([]byte, 1024),
	} {
		put(t, fsys, segmentName("log", n), data)
	}
	l, got := open(t, opts(fsys))
	require.Equal(t, exampleFrames, got)
	require.NoError(t, l.Append(frame("seven")))
	require.EqualValues(t, 7, l.last().number, "numbers are not used again")
	require.NoError(t, l.Close())

	put(t, fsys, segmentName("log", 5), header{segment: 5, previous: 3, previousAt: 40}.append(nil))
	_, got = open(t, opts(fsys))
	require.Equal(t, append(exampleFrames, "seven"), got)
	exists, err := vfs.Exists(fsys, segmentName("log", 5))
	require.NoError(t, err)
	require.False(t, exists)
}

func TestBadHeaders(t *testing.T) {
	for reason, h := range map[string]header{
		"names segment 7 ":  {segment: 7, previous: 7, previousAt: 40},
		"with 39 bytes":     {segment: 7, previous: 6, previousAt: 39},
		"segment 0 with 41": {segment: 7, previousAt: 41},
		"that of segment 8": {segment: 8},
	} {
		_, err := parseHeader(h.append(nil), 7)
		require.ErrorContains(t, err, reason)
	}
}

// What a client sends cannot pass for frames of the log.
func TestFramesInsidePayloads(t *testing.T) {
	fsys := memfs.New()
	l, _ := open(t, opts(fsys))
	require.NoError(t, l.Append(frame("a")))
	inner := appendFrame(nil, place{1, 5000}, 100, frame("forged"))
	require.NoError(t, l.Append(Frame{Kind: 1, Payload: bytes.Repeat(inner, 50)}))
	name := segmentName("log", 1)
	data := get(t, fsys, name)[:l.Size()-1]
	put(t, fsys, name, data)
	_, got := open(t, opts(fsys))
	require.Equal(t, []string{"a"}, got)
}

// The files of format version 1 stay readable.
func TestGolden(t *testing.T) {
	fsys, l := example(t)
	require.NoError(t, l.Close())
	golden := memfs.New()
	for n := uint64(1); n <= 3; n++ {
		name := fmt.Sprintf("%016x.log", n)
		path := filepath.Join("testdata", "v1", name)
		data := bytes.TrimRight(get(t, fsys, filepath.Join("log", name)), "\x00")
		if *update {
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, data, 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, data, "what is written has changed: that is a new format version")
		put(t, golden, filepath.Join("log", name), want)
	}
	_, got := open(t, opts(golden))
	require.Equal(t, exampleFrames, got)
}

func FuzzOpen(f *testing.F) {
	fsys, l := example(f)
	require.NoError(f, l.Close())
	two, three := get(f, fsys, segmentName("log", 2)), get(f, fsys, segmentName("log", 3))
	f.Add(two, three)
	f.Add(two[:50], three[:41])
	f.Add(two, []byte{})
	f.Add(make([]byte, 100), header{segment: 3}.append(nil))
	f.Fuzz(func(t *testing.T, two, three []byte) {
		fsys := memfs.New()
		put(t, fsys, segmentName("log", 2), two)
		put(t, fsys, segmentName("log", 3), three)
		o := opts(fsys)
		o.First = 2
		var got []string
		l, rec, err := Open(o, func(f Frame) error {
			got = append(got, string(f.Payload))
			return nil
		})
		if err != nil {
			return
		}
		require.EqualValues(t, len(got), rec.Frames)
		require.NoError(t, l.Append(frame("new")))
		_, again := open(t, o)
		require.Equal(t, append(got, "new"), again)
	})
}
