package pressure

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLevelsAsText(t *testing.T) {
	for level, name := range map[Level]string{Normal: `"normal"`, Moderate: `"moderate"`, High: `"high"`, Critical: `"critical"`} {
		text, err := json.Marshal(level)
		require.NoError(t, err)
		require.Equal(t, name, string(text))
		var read Level
		require.NoError(t, json.Unmarshal(text, &read))
		require.Equal(t, level, read)
	}
	var l Level
	require.EqualError(t, l.UnmarshalText([]byte("severe")), `"severe" is not one of normal, moderate, high, critical`)
}

func TestParseStrategy(t *testing.T) {
	for _, s := range Strategies {
		read, err := ParseStrategy(string(s))
		require.NoError(t, err)
		require.Equal(t, s, read)
	}
	_, err := ParseStrategy("hope")
	require.EqualError(t, err, `"hope" is not one of adaptive_sampling, priority_based, drop_oldest, refuse, off`)
}

func TestWhatStrategiesDo(t *testing.T) {
	for s, want := range map[Strategy]struct {
		samples        bool
		moderate, high string
	}{
		AdaptiveSampling: {samples: true},
		PriorityBased:    {samples: true, high: "by_priority"},
		DropOldest:       {high: "drop_oldest"},
		Refuse:           {},
		Off:              {},
	} {
		require.Equal(t, want.samples, s.Samples(), s)
		for level, overflow := range map[Level]string{Normal: "", Moderate: want.moderate, High: want.high, Critical: want.high} {
			require.Equal(t, overflow, s.Overflow(level), "%s at %s", s, level)
		}
	}
}

// A reading without words is named by its kind, so that a level always has a
// reason.
func TestReasonWithoutWords(t *testing.T) {
	s := newStand()
	s.Register(func() []Reading { return []Reading{{Kind: Ring, Value: 1}} })
	s.pass(Confirm + Interval)
	require.Equal(t, Critical, s.Level())
	require.Equal(t, "ring", s.State().Reason)
}
