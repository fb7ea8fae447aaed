package diagram

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// cluster is the nodes of one lane, service those of one service.
type cluster struct {
	lane  lane
	nodes []int
}

type service struct {
	name  string
	lanes []*cluster
}

// clusters groups the nodes, all in the order of their rows.
func clusters(g Graph) []*service {
	var all []*service
	services, lanes := map[string]*service{}, map[lane]*cluster{}
	for _, i := range order(g).rows {
		l := g.Nodes[i].lane()
		s := services[l.service]
		if s == nil {
			s = &service{name: cut(clean(l.serviceLabel()), maxName)}
			services[l.service] = s
			all = append(all, s)
		}
		c := lanes[l]
		if c == nil {
			c = &cluster{lane: l}
			lanes[l] = c
			s.lanes = append(s.lanes, c)
		}
		c.nodes = append(c.nodes, i)
	}
	return all
}

// quote makes s a DOT string. Ampersands are entities to Graphviz, backslashes
// escapes in labels.
func quote(s string) string {
	return `"` + strings.NewReplacer(`&`, `&amp;`, `\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// DOT writes g for Graphviz: a cluster per service and in it one per lane.
// Edges of cycles are part of it.
func DOT(w io.Writer, g Graph) error {
	var b bytes.Buffer
	b.WriteString("digraph causality {\n")
	title := cut(clean(g.Title), maxTitle)
	if g.Truncated {
		title += " (cut short: there is more)"
	}
	fmt.Fprintf(&b, "  graph [label=%s, labelloc=t, rankdir=TB, newrank=true, fontname=\"sans-serif\", style=rounded, color=\"#c3ccd6\"];\n", quote(title))
	b.WriteString("  node [shape=box, style=\"rounded,filled\", fillcolor=\"#ffffff\", color=\"#8c99a6\", fontname=\"monospace\", fontsize=11];\n")
	b.WriteString("  edge [fontname=\"sans-serif\", fontsize=9];\n")
	for i, s := range clusters(g) {
		fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%s;\n", i, quote(s.name))
		for k, c := range s.lanes {
			fmt.Fprintf(&b, "    subgraph cluster_%d_%d {\n      label=%s;\n", i, k, quote(cut(clean(c.lane.label()), maxName)))
			for _, n := range c.nodes {
				fmt.Fprintf(&b, "      n%d [%s];\n", n, dotNode(g.Nodes[n]))
			}
			b.WriteString("    }\n")
		}
		b.WriteString("  }\n")
	}
	for _, e := range g.Edges {
		if g.valid(e) {
			fmt.Fprintf(&b, "  n%d -> n%d [%s];\n", e.From, e.To, dotEdge(e))
		}
	}
	b.WriteString("}\n")
	_, err := w.Write(b.Bytes())
	return err
}

// captionOf is a node's label in exports, in up to two lines.
func captionOf(n Node) (first, second string) {
	d, ok := n.duration()
	switch {
	case n.Missing:
		second = "not found"
	case n.Open:
		second = "no return"
	case ok:
		second = short(d)
	}
	if n.Failed {
		second = strings.TrimSuffix("failed, "+second, ", ")
	}
	return cut(name(n), maxName), second
}

func dotNode(n Node) string {
	label, note := captionOf(n)
	if note != "" {
		label += "\n" + note
	}
	s := "label=" + quote(label) + ", tooltip=" + quote(tooltip(n))
	style := "rounded,filled"
	switch {
	case n.Missing:
		style = "rounded,dashed"
	case n.Open:
		style = "rounded,filled,dashed"
	}
	if n.Failed {
		s += `, shape=octagon, fillcolor="#fdecea", color="#c62828"`
		style = strings.Replace(style, "rounded,", "", 1)
	}
	if n.Root {
		s += ", peripheries=2, penwidth=2"
	}
	if href := link(n.Href); href != "" {
		s += ", URL=" + quote(href)
	}
	return s + `, style="` + style + `"`
}

func dotEdge(e Edge) string {
	k := looks[e.kind()]
	s := fmt.Sprintf(`color="%s", style="%s", penwidth=%s`, k.color, k.style, k.width)
	tip := string(e.kind()) + ", confidence " + confidence(e.Confidence)
	if e.Rule != "" {
		tip += ", rule " + cut(clean(e.Rule), maxName)
	}
	s += ", tooltip=" + quote(tip)
	if e.uncertain() {
		s += ", label=" + quote(confidence(e.Confidence))
	}
	return s
}
