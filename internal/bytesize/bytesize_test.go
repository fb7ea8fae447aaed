package bytesize

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]ByteSize{
		"0":                   0,
		"7":                   7,
		"7B":                  7,
		"128MiB":              128 * MiB,
		"50 GiB":              50 * GiB,
		" 1kib ":              KiB,
		"1.5GiB":              GiB + GiB/2,
		"2TB":                 2_000_000_000_000,
		"3MB":                 3_000_000,
		"4gb":                 4_000_000_000,
		"1KB":                 1000,
		"9223372036854775807": 9223372036854775807,
	} {
		got, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", " ", "MiB", "-1", "-1MiB", "1.5", "1.5B", "1..5MiB", "1 2MiB", "12MX", "1e3",
		"9223372036854775808", "8388608TiB", "8388608.5TiB",
	} {
		_, err := Parse(text)
		require.ErrorContains(t, err, `"`+text+`"`, text)
	}
}

func TestConfigurationValue(t *testing.T) {
	type config struct {
		Text   ByteSize `mapstructure:"text"`
		Number ByteSize `mapstructure:"number"`
	}
	var c config
	conf := confmap.NewFromStringMap(map[string]any{"text": "256MiB", "number": 42})
	require.NoError(t, conf.Unmarshal(&c))
	require.Equal(t, config{Text: 256 * MiB, Number: 42}, c)

	out := confmap.New()
	require.NoError(t, out.Marshal(c))
	require.Equal(t, map[string]any{"text": "256MiB", "number": "42B"}, out.ToStringMap())

	err := confmap.NewFromStringMap(map[string]any{"text": "many"}).Unmarshal(&c)
	require.ErrorContains(t, err, `"many" is no size`)
}

func TestStringParsesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := ByteSize(rapid.Int64Min(0).Draw(t, "bytes"))
		if rapid.Bool().Draw(t, "round") {
			b = b / GiB * GiB
		}
		got, err := Parse(b.String())
		if err != nil || got != b {
			t.Fatalf("%d -> %s -> %d, %v", b, b, got, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "1", "128MiB", "1.5GB", ".", "9223372036854775807TiB", "-3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if b, err := Parse(text); err == nil && b < 0 {
			t.Fatalf("%q is negative: %d", text, b)
		}
	})
}
