package correlate

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Workers that observe at once find what one would find.
func TestManyAtOnce(t *testing.T) {
	e := New(testConfig())
	const workers, each = 4, 300
	counts := make([]int, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			var out Result
			for i := range each {
				// Each worker's effects wait for the next worker's causes.
				e.Observe([]Observation{
					parse(t, fmt.Sprintf("e%d.%d process=p%d root: claim id m%d.%d", w, i, w, (w+1)%workers, i)),
					parse(t, fmt.Sprintf("c%d.%d process=p%d root: offer m%d.%d; fail", w, i, w, w, i)),
				}, int64(i), &out)
				counts[w] += out.Count(0) + out.Count(1)
			}
		})
	}
	all.Wait()
	found := 0
	for _, n := range counts {
		found += n
	}
	require.Equal(t, workers*each, found)
	s := e.Stats()
	require.Zero(t, s.Live.Effects)
	require.Equal(t, int64(workers*each), s.Live.Causes)
	require.EqualValues(t, workers, e.failed.Load())
}

// Whatever comes, no more is remembered than may be, and it is forgotten in
// time.
func TestBoundsHold(t *testing.T) {
	c := testConfig()
	c.MaxEntries, c.MaxBytes = 20_000, 1_000_000
	e := New(c)
	var out Result
	for i := range 20000 {
		o := parse(t, fmt.Sprintf("s%d root process=p%d correlation=order-%d: offer k%d; claim id m%d; send q%d a; arrive m%d; set v%d x; fail", i, i, i, i, i, i%7, i, i))
		e.Observe([]Observation{o}, int64(i)*1e6, &out)
		s := e.Stats()
		require.LessOrEqual(t, s.Entries, int64(c.MaxEntries)+shards)
		require.LessOrEqual(t, s.Bytes, c.MaxBytes+shards*(entryBytes+wordPage))
	}
	before := e.Stats()
	require.Positive(t, before.EvictedOffers)
	require.Positive(t, before.EvictedClaims)
	require.Equal(t, before.EvictedEarly > 0, true)
	for i := range 4 * shards { // that a queue lost something is remembered once more as long
		e.Observe(nil, int64(i/shards+1)*int64(time.Hour), &out)
	}
	s := e.Stats()
	require.Zero(t, s.Entries)
	require.Zero(t, s.Live)
	require.Zero(t, e.failed.Load())
	for _, shard := range e.shards {
		require.Empty(t, shard.boxes)
		require.LessOrEqual(t, len(shard.words.pages), 1)
	}
}

// Numbers of entries wrap: what stands around the end of them is found.
func TestNumbersWrap(t *testing.T) {
	c := testConfig()
	e := New(c)
	for _, s := range e.shards {
		start := number(1<<32 - 3*pageSize)
		s.ring.base, s.ring.first, s.ring.next = start, start, start
	}
	b := &bench{Engine: e, names: map[causal.SpanRef]string{}}
	for i := range 3000 {
		// One shard for all: ops of the tests have shard 0.
		require.Empty(t, b.observe(t, seconds(float64(i)/100), fmt.Sprintf("c%d: offer k%d", i, i)))
		require.Equal(t, fmt.Sprintf("e%d <- c%d id 1.00\n", i, i), b.observe(t, seconds(float64(i)/100), fmt.Sprintf("e%d: claim id k%d", i, i)))
	}
}

func TestTicksWrap(t *testing.T) {
	require.Greater(t, tickOf(epoch), tick(1<<31))
	require.Equal(t, int64(2*tickLength), tick(1).since(tick(1<<32-1)))
	require.Zero(t, tick(1<<32-1).since(tick(1)))
}

// numbered is a stream of messages: each a send and a receive, in traces of
// their own, as cheap to make as can be.
func numbered(from, n int) []Observation {
	batch := make([]Observation, 0, 2*n)
	ops := make([]Op, 0, 4*n)
	for i := from; i < from+n; i++ {
		var send, receive causal.SpanRef
		binary.LittleEndian.PutUint64(send.TraceID[:], uint64(i)*2+1)
		binary.LittleEndian.PutUint64(receive.TraceID[:], uint64(i)*2+2)
		send.SpanID, receive.SpanID = [8]byte(send.TraceID[:8]), [8]byte(receive.TraceID[:8])
		message, a, b := pair(1, uint64(i)), pair(2, uint64(i)), pair(3, uint64(i))
		ops = append(ops,
			Op{Kind: Offer, Shard: a, Keys: [3]uint64{a}}, Op{Kind: Offer, Rule: 1, Shard: message, Keys: [3]uint64{message}},
			Op{Kind: Offer, Shard: b, Keys: [3]uint64{b}}, Op{Kind: Claim, Rule: 1, Shard: message, Keys: [3]uint64{message}})
		last := ops[len(ops)-4:]
		batch = append(batch,
			Observation{Span: send, Start: int64(i), Clock: 1, Process: a, Root: true, Ops: last[:2]},
			Observation{Span: receive, Start: int64(i), Clock: 1, Process: b, Root: true, Ops: last[2:]})
	}
	return batch
}

// BenchmarkObserve: what an observation costs with a million entries live.
func BenchmarkObserve(b *testing.B) {
	c := testConfig()
	c.MaxEntries, c.MaxBytes = 1_000_000, 1<<40
	e := New(c)
	var out Result
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	at := 0
	for e.entries.Load() < int64(c.MaxEntries)-1000 {
		e.Observe(numbered(at, 100), int64(at), &out)
		at += 100
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	live := float64(e.entries.Load())
	var batch []Observation
	b.ReportAllocs()
	b.ResetTimer()
	observations := 0
	for b.Loop() {
		b.StopTimer()
		batch = numbered(at, 500)
		b.StartTimer()
		e.Observe(batch, int64(at), &out)
		observations += len(batch)
		at += 500
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(observations), "ns/observation")
	b.ReportMetric(live, "entries")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/live, "heap-B/entry")
}

// A claim of several keys may have lost the first of its entries when it finds
// its cause; so may a page of the ring.
func TestClaimThatIsPartlyForgotten(t *testing.T) {
	for lead := range 2 * pageSize {
		c := testConfig()
		c.Window = time.Second
		b := newBench(c)
		for i := range lead {
			b.observe(t, 0, fmt.Sprintf("f%d: offer x%d", i, i))
		}
		b.observe(t, 0, "r: claim id a b k")
		// All but the last of its entries grow too old.
		s := b.shards[0]
		for _, one := range b.shards {
			if n := one.find(kindClaim, key("k")); n != 0 {
				s = one
			}
		}
		for s.ring.first != s.find(kindClaim, key("k")) {
			if s.ring.at(s.ring.first).kind != kindDead {
				s.evict(s.ring.first, true)
			}
			s.ring.pop()
		}
		require.Equal(t, "s -> r id 1.00\n", b.observe(t, 0, "s: offer k"))
	}
}

// What the words of a shard say is there as long as an entry refers to it.
func TestWordsAreKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := testConfig()
		c.MaxEntries = rapid.IntRange(100, 400).Draw(t, "entries")
		b := newBench(c)
		for i := range 300 {
			group := strings.Repeat("g", rapid.IntRange(1, 900).Draw(t, "length")) + fmt.Sprint(i)
			b.observe(t, 0,
				fmt.Sprintf("c%d/s root correlation=%s: offer m%d", i, group, i),
				fmt.Sprintf("x%d process=p at=%d clock=n correlation=own-%s: died child%d", i, 2*i+1, group, i),
				fmt.Sprintf("w%d process=q at=%d clock=n: spawned child%d role%d", i, 2*i, i, i%3))
			b.observe(t, 0, fmt.Sprintf("e%d/r root: claim id m%d", i, i))
			for _, s := range b.shards {
				for n := s.ring.first; n != s.ring.next; n++ {
					if e := s.ring.at(n); e.kind != kindDead && e.correlation != 0 {
						require.Contains(t, string(s.words.get(e.correlation)), "g")
					}
				}
			}
		}
	})
}
