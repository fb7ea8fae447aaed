package pressure

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// moment is a step of a policy as the properties look back on it.
type moment struct {
	at    time.Time
	score float64
	level Level
}

// TestPolicyKeepsItsPromises drives a policy with readings near the thresholds,
// kinds that come and go, and uneven steps, and checks what the package comment
// promises against all that went before.
func TestPolicyKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := DefaultSettings()
		s.Strategy = rapid.SampledFrom(Strategies).Draw(t, "strategy")
		s.Thresholds.Hold = rapid.SampledFrom([]time.Duration{0, time.Second, 10 * time.Second}).Draw(t, "hold")
		begin := time.Unix(0, 0)
		p := NewPolicy(s, begin)
		now := begin
		past := []moment{{at: begin}}
		since := begin
		heard := map[Kind]moment{} // the last reading of each kind
		values := rapid.SampledFrom([]float64{0, 0.49, 0.5, 0.55, 0.6, 0.69, 0.71, 0.75, 0.8, 0.84, 0.86, 0.95, 1})
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			now = now.Add(rapid.SampledFrom([]time.Duration{Interval, Interval, Interval, time.Second, 4 * time.Second, 11 * time.Second}).Draw(t, "after"))
			var readings []Reading
			for _, kind := range rapid.SliceOfDistinct(rapid.SampledFrom(Kinds[:4]), rapid.ID).Draw(t, "kinds") {
				value := values.Draw(t, string(kind))
				readings = append(readings, Reading{Kind: kind, Value: value, Words: "it is much"})
				heard[kind] = moment{at: now, score: value}
			}
			got := p.Step(now, readings)

			want := 0.0
			for _, h := range heard {
				if now.Sub(h.at) < Silence {
					want = max(want, h.score)
				}
			}
			require.Equal(t, want, got.Score, "the score is the highest reading that counts")
			require.Equal(t, got.Level > Normal, got.Reason != "", "level %s, reason %q", got.Level, got.Reason)
			require.True(t, got.Admission >= leastAdmission && got.Admission <= 1, "admission %g", got.Admission)
			if s.Strategy == Off {
				require.Equal(t, 1.0, got.Admission)
			}

			before := past[len(past)-1].level
			past = append(past, moment{now, got.Score, got.Level})
			checkMove(t, s.Thresholds, past, before, since)
			if got.Level != before {
				since = now
			}
			require.Equal(t, since, got.Since)
		}
	})
}

// checkMove checks the last step of past, after which the level was reached
// since which it had been before.
func checkMove(t *rapid.T, h Thresholds, past []moment, before Level, since time.Time) {
	last := past[len(past)-1]
	confirmed := Normal // the highest level that must have begun
	for l := Moderate; l <= Critical; l++ {
		if stood(past, h.of(l)) >= Confirm {
			confirmed = l
		}
	}
	switch {
	case last.level > before:
		require.Equal(t, confirmed, last.level, "%s rose without its threshold", last.level)
	case last.level < before:
		require.GreaterOrEqual(t, last.at.Sub(since), h.Hold, "%s was too short", before)
		for l := last.level + 1; l <= before; l++ {
			quiet, ever := below(past, h.of(l)-h.Hysteresis)
			require.True(t, !ever || quiet >= h.Hold, "%s ended %s after it was reached", l, quiet)
		}
		require.GreaterOrEqual(t, last.level, confirmed)
	default:
		require.GreaterOrEqual(t, last.level, confirmed, "it should have risen")
		if last.level == Normal || last.level == confirmed || last.at.Sub(since) < h.Hold {
			return
		}
		quiet, ever := below(past, h.of(last.level)-h.Hysteresis)
		require.True(t, ever && quiet < h.Hold, "%s should have ended, %s after it was reached", last.level, quiet)
	}
}

// stood is for how long the score has been at or above a threshold.
func stood(past []moment, threshold float64) time.Duration {
	last := past[len(past)-1]
	if last.score < threshold {
		return -1
	}
	first := last
	for _, m := range slices.Backward(past) {
		if m.score < threshold {
			break
		}
		first = m
	}
	return last.at.Sub(first.at)
}

// below is how long ago the score was at or above a threshold, if ever.
func below(past []moment, threshold float64) (quiet time.Duration, ever bool) {
	for _, m := range slices.Backward(past) {
		if m.score >= threshold {
			return past[len(past)-1].at.Sub(m.at), true
		}
	}
	return 0, false
}
