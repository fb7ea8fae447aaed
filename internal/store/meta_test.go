package store_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

var (
	metaSeed   = flag.Uint64("store.seed", 0, "play TestMetamorphic with this seed only")
	metaRounds = flag.Uint64("store.rounds", 40, "how many seeds TestMetamorphic plays")
)

// TestMetamorphic plays random operations, faults and crashes among them, and
// holds what the store says to a ledger of what it acknowledged. A failure
// names its seed; -store.seed plays it again.
func TestMetamorphic(t *testing.T) {
	first, last := uint64(1), *metaRounds
	if !thorough {
		last = min(last, 8)
	}
	if *metaSeed != 0 {
		first, last = *metaSeed, *metaSeed
	}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newPlay(t, seed).run() })
		})
	}
}

// play is one round: a store on a file system in memory.
type play struct {
	t      *testing.T
	random *rand.Rand
	fs     *memfs.FS
	cfg    store.Config
	store  store.Store
	ledger *ledger
	log    []string
	// recorder follows the store in half of the rounds, those that keep all.
	follows  bool
	recorder *recorder
}

func newPlay(t *testing.T, seed uint64) *play {
	random := rand.New(rand.NewPCG(seed, 99))
	p := &play{t: t, random: random, fs: memfs.New()}
	p.cfg = store.Config{
		Directory:    "/data/store",
		CutBytes:     int64(2000 + random.IntN(20000)),
		CutSpans:     20 + random.IntN(200),
		MaxOpenCalls: 1 + random.IntN(20),
		ReserveBytes: 1024,
		CutAge:       time.Duration(1+random.IntN(300)) * time.Second,
	}
	if random.IntN(3) == 0 {
		p.cfg.Retention.MaxAge = time.Minute
	}
	p.follows = p.cfg.Retention.MaxAge == 0 && seed%2 == 0
	p.ledger = &ledger{maxAge: p.cfg.Retention.MaxAge, records: map[storetest.Identity]*record{}, bare: map[string]*count{}}
	p.open()
	t.Cleanup(func() { _ = p.store.Close(context.Background()) })
	return p
}

func (p *play) open() {
	p.cfg.FS = p.fs
	if p.follows {
		p.recorder = newRecorder()
		p.cfg.Follower = p.recorder
	}
	var err error
	p.store, err = store.Open(p.cfg)
	p.must(err)
}

// must fails the test with what led here.
func (p *play) must(err error) {
	p.t.Helper()
	if err != nil {
		require.NoErrorf(p.t, err, "after\n%s", strings.Join(p.log, "\n"))
	}
}

func (p *play) run() {
	for range 60 {
		op := p.pick()
		p.log = append(p.log, op.name)
		op.do(p)
		if *metaSeed != 0 {
			p.check() // to see the first operation after which something is wrong
		}
	}
	p.check()
	p.must(p.store.Close(context.Background()))
	require.Empty(p.t, p.fs.OpenFiles())
}

type operation struct {
	name   string
	weight int
	do     func(*play)
}

var operations = []operation{
	{"write", 60, (*play).write},
	{"write from several goroutines", 10, (*play).writeTogether},
	{"cut", 8, func(p *play) { p.must(store.Cut(p.store)) }},
	{"rotate", 4, func(p *play) { p.must(store.Rotate(p.store)) }},
	{"compact", 5, func(p *play) { p.must(store.Compact(p.store)) }},
	{"let time pass", 4, func(p *play) { time.Sleep(time.Duration(p.random.IntN(90)) * time.Second) }},
	{"reopen", 4, (*play).reopen},
	{"crash", 5, (*play).crash},
	{"fail", 6, (*play).fail},
	{"fill the disk", 2, (*play).fillDisk},
	{"check", 8, (*play).check},
}

func (p *play) pick() operation {
	total := 0
	for _, o := range operations {
		total += o.weight
	}
	n := p.random.IntN(total)
	for _, o := range operations {
		if n -= o.weight; n < 0 {
			return o
		}
	}
	panic("weights do not add up")
}

// request makes a few spans out of few ids, in traces from..from+2.
func (p *play) request(from uint64) ptrace.Traces {
	specs := make([]storetest.Spec, 1+p.random.IntN(15))
	for i := range specs {
		specs[i] = storetest.Spec{
			Service: pick(p.random, "a", "b"),
			Trace:   from + p.random.Uint64N(3),
			Span:    p.random.Uint64N(12),
			Parent:  p.random.Uint64N(4),
			Kind:    pick(p.random, ptrace.SpanKindClient, ptrace.SpanKindServer),
			Name:    pick(p.random, "x", "y", strings.Repeat("long", 50)),
			Start:   p.random.Uint64N(100),
			State:   pick(p.random, "", causal.CallOpen, causal.CallReturned),
			Event:   pick(p.random, "", "a", "b", "c"),
			Return:  pick(p.random, "", "", "r"),
			Group:   pick(p.random, "", "", "g", "h"),
		}
		if p.follows { // a span is known again by its start
			specs[i].Start = 17 * (specs[i].Span + uint64(specs[i].Kind)) % 100
		}
		for range p.random.IntN(3) {
			specs[i].Links = append(specs[i].Links, 1+p.random.Uint64N(4))
		}
	}
	return storetest.Traces(specs...)
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

func (p *play) write() {
	td := p.request(p.random.Uint64N(3))
	for range 1 + p.random.IntN(2) { // sometimes once more
		p.note(td, p.store.Write(context.Background(), td))
	}
}

func (p *play) note(td ptrace.Traces, err error) {
	var unavailable *store.UnavailableError
	if err != nil && !errors.As(err, &unavailable) {
		p.must(err)
	}
	p.ledger.add(td, err == nil)
}

func (p *play) writeTogether() {
	const writers = 4
	requests, errs := make([]ptrace.Traces, writers), make([]error, writers)
	var wg sync.WaitGroup
	for i := range writers {
		requests[i] = p.request(uint64(10 + 3*i))
		wg.Go(func() { errs[i] = p.store.Write(context.Background(), requests[i]) })
	}
	wg.Wait()
	for i := range writers {
		p.note(requests[i], errs[i])
	}
}

func (p *play) reopen() {
	p.must(p.store.Close(context.Background()))
	require.Empty(p.t, p.fs.OpenFiles())
	p.open()
}

// crash goes on with what a power cut would leave.
func (p *play) crash() {
	if p.random.IntN(2) == 0 {
		p.must(store.Rotate(p.store)) // the keeper may be anywhere now
	}
	after := p.fs.Crash(p.random)
	p.must(p.store.Close(context.Background()))
	p.fs = after
	p.open()
	p.check()
}

// fail lets a few operations of one kind fail, and work go on meanwhile.
func (p *play) fail() {
	op := pick(p.random, memfs.OpCreate, memfs.OpOpen, memfs.OpRename, memfs.OpRemove, memfs.OpSyncDir,
		memfs.OpWrite, memfs.OpSync, memfs.OpTruncate, memfs.OpPreallocate)
	left, cause := 1+p.random.IntN(4), pick[error](p.random, syscall.EIO, syscall.ENOSPC)
	p.log = append(p.log, fmt.Sprintf("  %s fails %d times: %v", op, left, cause))
	var mu sync.Mutex
	p.fs.SetHook(func(o memfs.Op, name string) error {
		mu.Lock()
		defer mu.Unlock()
		if o != op || left == 0 {
			return nil
		}
		left--
		return cause
	})
	for range 4 {
		p.write()
	}
	_ = store.Rotate(p.store) // may fail; then the head stays
	p.write()
	time.Sleep(10 * time.Second)
	p.fs.SetHook(nil)
	p.recovers()
}

func (p *play) fillDisk() {
	p.fs.SetCapacity(int64(p.random.IntN(3000)))
	for range 6 {
		p.write()
	}
	_ = store.Rotate(p.store)
	p.write()
	p.fs.SetCapacity(memfs.Unlimited)
	p.recovers()
}

// recovers holds the store to be well again when nothing fails any more.
func (p *play) recovers() {
	time.Sleep(time.Minute)
	p.must(store.Cut(p.store))
	td := storetest.Traces(storetest.Spec{Trace: 50, Span: 1})
	err := p.store.Write(context.Background(), td)
	p.must(err)
	p.ledger.add(td, true)
	require.Empty(p.t, p.store.Stats().Trouble)
}

func (p *play) check() {
	p.log = append(p.log, fmt.Sprintf("  %+v", p.store.Stats()))
	p.must(p.ledger.check(p.store))
	if p.follows {
		p.must(p.recorder.check(p.store))
	}
	require.Equal(p.t, "", p.store.Stats().Trouble, strings.Join(p.log, "\n"))
}
