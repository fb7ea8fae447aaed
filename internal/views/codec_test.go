package views

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
)

var update = flag.Bool("update", false, "write the golden file anew")

// summed sums up spans as one part.
func summed(spans []Span) *Summary {
	v := newViews(100, 100)
	for i := range spans {
		v.Add(&spans[i])
	}
	return v.Rotate()
}

func drawSummary(t *rapid.T) *Summary {
	s := summed(drawSpans(t, rapid.IntRange(0, 12).Draw(t, "spans")))
	s.Missing = rapid.Uint64Range(0, 3).Draw(t, "missing")
	s.PendingOmitted = rapid.Uint64Range(0, 3).Draw(t, "omitted")
	return s
}

func encoded(t require.TestingT, s *Summary) []byte {
	b, err := s.Encode()
	require.NoError(t, err)
	return b
}

func TestDecodeIsTheInverseOfEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := encoded(t, drawSummary(t))
		s, err := Decode(b)
		require.NoError(t, err)
		require.Equal(t, b, encoded(t, s))
	})
}

func TestMergeIsAssociativeAndCommutative(t *testing.T) {
	sum := func(parts ...*Summary) *Summary {
		s := NewSummary()
		for _, p := range parts {
			s.Add(p)
		}
		return s
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawSummary(t), drawSummary(t), drawSummary(t)
		all := encoded(t, sum(a, b, c))
		require.Equal(t, all, encoded(t, sum(c, b, a)))
		require.Equal(t, all, encoded(t, sum(a, sum(b, c))))
		require.Equal(t, encoded(t, a), encoded(t, sum(a, NewSummary())))
		merged, err := MergeEncoded([][]byte{encoded(t, a), {}, encoded(t, b), encoded(t, c)})
		require.NoError(t, err)
		require.Equal(t, all, encoded(t, merged))
	})
}

func TestPartsWithoutASummaryAreCounted(t *testing.T) {
	merged, err := MergeEncoded([][]byte{nil, {}, nil})
	require.NoError(t, err)
	require.EqualValues(t, 2, merged.Missing)
	_, err = MergeEncoded([][]byte{[]byte("x")})
	require.Error(t, err)
}

// example is a summary with something in each place.
func example() *Summary {
	spawn := causal.Edge{Type: causal.ProcessSpawn, Cause: ref(1), Effect: ref(2), Rule: "spawn"}
	lead := causal.Edge{Type: causal.ErrorPropagation, Cause: ref(2), Effect: ref(3), Rule: "recovers"}
	gone := causal.Edge{Type: causal.ParentChild, Cause: ref(9), Effect: ref(1), Rule: ruleParent}
	return summed([]Span{
		{Ref: ref(1), Kind: 2, Start: 1000, End: 51000, Service: "shop", Node: "n1", Process: "<0.1.0>", Name: "spawn worker", Edges: []causal.Edge{gone}},
		{Ref: ref(2), Start: 2000, End: 2000, Service: "shop", Node: "n1", Process: "<0.2.0>", Name: "error", Failed: true, Error: "timeout", Edges: []causal.Edge{spawn}},
		{Ref: ref(3), Start: 5000, End: 5000, Service: "shop", Node: "n1", Process: "<0.2.0>", Name: "exit", Exit: true, Edges: []causal.Edge{lead}},
	})
}

// TestGolden reads a summary that was written when the format was new.
func TestGolden(t *testing.T) {
	name := filepath.Join("testdata", "v1.summary")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(name, encoded(t, example()), 0o600))
	}
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	s, err := Decode(b)
	require.NoError(t, err)
	require.Equal(t, encoded(t, example()), encoded(t, s))
	require.Len(t, s.Pending, 1)
}

func compressed(text string) []byte {
	return compressor.EncodeAll([]byte(text), nil)
}

func TestWhatIsNoSummary(t *testing.T) {
	good := counts(t, example())
	for name, c := range map[string]struct{ text, says string }{
		"no JSON":             {`{`, "JSON"},
		"another version":     {`{"version":2}`, "format version 2"},
		"no version":          {`{}`, "format version 0"},
		"a row twice":         {`{"version":1,"services":{"rows":[{"key":{"service":"a"}},{"key":{"service":"a"}}]}}`, "twice"},
		"a text for a number": {`{"version":1,"missing":"x"}`, "missing"},
		"a short id":          {`{"version":1,"pending":[{"missing":"00"}]}`, "digits"},
		"a wrong digit":       {`{"version":1,"pending":[{"missing":"` + strings.Repeat("x", 48) + `"}]}`, "invalid byte"},
		"a histogram":         {strings.Replace(good, `"latency":[`, `"latency":[9999,`, 1), "histogram"},
		"too long":            {strings.Repeat(" ", maxDecoded+1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Decode(compressed(c.text))
			require.ErrorContains(t, err, "summary of views")
			require.ErrorContains(t, err, c.says)
		})
	}
	_, err := Decode([]byte("no zstd"))
	require.Error(t, err)
	_, err = Decode(encoded(t, example())[:40])
	require.Error(t, err)
}

// FuzzDecode decodes JSON as it is in a summary; what decodes, encodes.
func FuzzDecode(f *testing.F) {
	text, err := decompressor.DecodeAll(encoded(f, example()), nil)
	require.NoError(f, err)
	f.Add(text)
	f.Add([]byte(`{"version":1,"edges":{"omitted":1,"rows":[{"key":{},"row":{"latency":[3,1,0,5]}}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decode(data)
		if err != nil {
			return
		}
		b := encoded(t, s)
		again, err := Decode(b)
		require.NoError(t, err)
		require.Equal(t, b, encoded(t, again))
		_, _ = json.Marshal(Operations(Query[OperationKey]{Limit: 3}, s, again))
	})
}

// FuzzDecompress decodes anything.
func FuzzDecompress(f *testing.F) {
	f.Add(encoded(f, example()))
	f.Add([]byte{})
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = Decode(data) })
}
