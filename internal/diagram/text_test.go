package diagram

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "",
		"  a \t\n b ":          "a b",
		"a\x00b\x1b":           "a\ufffdb\ufffd",
		"\xff":                 "\ufffd",
		"a\u202eb\u2066c":      "abc",
		"👩\u200d👧":             "👩\u200d👧",
		"\ufeffx":              "\ufffdx",
		"\ufffe":               "\ufffd",
		"nul\u0085line\u2028x": "nul line x",
	} {
		require.Equal(t, want, clean(in), "%q", in)
	}
	require.Equal(t, "a\nb c", lines("a\r\n\tb  c\n\n"))
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"ab cd", 4, "ab…"}, {"日本語", 6, "日本語"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"", 1, ""},
	} {
		require.Equal(t, c.want, cut(c.in, c.n), "%q to %d", c.in, c.n)
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 999: "999 ns", 1000: "1 µs", 12340: "12.3 µs", 999_600: "1 ms", 18 * time.Millisecond: "18 ms",
		1250 * time.Millisecond: "1.25 s", -4900 * time.Millisecond: "−4.9 s", 59 * time.Second: "59 s",
		185 * time.Second: "3m05s", 26*time.Hour + 4*time.Minute: "26h04m", 100400 * time.Microsecond: "100 ms",
	} {
		require.Equal(t, want, short(int64(d)))
	}
}

func TestScale(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{[]string{"0s", "240µs", "1.2ms"}, []string{"0 µs", "+240 µs", "+1200 µs"}},
		{[]string{"0s", "1.25ms", "2.005s"}, []string{"0.00 ms", "+1.25 ms", "+2005.00 ms"}},
		{[]string{"-12s", "1ms"}, []string{"−12.000 s", "+0.001 s"}},
		{[]string{"5ns"}, []string{"+5 ns"}},
		{[]string{"1ns", "1s"}, []string{"+0.000001 ms", "+1000.000000 ms"}},
		{[]string{"10000.000001s"}, []string{"+10000.000 s"}},
	} {
		var all []int64
		for _, s := range c.in {
			d, err := time.ParseDuration(s)
			require.NoError(t, err)
			all = append(all, int64(d))
		}
		var got []string
		write := scale(all)
		for _, v := range all {
			got = append(got, write(v))
		}
		require.Equal(t, c.want, got)
	}
}

func TestConfidence(t *testing.T) {
	for c, want := range map[float64]string{1: "1", .9: "0.9", .999: "0.99", .57: "0.57", 0: "0", -1: "0", 7: "1"} {
		require.Equal(t, want, confidence(c))
	}
	require.Equal(t, "0", confidence(math.NaN()))
	require.True(t, Edge{Confidence: math.NaN()}.uncertain())
}

func TestLink(t *testing.T) {
	for in, want := range map[string]string{
		"https://example.org/a?b=c#d":      "https://example.org/a?b=c#d",
		"http://[::1]:4320/x":              "http://[::1]:4320/x",
		"/api/v1/events/e%2F1/chain?a&b":   "/api/v1/events/e%2F1/chain?a&b",
		"chain":                            "chain",
		"?q=1":                             "?q=1",
		`/x?a="b"&c=%%{init}#60;`:          "/x?a=%22b%22&c=%25%25%7Binit%7D#60%3B",
		"/(a)'":                            "/%28a%29%27",
		"/ends?in=%2":                      "/ends?in=%252",
		"":                                 "",
		"//evil.example/x":                 "",
		`/\evil.example`:                   "",
		"javascript:alert(1)":              "",
		"JaVaScRiPt:alert(1)":              "",
		" javascript:alert(1)":             "",
		"java\nscript:alert(1)":            "",
		"data:text/html,x":                 "",
		"https:/x":                         "",
		"https://user:pw@example.org/":     "",
		"http://[broken":                   "",
		"/" + strings.Repeat("a", maxHref): "",
	} {
		require.Equal(t, want, link(in), "%q", in)
	}
}

func TestLaneLabels(t *testing.T) {
	for want, l := range map[string]lane{
		"p @ i": {"s", "i", "p"}, "p": {"s", "", "p"}, "i": {"s", "i", ""}, "all instances": {"s", "", ""}, "unknown": {},
	} {
		require.Equal(t, want, l.label())
	}
}

func TestQuotes(t *testing.T) {
	require.Equal(t, `"a\\N \"b\" &amp;lt; \n"`, quote("a\\N \"b\" &lt; \n"))
	require.Equal(t, "a#34;#93;#58; fl#96;", entities("a\"]: ﬂ`"))
	require.Equal(t, `"a\U00000022\U00000025 b"`, yaml(`a"% b`))
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"a", "</title><script>", "\x00\xff", "]]>", "&amp;", "\"];\n", "\u202e", "e\u0301", "javascript:x", "/a;b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g := Graph{Title: s, Nodes: []Node{{ID: "1", Service: s, Instance: s, Process: s, Name: s, Kind: s, Detail: s, Href: s}, {ID: s, Service: s + "2"}},
			Edges: []Edge{{0, 1, causal.Type(s), .5, s}}}
		svg := render(t, SVG, g)
		require.True(t, utf8.ValidString(svg))
		requireHarmless(t, svg)
		require.Less(t, len(svg), 200_000)
		// Markup and line ends are the same whatever the text, unless it is a link.
		plain := g
		plain.Title, plain.Nodes = "x", []Node{{ID: "1", Service: "x", Instance: "x", Process: "x", Name: "x", Kind: "x", Href: g.Nodes[0].Href}, {ID: "x", Service: "x2"}}
		dot := render(t, DOT, g)
		require.Equal(t, strings.Count(render(t, DOT, plain), "\n"), strings.Count(dot, "\n"))
		require.Zero(t, strings.Count(strings.NewReplacer(`\\`, "", `\"`, "").Replace(dot), `"`)%2)
		mermaid := render(t, Mermaid, g)
		if clean(s) == "" {
			plain.Title = "" // and its three lines
		}
		require.Equal(t, strings.Count(render(t, Mermaid, plain), "\n"), strings.Count(mermaid, "\n"))
		require.Zero(t, strings.Count(mermaid, `"`)%2)
	})
}
