package sample

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// kit drives a sampler with chains that are told apart by name.
type kit struct {
	*Sampler
	roots  map[uint64]Root
	labels map[uint64]string
}

func newKit(cfg Config) *kit {
	if cfg.MinRatio == 0 {
		cfg.MinRatio = 0.001
	}
	if cfg.MaxChains == 0 {
		cfg.MaxChains = 1 << 20
	}
	if cfg.MaxKeys == 0 {
		cfg.MaxKeys = 100
	}
	return &kit{New(cfg), map[uint64]Root{}, map[uint64]string{}}
}

func (k *kit) decide(spans ...Span) []Verdict {
	return k.Decide(spans,
		func(i int) Root { return k.roots[spans[i].Chain] },
		func(i int) string { return k.labels[spans[i].Chain] }, nil)
}

// at is a chain's number that is this far, 0 to 1, among all numbers.
func at(part float64) uint64 { return uint64(part * float64(Numbers)) }

// offer lets n spans, one a chain, of a key come in a second.
func (k *kit) offer(key uint64, n int) {
	for i := range n {
		chain := at((float64(i) + 0.5) / float64(n))
		k.roots[chain] = Root{Key: key, Class: Ordinary}
		k.labels[chain] = fmt.Sprint("key ", key)
		k.decide(Span{Chain: chain})
	}
}

func TestEverythingIsKeptUntilToldOtherwise(t *testing.T) {
	k := newKit(Config{})
	for _, v := range k.decide(Span{Chain: 0}, Span{Chain: Numbers - 1}) {
		require.Equal(t, Verdict{Kept: true}, v)
	}
}

func TestAKeyThatIsNewIsKept(t *testing.T) {
	k := newKit(Config{})
	k.offer(1, 1000)
	k.Measure(1)
	k.Allot(100, Adaptive)
	k.roots[7] = Root{Key: 2}
	require.True(t, k.decide(Span{Chain: 7})[0].Kept, "a key without a ratio")
	k.roots[8] = Root{Key: 1}
	v := k.decide(Span{Chain: 8})[0]
	require.False(t, v.Kept)
	require.InDelta(t, 0.9, float64(v.Threshold)/float64(Numbers), 1e-4)
}

func TestAChainKeepsItsThreshold(t *testing.T) {
	k := newKit(Config{})
	chain := at(0.5)
	k.Fix(0.6)
	require.True(t, k.decide(Span{Chain: chain})[0].Kept)
	k.Fix(0.01)
	require.True(t, k.decide(Span{Chain: chain})[0].Kept, "it began under 0.6")
	require.False(t, k.decide(Span{Chain: chain + 1})[0].Kept, "this one did not")
	k.Fix(1)
	require.False(t, k.decide(Span{Chain: chain + 1})[0].Kept)
	require.True(t, k.decide(Span{Chain: chain + 2})[0].Kept)
}

func TestAForgottenChainGetsTheThresholdOfTheDay(t *testing.T) {
	k := newKit(Config{MaxChains: 2})
	k.Fix(0.6)
	require.True(t, k.decide(Span{Chain: at(0.5)})[0].Kept)
	k.decide(Span{Chain: 1}, Span{Chain: 2}, Span{Chain: 3})
	require.EqualValues(t, 2, k.Figures(0).Chains)
	require.EqualValues(t, 2, k.Figures(0).ForgottenEver)
	k.Fix(0.01)
	require.False(t, k.decide(Span{Chain: at(0.5)})[0].Kept)
}

func TestAThresholdIsRaisedOnly(t *testing.T) {
	k := newKit(Config{})
	k.Fix(0.5)
	half := k.decide(Span{Chain: at(0.9)})[0]
	require.Equal(t, at(0.5), half.Threshold)
	v := k.decide(Span{Chain: at(0.9), Threshold: at(0.75)})[0]
	require.Equal(t, Verdict{Kept: true, Threshold: at(0.75)}, v, "it came with a higher one")
	v = k.decide(Span{Chain: at(0.9), Threshold: at(0.25)})[0]
	require.Equal(t, Verdict{Kept: true, Threshold: at(0.5)}, v)
	v = k.decide(Span{Chain: at(0.6), Threshold: at(0.75)})[0]
	require.Equal(t, Verdict{Kept: true, Threshold: at(0.5)}, v, "one that its number contradicts says nothing")
}

func TestWhatMustBeKeptTakesItsChainAlong(t *testing.T) {
	k := newKit(Config{})
	k.Fix(0.1)
	low, other := at(0.01), at(0.02)
	require.False(t, k.decide(Span{Chain: low})[0].Kept)
	for i, v := range k.decide(Span{Chain: low}, Span{Chain: other}, Span{Chain: low, Keep: true}, Span{Chain: low}) {
		require.Equal(t, i != 1, v.Kept)
		require.Equal(t, i != 1, v.Sure)
	}
	require.Equal(t, Verdict{Kept: true, Sure: true}, k.decide(Span{Chain: low})[0], "and all that follows")
	high := at(0.95)
	require.True(t, k.decide(Span{Chain: high, Keep: true})[0].Sure, "chance would have kept it too: it still counts as one")
}

func TestKeysBeyondTheBoundShareARatio(t *testing.T) {
	k := newKit(Config{MaxKeys: 2})
	for key := range uint64(5) {
		k.offer(key, 100+int(key)) // chains of their own
	}
	k.Measure(1)
	k.Allot(150, Adaptive)
	f := k.Figures(10)
	require.Equal(t, 2, f.Keys)
	require.Len(t, f.Busiest, 3)
	require.Equal(t, OtherKeys, f.Busiest[0].Key)
	require.InDelta(t, 50.0/309, f.Busiest[0].Ratio, 0.001)
	require.Len(t, k.Figures(1).Busiest, 1)
}

func TestKeysThatAreSeldomSeenAreForgotten(t *testing.T) {
	k := newKit(Config{})
	k.offer(1, 10)
	require.InDelta(t, 10, k.Measure(1).Offered, 1e-9)
	for range 20 {
		k.Measure(1)
	}
	require.Zero(t, k.Figures(10).Keys)
}

func TestPriorityComesFirst(t *testing.T) {
	k := newKit(Config{})
	for class, n := range map[Class]int{Low: 400, Ordinary: 300, Important: 100} {
		for i := range n {
			chain := at((float64(i)+0.5)/float64(n)) + uint64(class)
			k.roots[chain] = Root{Key: uint64(class), Class: class}
			k.labels[chain] = fmt.Sprint(class)
			k.decide(Span{Chain: chain})
		}
	}
	k.Measure(1)
	k.Allot(250, Priority)
	require.Equal(t, Priority, k.Mode())
	ratios := map[string]float64{}
	for _, f := range k.Figures(10).Busiest {
		ratios[f.Key] = f.Ratio
	}
	require.InDelta(t, 1, ratios["2"], 1e-9)
	require.InDelta(t, 0.5, ratios["1"], 1e-9)
	require.InDelta(t, 0.001, ratios["0"], 1e-9, "what is left")
}

func TestWhatIsSureComesOutOfTheBudget(t *testing.T) {
	k := newKit(Config{})
	k.offer(1, 1000)
	for i := range uint64(40) {
		k.roots[i] = Root{Key: 1}
		k.decide(Span{Chain: i, Keep: true}, Span{Chain: i})
	}
	totals := k.Measure(1)
	require.InDelta(t, 80, totals.Sure, 1e-9)
	require.InDelta(t, 1000, totals.Offered, 1e-9)
	k.Allot(180, Adaptive)
	require.InDelta(t, 0.1, k.Figures(1).Busiest[0].Ratio, 1e-9)
}

func TestOpenCallsCountInNoRate(t *testing.T) {
	k := newKit(Config{})
	k.decide(Span{Chain: 1, Open: true}, Span{Chain: 1}, Span{Chain: 2, Keep: true, Open: true})
	totals := k.Measure(1)
	require.Equal(t, Totals{Offered: 1, Kept: 1}, totals)
}

// TestWholeChains: whatever the ratios do meanwhile, and however a chain's
// spans are cut into batches and mixed with others, all of them have one
// verdict, as long as nothing must be kept and nothing is forgotten.
func TestWholeChains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newKit(Config{})
		numbers := rapid.SliceOfN(rapid.Uint64Range(0, Numbers-1), 1, 20).Draw(t, "chains")
		for _, n := range numbers {
			k.roots[n] = Root{Key: n % 3}
		}
		seen := map[uint64]Verdict{}
		for range rapid.IntRange(1, 30).Draw(t, "batches") {
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				k.Fix(rapid.Float64Range(0.001, 1).Draw(t, "ratio"))
			case 1:
				k.Measure(1)
				k.Allot(rapid.Float64Range(0, 100).Draw(t, "budget"), Reason(rapid.IntRange(0, 1).Draw(t, "mode")))
			}
			var spans []Span
			for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(numbers)-1), 1, 20).Draw(t, "batch") {
				spans = append(spans, Span{Chain: numbers[i]})
			}
			verdicts := k.decide(spans...)
			require.Len(t, verdicts, len(spans))
			for i, v := range verdicts {
				n := spans[i].Chain
				require.Equal(t, n >= v.Threshold, v.Kept)
				if before, ok := seen[n]; ok {
					require.Equal(t, before, v)
				}
				seen[n] = v
			}
		}
	})
}

// TestEstimates: chains of several lengths and keys, some of which fail in the
// end, under ratios that change all the time. What is kept stands for all of
// it, by key: the sum of weights lies within 4 standard errors.
func TestEstimates(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	k := newKit(Config{MinRatio: 0.01, MaxChains: 1 << 19})
	const keys = 4
	var truth, estimate, variance [keys]float64
	for range 200 {
		type living struct {
			chain  uint64
			key    uint64
			left   int
			fails  bool
			weight float64 // of its spans that are kept by chance
			n      float64
		}
		var chains []*living
		for range 500 {
			c := &living{chain: random.Uint64N(Numbers), key: uint64(min(random.IntN(8), keys-1)), left: 1 + random.IntN(12), fails: random.IntN(50) == 0}
			k.roots[c.chain] = Root{Key: c.key}
			chains = append(chains, c)
		}
		for len(chains) > 0 {
			var spans []Span
			var of []*living
			for _, c := range chains {
				c.left--
				spans = append(spans, Span{Chain: c.chain, Keep: c.fails && c.left == 0})
				of = append(of, c)
			}
			for i, v := range k.decide(spans...) {
				c := of[i]
				truth[c.key]++
				weight := 1.0
				if !v.Sure {
					p := 1 - float64(v.Threshold)/float64(Numbers)
					weight = 1 / p
					c.weight, c.n = weight, c.n+1
				}
				if v.Kept {
					estimate[c.key] += weight
				}
			}
			k.Measure(0.1)
			k.Allot(100+1000*random.Float64(), Adaptive)
			next := chains[:0]
			for _, c := range chains {
				if c.left > 0 {
					next = append(next, c)
				} else {
					// Spans of one chain are kept or not together: of n with
					// weight w the variance is n^2 (w - 1).
					variance[c.key] += c.n * c.n * (c.weight - 1)
				}
			}
			chains = next
		}
	}
	for key := range keys {
		error := math.Abs(estimate[key]-truth[key]) / math.Sqrt(variance[key])
		t.Logf("key %d: %.0f spans, estimated %.0f, %.2f standard errors", key, truth[key], estimate[key], error)
		require.Less(t, error, 4.0)
		require.Greater(t, variance[key], 0.0)
	}
}
