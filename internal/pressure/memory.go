package pressure

import (
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// cgroupShare is how much of a cgroup's limit may be Go's: the page cache's
// dirty pages and the kernel's own live in there too.
const cgroupShare = 0.9

// comfortable is the part of the limit up to which what is needed is no
// pressure at all: tables that are bounded are meant to be full. Above, the
// garbage collector runs ever more often for ever less room, and at 1 it does
// nothing else.
const comfortable = 0.75

// collectAfter is how old the figure of live memory may become while it says
// that there is pressure. The runtime collects by growth, so after a load has
// ended it would stay as it was for minutes.
const collectAfter = 5 * time.Second

// worthCollecting is the reading from which an old figure is renewed.
const worthCollecting = 0.3

// memory reads how much of its limit the process needs: what the last garbage
// collection found alive, and what the runtime takes beside the heap. Not what
// the process has resident: the collector lets garbage grow up to the limit,
// so that would be near 1 in good times too.
type memory struct {
	limit   uint64
	of      string // where the limit comes from
	samples []metrics.Sample
	collect func()
	now     func() time.Time

	cycles uint64
	since  time.Time // of cycles
}

// The samples, by index.
const (
	sampleLive = iota
	sampleTotal
	sampleObjects
	sampleUnused
	sampleFree
	sampleReleased
	sampleCycles
)

var memorySamples = []string{
	sampleLive:     "/gc/heap/live:bytes",
	sampleTotal:    "/memory/classes/total:bytes",
	sampleObjects:  "/memory/classes/heap/objects:bytes",
	sampleUnused:   "/memory/classes/heap/unused:bytes",
	sampleFree:     "/memory/classes/heap/free:bytes",
	sampleReleased: "/memory/classes/heap/released:bytes",
	sampleCycles:   "/gc/cycles/total:gc-cycles",
}

// NewMemory returns the source of Memory. The limit is GOMEMLIMIT, or a
// cgroup's where that is lower; without one there are no readings.
func NewMemory() Source {
	return newMemory(memoryLimit(memlimit.FromCgroup)).read
}

func newMemory(limit uint64, of string) *memory {
	m := &memory{limit: limit, of: of, samples: make([]metrics.Sample, len(memorySamples)), collect: runtime.GC, now: time.Now}
	for i, name := range memorySamples {
		m.samples[i].Name = name
	}
	return m
}

// memoryLimit returns 0 where there is none.
func memoryLimit(cgroup func() (uint64, error)) (limit uint64, of string) {
	sample := []metrics.Sample{{Name: "/gc/gomemlimit:bytes"}}
	metrics.Read(sample)
	if set := sample[0].Value.Uint64(); set != math.MaxInt64 {
		limit, of = set, "GOMEMLIMIT"
	}
	if all, err := cgroup(); err == nil && all > 0 {
		if share := uint64(float64(all) * cgroupShare); limit == 0 || share < limit {
			limit, of = share, "the cgroup's limit"
		}
	}
	return limit, of
}

func (m *memory) read() []Reading {
	if m.limit == 0 {
		return nil
	}
	metrics.Read(m.samples)
	value := func(i int) uint64 { return m.samples[i].Value.Uint64() }
	heap := value(sampleObjects) + value(sampleUnused) + value(sampleFree) + value(sampleReleased)
	needed := value(sampleLive) + value(sampleTotal) - heap
	reading := (float64(needed)/float64(m.limit) - comfortable) / (1 - comfortable)
	now := m.now()
	if cycles := value(sampleCycles); cycles != m.cycles {
		m.cycles, m.since = cycles, now
	} else if reading >= worthCollecting && now.Sub(m.since) >= collectAfter {
		m.since = now
		go m.collect()
	}
	return []Reading{{
		Kind: Memory, Value: reading, Held: int64(needed), Limit: int64(m.limit),
		Words: fmt.Sprintf("%.0f MiB of memory are needed, %s is %.0f MiB", mib(needed), m.of, mib(m.limit)),
	}}
}

func mib(n uint64) float64 { return float64(n) / (1 << 20) }
