package sample

import (
	"cmp"
	"slices"
	"sync"

	"github.com/elastic/go-freelru"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
)

// Numbers is how many chain numbers there are, and what thresholds are out of.
const Numbers = sampling.MaxAdjustedCount

// Class is the importance of a chain.
type Class uint8

// The classes, the least important first.
const (
	Low Class = iota
	Ordinary
	Important
)

// Reason says why a chain is not kept, for counting.
type Reason uint8

// The reasons.
const (
	Adaptive Reason = iota // its key's ratio
	Priority               // likewise, where classes came first
	Fixed                  // the ratio that was set by hand

	Reasons = iota
)

var reasonNames = [Reasons]string{"adaptive", "priority", "fixed"}

func (r Reason) String() string { return reasonNames[r] }

// Config bounds a Sampler.
type Config struct {
	// MinRatio is the least part of a key's chains that is kept, above 0.
	MinRatio float64
	// MaxChains and MaxKeys are how many are remembered. Keys beyond share one
	// ratio, under OtherKeys.
	MaxChains, MaxKeys int
}

// OtherKeys is the label of the keys beyond Config.MaxKeys.
const OtherKeys = "(other)"

// Span is what a decision needs of a span.
type Span struct {
	Chain     uint64 // the chain's number, below Numbers
	Threshold uint64 // that it came with; 0 if none
	Keep      bool   // it meets a keep condition
	Open      bool   // a call that has not returned: it counts in no rate
}

// Root says what a chain is about, by the first span of it that is seen.
type Root struct {
	Key   uint64 // a hash of the key's values
	Class Class
}

// Verdict is what becomes of a span.
type Verdict struct {
	Kept bool
	// Sure is set where the span is kept whatever its chain's number.
	Sure bool
	// Threshold is that of the decision. Of a span that is kept by chance it
	// says how many it stands for; of one that is not, how near it was.
	Threshold uint64
}

// Sampler decides. Its methods may be called from any goroutine.
type Sampler struct {
	cfg Config

	mu      sync.Mutex
	chains  *freelru.LRU[uint64, chain]
	keys    map[uint64]*key
	other   *key
	mode    Reason
	fixed   float64 // the ratio of Fix
	sure    rate    // spans that are kept surely
	evicted int64
}

type chain struct {
	threshold uint64
	key       *key
	sure      bool
}

// key is what is known of the chains with one key.
type key struct {
	label         string
	class         Class
	offered, kept rate
	ratio         float64
	threshold     uint64
}

// New returns a sampler that keeps everything until it is told otherwise.
func New(cfg Config) *Sampler {
	s := &Sampler{cfg: cfg, keys: map[uint64]*key{}, other: &key{label: OtherKeys, class: Ordinary, ratio: 1}}
	// New fails only for a capacity of 0 or a missing hash.
	chains, err := freelru.New[uint64, chain](uint32(max(1, cfg.MaxChains)), func(n uint64) uint32 { return uint32(n ^ n>>24) })
	if err != nil {
		panic(err)
	}
	chains.SetOnEvict(func(uint64, chain) { s.evicted++ })
	s.chains = chains
	return s
}

// Decide appends a verdict for each span to out. root tells of span i, and
// label names a key that root gave; they are called for what is new only, and
// must not call the sampler. Spans of one chain may stand in any order: one
// that must be kept takes those before it along.
func (s *Sampler) Decide(spans []Span, root func(i int) Root, label func(i int) string, out []Verdict) []Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range spans {
		if spans[i].Keep {
			s.ensure(i, spans[i].Chain, root, label)
		}
	}
	for i := 0; i < len(spans); {
		number := spans[i].Chain
		c := s.meet(i, number, root, label)
		kept, offered, sure := 0, 0, 0
		for ; i < len(spans) && spans[i].Chain == number; i++ {
			v := Verdict{Kept: true, Sure: c.sure}
			if !c.sure {
				v.Threshold = max(c.threshold, cameWith(&spans[i]))
				v.Kept = number >= v.Threshold
			}
			out = append(out, v)
			if spans[i].Open {
				continue
			}
			offered++
			if v.Sure {
				sure++
			} else if v.Kept {
				kept++
			}
		}
		s.sure.n += sure
		c.key.offered.n += offered - sure
		c.key.kept.n += kept
	}
	return out
}

// cameWith is the threshold that a span came with. One that its own number
// contradicts says nothing.
func cameWith(span *Span) uint64 {
	if span.Threshold > span.Chain {
		return 0
	}
	return span.Threshold
}

// ensure makes a chain one that is kept surely.
func (s *Sampler) ensure(i int, number uint64, root func(int) Root, label func(int) string) {
	if c := s.meet(i, number, root, label); !c.sure {
		c.sure = true
		s.chains.Add(number, c)
	}
}

// meet returns what is known of a chain, which is made known if it is not.
func (s *Sampler) meet(i int, number uint64, root func(int) Root, label func(int) string) chain {
	if c, ok := s.chains.Get(number); ok {
		return c
	}
	r := root(i)
	k := s.keys[r.Key]
	switch {
	case k != nil:
	case len(s.keys) < s.cfg.MaxKeys:
		k = &key{label: label(i), class: r.Class, ratio: 1}
		if s.mode == Fixed {
			k.set(s.fixed)
		}
		s.keys[r.Key] = k
	default:
		k = s.other
	}
	c := chain{threshold: k.threshold, key: k}
	s.chains.Add(number, c)
	return c
}

// Totals are rates in spans a second, without open calls.
type Totals struct {
	Offered float64 // by all keys, before sampling; what is kept surely is not in it
	Kept    float64 // of that
	Sure    float64 // kept surely
}

// Measure takes seconds, above 0, as the time since the last call and brings
// the rates up to date.
func (s *Sampler) Measure(seconds float64) (t Totals) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Sure = s.sure.measure(seconds)
	for hash, k := range s.keys {
		t.Offered += k.offered.measure(seconds)
		t.Kept += k.kept.measure(seconds)
		if k.offered.perSecond < forgotten {
			delete(s.keys, hash)
		}
	}
	t.Offered += s.other.offered.measure(seconds)
	t.Kept += s.other.kept.measure(seconds)
	return t
}

// Allot makes the ratios for chains that begin from now on, so that about
// budget spans a second are kept. mode is Adaptive or Priority. A key that is
// seen for the first time keeps everything until the next call, and so does one
// that is seen seldom, always.
func (s *Sampler) Allot(budget float64, mode Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = mode
	budget = max(0, budget-s.sure.perSecond)
	var all []*key
	for _, k := range s.keys {
		all = append(all, k)
	}
	if s.other.offered.perSecond > 0 {
		all = append(all, s.other)
	}
	if mode == Adaptive {
		s.divide(all, budget)
		return
	}
	for class := Important; ; class-- {
		var of []*key
		for _, k := range all {
			if k.class == class {
				of = append(of, k)
			}
		}
		budget = max(0, budget-s.divide(of, budget))
		if class == Low {
			return
		}
	}
}

// divide gives keys their ratios and returns what they will take.
func (s *Sampler) divide(keys []*key, budget float64) (taken float64) {
	offers := make([]float64, len(keys))
	for i, k := range keys {
		offers[i] = k.offered.perSecond
	}
	for i, ratio := range divide(offers, budget, s.cfg.MinRatio) {
		keys[i].set(ratio)
		taken += ratio * offers[i]
	}
	return taken
}

// Fix sets one ratio for all chains that begin from now on.
func (s *Sampler) Fix(ratio float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode, s.fixed = Fixed, ratio
	for _, k := range s.keys {
		k.set(ratio)
	}
	s.other.set(ratio)
}

func (k *key) set(ratio float64) {
	k.ratio, k.threshold = ratio, threshold(ratio)
}

// precision is how many hex digits of a threshold matter; more are added where
// a ratio is near 0 or 1.
const precision = 4

// threshold is what keeps this part of all numbers.
func threshold(ratio float64) uint64 {
	t, err := sampling.ProbabilityToThresholdWithPrecision(ratio, precision)
	if err != nil {
		return 0
	}
	return t.Unsigned()
}

// Mode says how the ratios in force were made.
func (s *Sampler) Mode() Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode
}

// KeyFigures are the figures of one key. Rates are in spans a second.
type KeyFigures struct {
	Key     string  `json:"key"`
	Ratio   float64 `json:"ratio"`
	Offered float64 `json:"offered_per_second"`
	Kept    float64 `json:"kept_per_second"`
}

// Figures are the sampler's, with the limit keys that offer most.
type Figures struct {
	Chains        int          `json:"chains"`         // remembered
	ForgottenEver int64        `json:"chains_evicted"` // before they ended, perhaps
	Keys          int          `json:"keys_known"`
	Busiest       []KeyFigures `json:"keys"`
}

// Figures returns them.
func (s *Sampler) Figures(limit int) Figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := Figures{Chains: s.chains.Len(), ForgottenEver: s.evicted, Keys: len(s.keys), Busiest: []KeyFigures{}}
	add := func(k *key) {
		f.Busiest = append(f.Busiest, KeyFigures{k.label, k.ratio, k.offered.perSecond, k.kept.perSecond})
	}
	for _, k := range s.keys {
		add(k)
	}
	if s.other.offered.perSecond > 0 {
		add(s.other)
	}
	slices.SortFunc(f.Busiest, func(a, b KeyFigures) int {
		return cmp.Or(cmp.Compare(b.Offered, a.Offered), cmp.Compare(a.Key, b.Key))
	})
	f.Busiest = f.Busiest[:min(limit, len(f.Busiest))]
	return f
}
