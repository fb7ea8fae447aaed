package sample

import (
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelscope/otelscope/internal/otlpwire"
)

// RescueConfig bounds a Rescue.
type RescueConfig struct {
	// MaxBytes is how many bytes of spans are held, in File if there is one.
	MaxBytes int64
	// Window is for how long spans should be held; see Rescue.
	Window time.Duration
	// File, where not nil, keeps the spans, so that only what finds them takes
	// memory: some 50 bytes a span. It is written in a circle and never synced:
	// what it holds is worthless after a crash. The caller owns it.
	File File
}

// File is what a Rescue needs of a file.
type File interface {
	io.ReaderAt
	io.WriterAt
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
	room    int64 // bytes of memory
	bytes   int64 // of spans
	memory  int64 // bytes that all of it takes
	spans   int
	next    int64         // where in the file the next blob goes
	evicted int64         // spans, ever
	age     time.Duration // of the youngest blob that was evicted since the last Adapt, at most the window
}

// blob is one encoded request and where its spans are.
type blob struct {
	data    []byte   // nil where a file has it
	at      int64    // in the file
	size    int64    // of the data
	origins [][]byte // encoded, see otlpwire.Origin.Append
	spans   []heldSpan
	held    time.Time
}

type heldSpan struct {
	chain    uint64
	from, to uint32 // bytes of the blob's data
	origin   int32
	prev     place // the chain's span before it
}

// place is where a span is: the number of its blob, and its index there plus
// one. The zero value is nowhere.
type place struct{ blob, index uint32 }

// What a span and a chain cost beside their bytes.
const (
	spanBytes  = 32
	chainBytes = 48
)

// memory is what a blob takes of it.
func (b *blob) memory() int64 {
	n := int64(len(b.data) + spanBytes*len(b.spans))
	for _, o := range b.origins {
		n += int64(len(o))
	}
	return n
}

// NewRescue returns one that holds everything as long as it fits.
func NewRescue(cfg RescueConfig) *Rescue {
	r := &Rescue{cfg: cfg, last: map[uint64]place{}, first: 1, age: cfg.Window}
	r.room = r.memoryFor(1)
	r.setShare(1)
	return r
}

// memoryFor is part of the memory that a rescue may take: all of MaxBytes, or
// what finds so much in a file.
func (r *Rescue) memoryFor(part float64) int64 {
	all := float64(r.cfg.MaxBytes)
	if r.cfg.File != nil {
		all /= 8
	}
	return int64(part * all)
}

func (r *Rescue) setShare(share float64) { r.share.Store(math.Float64bits(share)) }

// Share is the part of the chains that is held now.
func (r *Rescue) Share() float64 { return math.Float64frombits(r.share.Load()) }

// Wants reports whether a span of this chain, which is not kept at this
// threshold, should be held.
func (r *Rescue) Wants(chain, threshold uint64) bool {
	return float64(threshold-chain) <= r.Share()*float64(threshold)
}

// Hold holds the spans of an encoded TracesData, which are of these chains, in
// their order. An error means that they are not held.
func (r *Rescue) Hold(now time.Time, traces []byte, chains []uint64) error {
	b, err := pack(traces, chains)
	if err != nil || len(b.spans) == 0 {
		return err
	}
	b.held = now
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cfg.File != nil {
		if err := r.write(now, b); err != nil {
			return err
		}
	}
	number := r.first + uint32(len(r.blobs))
	r.blobs = append(r.blobs, b)
	r.bytes += b.size
	r.memory += b.memory()
	r.spans += len(b.spans)
	for i := range b.spans {
		s := &b.spans[i]
		before, ok := r.last[s.chain]
		if !ok {
			r.memory += chainBytes
		}
		s.prev = before
		r.last[s.chain] = place{number, uint32(i + 1)}
	}
	r.fit(now)
	return nil
}

// pack lays spans one after the other, and what they share beside them.
func pack(traces []byte, chains []uint64) (*blob, error) {
	b := &blob{data: make([]byte, 0, len(traces)), spans: make([]heldSpan, 0, len(chains))}
	last := -1
	err := otlpwire.Walk(traces, func(origin otlpwire.Origin, span []byte) error {
		if origin.Index != last {
			last = origin.Index
			b.origins = append(b.origins, origin.Append(nil))
		}
		from := len(b.data)
		b.data = append(b.data, span...)
		b.spans = append(b.spans, heldSpan{
			chain: chains[len(b.spans)], from: uint32(from), to: uint32(len(b.data)), origin: int32(len(b.origins) - 1),
		})
		return nil
	})
	b.size = int64(len(b.data))
	return b, err
}

// write puts a blob's data into the file, over the oldest.
func (r *Rescue) write(now time.Time, b *blob) error {
	if b.size > r.cfg.MaxBytes {
		return fmt.Errorf("%d bytes are more than all of the rescue", b.size)
	}
	if r.next+b.size > r.cfg.MaxBytes {
		r.next = 0
	}
	for len(r.blobs) > 0 && r.blobs[0].at < r.next+b.size && r.blobs[0].at+r.blobs[0].size > r.next {
		r.evict(now)
	}
	if _, err := r.cfg.File.WriteAt(b.data, r.next); err != nil {
		return err
	}
	b.at, b.data = r.next, nil
	r.next += b.size
	return nil
}

// fit lets the oldest go that have no room.
func (r *Rescue) fit(now time.Time) {
	for len(r.blobs) > 0 && r.memory > r.room {
		r.evict(now)
	}
}

func (r *Rescue) evict(now time.Time) {
	r.age = min(r.age, now.Sub(r.blobs[0].held))
	r.evicted += int64(len(r.blobs[0].spans))
	r.drop()
}

// drop lets the oldest blob go.
func (r *Rescue) drop() {
	b := r.blobs[0]
	for i := range b.spans {
		chain := b.spans[i].chain
		if r.last[chain] == (place{r.first, uint32(i + 1)}) {
			delete(r.last, chain)
			r.memory -= chainBytes
		}
	}
	r.bytes -= b.size
	r.memory -= b.memory()
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
		bytes, err := r.read(b, s)
		if err != nil {
			return dst, spans, err
		}
		if dst, err = otlpwire.AppendTraces(dst, b.origins[s.origin], bytes); err != nil {
			return dst, spans, err
		}
		spans++
		at = s.prev
	}
	return dst, spans, nil
}

func (r *Rescue) read(b *blob, s *heldSpan) ([]byte, error) {
	if b.data != nil {
		return b.data[s.from:s.to], nil
	}
	bytes := make([]byte, s.to-s.from)
	_, err := r.cfg.File.ReadAt(bytes, b.at+int64(s.from))
	return bytes, err
}

// Forget lets a chain go, whose spans have been handed on. Their memory is
// given back with that of the spans around them.
func (r *Rescue) Forget(chain uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.last[chain]; ok {
		delete(r.last, chain)
		r.memory -= chainBytes
	}
}

// Adapt lets go what is older than the window, and makes the share follow what
// fits into part, 0 to 1, of the memory that it may take. It should be called about once a second.
func (r *Rescue) Adapt(now time.Time, part float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.room = r.memoryFor(part)
	r.fit(now)
	for len(r.blobs) > 0 && now.Sub(r.blobs[0].held) > r.cfg.Window {
		r.drop()
	}
	share := r.Share()
	switch {
	case r.age < r.cfg.Window:
		// As much less as the window was missed by, but not all at once: what
		// is held now was chosen by the share before.
		share *= max(0.5, float64(r.age)/float64(r.cfg.Window))
	case r.memory < r.room/2 && r.bytes < r.cfg.MaxBytes/2:
		share *= 1.3
	case r.memory < r.room*3/4 && r.bytes < r.cfg.MaxBytes*3/4:
		share *= 1.05
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
	Memory  int64   `json:"memory_bytes"`
	Max     int64   `json:"max_bytes"`
	Room    int64   `json:"max_memory_bytes"` // now
	Seconds float64 `json:"oldest_seconds"`
	Share   float64 `json:"share_of_chains"`
	Evicted int64   `json:"evicted_spans"` // for room, before the window was over
}

// Figures returns them.
func (r *Rescue) Figures(now time.Time) RescueFigures {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := RescueFigures{Spans: r.spans, Bytes: r.bytes, Memory: r.memory, Max: r.cfg.MaxBytes, Room: r.room, Share: r.Share(), Evicted: r.evicted}
	if len(r.blobs) > 0 {
		f.Seconds = now.Sub(r.blobs[0].held).Seconds()
	}
	return f
}
