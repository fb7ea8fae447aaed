package views

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var anyDuration = rapid.Custom(func(t *rapid.T) uint64 {
	return rapid.Uint64().Draw(t, "value") >> rapid.IntRange(0, 63).Draw(t, "shift")
})

func TestBucketsAreNarrow(t *testing.T) {
	require.Equal(t, maxBuckets-1, bucketOf(math.MaxUint64))
	rapid.Check(t, func(t *rapid.T) {
		v := anyDuration.Draw(t, "v")
		b := bucketOf(v)
		middle := middleOf(b)
		require.Equal(t, b, bucketOf(middle))
		require.LessOrEqual(t, math.Abs(float64(middle)-float64(v)), float64(v)/32)
	})
}

func TestQuantilesAreClose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(anyDuration, 1, 50).Draw(t, "values")
		q := rapid.Float64Range(0.001, 1).Draw(t, "q")
		var h, other Histogram
		for i, v := range values {
			if i%3 == 0 {
				other.Add(v)
			} else {
				h.Add(v)
			}
		}
		h.Merge(&other)
		h.Merge(&Histogram{})
		require.EqualValues(t, len(values), h.Count())
		slices.Sort(values)
		exact := float64(values[int(math.Ceil(q*float64(len(values))))-1])
		require.InDelta(t, exact, float64(h.Quantile(q)), exact/32)

		encoded, err := json.Marshal(h)
		require.NoError(t, err)
		var decoded Histogram
		require.NoError(t, json.Unmarshal(encoded, &decoded))
		again, err := json.Marshal(decoded)
		require.NoError(t, err)
		require.Equal(t, string(encoded), string(again))
		require.Equal(t, h.Quantile(q), decoded.Quantile(q))
	})
}

func TestNothingHasNoQuantile(t *testing.T) {
	var h Histogram
	require.Zero(t, h.Quantile(0.5))
	encoded, err := json.Marshal(h)
	require.NoError(t, err)
	require.Equal(t, "[]", string(encoded))
	require.NoError(t, json.Unmarshal(encoded, &h))
	zeros := Histogram{first: 3, counts: []uint64{0, 1, 0}}
	encoded, err = json.Marshal(zeros)
	require.NoError(t, err)
	require.Equal(t, "[4,1]", string(encoded))
}

func TestImpossibleHistograms(t *testing.T) {
	for _, text := range []string{"[976,1]", "[975,1,1]", "[1]", "[1,0,2]", "[1,2,0]", "[-1,2]", `"x"`} {
		var h Histogram
		require.Error(t, json.Unmarshal([]byte(text), &h), text)
	}
}
