package pressure

import (
	"errors"
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// limitedTo sets GOMEMLIMIT for a test.
func limitedTo(t *testing.T, limit int64) {
	before := debug.SetMemoryLimit(limit)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
}

func TestMemoryLimit(t *testing.T) {
	const gib = 1 << 30
	none := func() (uint64, error) { return 0, errors.New("no cgroup") }
	cgroup := func(limit uint64) func() (uint64, error) { return func() (uint64, error) { return limit, nil } }
	for name, test := range map[string]struct {
		gomemlimit int64
		cgroup     func() (uint64, error)
		limit      uint64
		of         string
	}{
		"none":                  {math.MaxInt64, none, 0, ""},
		"a cgroup without one":  {math.MaxInt64, cgroup(0), 0, ""},
		"GOMEMLIMIT":            {gib, none, gib, "GOMEMLIMIT"},
		"cgroup":                {math.MaxInt64, cgroup(1000), 900, "the cgroup's limit"},
		"the cgroup's is lower": {gib, cgroup(1000), 900, "the cgroup's limit"},
		"GOMEMLIMIT is lower":   {gib, cgroup(2 * gib), gib, "GOMEMLIMIT"},
	} {
		t.Run(name, func(t *testing.T) {
			limitedTo(t, test.gomemlimit)
			limit, of := memoryLimit(test.cgroup)
			require.Equal(t, test.limit, limit)
			require.Equal(t, test.of, of)
		})
	}
}

func TestMemoryReads(t *testing.T) {
	const limit = 320 << 20
	live := make([]byte, 280<<20)
	runtime.GC()
	readings := newMemory(limit, "GOMEMLIMIT").read()
	require.Len(t, readings, 1)
	require.Equal(t, Memory, readings[0].Kind)
	require.InDelta(t, (280.0/320-comfortable)/(1-comfortable), readings[0].Value, 0.25, "with what the runtime takes")
	require.Regexp(t, `^\d+ MiB of memory are needed, GOMEMLIMIT is 320 MiB$`, readings[0].Words)
	runtime.KeepAlive(live)

	before := debug.SetGCPercent(-1)
	garbage := make([]byte, 40<<20)
	runtime.KeepAlive(garbage)
	again := newMemory(limit, "GOMEMLIMIT").read()
	debug.SetGCPercent(before)
	require.InDelta(t, readings[0].Value, again[0].Value, 0.1, "what has come since the last collection may be garbage")
	require.LessOrEqual(t, newMemory(4<<30, "GOMEMLIMIT").read()[0].Value, 0.0, "there is plenty")

	limitedTo(t, 1<<30)
	require.Len(t, NewMemory()(), 1)
}

func TestMemoryWithoutALimit(t *testing.T) {
	require.Empty(t, newMemory(0, "").read())
}

// After a load nobody allocates, so nobody collects: the figure is renewed.
func TestOldFigureOfMemoryIsRenewed(t *testing.T) {
	before := debug.SetGCPercent(-1) // no collection but the test's
	t.Cleanup(func() { debug.SetGCPercent(before) })
	runtime.GC()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(1, "GOMEMLIMIT") // far beyond it
		collected := 0
		m.collect = func() { collected++ }
		after := func(d time.Duration) {
			time.Sleep(d)
			m.read()
			synctest.Wait()
		}
		after(0)
		after(collectAfter - 1)
		require.Zero(t, collected, "it is fresh")
		after(1)
		require.Equal(t, 1, collected)
		after(collectAfter - 1)
		require.Equal(t, 1, collected, "once each time")
		after(1)
		require.Equal(t, 2, collected)

		after(collectAfter - 1)
		runtime.GC()
		after(1)
		after(collectAfter - 1)
		require.Equal(t, 2, collected, "the runtime has collected")

		m.limit = math.MaxInt64
		after(1)
		require.Equal(t, 2, collected, "nobody is in need")
	})
}
