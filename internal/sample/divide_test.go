package sample

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDivide(t *testing.T) {
	for name, c := range map[string]struct {
		offers []float64
		budget float64
		least  float64
		want   []float64
	}{
		"nothing":                           {nil, 10, 0.1, []float64{}},
		"all fits":                          {[]float64{1, 2, 3}, 6, 0.1, []float64{1, 1, 1}},
		"the rare one is kept whole":        {[]float64{100, 1}, 11, 0.01, []float64{0.1, 1}},
		"equal parts":                       {[]float64{100, 50, 10}, 50, 0.01, []float64{0.2, 0.4, 1}},
		"never less than the least":         {[]float64{100, 100}, 2, 0.05, []float64{0.05, 0.05}},
		"no budget":                         {[]float64{100, 0}, 0, 0.05, []float64{0.05, 1}},
		"no limit":                          {[]float64{100, 7}, math.Inf(1), 0.05, []float64{1, 1}},
		"a floor takes from those above it": {[]float64{10, 10000}, 20, 0.001, []float64{1, 0.001}},
	} {
		t.Run(name, func(t *testing.T) {
			require.InDeltaSlice(t, c.want, divide(c.offers, c.budget, c.least), 1e-9)
		})
	}
}

// TestDivideIsFair compares with the level found by trying: everybody gets the
// least of their offer and one level, and the level uses up the budget.
func TestDivideIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offers := rapid.SliceOfN(rapid.Float64Range(0, 1e5), 1, 12).Draw(t, "offers")
		budget := rapid.Float64Range(0, 3e5).Draw(t, "budget")
		ratios := divide(offers, budget, 1e-9)
		taken := func(level float64) (sum float64) {
			for _, o := range offers {
				sum += min(o, level)
			}
			return sum
		}
		low, high := 0.0, 2e5
		for range 200 {
			if mid := (low + high) / 2; taken(mid) < budget {
				low = mid
			} else {
				high = mid
			}
		}
		for i, o := range offers {
			require.InDelta(t, min(o, high), ratios[i]*o, 1e-3+1e-6*o)
		}
	})
}

func TestRate(t *testing.T) {
	var r rate
	r.n = 50
	require.InDelta(t, 100, r.measure(0.5), 1e-9, "the first is taken as it is")
	for range 40 {
		r.n = 10
		r.measure(0.5)
	}
	require.InDelta(t, 20, r.perSecond, 0.1, "it follows")
	before := r.perSecond
	r.measure(0.1)
	require.Greater(t, r.perSecond, before*0.9, "a short time moves it little")
}
