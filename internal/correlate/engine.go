package correlate

import (
	"encoding/binary"
	"slices"
	"sync/atomic"

	"github.com/zeebo/xxh3"

	"github.com/otelscope/otelscope/internal/causal"
)

// shards is how many parts the state has; a power of two. Two workers seldom
// meet in one of so many.
const shards = 64

// Engine finds edges. Its methods may be called from many goroutines.
type Engine struct {
	config    Config
	shards    [shards]*shard
	entries   atomic.Int64
	textBytes atomic.Int64
	failed    atomic.Int64 // live entries of kindFailed
	lossy     atomic.Bool  // something was lost out of a queue
	batches   atomic.Uint64
}

// New returns an engine that remembers nothing yet. It keeps config.Rules.
func New(config Config) *Engine {
	e := &Engine{config: config}
	for i := range e.shards {
		e.shards[i] = newShard(e)
	}
	return e
}

func (e *Engine) bytes() int64 { return e.entries.Load()*entryBytes + e.textBytes.Load() }

// lock returns the shard of a hash, locked and tidied.
func (e *Engine) lock(hash uint64, now tick) *shard {
	s := e.shards[hash*0x9e3779b97f4a7c15>>(64-6)]
	s.mu.Lock()
	s.tidy(now)
	return s
}

// Stats returns the engine's figures.
func (e *Engine) Stats() Stats {
	st := Stats{Entries: e.entries.Load(), Bytes: e.bytes()}
	for _, s := range e.shards {
		s.mu.Lock()
		st.Live.Causes += s.live.Causes
		st.Live.Effects += s.live.Effects
		st.Live.Traces += s.live.Traces
		st.Live.Edges += s.live.Edges
		st.Live.Orders += s.live.Orders
		st.EvictedOffers += s.lostOffers
		st.EvictedClaims += s.lostClaims
		st.EvictedEarly += s.early
		s.mu.Unlock()
	}
	return st
}

// Observe finds the edges of a batch. now is when it arrived, nanoseconds
// since the epoch. out is overwritten.
func (e *Engine) Observe(batch []Observation, now int64, out *Result) {
	out.reset(len(batch))
	at := tickOf(now)
	number := e.batches.Add(1)
	met := meeting{e: e, number: number, now: at}
	for i := range batch {
		o, c := &batch[i], &out.spans[i]
		c.first = len(out.found)
		own := met.meet(o, c)
		if !o.Span.IsZero() {
			look{e: e, o: o, now: at, out: out, first: len(out.found), own: own}.edges()
		}
		c.count = len(out.found) - c.first
	}
	e.inherit(batch, at, out)
	for i := range out.spans {
		sortFound(out.found[out.spans[i].first:][:out.spans[i].count])
	}
	// What nobody asks for leaves in time too: one shard is tidied a batch.
	e.lock(number<<58, at).mu.Unlock()
}

// sortFound puts the best first, and what is as good in an order that does not
// depend on how it was found.
func sortFound(edges []found) {
	slices.SortFunc(edges, func(a, b found) int {
		switch {
		case a.Confidence != b.Confidence:
			if a.Confidence > b.Confidence {
				return -1
			}
			return 1
		case a.Rule != b.Rule:
			return int(a.Rule) - int(b.Rule)
		}
		return a.Other.Compare(b.Other)
	})
}

// refHash hashes which span it is.
func refHash(ref causal.SpanRef) uint64 {
	var b [24]byte
	copy(b[:16], ref.TraceID[:])
	copy(b[16:], ref.SpanID[:])
	return xxh3.Hash(b[:])
}

// pair hashes two hashes, in this order.
func pair(a, b uint64) uint64 {
	var buf [16]byte
	binary.LittleEndian.PutUint64(buf[:], a)
	binary.LittleEndian.PutUint64(buf[8:], b)
	return xxh3.Hash(buf[:])
}
