package store_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
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
	p.ledger = &ledger{maxAge: p.cfg.Retention.MaxAge, records: map[storetest.Identity]*record{}, bare: map[string]*count{}}
	p.open()
	t.Cleanup(func() { _ = p.store.Close(context.Background()) })
	return p
}

func (p *play) open() {
	p.cfg.FS = p.fs
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
			Kind:    pick(p.random, ptrace.SpanKindClient, ptrace.SpanKindServer),
			Name:    pick(p.random, "x", "y", strings.Repeat("long", 50)),
			Start:   p.random.Uint64N(100),
			State:   pick(p.random, "", causal.CallOpen, causal.CallReturned),
			Event:   pick(p.random, "", "a", "b", "c"),
			Return:  pick(p.random, "", "", "r"),
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
	require.Equal(p.t, "", p.store.Stats().Trouble, strings.Join(p.log, "\n"))
}

// ledger is what the store was given, and whether it acknowledged it.
type ledger struct {
	maxAge time.Duration

	mu      sync.Mutex // for add and clone
	records map[storetest.Identity]*record
	bare    map[string]*count // spans without identity, by what they are
}

type record struct{ versions []version }

type version struct {
	storetest.Plain
	acked bool
	at    time.Time
}

// count is how often a span without identity must and may be there.
type count struct{ least, most int }

func (l *ledger) add(td ptrace.Traces, acked bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range storetest.Split(td) {
		id, ok := p.Identity()
		if !ok {
			l.addBare(p, acked)
			continue
		}
		if l.records[id] == nil {
			l.records[id] = &record{}
		}
		l.records[id].versions = append(l.records[id].versions, version{p, acked, time.Now()})
	}
}

func bareKey(p storetest.Plain) string { return p.Body + "\x00" + strings.Join(p.Links, "\x00") }

func (l *ledger) addBare(p storetest.Plain, acked bool) {
	c := l.bare[bareKey(p)]
	if c == nil {
		c = &count{}
		l.bare[bareKey(p)] = c
	}
	c.most++
	if acked && l.maxAge == 0 {
		c.least++
	}
}

// certain reports whether every version is known to be stored and kept.
func (l *ledger) certain(r *record) bool {
	return !slices.ContainsFunc(r.versions, func(v version) bool { return !v.acked || l.expired(v) })
}

func (l *ledger) expired(v version) bool { return l.maxAge > 0 && time.Since(v.at) >= l.maxAge }

func (l *ledger) check(s store.Store) error {
	found, err := readAll(s)
	if err != nil {
		return err
	}
	bare := map[string]int{}
	stored := map[storetest.Identity]storetest.Plain{}
	for _, p := range found {
		if id, ok := p.Identity(); ok {
			stored[id] = p
		} else {
			bare[bareKey(p)]++
		}
	}
	for id, p := range stored {
		if l.records[id] == nil {
			return fmt.Errorf("invented: %s", p)
		}
	}
	for id, r := range l.records {
		p, ok := stored[id]
		if err := l.checkRecord(r, p, ok); err != nil {
			return err
		}
	}
	for key, n := range bare {
		if l.bare[key] == nil || n > l.bare[key].most {
			return fmt.Errorf("span without identity is there %d times: %q", n, key)
		}
	}
	for key, c := range l.bare {
		if bare[key] < c.least {
			return fmt.Errorf("span without identity is there %d times, not %d: %q", bare[key], c.least, key)
		}
	}
	return checkLookups(s, found)
}

func (l *ledger) checkRecord(r *record, p storetest.Plain, found bool) error {
	if !found {
		if slices.ContainsFunc(r.versions, func(v version) bool { return v.acked && !l.expired(v) }) && !slices.ContainsFunc(r.versions, l.expired) {
			return fmt.Errorf("lost: %s", r.versions[0])
		}
		return nil
	}
	if l.certain(r) {
		if want := r.fold(); !want.Equal(p) {
			return fmt.Errorf("want %s\n got %s\nlinks %q\n  got %q\nversions%s", want, p, want.Links, p.Links, r.describe())
		}
		return nil
	}
	return l.checkUncertain(r, p)
}

// checkUncertain checks a span of which some versions may be missing.
func (l *ledger) checkUncertain(r *record, p storetest.Plain) error {
	known := false
	var most []string
	for _, v := range r.versions {
		known = known || v.Body == p.Body
		most = append(most, v.Links...)
		if !v.acked || slices.ContainsFunc(r.versions, l.expired) {
			continue
		}
		if !v.Open() && p.Open() {
			return fmt.Errorf("open, but complete was acknowledged: %s", p)
		}
		for _, link := range v.Links {
			if !slices.Contains(p.Links, link) {
				return fmt.Errorf("link lost: %s", p)
			}
		}
	}
	if !known {
		return fmt.Errorf("no version looks like %s", p)
	}
	for _, link := range p.Links {
		if !slices.Contains(most, link) {
			return fmt.Errorf("link invented: %s", p)
		}
	}
	return nil
}

func (r *record) describe() (s string) {
	for _, v := range r.versions {
		s += fmt.Sprintf("\n%s acked=%v links=%q %s", v.at.Format(time.TimeOnly), v.acked, v.Links, v.Plain)
	}
	return s
}

// fold is the contract: what becomes of versions in their order.
func (r *record) fold() storetest.Plain {
	p := r.versions[0].Plain
	for _, v := range r.versions[1:] {
		if p.Open() && !v.Open() {
			p = storetest.Union(v.Plain, p)
		} else {
			p = storetest.Union(p, v.Plain)
		}
	}
	return p
}

// readAll reads every trace.
func readAll(s store.Store) ([]storetest.Plain, error) {
	var all []storetest.Plain
	for trace := range uint64(60) {
		spans, err := s.Trace(context.Background(), storetest.TraceID(trace))
		if err != nil {
			return nil, err
		}
		last, seen := uint64(0), map[storetest.Identity]bool{}
		for _, span := range spans {
			p, err := storetest.Decode(span)
			if err != nil {
				return nil, err
			}
			if id, ok := p.Identity(); ok && seen[id] {
				return nil, fmt.Errorf("twice in its trace: %s", p)
			} else if ok {
				seen[id] = true
			}
			if start := uint64(p.Span().StartTimestamp()); start < last {
				return nil, fmt.Errorf("trace out of order at %s", p)
			} else {
				last = start
			}
			all = append(all, p)
		}
	}
	return all, nil
}

// checkLookups holds Event and Scan to what Trace said.
func checkLookups(s store.Store, all []storetest.Plain) error {
	for _, id := range []string{"a", "b", "c", "r", "none"} {
		spans, err := s.Event(context.Background(), id)
		if err != nil {
			return err
		}
		if err := sameSpans(all, spans, func(p storetest.Plain) bool { return p.HasEvent(id) }); err != nil {
			return fmt.Errorf("event %q: %w", id, err)
		}
		if !slices.IsSortedFunc(spans, func(a, b store.Span) int { return int(b.Received - a.Received) }) {
			return fmt.Errorf("event %q: not by arrival", id)
		}
	}
	open, err := collect(s, store.ScanOptions{OpenCalls: true})
	if err != nil {
		return err
	}
	if err := sameSpans(all, open, storetest.Plain.Open); err != nil {
		return fmt.Errorf("scan of open calls: %w", err)
	}
	return checkScan(s, all)
}

func collect(s store.Store, opts store.ScanOptions) (spans []store.Span, err error) {
	for span, err := range s.Scan(context.Background(), opts) {
		if err != nil {
			return nil, err
		}
		spans = append(spans, span)
	}
	return spans, nil
}

// checkScan checks that a scan yields the same identities, and nothing else.
func checkScan(s store.Store, all []storetest.Plain) error {
	spans, err := collect(s, store.ScanOptions{})
	if err != nil {
		return err
	}
	known, bare := map[storetest.Identity]bool{}, 0
	for _, p := range all {
		id, ok := p.Identity()
		known[id] = true
		if !ok {
			bare++
		}
	}
	seen := map[storetest.Identity]bool{}
	for _, span := range spans {
		p, err := storetest.Decode(span)
		if err != nil {
			return err
		}
		id, ok := p.Identity()
		if !ok {
			bare--
		} else if !known[id] {
			return fmt.Errorf("scan: only there: %s", p)
		}
		seen[id] = true
	}
	if bare != 0 {
		return fmt.Errorf("scan: %d spans without identity are missing", bare)
	}
	for id := range known {
		if !seen[id] {
			return fmt.Errorf("scan: missing %x", id.Span)
		}
	}
	return nil
}

// sameSpans compares spans with those of all that match.
func sameSpans(all []storetest.Plain, spans []store.Span, match func(storetest.Plain) bool) error {
	var want, got []string
	for _, p := range all {
		if match(p) {
			want = append(want, bareKey(p))
		}
	}
	for _, span := range spans {
		p, err := storetest.Decode(span)
		if err != nil {
			return err
		}
		got = append(got, bareKey(p))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		return fmt.Errorf("%d spans, not %d", len(got), len(want))
	}
	return nil
}
