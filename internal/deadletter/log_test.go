package deadletter

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/vfs"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

func letter(payload string) Letter {
	return Letter{Source: "event", Format: "json", Reason: "kind: unknown", Payload: []byte(payload)}
}

func id(n uint64) string { return formatID(n) }

func payloads(t testing.TB, log *Log) []string {
	letters, more, err := log.List("", 1000, true)
	require.NoError(t, err)
	require.False(t, more)
	out := []string{}
	for _, l := range letters {
		out = append(out, string(l.Payload))
	}
	return out
}

func TestLogOnTheRealFileSystem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	open := func() *Log {
		log, err := Open(vfs.OS, dir, 1<<20, func() time.Time { return time.Unix(7, 8) })
		require.NoError(t, err)
		return log
	}
	log := open()
	require.Equal(t, Stats{}, log.Stats())
	require.NoError(t, log.Add())
	require.NoError(t, log.Add(letter("a"), letter("")))
	require.NoError(t, log.Add(letter("c")))
	require.NoError(t, log.Remove(id(2), id(9)))
	require.NoError(t, log.Close())
	require.NoError(t, log.Close())

	log = open()
	defer func() { require.NoError(t, log.Close()) }()
	want := Stored{ID: id(1), Time: time.Unix(7, 8).UTC(), Letter: letter("a"), Bytes: 1}
	got, ok, err := log.Get(id(1))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, want, got)
	_, ok, err = log.Get(id(2))
	require.NoError(t, err)
	require.False(t, ok)
	require.Equal(t, []string{"a", "c"}, payloads(t, log))
	stats := log.Stats()
	require.Equal(t, Stats{Count: 2, Bytes: stats.Bytes, Oldest: time.Unix(7, 8).UTC()}, stats)

	var locked *vfs.LockedError
	_, err = Open(vfs.OS, dir, 1<<20, time.Now)
	require.ErrorAs(t, err, &locked)
}

func TestListPages(t *testing.T) {
	log := openAt(t, memfs.New(), 1<<20)
	for _, p := range []string{"a", "b", "c", "d", "e"} {
		require.NoError(t, log.Add(letter(p)))
	}
	require.NoError(t, log.Remove(id(3)))
	var pages []string
	for after, more := "", true; more; {
		letters, next, err := log.List(after, 2, false)
		require.NoError(t, err)
		page := ""
		for _, l := range letters {
			require.Nil(t, l.Payload)
			require.Equal(t, 1, l.Bytes)
			page += l.ID[15:]
			after = l.ID
		}
		pages, more = append(pages, page), next
	}
	require.Equal(t, []string{"12", "45"}, pages)
	letters, more, err := log.List(id(5), 2, false)
	require.NoError(t, err)
	require.Empty(t, letters)
	require.False(t, more)
}

func TestListIsBoundedInBytes(t *testing.T) {
	log := openAt(t, memfs.New(), 64<<20)
	big := strings.Repeat("x", maxListBytes/2)
	require.NoError(t, log.Add(letter(big+big), letter(big), letter("small"), letter(big)))
	for after, want := range map[string]int{"": 1, id(1): 2, id(2): 2} {
		letters, more, err := log.List(after, 10, true)
		require.NoError(t, err)
		require.Len(t, letters, want, after)
		require.Equal(t, after != id(2), more)
	}
}

func TestBadIDs(t *testing.T) {
	log := openAt(t, memfs.New(), 1<<20)
	for _, bad := range []string{"", "1", "000000000000000G", "000000000000000A", "00000000000000001", "-000000000000001"} {
		require.ErrorContains(t, log.Remove(bad), "is no dead letter id: it has 16 lower hex digits")
		_, _, err := log.Get(bad)
		require.ErrorContains(t, err, "is no dead letter id")
		if bad != "" {
			_, _, err = log.List(bad, 1, false)
			require.ErrorContains(t, err, `after: "`+bad)
		}
	}
}

func TestClosed(t *testing.T) {
	log, err := Open(memfs.New(), "letters", 1<<20, time.Now)
	require.NoError(t, err)
	require.NoError(t, log.Close())
	require.ErrorIs(t, log.Add(letter("a")), ErrClosed)
	require.ErrorIs(t, log.Remove(id(1)), ErrClosed)
	_, _, err = log.List("", 1, false)
	require.ErrorIs(t, err, ErrClosed)
	_, _, err = log.Get(id(1))
	require.ErrorIs(t, err, ErrClosed)
	require.Equal(t, Stats{}, log.Stats())
}

func TestOldestMakeRoom(t *testing.T) {
	const bound = 4096
	log := openAt(t, memfs.New(), bound)
	for i := range 100 {
		require.NoError(t, log.Add(letter(fmt.Sprintf("%03d%s", i, strings.Repeat("x", 100)))))
		require.LessOrEqual(t, log.Stats().Bytes, int64(bound))
	}
	stats := log.Stats()
	require.Equal(t, 100, stats.Count+int(stats.Dropped))
	require.Greater(t, stats.Count, 15)
	held := payloads(t, log)
	require.Equal(t, "099", held[len(held)-1][:3])

	require.NoError(t, log.Add(letter(strings.Repeat("y", bound-100))))
	require.Len(t, payloads(t, log), 1)
	err := log.Add(letter(strings.Repeat("y", bound)))
	require.ErrorIs(t, err, ErrTooLarge)
	require.EqualError(t, err, "1 dead letters of 4136 bytes: more than all dead letters may take, 4096 bytes")
	require.Len(t, payloads(t, log), 1)
}

func TestRemovedSegmentsGo(t *testing.T) {
	fsys := memfs.New()
	log := openAt(t, fsys, 1<<16)
	var ids []string
	for i := range 60 {
		require.NoError(t, log.Add(letter(strings.Repeat("x", 1000))))
		ids = append(ids, id(uint64(i+1)))
	}
	before := log.Stats().Bytes
	require.NoError(t, log.Remove(ids[:40]...))
	require.Less(t, log.Stats().Bytes, before*2/3)
	require.NoError(t, log.Remove(ids...))
	require.Equal(t, Stats{Bytes: int64(headerBytes)}, log.Stats())
	names, err := fsys.ReadDir("letters")
	require.NoError(t, err)
	require.Equal(t, []string{id(61) + ".dead", "LOCK"}, names)
	require.NoError(t, log.Add(letter("again")))
	letters, _, err := log.List("", 9, true)
	require.NoError(t, err)
	require.Equal(t, id(61), letters[0].ID)
}

func TestConcurrentUse(t *testing.T) {
	log := openAt(t, memfs.New(), 1<<20)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 20 {
				if err := log.Add(letter(fmt.Sprint(i, j))); err != nil {
					t.Error(err)
				}
				letters, _, err := log.List("", 10, true)
				if err != nil || len(letters) == 0 {
					t.Error(err)
				}
				log.Stats()
				if j%3 == 0 {
					if err := log.Remove(id(uint64(i*20 + j + 1))); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// damage changes a byte of the file whose name ends so.
func damage(t *testing.T, fsys *memfs.FS, name string, at int64) {
	f, err := fsys.OpenReadWrite(filepath.Join("letters", name))
	require.NoError(t, err)
	b := []byte{0}
	require.NoError(t, vfs.ReadFull(f, b, at))
	b[0] ^= 0x40
	_, err = f.WriteAt(b, at)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func twoSegments(t *testing.T) *memfs.FS {
	fsys := memfs.New()
	log, err := Open(fsys, "letters", 4096, time.Now)
	require.NoError(t, err)
	require.NoError(t, log.Add(letter(strings.Repeat("a", 600))))
	require.NoError(t, log.Add(letter(strings.Repeat("b", 600))))
	require.NoError(t, log.Add(letter(strings.Repeat("c", 100))))
	require.NoError(t, log.Close())
	return fsys
}

func TestDamage(t *testing.T) {
	for _, c := range []struct {
		name string
		at   int64
		err  string
	}{
		{id(1) + ".dead", 3, `dead letters: "letters/0000000000000001.dead" is damaged at byte 0: move it away to start without it`},
		{id(1) + ".dead", 300, `dead letters: "letters/0000000000000001.dead" is damaged at byte 20: move it away to start without it`},
		{id(2) + ".dead", 10, `dead letters: "letters/0000000000000002.dead" is damaged at byte 0: move it away to start without it`},
	} {
		fsys := twoSegments(t)
		damage(t, fsys, c.name, c.at)
		_, err := Open(fsys, "letters", 4096, time.Now)
		require.EqualError(t, err, c.err)
		require.Empty(t, fsys.OpenFiles())
	}

	fsys := twoSegments(t)
	damage(t, fsys, id(2)+".dead", 700)
	log := openAt(t, fsys, 4096)
	require.Len(t, payloads(t, log), 2)
	require.NoError(t, log.Add(letter("d")))
	damage(t, fsys, id(1)+".dead", 300)
	_, _, err := log.Get(id(1))
	require.EqualError(t, err, `dead letter 0000000000000001 is damaged: "letters/0000000000000001.dead" at byte 20`)
	_, _, err = log.List("", 1, false)
	require.ErrorContains(t, err, "is damaged")
}

func TestForeignFilesStay(t *testing.T) {
	fsys := memfs.New()
	require.NoError(t, fsys.MkdirAll("letters"))
	for _, name := range []string{"README", "x.dead", id(0) + ".dead"} {
		f, err := fsys.Create("letters/" + name)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	log := openAt(t, fsys, 4096)
	require.NoError(t, log.Add(letter("a")))
	names, err := fsys.ReadDir("letters")
	require.NoError(t, err)
	require.Equal(t, []string{id(0) + ".dead", id(1) + ".dead", "LOCK", "README", "x.dead"}, names)
}

// failing makes the next operations of these kinds fail, one after the other,
// and the last kind for good if forever.
func failing(fsys *memfs.FS, forever bool, ops ...memfs.Op) {
	fsys.SetHook(func(op memfs.Op, _ string) error {
		if len(ops) == 0 || op != ops[0] {
			return nil
		}
		if !forever || len(ops) > 1 {
			ops = ops[1:]
		}
		return errFault
	})
}

func TestFailedSyncEndsTheSegment(t *testing.T) {
	fsys := memfs.New()
	log := openAt(t, fsys, 1<<20)
	require.NoError(t, log.Add(letter("a")))
	failing(fsys, false, memfs.OpSync)
	require.ErrorIs(t, log.Add(letter("b"), letter("c")), errFault)
	require.Equal(t, []string{"a"}, payloads(t, log))
	require.NoError(t, log.Add(letter("d")))
	letters, _, err := log.List("", 9, true)
	require.NoError(t, err)
	require.Equal(t, id(4), letters[1].ID, "the numbers of b and c are not used again")
	names, err := fsys.ReadDir("letters")
	require.NoError(t, err)
	require.Equal(t, []string{id(1) + ".dead", id(4) + ".dead", "LOCK"}, names)
}

func TestFailedRemovalKeepsTheLetter(t *testing.T) {
	fsys := memfs.New()
	log := openAt(t, fsys, 1<<20)
	require.NoError(t, log.Add(letter("a")))
	failing(fsys, false, memfs.OpSync)
	require.ErrorIs(t, log.Remove(id(1)), errFault)
	require.Equal(t, []string{"a"}, payloads(t, log))
	failing(fsys, false, memfs.OpSync)
	require.ErrorIs(t, log.Remove(id(1)), errFault, "no new segment")
	require.NoError(t, log.Remove(id(1)))
	require.Empty(t, payloads(t, log))
	require.NoError(t, log.Add(letter("b")))
	require.Equal(t, []string{"b"}, payloads(t, log))
}

// TestUnsyncedRecordsAreWrittenAgain restarts after a failed sync whose record
// could not be cut off: it can be read, but is not on disk.
func TestUnsyncedRecordsAreWrittenAgain(t *testing.T) {
	fsys := memfs.New()
	log, err := Open(fsys, "letters", 1<<20, time.Now)
	require.NoError(t, err)
	require.NoError(t, log.Add(letter("a")))
	failing(fsys, true, memfs.OpSync, memfs.OpTruncate)
	require.ErrorIs(t, log.Add(letter("b")), errFault)
	fsys.SetHook(nil)
	require.NoError(t, log.Close())

	log = openAt(t, fsys, 1<<20)
	require.NoError(t, log.Add(letter("c")))
	for seed := range uint64(20) {
		after := openAt(t, fsys.Crash(rand.New(rand.NewPCG(seed, 0))), 1<<20)
		require.Equal(t, []string{"a", "b", "c"}, payloads(t, after))
	}
}

func TestFullDisk(t *testing.T) {
	fsys := memfs.New()
	log := openAt(t, fsys, 1<<20)
	require.NoError(t, log.Add(letter("a")))
	fsys.SetCapacity(200)
	err := log.Add(letter(strings.Repeat("x", 500)))
	require.True(t, vfs.IsNoSpace(err), err)
	require.NoError(t, log.Add(letter("b")))
	require.Equal(t, []string{"a", "b"}, payloads(t, log))
}

// TestNamesAreNotTakenTwice fails the first write to a segment that has no
// letter yet: the next one must not take its name, and so its place.
func TestNamesAreNotTakenTwice(t *testing.T) {
	fsys := memfs.New()
	log := openAt(t, fsys, 1<<20)
	require.NoError(t, log.Add(letter("a")))
	failing(fsys, false, memfs.OpSync)
	require.ErrorIs(t, log.Add(letter("b")), errFault)
	syncs := 0
	fsys.SetHook(func(op memfs.Op, _ string) error {
		if op == memfs.OpSync {
			if syncs++; syncs == 2 { // the first is that of the new segment's header
				return errFault
			}
		}
		return nil
	})
	require.ErrorIs(t, log.Remove(id(1)), errFault)
	require.NoError(t, log.Add(letter("c")))
	names, err := fsys.ReadDir("letters")
	require.NoError(t, err)
	require.Equal(t, []string{id(1) + ".dead", id(3) + ".dead", id(4) + ".dead", "LOCK"}, names)
	require.Equal(t, []string{"a", "c"}, payloads(t, log))
}
