package diagram

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
)

var update = flag.Bool("update", false, "write the golden files")

var formats = []struct {
	ext   string
	write func(io.Writer, Graph) error
}{{"svg", SVG}, {"dot", DOT}, {"mmd", Mermaid}}

func render(t require.TestingT, write func(io.Writer, Graph) error, g Graph) string {
	var b bytes.Buffer
	require.NoError(t, write(&b, g))
	return b.String()
}

func graphs() map[string]Graph {
	return map[string]Graph{"empty": {}, "small": small(), "medium": medium(), "odd": odd()}
}

// odd has what should not be: a cycle, an edge to itself and to nowhere, equal
// times, ends before beginnings, unknown kinds.
func odd() Graph {
	m := &maker{}
	a := m.node("", "", "", "", "", 0, 0)
	b := m.node("a", "", "", "odd kind", "b", 5*ms, 5*ms)
	c := m.node("a", "i", "", "client", "c", 5*ms, -2*ms)
	d := m.node("a", "", "p", "server", "d", 7*ms, 30*ms)
	e := m.node("a", "", "p", "server", "e", 9*ms, 4*ms)
	m.g.Nodes[a].ID, m.g.Nodes[a].Start = "", -1
	m.edge(a, b, "strange", .25, "")
	m.edge(b, c, causal.MessageFlow, 1, "x")
	m.edge(c, b, causal.ErrorPropagation, .999, "x")
	m.edge(c, c, causal.MessageFlow, 1, "x")
	m.edge(c, 99, causal.MessageFlow, 1, "x")
	m.edge(-1, c, causal.MessageFlow, 1, "x")
	m.edge(d, e, causal.ParentChild, 1, "")
	m.edge(d, e, causal.ParentChild, .5, "")
	m.edge(d, b, causal.ParentChild, 1, "")
	m.edge(d, b, causal.MessageFlow, 0, "")
	m.g.Nodes[c].Root = true
	return m.g
}

func TestGolden(t *testing.T) {
	for name, g := range graphs() {
		for _, f := range formats {
			path := filepath.Join("testdata", name+"."+f.ext)
			got := render(t, f.write, g)
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			requireSame(t, string(want), got, path)
		}
	}
}

// requireSame reports the first line that differs, as the whole is too much.
func requireSame(t *testing.T, want, got, what string) {
	t.Helper()
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		require.Equal(t, w[i], g[i], "%s, line %d", what, i+1)
	}
	require.Equal(t, len(w), len(g), "%s: lines", what)
}

// drawing draws a graph with hostile texts.
func drawing(t *rapid.T) Graph {
	texts := []string{
		"", "a", "charge_card/2", "<0.81.0>", `"]</text><script>alert(1)</script>`, "end", "\x00\x1b[31m\xff\xfe", "שלום\u202e", "日本語の長い名前のプロセスでとても長い名前",
		"%%{init: {}}%%", `\N \" & &lt;`, "a\nb\r\n\tc", "1. x", "]]>", strings.Repeat("long", 100), "ﬂ°°60¶ß", "a\u0301\u0301\u0301👩\u200d👧",
	}
	text := rapid.OneOf(rapid.SampledFrom(texts), rapid.String())
	few := rapid.SampledFrom([]string{"", "a", "b", "c"})
	g := Graph{Title: text.Draw(t, "title"), Truncated: rapid.Bool().Draw(t, "truncated")}
	n := rapid.IntRange(0, 40).Draw(t, "nodes")
	for i := range n {
		start := rapid.OneOf(rapid.Int64Range(0, 30), rapid.Int64Range(t0, t0+3*s), rapid.Int64()).Draw(t, "start")
		g.Nodes = append(g.Nodes, Node{
			ID: fmt.Sprint(i), Service: rapid.OneOf(few, text).Draw(t, "service"), Instance: few.Draw(t, "instance"), Process: few.Draw(t, "process"),
			Name: text.Draw(t, "name"), Kind: rapid.SampledFrom([]string{"", "producer", "consumer", "internal", "server", "client", "<"}).Draw(t, "kind"),
			Start: start, End: rapid.OneOf(rapid.Just(start), rapid.Int64Range(0, 60), rapid.Int64Range(t0, t0+3*s), rapid.Int64()).Draw(t, "end"),
			Failed: rapid.Bool().Draw(t, "failed"), Open: rapid.Bool().Draw(t, "open"), Missing: rapid.Bool().Draw(t, "missing"),
			Root: rapid.Bool().Draw(t, "root"), Detail: text.Draw(t, "detail"), Href: rapid.OneOf(rapid.Just("/x?a=b"), text).Draw(t, "href"),
		})
	}
	for range rapid.IntRange(0, 2*n).Draw(t, "edges") {
		g.Edges = append(g.Edges, Edge{
			From: rapid.IntRange(-1, n).Draw(t, "from"), To: rapid.IntRange(-1, n).Draw(t, "to"),
			Type:       rapid.SampledFrom(append([]causal.Type{"?"}, drawn...)).Draw(t, "type"),
			Confidence: rapid.SampledFrom([]float64{1, 1, .9, .5, 0}).Draw(t, "confidence"), Rule: text.Draw(t, "rule"),
		})
	}
	return g
}

// elements parses an SVG document strictly and returns its start tags.
func elements(t require.TestingT, svg string) []xml.StartElement {
	var all []xml.StartElement
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		if e, ok := token.(xml.StartElement); ok {
			all = append(all, e.Copy())
		}
	}
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// requireHarmless holds that texts of a graph became text: the elements are
// those that the package writes, and nothing runs or refers to anything.
func requireHarmless(t require.TestingT, svg string) {
	known := []string{"svg", "title", "desc", "style", "rect", "g", "path", "text", "a"}
	attrs := []string{"xmlns", "width", "height", "viewBox", "role", "class", "transform", "x", "y", "rx", "d", "dx", "dy", "text-anchor", "href"}
	for _, e := range elements(t, svg) {
		require.Contains(t, known, e.Name.Local)
		for _, a := range e.Attr {
			require.Contains(t, attrs, a.Name.Local)
			if a.Name.Local == "href" {
				require.Equal(t, a.Value, link(a.Value))
			}
		}
	}
	require.NotContains(t, svg, "\u202e")
}

func TestEveryGraphBecomesADocument(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawing(t)
		svg := render(t, SVG, g)
		requireHarmless(t, svg)
		nodes, texts := 0, 0
		for _, e := range elements(t, svg) {
			if c := attr(e, "class"); e.Name.Local == "g" && (c == "n" || strings.HasPrefix(c, "n ")) {
				nodes++
			}
			if e.Name.Local == "text" {
				texts++
			}
		}
		require.Equal(t, len(g.Nodes), nodes)
		require.GreaterOrEqual(t, texts, nodes)
		require.Less(t, len(svg), 20_000+len(g.Nodes)*30_000+len(g.Edges)*6_000)
		dot, mermaid := render(t, DOT, g), render(t, Mermaid, g)
		for i := range g.Nodes {
			require.Equal(t, 1, strings.Count(dot, fmt.Sprintf("\n      n%d [label=", i)))
			require.Regexp(t, fmt.Sprintf(`(?m)^    n%d[[({]{1,2}"[^"]*"[\])}]{1,2}$`, i), mermaid)
		}
		for _, f := range formats {
			require.Equal(t, render(t, f.write, g), render(t, f.write, g))
		}
	})
}

func apart(a0, a1, b0, b1 int) bool { return a1 <= b0 || b1 <= a0 }

func TestLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { requireGoodLayout(t, drawing(t)) })
	for _, g := range graphs() {
		requireGoodLayout(t, g)
	}
	requireGoodLayout(t, large(200))
}

func requireGoodLayout(t require.TestingT, g Graph) {
	l := arrange(g)
	p := &painter{layout: l}
	rows := slices.Clone(l.rows)
	slices.Sort(rows)
	for i := range g.Nodes {
		require.Equal(t, i, rows[i], "every node has one row")
		require.Equal(t, i, l.rows[l.row[i]])
	}
	for i, b := range l.boxes {
		c := l.columns[b.column]
		require.True(t, b.x >= c.x && b.x+b.width <= c.x+c.width, "box %d is within its column", i)
		for k, o := range l.boxes[:i] {
			require.True(t, apart(b.x, b.x+b.width, o.x, o.x+o.width) || apart(b.y-boxHeight/2, b.y+boxHeight/2, o.y-boxHeight/2, o.y+boxHeight/2), "boxes %d and %d", i, k)
			if l.boxes[k].column == b.column && l.row[k] < l.row[i] && o.end >= l.row[i] {
				require.GreaterOrEqual(t, b.x, o.x+barWidth, "box %d covers the bar of %d", i, k)
			}
		}
		for _, h := range l.heads {
			s := l.strands[h.strand]
			if s.column == b.column {
				require.True(t, apart(b.y-boxHeight/2, b.y+boxHeight/2, h.y-10, h.y+10), "box %d and a head", i)
			}
		}
	}
	for k, a := range l.strands {
		for _, b := range l.strands[:k] {
			require.True(t, a.column != b.column || a.last < b.first || b.last < a.first, "two lanes at once in one column")
			require.True(t, a.column != b.column || a.lane.service == b.lane.service)
		}
	}
	for i := 1; i < len(l.columns); i++ {
		require.Equal(t, l.columns[i].x, l.spread[i].x+l.spread[i].width())
		require.Equal(t, l.columns[i-1].x+l.columns[i-1].width, l.spread[i].x)
	}
	for _, k := range l.edges {
		require.Less(t, l.row[g.Edges[k].From], l.row[g.Edges[k].To], "edge %d goes forward", k)
	}
	tracks := map[int][]*bus{}
	for _, w := range l.wires {
		e := g.Edges[w.edge]
		_, fromY, _, toY := p.ends(w)
		require.GreaterOrEqual(t, toY-fromY, 12, "there is room for its bends")
		gutter := l.spread[w.bus.gutter]
		x := gutter.at(w.bus)
		require.True(t, x > gutter.x+8 && x < gutter.x+gutter.width()-8, "the track lies in its gutter")
		require.True(t, w.bus.first <= l.row[e.From] && w.bus.last >= l.row[e.To])
		for _, o := range tracks[x] {
			require.True(t, o == w.bus || o.last < w.bus.first || w.bus.last < o.first, "two wires on one track")
		}
		tracks[x] = append(tracks[x], w.bus)
	}
	shown := map[[2]int]bool{}
	for _, w := range l.wires {
		shown[[2]int{g.Edges[w.edge].From, g.Edges[w.edge].To}] = true
	}
	for _, k := range l.edges {
		e := g.Edges[k]
		require.True(t, shown[[2]int{e.From, e.To}] || l.nested(e), "edge %d is shown", k)
	}
	for k := 1; k < len(l.way); k++ {
		require.Less(t, l.row[l.way[k-1]], l.row[l.way[k]])
	}
}

// Without cycles every edge is drawn; with them only edges of cycles are not.
func TestOnlyCyclesLoseEdges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawing(t)
		n := len(g.Nodes)
		reach := make([][]bool, n)
		for i := range reach {
			reach[i] = make([]bool, n)
		}
		for _, e := range g.Edges {
			if g.valid(e) {
				reach[e.From][e.To] = true
			}
		}
		for k := range n {
			for i := range n {
				for j := range n {
					reach[i][j] = reach[i][j] || reach[i][k] && reach[k][j]
				}
			}
		}
		o := order(g)
		for i, e := range g.Edges {
			if !slices.Contains(o.edges, i) {
				require.True(t, !g.valid(e) || reach[e.To][e.From], "edge %d", i)
			}
		}
		require.Equal(t, len(g.Edges), len(o.edges)+o.left)
	})
}

// A lane keeps the order of its clock as long as no cause contradicts.
func TestLanesKeepTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := drawing(t)
		g.Edges = nil
		o := order(g)
		last := map[lane]int64{}
		for _, i := range o.rows {
			if s := g.Nodes[i].start(); s > 0 {
				require.GreaterOrEqual(t, s, last[g.Nodes[i].lane()])
				last[g.Nodes[i].lane()] = s
			}
		}
	})
}

// What waits for a cause holds up what its lane did later.
func TestLanesWaitForCauses(t *testing.T) {
	m := &maker{}
	a1 := m.node("a", "", "p", "consumer", "a1", 1*ms, 0)
	a2 := m.node("a", "", "p", "internal", "a2", 2*ms, 0)
	b := m.node("b", "", "q", "producer", "b", 10*ms, 0)
	m.edge(b, a1, causal.MessageFlow, 1, "")
	require.Equal(t, []int{b, a1, a2}, order(m.g).rows)
}

// Two lanes whose clocks contradict what caused what, and later two more.
func TestCausesWinOverClocks(t *testing.T) {
	m := &maker{}
	var want []int
	for k, names := range [][2]string{{"a", "b"}, {"c", "d"}} {
		at := int64(k) * s
		a1 := m.node(names[0], "", "p", "internal", "a1", at, 0)
		a2 := m.node(names[0], "", "p", "internal", "a2", at+2, 0)
		b1 := m.node(names[1], "", "p", "internal", "b1", at+1, 0)
		b2 := m.node(names[1], "", "p", "internal", "b2", at+3, 0)
		m.edge(a2, b1, causal.MessageFlow, 1, "")
		m.edge(b2, a1, causal.MessageFlow, 1, "")
		want = append(want, a2, b1, b2, a1)
	}
	require.Equal(t, want, order(m.g).rows)
	requireGoodLayout(t, m.g)
}

func TestGraphIsLeftAsItIs(t *testing.T) {
	g, same := medium(), medium()
	for _, f := range formats {
		render(t, f.write, g)
	}
	require.Equal(t, same, g)
}

func TestLargeGraphs(t *testing.T) {
	g := large(5000)
	svg := render(t, SVG, g)
	require.Less(t, len(svg), 8_000_000)
	require.Contains(t, svg, "5000 nodes")
	chain := Graph{}
	for i := range 20_000 {
		chain.Nodes = append(chain.Nodes, Node{ID: fmt.Sprint(i), Name: "x", Start: 5, End: 9})
		chain.Edges = append(chain.Edges, Edge{i, i + 1, causal.MessageFlow, 1, ""})
	}
	require.Equal(t, 19_999, len(order(chain).edges))
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no room") }

func TestWriterErrors(t *testing.T) {
	for _, f := range formats {
		require.EqualError(t, f.write(full{}, small()), "no room")
	}
}

func TestGraphvizTakesIt(t *testing.T) {
	dot, err := exec.LookPath("dot")
	if err != nil {
		t.Skip("dot of Graphviz is not installed")
	}
	check := func(t require.TestingT, g Graph) {
		cmd := exec.Command(dot, "-Tcanon", "-o", os.DevNull)
		cmd.Stdin = strings.NewReader(render(t, DOT, g))
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Empty(t, string(out))
	}
	for _, g := range graphs() {
		check(t, g)
	}
	for seed := range 20 {
		g := rapid.Custom(drawing).Example(seed)
		check(t, g)
	}
}

func TestFarClocks(t *testing.T) {
	m := &maker{}
	a := m.node("a", "1", "p", "producer", "send", 10*s, 0)
	b := m.node("b", "1", "q", "consumer", "receive", 0, 0)
	m.edge(a, b, causal.MessageFlow, 1, "")
	svg := render(t, SVG, m.g)
	require.Contains(t, svg, "≠ −10 s")
	require.Contains(t, svg, "≠ by its clock it began before its cause")
	l := arrange(m.g)
	require.Less(t, l.boxes[a].y, l.boxes[b].y)
}

func TestWay(t *testing.T) {
	cases := map[string]struct {
		mark func(nodes []Node)
		want []int
	}{
		"nothing matters":        {func([]Node) {}, nil},
		"what was asked for":     {func(n []Node) { n[2].Root = true }, []int{0, 1, 2}},
		"the first failure":      {func(n []Node) { n[0].Root, n[1].Failed, n[2].Failed = true, true, true }, []int{0, 1}},
		"the failure asked for":  {func(n []Node) { n[1].Failed, n[2].Failed, n[2].Root = true, true, true }, []int{0, 1, 2}},
		"the cause that is last": {func(n []Node) { n[3].Failed = true }, []int{0, 1, 3}},
		"the innermost failure":  {func(n []Node) { n[0].Failed, n[1].Failed, n[4].Failed, n[5].Failed = true, true, true, true }, []int{0, 4}},
		"nothing led there":      {func(n []Node) { n[0].Failed = true }, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := &maker{}
			for i := range 6 {
				m.node("a", "", fmt.Sprint(i), "internal", "x", int64(i)*ms, 0)
			}
			m.edge(0, 1, causal.MessageFlow, 1, "")
			m.edge(1, 2, causal.MessageFlow, 1, "")
			m.edge(1, 3, causal.ErrorPropagation, 1, "")
			m.edge(0, 3, causal.ProcessSpawn, 1, "")
			m.edge(0, 5, causal.ParentChild, 1, "")
			m.edge(0, 4, causal.ParentChild, 1, "")
			c.mark(m.g.Nodes)
			require.Equal(t, c.want, arrange(m.g).way)
		})
	}
}
