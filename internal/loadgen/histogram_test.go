package loadgen

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestQuantilesAreNeverTooLowAndHardlyTooHigh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, math.MaxInt64), 1, 200).Draw(t, "values")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		var h Histogram
		for _, v := range values {
			h.Observe(time.Duration(v))
		}
		slices.Sort(values)
		rank := max(1, min(len(values), int(q*float64(len(values))+0.999999)))
		exact := values[rank-1]
		got := int64(h.Counts().Quantile(q))
		require.GreaterOrEqual(t, got, exact)
		require.LessOrEqual(t, float64(got), float64(exact)*(1+1.0/32)+1)
	})
}

func TestHistogramDifference(t *testing.T) {
	var h Histogram
	require.Zero(t, h.Counts().Quantile(0.5))
	h.Observe(-time.Second)
	before := h.Counts()
	h.Observe(time.Millisecond)
	since := h.Counts().Since(before)
	require.EqualValues(t, 1, since.Total())
	require.InDelta(t, time.Millisecond, since.Quantile(1), float64(time.Millisecond)/32)
}
