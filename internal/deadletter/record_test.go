package deadletter

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/vfs"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

func sampleFrames() []byte {
	l := letter("payload")
	return appendRemoval(appendLetter(nil, 1, time.Unix(1, 2), &l), []uint64{1, 300})
}

func frame(body ...byte) []byte {
	b, start := beginFrame(nil, 0)
	return endFrame(append(b[:start+frameBytes], body...), start)
}

func TestBadRecords(t *testing.T) {
	whole := sampleFrames()
	for name, data := range map[string][]byte{
		"empty":              {},
		"zeros":              make([]byte, 100),
		"cut in frame":       whole[:7],
		"cut in body":        whole[:30],
		"length too large":   append([]byte{255, 255, 255, 255}, whole[4:]...),
		"unknown kind":       frame(9, 1, 2),
		"letter 0":           frame(recordLetter, 0, 0, 0, 0, 0),
		"no time":            frame(recordLetter, 1),
		"string too long":    frame(recordLetter, 1, 0, 9, 'a'),
		"no reason":          frame(recordLetter, 1, 0, 0, 0),
		"broken removal":     frame(recordRemoval, 0x80),
		"number overflowing": frame(append([]byte{recordRemoval}, bytes.Repeat([]byte{0xff}, 11)...)...),
	} {
		_, _, err := readFrame(data)
		require.ErrorIs(t, err, errRecord, name)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(sampleFrames())
	f.Add(frame(recordLetter, 1, 0, 0, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		for len(data) > 0 {
			r, n, err := readFrame(data)
			if err != nil {
				return
			}
			again := appendRemoval(nil, r.removed)
			if r.seq != 0 {
				again = appendLetter(nil, r.seq, time.Unix(0, r.time), &Letter{
					Source: string(r.source), Format: string(r.format), Reason: string(r.reason), Payload: r.payload,
				})
			}
			same, _, err := readFrame(again)
			require.NoError(t, err)
			require.Equal(t, r, same)
			data = data[n:]
		}
	})
}

// FuzzOpen opens a folder with any newest segment: what is valid at its
// beginning is kept, and the log can be used.
func FuzzOpen(f *testing.F) {
	f.Add(sampleFrames(), true)
	f.Add(appendHeader(nil, 0), false)
	f.Add([]byte("torn"), true)
	f.Fuzz(func(t *testing.T, data []byte, header bool) {
		if header {
			data = append(appendHeader(nil, 0), data...)
		}
		fsys := memfs.New()
		require.NoError(t, fsys.MkdirAll("letters"))
		file, err := fsys.Create("letters/" + segmentName(1))
		require.NoError(t, err)
		_, err = file.WriteAt(data, 0)
		require.NoError(t, err)
		require.NoError(t, file.Close())
		log, err := Open(fsys, "letters", 1<<20, time.Now)
		if err != nil {
			require.False(t, header)
			return
		}
		held := payloads(t, log)
		require.NoError(t, log.Add(letter("new")))
		require.NoError(t, log.Close())
		require.Equal(t, append(held, "new"), payloads(t, openAt(t, fsys, 1<<20)))
	})
}

func BenchmarkAdd(b *testing.B) {
	log, err := Open(vfs.OS, b.TempDir(), 64<<20, time.Now)
	require.NoError(b, err)
	defer func() { require.NoError(b, log.Close()) }()
	l := letter(string(bytes.Repeat([]byte("x"), 300)))
	batch := []Letter{l, l, l, l, l, l, l, l, l, l}
	b.ReportAllocs()
	for b.Loop() {
		if err := log.Add(batch...); err != nil {
			b.Fatal(err)
		}
	}
}
