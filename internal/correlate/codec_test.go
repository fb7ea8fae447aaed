package correlate

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBatchesAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, _ := parseAll(t, anything(t))
		all[0].Links = append(all[0].Links, refOf("x"), refOf("y"))
		all[0].Root, all[0].Sampled, all[0].Randomness, all[0].Correlation = true, true, 7, "order ü"
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		encoded := AppendBatch(nil, all[:cut], 17)
		encoded = AppendBatch(encoded, all[cut:], 18)
		first, now, rest, err := ReadBatch(encoded, len(testRules))
		require.NoError(t, err)
		require.Equal(t, int64(17), now)
		second, now, rest, err := ReadBatch(rest, len(testRules))
		require.NoError(t, err)
		require.Equal(t, int64(18), now)
		require.Empty(t, rest)
		require.Equal(t, all, append(first, second...))

		_, _, _, err = ReadBatch(encoded[:rapid.IntRange(0, len(AppendBatch(nil, all[:cut], 17))-1).Draw(t, "end")], len(testRules))
		require.ErrorContains(t, err, "a batch of observations cannot be read: it ends too early")
	})
}

func TestBadBatches(t *testing.T) {
	o := parse(t, "a process=p: claim id m")
	good := AppendBatch(nil, []Observation{o}, 0)
	_, _, _, err := ReadBatch(good, 1)
	require.ErrorContains(t, err, "there is no rule 1, there are 1")

	opAt := len(good) - (1 + 1 + 8 + 1 + 8 + 8)
	for want, change := range map[string]func(b []byte){
		"op: kind 99 is not known":                 func(b []byte) { b[opAt] = 99 },
		"op: it has 4 keys, at most 3 are allowed": func(b []byte) { b[opAt+10] = 4 },
		"flags: 0xff is not known":                 func(b []byte) { b[2+24+1+12] = 0xff },
		"flags: 0x2 is not known":                  func(b []byte) { b[2+24+1+12] = 2 },
		"it ends too early":                        func(b []byte) { b[1] = 200 },
	} {
		b := append([]byte(nil), good...)
		change(b)
		_, _, _, err := ReadBatch(b, len(testRules))
		require.ErrorContains(t, err, want)
	}
}

func FuzzReadBatch(f *testing.F) {
	f.Add(AppendBatch(nil, []Observation{parse(f, "a/b root open process=p correlation=c links=x: offer m; end claim id a b c")}, 1))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		batch, now, rest, err := ReadBatch(b, len(testRules))
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(rest), len(b))
		again, then, rest, err := ReadBatch(AppendBatch(nil, batch, now), len(testRules))
		require.NoError(t, err)
		require.Empty(t, rest)
		require.Equal(t, now, then)
		require.Equal(t, batch, again)
		var out Result
		New(testConfig()).Observe(batch, now, &out) // whatever it says, it must not fail
	})
}
