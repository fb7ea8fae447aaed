package diagram

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/otelscope/otelscope/internal/causal"
)

// breaks takes apart what Mermaid looks for in texts after it has decoded
// them: its own mark of an entity, which begins with a ligature, and icons.
var breaks = strings.NewReplacer("\ufb02", "fl", ":fa-", ":\u200bfa-")

// entities makes s text within a quoted Mermaid label: all but letters,
// numbers and harmless signs become entity codes, so that nothing is left
// that any of Mermaid's passes over its source could take for something else.
func entities(s string) string {
	var b strings.Builder
	for _, r := range breaks.Replace(s) {
		if r < unicode.MaxASCII && strings.ContainsRune(" ._-,/()@+", r) || unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}

// yaml makes s a double-quoted YAML string of harmless characters.
func yaml(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case strings.ContainsRune(" ._-,/()", r) || unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

const mermaidClasses = `  classDef failed fill:#fdecea,stroke:#c62828,stroke-width:2px,color:#8e1414
  classDef open stroke:#a86400,stroke-width:2px,stroke-dasharray:5 2
  classDef missing fill:none,stroke:#6b7785,stroke-dasharray:2 3
  classDef root stroke-width:4px
`

// Mermaid writes g as a Mermaid flowchart, a subgraph per lane; there is none
// per service, as its layout fails on large graphs of nested subgraphs. Edges
// of cycles are part of it. Mermaid refuses more than 50,000 characters or 500
// edges unless it is configured otherwise.
func Mermaid(w io.Writer, g Graph) error {
	var b bytes.Buffer
	title := cut(clean(g.Title), maxTitle)
	if g.Truncated {
		title += " (cut short: there is more)"
	}
	if title != "" {
		fmt.Fprintf(&b, "---\ntitle: %s\n---\n", yaml(title))
	}
	b.WriteString("flowchart TD\n")
	if len(g.Nodes) == 0 {
		b.WriteString("  none[\"no nodes\"]\n")
	}
	for i, s := range clusters(g) {
		for k, c := range s.lanes {
			fmt.Fprintf(&b, "  subgraph s%d_%d[\"%s\"]\n", i, k, entities(s.name+", "+cut(clean(c.lane.label()), maxName)))
			for _, n := range c.nodes {
				fmt.Fprintf(&b, "    n%d%s\n", n, mermaidNode(g.Nodes[n]))
			}
			b.WriteString("  end\n")
		}
	}
	byKind := mermaidEdges(&b, g)
	for i, n := range g.Nodes {
		if href := link(n.Href); href != "" {
			fmt.Fprintf(&b, "  click n%d href \"%s\"\n", i, href)
		}
	}
	b.WriteString(mermaidClasses)
	mermaidStates(&b, g)
	for _, t := range drawn {
		if len(byKind[t]) == 0 {
			continue
		}
		k := looks[t]
		fmt.Fprintf(&b, "  linkStyle %s stroke:%s,stroke-width:%spx", strings.Join(byKind[t], ","), k.color, k.width)
		if k.dash != "" {
			fmt.Fprintf(&b, ",stroke-dasharray:%s", k.dash)
		}
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}

// mermaidEdges writes the edges and returns their numbers by kind.
func mermaidEdges(b *bytes.Buffer, g Graph) map[causal.Type][]string {
	byKind, number := map[causal.Type][]string{}, 0
	for _, e := range g.Edges {
		if !g.valid(e) {
			continue
		}
		label := ""
		if e.kind() != causal.ParentChild && e.kind() != causal.MessageFlow {
			label = looks[e.kind()].words
		}
		if e.uncertain() {
			label = strings.TrimSpace(label + " " + confidence(e.Confidence))
		}
		if label != "" {
			label = `|"` + label + `"|`
		}
		fmt.Fprintf(b, "  n%d -->%s n%d\n", e.From, label, e.To)
		byKind[e.kind()] = append(byKind[e.kind()], fmt.Sprint(number))
		number++
	}
	return byKind
}

// mermaidStates gives the nodes their classes.
func mermaidStates(b *bytes.Buffer, g Graph) {
	for _, c := range []struct {
		name string
		is   func(Node) bool
	}{
		{"failed", func(n Node) bool { return n.Failed }},
		{"open", func(n Node) bool { return n.Open }},
		{"missing", func(n Node) bool { return n.Missing }},
		{"root", func(n Node) bool { return n.Root }},
	} {
		var names []string
		for i, n := range g.Nodes {
			if c.is(n) {
				names = append(names, fmt.Sprintf("n%d", i))
			}
		}
		if len(names) > 0 {
			fmt.Fprintf(b, "  class %s %s\n", strings.Join(names, ","), c.name)
		}
	}
}

// mermaidNode returns a node's shape with its label: failures have a shape of
// their own.
func mermaidNode(n Node) string {
	label, note := captionOf(n)
	label = entities(label)
	if note != "" {
		label += "<br/>" + entities(note)
	}
	switch {
	case n.Failed:
		return `{{"` + label + `"}}`
	case n.Missing:
		return `("` + label + `")`
	}
	return `["` + label + `"]`
}
