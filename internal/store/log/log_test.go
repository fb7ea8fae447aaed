package log

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/vfs"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

func opts(fsys vfs.FS) Options {
	return Options{FS: fsys, Dir: "log", SegmentBytes: 1024, Sync: true}
}

func frame(s string) Frame { return Frame{Kind: 1, Received: 7, Payload: []byte(s)} }

// open opens a log and returns the payloads that it replays.
func open(t testing.TB, o Options) (*Log, []string) {
	var got []string
	l, _, err := Open(o, func(f Frame) error {
		got = append(got, string(f.Payload))
		return nil
	})
	require.NoError(t, err)
	return l, got
}

func openError(o Options) error {
	_, _, err := Open(o, func(Frame) error { return nil })
	return err
}

// failOnce makes the next operation op fail, and no other.
func failOnce(fsys *memfs.FS, ops ...memfs.Op) {
	fsys.SetHook(func(op memfs.Op, _ string) error {
		if len(ops) == 0 || op != ops[0] {
			return nil
		}
		ops = ops[1:]
		return errInjected
	})
}

func crash(fsys *memfs.FS) *memfs.FS { return fsys.Crash(rand.New(rand.NewPCG(1, 2))) }

func TestFramesComeBack(t *testing.T) {
	fsys := memfs.New()
	l, got := open(t, opts(fsys))
	require.Empty(t, got)
	require.NoError(t, l.Append())
	require.Zero(t, l.Segments(), "nothing to write, nothing made")
	require.NoError(t, l.Append(Frame{Kind: 255, Received: -5, Payload: []byte("a")}, frame("")))
	n, err := l.Rotate()
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	require.NoError(t, l.Append(frame("b")))
	require.Equal(t, 2, l.Segments())
	require.EqualValues(t, 2*headerSize+3*frameHeader+2, l.Size())

	var frames []Frame
	_, rec, err := Open(opts(crash(fsys)), func(f Frame) error {
		frames = append(frames, f)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []Frame{
		{Kind: 255, Received: -5, Payload: []byte("a"), Segment: 1},
		{Kind: 1, Received: 7, Payload: []byte{}, Segment: 1},
		{Kind: 1, Received: 7, Payload: []byte("b"), Segment: 2},
	}, frames)
	require.Equal(t, Recovery{Segments: 2, Frames: 3, Bytes: l.Size()}, rec)
}

func TestClose(t *testing.T) {
	fsys := memfs.New()
	l, _ := open(t, opts(fsys))
	require.NoError(t, l.Close(), "before the first segment")
	l, _ = open(t, opts(fsys))
	require.NoError(t, l.Append(frame("a")))
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.Append(frame("b")), ErrClosed)
	_, err := l.Rotate()
	require.ErrorIs(t, err, ErrClosed)
	require.Empty(t, fsys.OpenFiles())
	_, got := open(t, opts(fsys))
	require.Equal(t, []string{"a"}, got)
	require.Empty(t, fsys.OpenFiles())
}

func TestCloseReportsFailures(t *testing.T) {
	for _, op := range []memfs.Op{memfs.OpWrite, memfs.OpSync, memfs.OpClose} {
		fsys := memfs.New()
		l, _ := open(t, opts(fsys))
		require.NoError(t, l.Append(frame("a")))
		failOnce(fsys, op)
		require.ErrorIs(t, l.Close(), errInjected, op)
		require.Empty(t, fsys.OpenFiles())
		_, got := open(t, opts(fsys))
		require.Equal(t, []string{"a"}, got)
	}
}

func TestInvalidFrames(t *testing.T) {
	l, _ := open(t, opts(memfs.New()))
	require.EqualError(t, l.Append(frame("a"), Frame{}), "frame has kind 0, allowed are 1 to 255")
	err := l.Append(Frame{Kind: 1, Payload: make([]byte, MaxPayload+1)})
	var large *TooLargeError
	require.ErrorAs(t, err, &large)
	require.Equal(t, "payload has 268435457 bytes, at most 268435456 are allowed", large.Error())
	require.Zero(t, l.Size())
}

func TestRemove(t *testing.T) {
	fsys := memfs.New()
	l, _ := open(t, opts(fsys))
	require.NoError(t, l.Append(frame("a")))
	n, err := l.Rotate()
	require.NoError(t, err)
	require.NoError(t, l.Append(frame("b")))
	failOnce(fsys, memfs.OpRemove)
	require.ErrorIs(t, l.Remove(n+10), errInjected)
	require.Equal(t, 1, l.Segments(), "the newest stays")

	o := opts(fsys)
	o.First = n
	failOnce(fsys, memfs.OpRemove)
	require.ErrorIs(t, openError(o), errInjected)
	_, got := open(t, o)
	require.Equal(t, []string{"b"}, got)
	names, err := fsys.ReadDir("log")
	require.NoError(t, err)
	require.Equal(t, []string{"0000000000000002.log"}, names)
}

// The log takes the last byte there is, and goes on when there is space again.
func TestNoSpace(t *testing.T) {
	fsys := memfs.New()
	l, _ := open(t, opts(fsys))
	fsys.SetCapacity(headerSize - 1)
	require.True(t, vfs.IsNoSpace(l.Append(frame("no room for a header"))))
	fsys.SetCapacity(headerSize + frameHeader + 1)
	require.NoError(t, l.Append(frame("a")))
	err := l.Append(frame("b"))
	require.True(t, vfs.IsNoSpace(err), err)
	size, err := fsys.Size(segmentName("log", 2))
	require.NoError(t, err)
	require.EqualValues(t, headerSize+frameHeader+1, size, "the part that was written is cut back")
	fsys.SetCapacity(memfs.Unlimited)
	require.NoError(t, l.Append(frame("c")))
	require.Equal(t, 1, l.Segments())
	_, got := open(t, opts(crash(fsys)))
	require.Equal(t, []string{"a", "c"}, got)
}

func TestSegmentsGrowByWholePreallocations(t *testing.T) {
	fsys := memfs.New()
	l, _ := open(t, opts(fsys))
	require.NoError(t, l.Append(frame("a")))
	size, err := fsys.Size(segmentName("log", 1))
	require.NoError(t, err)
	require.EqualValues(t, 1024, size)
	failOnce(fsys, memfs.OpPreallocate)
	big := frame(string(bytes.Repeat([]byte("b"), 1500)))
	require.ErrorIs(t, l.Append(big), errInjected)
	require.NoError(t, l.Append(big))
	size, err = fsys.Size(segmentName("log", 1))
	require.NoError(t, err)
	require.EqualValues(t, 2048, size)
}

func TestLargeBufferIsNotKept(t *testing.T) {
	l, _ := open(t, opts(memfs.New()))
	require.NoError(t, l.Append(Frame{Kind: 1, Payload: make([]byte, maxKeptBuffer)}))
	require.Nil(t, l.buf)
}

func TestFailedSyncMovesOn(t *testing.T) {
	fsys := memfs.New()
	l, _ := open(t, opts(fsys))
	require.NoError(t, l.Append(frame("a")))
	failOnce(fsys, memfs.OpSync)
	require.NoError(t, l.Append(frame("b")))
	require.Equal(t, 2, l.Segments())
	require.Len(t, fsys.OpenFiles(), 1, "the abandoned file is closed")
	_, got := open(t, opts(crash(fsys)))
	require.Equal(t, []string{"a", "b"}, got)
}

func TestFailedSyncAndNoWayOut(t *testing.T) {
	for name, ops := range map[string][]memfs.Op{
		"create":      {memfs.OpSync, memfs.OpCreate},
		"preallocate": {memfs.OpSync, memfs.OpPreallocate},
		"header":      {memfs.OpSync, memfs.OpWrite},
		"header sync": {memfs.OpSync, memfs.OpSync},
		"folder sync": {memfs.OpSync, memfs.OpSyncDir},
	} {
		t.Run(name, func(t *testing.T) {
			fsys := memfs.New()
			l, _ := open(t, opts(fsys))
			require.NoError(t, l.Append(frame("a")))
			failOnce(fsys, ops...)
			require.ErrorIs(t, l.Append(frame("b")), errInjected)
			require.Empty(t, fsys.OpenFiles())
			require.NoError(t, l.Append(frame("c")), "the next try makes a segment of its own")
			_, got := open(t, opts(crash(fsys)))
			require.Equal(t, []string{"a", "c"}, got)
		})
	}
}

// failNth fails the operations op whose turns are listed, counting from 1.
func failNth(fsys *memfs.FS, op memfs.Op, turns ...int) {
	turn := 0
	fsys.SetHook(func(got memfs.Op, _ string) error {
		if got != op {
			return nil
		}
		turn++
		for _, n := range turns {
			if n == turn {
				return errInjected
			}
		}
		return nil
	})
}

func TestSecondSegmentFailsToo(t *testing.T) {
	for op, turns := range map[memfs.Op][]int{
		memfs.OpSync: {1, 3}, // frames; 2 is the header's; frames again
	} {
		fsys := memfs.New()
		l, _ := open(t, opts(fsys))
		require.NoError(t, l.Append(frame("a")))
		failNth(fsys, op, turns...)
		require.ErrorIs(t, l.Append(frame("b")), errInjected)
		require.NoError(t, l.Append(frame("c")))
		require.Equal(t, 3, l.Segments())
		_, got := open(t, opts(crash(fsys)))
		require.Equal(t, []string{"a", "c"}, got)
	}
}

func TestFailedWriteInSecondSegment(t *testing.T) {
	fsys := memfs.New()
	l, _ := open(t, opts(fsys))
	require.NoError(t, l.Append(frame("a")))
	syncs, writes := 0, 0
	fsys.SetHook(func(op memfs.Op, _ string) error {
		switch op {
		case memfs.OpSync:
			syncs++
			if syncs == 1 {
				return errInjected
			}
		case memfs.OpWrite:
			writes++
			if writes == 3 { // frames, header, frames again
				return errInjected
			}
		}
		return nil
	})
	require.ErrorIs(t, l.Append(frame("b")), errInjected)
	require.NoError(t, l.Append(frame("c")))
	_, got := open(t, opts(crash(fsys)))
	require.Equal(t, []string{"a", "c"}, got)
}

func TestWriteThatCannotBeCutBack(t *testing.T) {
	for _, sync := range []bool{true, false} {
		fsys := memfs.New()
		o := opts(fsys)
		o.Sync = sync
		l, _ := open(t, o)
		require.NoError(t, l.Append(frame("a")))
		failOnce(fsys, memfs.OpWrite, memfs.OpTruncate)
		require.ErrorIs(t, l.Append(frame("b")), errInjected)
		require.Empty(t, fsys.OpenFiles())
		require.NoError(t, l.Append(frame("c")))
		require.Equal(t, 2, l.Segments())
		require.NoError(t, l.Close())
		_, got := open(t, opts(crash(fsys)))
		require.Equal(t, []string{"a", "c"}, got)
	}
}

// Without Options.Sync, a sync that fails at rotation ends the segment where
// it was durable for sure.
func TestRotateWithoutSync(t *testing.T) {
	fsys := memfs.New()
	o := opts(fsys)
	o.Sync = false
	l, _ := open(t, o)
	require.NoError(t, l.Append(frame("a")))
	_, err := l.Rotate()
	require.NoError(t, err)
	require.NoError(t, l.Append(frame("b")))
	failOnce(fsys, memfs.OpSync)
	_, err = l.Rotate()
	require.ErrorIs(t, err, errInjected)
	require.NoError(t, l.Append(frame("c")))
	require.NoError(t, l.Close())
	_, got := open(t, opts(crash(fsys)))
	require.Equal(t, []string{"a", "c"}, got)
}

func TestRotateFails(t *testing.T) {
	fsys := memfs.New()
	l, _ := open(t, opts(fsys))
	require.NoError(t, l.Append(frame("a")))
	failOnce(fsys, memfs.OpCreate)
	_, err := l.Rotate()
	require.ErrorIs(t, err, errInjected)
	require.NoError(t, l.Append(frame("b")))
	_, got := open(t, opts(crash(fsys)))
	require.Equal(t, []string{"a", "b"}, got)
}

func TestOnTheHostsFiles(t *testing.T) {
	o := Options{FS: vfs.OS, Dir: filepath.Join(t.TempDir(), "log"), SegmentBytes: 1 << 20, Sync: true}
	l, _ := open(t, o)
	require.NoError(t, l.Append(frame("a"), frame("b")))
	_, err := l.Rotate()
	require.NoError(t, err)
	require.NoError(t, l.Append(frame("c")))
	size, err := vfs.OS.Size(segmentName(o.Dir, 1))
	require.NoError(t, err)
	require.EqualValues(t, headerSize+2*frameHeader+2, size, "what was preallocated is given back")
	_, got := open(t, o)
	require.Equal(t, []string{"a", "b", "c"}, got)
	require.NoError(t, l.Close())
}

func TestOpenFails(t *testing.T) {
	build := func() *memfs.FS {
		fsys := memfs.New()
		l, _ := open(t, opts(fsys))
		require.NoError(t, l.Append(frame("a")))
		return fsys
	}
	for _, op := range []memfs.Op{memfs.OpMkdirAll, memfs.OpSyncDir, memfs.OpReadDir, memfs.OpOpen, memfs.OpSize,
		memfs.OpRead, memfs.OpWrite, memfs.OpTruncate, memfs.OpSync, memfs.OpClose} {
		fsys := build()
		before := fsys.OpenFiles()
		for turn := 1; turn <= 4; turn++ {
			failNth(fsys, op, turn)
			if err := openError(opts(fsys)); err != nil {
				require.ErrorIs(t, err, errInjected)
			} else {
				require.Greater(t, turn, 1, op)
			}
			require.Equal(t, before, fsys.OpenFiles())
		}
		fsys.SetHook(nil)
		_, got := open(t, opts(fsys))
		require.Equal(t, []string{"a"}, got)
	}
	refused := errors.New("refused")
	_, _, err := Open(opts(build()), func(Frame) error { return refused })
	require.ErrorIs(t, err, refused)
}

func BenchmarkAppend(b *testing.B) {
	for name, sync := range map[string]bool{"sync": true, "nosync": false} {
		b.Run(name, func(b *testing.B) {
			l, _ := open(b, Options{FS: vfs.OS, Dir: filepath.Join(b.TempDir(), "log"), SegmentBytes: 64 << 20, Sync: sync})
			f := Frame{Kind: 1, Payload: make([]byte, 160<<10)}
			b.SetBytes(int64(len(f.Payload)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%400 == 399 {
					n, err := l.Rotate()
					require.NoError(b, err)
					require.NoError(b, l.Remove(n))
				}
				if err := l.Append(f); err != nil {
					b.Fatal(err)
				}
			}
			require.NoError(b, l.Close())
		})
	}
}
