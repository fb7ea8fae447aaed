// Package cache keeps answers ready as long as nothing that they depend on
// changed. It knows nothing of what is stored: who writes says what changed,
// who answers says what an answer depends on.
//
// An answer that is found is as new as every change that was told before the
// question. That holds for answers that are made while changes come, and for
// changes of which nobody knows whether and when they happen (Doubt).
//
// It is deterministic: no goroutine, no clock. All methods may be called from
// many goroutines at once.
package cache

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/elastic/go-freelru"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
)

// Dependency is a span or a trace, hashed: two may be taken for one, and then
// an answer is dropped that could have stayed.
type Dependency uint64

var seed = maphash.MakeSeed()

// Span is a span, and that others name it.
func Span(ref causal.SpanRef) Dependency { return Dependency(maphash.Comparable(seed, ref)) }

// Trace is all spans of a trace.
func Trace(id pcommon.TraceID) Dependency { return Dependency(maphash.Comparable(seed, id)) }

// Cache keeps answers. A nil Cache keeps none.
type Cache struct {
	maxBytes int
	// used says that there are answers, or fills that may become some; else
	// changes are of no interest.
	used atomic.Bool

	mu      sync.Mutex
	answers *freelru.LRU[string, *answer]
	by      map[Dependency][]*answer
	bytes   int // of all answers
	fills   int // under way
	changes []Dependency
	// told is how many changes were told before those in changes; a fill that
	// began earlier cannot be told whether it is still right.
	told    uint64
	doubts  uint64 // how often a change was in doubt
	settled uint64 // of these, how many are not any more
}

type answer struct {
	key   string
	value []byte
	on    []Dependency
}

// Sizes, roughly: of an answer in memory beside its contents, of a dependency
// with what finds the answer by it.
const (
	answerBytes     = 256
	dependencyBytes = 96
)

func (a *answer) bytes() int {
	return answerBytes + len(a.key) + len(a.value) + dependencyBytes*len(a.on)
}

// maxChanges is how many changes are remembered while answers are made.
const maxChanges = 1 << 16

// Of smaller answers than typicalBytes the number is bounded too, and never
// more than maxAnswers are kept: each has its place from the beginning.
const (
	typicalBytes = 1 << 10
	maxAnswers   = 1 << 16
)

// New returns a cache whose answers take about maxBytes of memory; nil for 0.
func New(maxBytes int) (*Cache, error) {
	if maxBytes == 0 {
		return nil, nil
	}
	hash := func(key string) uint32 { return uint32(maphash.String(seed, key)) }
	answers, err := freelru.New[string, *answer](uint32(min(maxBytes/typicalBytes+1, maxAnswers)), hash)
	if err != nil {
		return nil, err
	}
	c := &Cache{maxBytes: maxBytes, answers: answers, by: map[Dependency][]*answer{}}
	answers.SetOnEvict(func(_ string, a *answer) { c.forget(a) })
	return c, nil
}

// Get returns the answer to a question. It must not be changed.
func (c *Cache) Get(key string) (value []byte, found bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a, found := c.answers.Get(key)
	if !found {
		return nil, false
	}
	return a.value, true
}

// Fill is an answer that is being made.
type Fill struct {
	cache *Cache
	begun uint64 // how many changes had been told
	sure  bool   // none was in doubt
}

// Begin says that what an answer is made of is read from now on. Either Put or
// Drop must follow.
func (c *Cache) Begin() Fill {
	if c == nil {
		return Fill{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fills++
	c.used.Store(true)
	return Fill{cache: c, begun: c.told + uint64(len(c.changes)), sure: c.doubts == c.settled}
}

// Put keeps the answer, which must not be changed any more, if nothing that it
// depends on changed since Begin.
func (f Fill) Put(key string, value []byte, on []Dependency) {
	if f.cache == nil {
		return
	}
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	defer f.cache.filled()
	a := &answer{key: key, value: value, on: on}
	if f.valid(on) && a.bytes() <= f.cache.maxBytes/4 { // one question does not cost all others theirs
		f.cache.keep(a)
	}
}

// Drop gives up.
func (f Fill) Drop() {
	if f.cache == nil {
		return
	}
	f.cache.mu.Lock()
	defer f.cache.mu.Unlock()
	f.cache.filled()
}

// valid reports whether nothing in on changed since f began, for sure.
func (f Fill) valid(on []Dependency) bool {
	c := f.cache
	if !f.sure || f.begun < c.told {
		return false
	}
	changed := c.changes[f.begun-c.told:]
	if len(changed) == 0 {
		return true
	}
	depends := make(map[Dependency]struct{}, len(on))
	for _, d := range on {
		depends[d] = struct{}{}
	}
	for _, d := range changed {
		if _, hit := depends[d]; hit {
			return false
		}
	}
	return true
}

func (c *Cache) keep(a *answer) {
	c.answers.Remove(a.key)
	c.answers.Add(a.key, a)
	c.bytes += a.bytes()
	for _, d := range a.on {
		c.by[d] = append(c.by[d], a)
	}
	for c.bytes > c.maxBytes {
		c.answers.RemoveOldest()
	}
}

// forget takes an answer that is not among the answers any more from the rest.
func (c *Cache) forget(a *answer) {
	c.bytes -= a.bytes()
	for _, d := range a.on {
		others := slices.DeleteFunc(c.by[d], func(of *answer) bool { return of == a })
		if c.by[d] = others; len(others) == 0 {
			delete(c.by, d)
		}
	}
}

// filled ends a fill.
func (c *Cache) filled() {
	if c.fills--; c.fills == 0 {
		c.forgetChanges()
	}
	c.used.Store(c.fills > 0 || c.answers.Len() > 0)
}

func (c *Cache) forgetChanges() {
	c.told += uint64(len(c.changes))
	c.changes = c.changes[:0]
}

// Changed drops the answers that depend on what changed.
func (c *Cache) Changed(what []Dependency) {
	if !c.Used() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range what {
		for len(c.by[d]) > 0 { // Remove takes it from there
			c.answers.Remove(c.by[d][0].key)
		}
	}
	switch {
	case c.fills == 0:
	case len(what) > maxChanges:
		c.clear()
	case len(c.changes)+len(what) > maxChanges:
		c.forgetChanges()
		fallthrough
	default:
		c.changes = append(c.changes, what...)
	}
}

// Used reports whether a change can be of interest now: one that happened
// before it is asked needs not be told where it says no.
func (c *Cache) Used() bool { return c != nil && c.used.Load() }

// Clear drops all answers, and those that are being made.
func (c *Cache) Clear() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
}

func (c *Cache) clear() {
	c.answers.Purge()
	c.forgetChanges()
	c.told++ // whatever began before is too old
	c.used.Store(false)
}

// Doubt says that something may change at any time from now on. Nothing is
// kept until that is settled.
func (c *Cache) Doubt() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doubts++
	c.clear()
}

// Doubts returns how many there were, for Settle.
func (c *Cache) Doubts() uint64 {
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doubts
}

// Settle says that of the first doubts whatever changes has changed.
func (c *Cache) Settle(doubts uint64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled = max(c.settled, doubts)
}
