package sample

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelscope/otelscope/internal/otlpwire"
)

// RescueConfig bounds a Rescue.
type RescueConfig struct {
	MaxBytes int64
	// Window is for how long spans should be held; see Rescue.
	Window time.Duration
}

// Rescue holds spans that were not kept, as OTLP bytes, for the case that their
// chain turns out to be one that must be kept. It loses nothing that was
// promised: what it holds has been counted as sampled out.
//
// Where all that is not kept would be more than MaxBytes in Window, whole chains
// are held for the window rather than all of them for less: the share of chains
// that is held follows what fits, and which ones is decided by their numbers,
// those nearest to their threshold first.
//
// Its methods may be called from any goroutine.
type Rescue struct {
	cfg   RescueConfig
	share atomic.Uint64 // bits of a float64, 0 to 1

	mu      sync.Mutex
	blobs   []*blob // oldest first
	first   uint32  // number of blobs[0]
	last    map[uint64]place
	room    int64 // at most MaxBytes
	bytes   int64
	spans   int
	evicted int64         // spans, ever
	age     time.Duration // of the youngest blob that was evicted since the last Adapt, at most the window
}

// blob is one encoded request and where its spans are.
type blob struct {
	data    []byte
	origins []otlpwire.Origin // alias data
	spans   []heldSpan
	at      time.Time
}

type heldSpan struct {
	chain uint64
	bytes []byte // aliases the blob's data
	from  int32  // index of its origin
	prev  place  // the chain's span before it
}

// place is where a span is: the number of its blob, and its index there plus
// one. The zero value is nowhere.
type place struct{ blob, index uint32 }

// What a span and a chain cost beside their bytes.
const (
	heldBytes  = 64
	chainBytes = 48
)

// NewRescue returns one that holds everything as long as it fits.
func NewRescue(cfg RescueConfig) *Rescue {
	r := &Rescue{cfg: cfg, last: map[uint64]place{}, first: 1, room: cfg.MaxBytes, age: cfg.Window}
	r.setShare(1)
	return r
}

func (r *Rescue) setShare(share float64) { r.share.Store(math.Float64bits(share)) }

// Share is the part of the chains that is held now.
func (r *Rescue) Share() float64 { return math.Float64frombits(r.share.Load()) }

// Wants reports whether a span of this chain, which is not kept at this
// threshold, should be held.
func (r *Rescue) Wants(chain, threshold uint64) bool {
	return float64(threshold-chain) <= r.Share()*float64(threshold)
}

// Hold takes an encoded TracesData over, whose spans are of these chains, in
// their order.
func (r *Rescue) Hold(now time.Time, data []byte, chains []uint64) error {
	b := &blob{data: data, spans: make([]heldSpan, 0, len(chains)), at: now}
	err := otlpwire.Walk(data, func(origin otlpwire.Origin, span []byte) error {
		if n := len(b.origins); n == 0 || b.origins[n-1].Index != origin.Index {
			b.origins = append(b.origins, origin)
		}
		b.spans = append(b.spans, heldSpan{chain: chains[len(b.spans)], bytes: span, from: int32(len(b.origins) - 1)})
		return nil
	})
	if err != nil || len(b.spans) == 0 {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	number := r.first + uint32(len(r.blobs))
	r.blobs = append(r.blobs, b)
	r.bytes += b.size()
	r.spans += len(b.spans)
	for i := range b.spans {
		s := &b.spans[i]
		before, ok := r.last[s.chain]
		if !ok {
			r.bytes += chainBytes
		}
		s.prev = before
		r.last[s.chain] = place{number, uint32(i + 1)}
	}
	r.fit(now)
	return nil
}

// fit lets the oldest go that have no room.
func (r *Rescue) fit(now time.Time) {
	for r.bytes > r.room && len(r.blobs) > 0 {
		r.age = min(r.age, now.Sub(r.blobs[0].at))
		r.evicted += int64(len(r.blobs[0].spans))
		r.drop()
	}
}

func (b *blob) size() int64 { return int64(len(b.data) + heldBytes*len(b.spans)) }

// drop lets the oldest blob go.
func (r *Rescue) drop() {
	b := r.blobs[0]
	for i := range b.spans {
		chain := b.spans[i].chain
		if r.last[chain] == (place{r.first, uint32(i + 1)}) {
			delete(r.last, chain)
			r.bytes -= chainBytes
		}
	}
	r.bytes -= b.size()
	r.spans -= len(b.spans)
	r.blobs[0] = nil
	r.blobs = r.blobs[1:]
	r.first++
}

// Find appends to dst, as encoded TracesData, the spans that are held of a
// chain, and says how many there are. They stay until Forget.
func (r *Rescue) Find(dst []byte, chain uint64) (_ []byte, spans int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at := r.last[chain]; at.index != 0 && at.blob >= r.first; {
		b := r.blobs[at.blob-r.first]
		s := &b.spans[at.index-1]
		if dst, err = otlpwire.AppendTraces(dst, b.origins[s.from].Append(nil), s.bytes); err != nil {
			return dst, spans, err
		}
		spans++
		at = s.prev
	}
	return dst, spans, nil
}

// Forget lets a chain go, whose spans have been handed on. Their memory is
// given back with that of the spans around them.
func (r *Rescue) Forget(chain uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.last[chain]; ok {
		delete(r.last, chain)
		r.bytes -= chainBytes
	}
}

// Adapt lets go what is older than the window, and makes the share follow what
// fits into part, 0 to 1, of MaxBytes. It should be called about once a second.
func (r *Rescue) Adapt(now time.Time, part float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.room = int64(part * float64(r.cfg.MaxBytes))
	r.fit(now)
	for len(r.blobs) > 0 && now.Sub(r.blobs[0].at) > r.cfg.Window {
		r.drop()
	}
	share := r.Share()
	switch {
	case r.age < r.cfg.Window:
		// As much less as the window was missed by, but not all at once: what
		// is held now was chosen by the share before.
		share *= max(0.5, float64(r.age)/float64(r.cfg.Window))
	case r.bytes < r.room*3/4:
		share *= 1.1
	}
	r.age = r.cfg.Window
	r.setShare(min(1, max(share, leastShare)))
}

// leastShare keeps the share able to grow again.
const leastShare = 0.001

// RescueFigures are a Rescue's.
type RescueFigures struct {
	Spans   int     `json:"held_spans"`
	Bytes   int64   `json:"held_bytes"`
	Max     int64   `json:"max_bytes"` // now
	Seconds float64 `json:"oldest_seconds"`
	Share   float64 `json:"share_of_chains"`
	Evicted int64   `json:"evicted_spans"` // for room, before the window was over
}

// Figures returns them.
func (r *Rescue) Figures(now time.Time) RescueFigures {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := RescueFigures{Spans: r.spans, Bytes: r.bytes, Max: r.room, Share: r.Share(), Evicted: r.evicted}
	if len(r.blobs) > 0 {
		f.Seconds = now.Sub(r.blobs[0].at).Seconds()
	}
	return f
}
