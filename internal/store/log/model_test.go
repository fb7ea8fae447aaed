package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

// machine drives a log through appends, rotations, faults and crashes, next to
// a list of the frames that must come back.
type machine struct {
	t       *rapid.T
	fs      *memfs.FS
	log     *Log
	sync    bool
	first   uint64
	nextID  uint64
	acked   []entry         // in order
	unacked map[uint64]bool // ids of frames whose Append failed
	failing memfs.Op        // the operation that fails
	after   int             // so many times before it does it once
}

type entry struct {
	id   uint64
	size int
}

var errInjected = errors.New("injected")

func payload(e entry) []byte {
	b := binary.LittleEndian.AppendUint64(nil, e.id)
	for i := range e.size {
		b = append(b, byte(e.id)+byte(i))
	}
	return b
}

func newMachine(t *rapid.T) *machine {
	m := &machine{t: t, unacked: map[uint64]bool{}, sync: true}
	m.use(memfs.New())
	m.open()
	return m
}

// use goes on with a file system after a crash; it works again.
func (m *machine) use(fs *memfs.FS) {
	m.fs = fs
	m.failing = ""
	fs.SetCapacity(memfs.Unlimited)
	fs.SetHook(func(op memfs.Op, _ string) error {
		if op != m.failing {
			return nil
		}
		if m.after--; m.after < 0 {
			m.failing = ""
			return errInjected
		}
		return nil
	})
}

func (m *machine) options() Options {
	return Options{FS: m.fs, Dir: "log", First: m.first, SegmentBytes: 4096, Sync: m.sync}
}

// open opens the log and compares what it replays: all that was acknowledged,
// in order, and between it only frames whose Append failed. What was replayed
// once must be replayed ever after.
func (m *machine) open() {
	var got []entry
	l, rec, err := Open(m.options(), func(f Frame) error {
		id := binary.LittleEndian.Uint64(f.Payload)
		e := entry{id, len(f.Payload) - 8}
		require.Equal(m.t, payload(e), f.Payload)
		require.Equal(m.t, byte(id%255+1), f.Kind)
		require.Equal(m.t, -int64(id), f.Received)
		got = append(got, e)
		return nil
	})
	require.NoError(m.t, err, "%s", m.fs)
	require.EqualValues(m.t, len(got), rec.Frames)
	known := slices.DeleteFunc(slices.Clone(got), func(e entry) bool { return m.unacked[e.id] })
	require.Equal(m.t, idsOf(m.acked), idsOf(known))
	m.log, m.acked, m.unacked = l, got, map[uint64]bool{}
}

func idsOf(entries []entry) string {
	s := ""
	for _, e := range entries {
		s += fmt.Sprintf("%d ", e.id)
	}
	return s
}

func (m *machine) append(t *rapid.T) {
	sizes := rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 90, 500, 700, 5000}), 1, 4).Draw(t, "sizes")
	var frames []Frame
	var entries []entry
	for _, size := range sizes {
		e := entry{m.nextID, size}
		m.nextID++
		entries = append(entries, e)
		frames = append(frames, Frame{Kind: byte(e.id%255 + 1), Received: -int64(e.id), Payload: payload(e)})
	}
	if m.log.Append(frames...) == nil {
		m.acked = append(m.acked, entries...)
		return
	}
	for _, e := range entries {
		m.unacked[e.id] = true
	}
}

// cut rotates and forgets what is older, as the store does after it wrote a
// block.
func (m *machine) cut(t *rapid.T) {
	n, err := m.log.Rotate()
	if err != nil {
		return
	}
	if rapid.Bool().Draw(t, "commit") {
		m.first = n
		m.acked = nil
		_ = m.log.Remove(n)
	}
}

func (m *machine) fault(t *rapid.T) {
	ops := []memfs.Op{memfs.OpWrite, memfs.OpSync, memfs.OpTruncate, memfs.OpCreate, memfs.OpSyncDir, memfs.OpPreallocate, memfs.OpRemove, memfs.OpClose}
	m.failing = rapid.SampledFrom(ops).Draw(t, "op")
	m.after = rapid.IntRange(0, 2).Draw(t, "after")
}

func (m *machine) capacity(t *rapid.T) {
	m.fs.SetCapacity(rapid.SampledFrom([]int64{0, 3000, 9000, 20000, memfs.Unlimited}).Draw(t, "capacity"))
}

// crash loses power, perhaps once more while the log is being opened.
func (m *machine) crash(t *rapid.T) {
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	m.use(m.fs.Crash(rng))
	for rapid.IntRange(0, 2).Draw(t, "again") == 0 {
		m.fault(t)
		_, _, err := Open(m.options(), func(Frame) error { return nil })
		if err != nil {
			require.ErrorIs(t, err, errInjected)
		}
		m.use(m.fs.Crash(rng))
	}
	m.open()
}

// kill ends the process, but not the machine; the log's files stay as they are.
func (m *machine) kill(*rapid.T) {
	m.use(m.fs)
	m.open()
}

func (m *machine) closeAndOpen(t *rapid.T) {
	if m.log.Close() == nil && rapid.Bool().Draw(t, "crash") {
		m.use(m.fs.Crash(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))))
	}
	m.use(m.fs)
	m.open()
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		t.Repeat(map[string]func(*rapid.T){
			"append":  m.append,
			"append2": m.append,
			"cut":     m.cut,
			"fault":   m.fault,
			"space":   m.capacity,
			"crash":   m.crash,
			"kill":    m.kill,
			"close":   m.closeAndOpen,
		})
	})
}

// TestModelWithoutSync has no power cuts: those may lose frames then.
func TestModelWithoutSync(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newMachine(t)
		m.sync = false
		m.open()
		t.Repeat(map[string]func(*rapid.T){
			"append": m.append,
			"cut":    m.cut,
			"space":  m.capacity,
			"kill":   m.kill,
			"close":  m.closeAndOpen,
		})
	})
}
