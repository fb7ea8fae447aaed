package deadletter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/vfs"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

const modelBytes = 8 << 10

var errFault = errors.New("fault")

// model is what a log must hold. A letter is known by its payload, which is
// unique.
type model struct {
	t     *rapid.T
	fsys  *memfs.FS
	log   *Log
	ids   map[string]string // of each payload ever seen, which never changes
	sure  []string          // payloads acknowledged and not removed, in order
	maybe map[string]bool   // payloads that a failed call leaves in doubt
	count int               // of letters made
	drops uint64            // last seen Stats.Dropped
	extra int64             // bytes of removal records so far, about
	// crashed says that files may be back that were deleted to make room, until
	// room is made again.
	crashed bool
}

func (m *model) open() {
	var err error
	m.log, err = Open(m.fsys, "d/letters", modelBytes, func() time.Time { return time.Unix(int64(m.count), 5) })
	require.NoError(m.t, err, m.fsys)
	m.drops = 0
}

func (m *model) add() {
	letters := make([]Letter, rapid.IntRange(0, 5).Draw(m.t, "letters"))
	var payloads []string
	for i := range letters {
		m.count++
		payload := fmt.Sprintf("%d:%s", m.count, strings.Repeat("x", rapid.IntRange(0, 1500).Draw(m.t, "size")))
		letters[i] = Letter{Source: "event", Format: "json", Reason: fmt.Sprint("reason ", m.count), Payload: []byte(payload)}
		payloads = append(payloads, payload)
	}
	err := m.log.Add(letters...)
	if err == nil {
		m.sure = append(m.sure, payloads...)
		m.crashed = m.crashed && len(letters) == 0
		return
	}
	for _, p := range payloads {
		m.maybe[p] = true
	}
}

func (m *model) remove() {
	if len(m.sure) == 0 {
		return
	}
	n := rapid.IntRange(1, len(m.sure)).Draw(m.t, "removals")
	from := rapid.IntRange(0, len(m.sure)-n).Draw(m.t, "from")
	var ids []string
	for _, p := range m.sure[from : from+n] {
		ids = append(ids, m.ids[p])
	}
	err := m.log.Remove(append(ids, formatID(1<<60))...)
	for _, p := range m.sure[from : from+n] {
		if err != nil {
			m.maybe[p] = true
		}
	}
	m.sure = append(m.sure[:from:from], m.sure[from+n:]...)
	m.extra += int64(frameBytes + 1 + 10*n)
}

// fault makes the k-th operation from now on fail, once or from then on.
func (m *model) fault() {
	left := rapid.IntRange(0, 6).Draw(m.t, "after")
	forever := rapid.Bool().Draw(m.t, "forever")
	m.fsys.SetHook(func(op memfs.Op, _ string) error {
		if op == memfs.OpRead || op == memfs.OpSize {
			return nil
		}
		if left--; left == -1 || left < 0 && forever {
			return errFault
		}
		return nil
	})
}

func (m *model) full() {
	if rapid.Bool().Draw(m.t, "full") {
		m.fsys.SetCapacity(int64(rapid.IntRange(100, 2*modelBytes).Draw(m.t, "capacity")))
	} else {
		m.heal()
	}
}

func (m *model) heal() {
	m.fsys.SetHook(nil)
	m.fsys.SetCapacity(memfs.Unlimited)
}

func (m *model) restart() {
	m.heal()
	require.NoError(m.t, m.log.Close())
	require.Empty(m.t, m.fsys.OpenFiles())
	m.open()
}

func (m *model) crash() {
	m.heal()
	m.fsys = m.fsys.Crash(rand.New(rand.NewPCG(rapid.Uint64().Draw(m.t, "seed"), 0)))
	m.crashed = true
	m.open()
}

// check holds the log against the model after each step.
func (m *model) check(t *rapid.T) {
	var held []string
	letters, more, err := m.log.List("", 1<<30, true)
	require.NoError(t, err)
	require.False(t, more)
	last := ""
	for _, l := range letters {
		p := string(l.Payload)
		require.Less(t, last, l.ID, "ids must order by age")
		last = l.ID
		if id, ok := m.ids[p]; ok {
			require.Equal(t, id, l.ID)
		}
		m.ids[p] = l.ID
		n, _, _ := strings.Cut(p, ":")
		require.Equal(t, "reason "+n, l.Reason)
		require.Equal(t, len(p), l.Bytes)
		if !m.maybe[p] {
			held = append(held, p)
		}
	}
	stats := m.log.Stats()
	gone := len(m.sure) - len(held)
	require.GreaterOrEqual(t, gone, 0)
	require.LessOrEqual(t, uint64(gone), stats.Dropped-m.drops, "letters are gone that were not counted as dropped")
	require.Equal(t, m.sure[gone:], append([]string{}, held...))
	for _, p := range m.sure[:gone] {
		m.maybe[p] = true
	}
	m.sure, m.drops = append([]string{}, m.sure[gone:]...), stats.Dropped
	require.Equal(t, len(letters), stats.Count)
	if !m.crashed {
		require.LessOrEqual(t, stats.Bytes, modelBytes+m.extra+int64(headerBytes))
	}
	if len(letters) > 0 {
		require.Equal(t, letters[0].Time, stats.Oldest)
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{t: t, fsys: memfs.New(), ids: map[string]string{}, maybe: map[string]bool{}, sure: []string{}}
		m.open()
		step := func(f func()) func(*rapid.T) {
			return func(t *rapid.T) { m.t = t; f() }
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": step(m.add), "add again": step(m.add), "remove": step(m.remove),
			"fault": step(m.fault), "full": step(m.full), "heal": step(m.heal),
			"restart": step(m.restart), "crash": step(m.crash),
			"": m.check,
		})
	})
}

// TestOpenFaults fails each operation of Open in turn; nothing stays open or
// locked, and the next Open finds all.
func TestOpenFaults(t *testing.T) {
	fsys := memfs.New()
	log := openAt(t, fsys, modelBytes)
	for i := range 12 {
		require.NoError(t, log.Add(Letter{Payload: []byte(strings.Repeat("x", 100*i))}))
	}
	require.NoError(t, log.Close())
	for fail := 0; ; fail++ {
		left := fail
		fsys.SetHook(func(memfs.Op, string) error {
			if left--; left == -1 {
				return errFault
			}
			return nil
		})
		log, err := Open(fsys, "letters", modelBytes, time.Now)
		fsys.SetHook(nil)
		if err == nil {
			require.Greater(t, fail, 10)
			require.NoError(t, log.Close())
			break
		}
		require.ErrorIs(t, err, errFault)
		require.Empty(t, fsys.OpenFiles(), fail)
	}
	log = openAt(t, fsys, modelBytes)
	require.Equal(t, 12, log.Stats().Count)
}

func openAt(t testing.TB, fsys vfs.FS, maxBytes int64) *Log {
	log, err := Open(fsys, "letters", maxBytes, func() time.Time { return time.Unix(7, 8) })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, log.Close()) })
	return log
}
