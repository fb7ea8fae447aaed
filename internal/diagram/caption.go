package diagram

import (
	"fmt"
	"strings"

	"github.com/otelscope/otelscope/internal/causal"
)

// legendWidth keeps the legend of a wide diagram on the first screen.
const legendWidth = 1200

func (p *painter) title() string {
	if t := cut(clean(p.g.Title), maxTitle); t != "" {
		return t
	}
	return "Causal graph"
}

// caption writes title, summary and legend, and returns how high they are.
func (p *painter) caption() int {
	room := p.width - 2*gutterPad
	p.text(gutterPad, 30, "title", "", cut(p.title(), room/11))
	y := 50
	p.text(gutterPad, y, "sub", "", cut(p.summary(), room/7))
	if s := p.failures(); s != "" {
		y += 18
		p.text(gutterPad, y, "sub bad", "", cut(s, room/8))
	}
	if s := p.hops(); s != "" {
		y += 18
		p.text(gutterPad, y, "sub", "", cut(s, room/7))
	}
	return p.legend(y + 24)
}

// summary counts what is shown.
func (p *painter) summary() string {
	edges := count(len(p.edges), "edge")
	if p.left > 0 {
		edges += fmt.Sprintf(" (%d more close a cycle or name no node)", p.left)
	}
	s := fmt.Sprintf("%s, %s; %s of %s", count(len(p.g.Nodes), "node"), edges, count(len(p.strands), "lane"), count(len(p.groups), "service"))
	if p.g.Truncated {
		s += "; cut short, there is more"
	}
	latest := p.base
	for i, n := range p.g.Nodes {
		d, _ := n.duration()
		latest = max(latest, after(p.time[i], d))
	}
	if p.base > 0 {
		s += "; " + short(latest-p.base) + " from " + moment(p.base)
	}
	return s
}

// failures names the first failure.
func (p *painter) failures() string {
	first, n := p.firstFailure(), 0
	if first < 0 {
		return ""
	}
	for _, other := range p.g.Nodes {
		if other.Failed {
			n++
		}
	}
	f := p.g.Nodes[first]
	l := f.lane()
	return fmt.Sprintf("%s, the first: %s (%s, %s)", count(n, "failure"), cut(name(f), 60), cut(clean(l.serviceLabel()), 40), cut(clean(l.label()), 60))
}

// hops says in words which services the way leads through.
func (p *painter) hops() string {
	if len(p.way) == 0 {
		return ""
	}
	s, last := "", ""
	for _, i := range p.way {
		if at := p.g.Nodes[i].lane().serviceLabel(); at != last {
			s, last = s+cut(clean(at), 40)+" → ", at
		}
	}
	return "What led there: " + s + name(p.g.Nodes[p.way[len(p.way)-1]])
}

// story says the way in full.
func (p *painter) story() string {
	var all []string
	for _, i := range p.way {
		n := p.g.Nodes[i]
		all = append(all, cut(name(n), 60)+" ("+cut(clean(n.lane().serviceLabel()), 40)+")")
	}
	return strings.Join(all, " → ")
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// describe tells the diagram to those who do not see it.
func (p *painter) describe() string {
	s := "Space-time diagram: a lane for each process, time runs down, arrows lead from cause to effect. " + p.summary() + "."
	if f := p.failures(); f != "" {
		s += " " + f + "."
	}
	if len(p.way) > 0 {
		s += " What led there: " + p.story() + "."
	}
	return s
}

// legend explains what is present, and returns the y below it.
func (p *painter) legend(y int) int {
	if len(p.g.Nodes) == 0 {
		return y
	}
	x := gutterPad
	put := func(symbol string, words string) {
		width := 36 + cells(words)*13/2
		if x > gutterPad && x+width > min(p.width, legendWidth)-gutterPad {
			x, y = gutterPad, y+20
		}
		p.out.WriteString(strings.NewReplacer("{x}", fmt.Sprint(x), "{y}", fmt.Sprint(y-4)).Replace(symbol))
		p.text(x+36, y, "key", "", words)
		x += width + 20
	}
	present := map[causal.Type]bool{}
	nests, unsure, skewed := false, false, false
	for _, w := range p.wires {
		e := p.g.Edges[w.edge]
		present[e.kind()] = true
		unsure = unsure || e.uncertain()
	}
	for _, k := range p.edges {
		nests = nests || p.nested(p.g.Edges[k])
	}
	kinds := map[string]bool{}
	states := map[string]bool{}
	for i, n := range p.g.Nodes {
		skewed = skewed || p.early(i)
		kinds[n.Kind] = true
		for _, c := range strings.Fields(class(n)) {
			states[c] = true
		}
	}
	for _, t := range drawn {
		if present[t] {
			put(fmt.Sprintf(`<path class="wire %s" d="M{x} {y}h21"/><path class="to-%s" d="M{x} {y}m28 0l-8 -4v8z"/>`, looks[t].class, looks[t].class), looks[t].words)
		}
	}
	if len(p.way) > 0 {
		put(`<path class="way" d="M{x} {y}h26"/>`, "the way to "+cut(name(p.g.Nodes[p.way[len(p.way)-1]]), boxCells))
	}
	if unsure {
		put(`<text x="{x}" y="{y}" dx="27" dy="4" text-anchor="end" class="conf">0.9</text>`, "confidence, where not 1")
	}
	if nests {
		put(`<path class="bar" d="M{x} {y}m10 -6h5v14h-5z"/><path class="elbow" d="M{x} {y}m15 2h10"/>`, "call, and what it called")
	}
	box := `<rect class="box" x="{x}" y="{y}" width="26" height="14" rx="4" transform="translate(0 -7)"/>`
	for _, s := range []struct{ class, words string }{
		{"root", "what was asked for"}, {"fail", "failed"}, {"open", "open: no return seen"}, {"missing", "not found"},
	} {
		if !states[s.class] {
			continue
		}
		symbol := box
		switch s.class {
		case "root":
			symbol = `<rect class="ring" x="{x}" y="{y}" width="26" height="14" rx="5" transform="translate(0 -7)"/>`
		case "fail":
			symbol += `<g transform="translate(13 0)">` + stop("{x}", "{y}") + `</g>`
		}
		put(`<g class="`+s.class+`">`+symbol+`</g>`, s.words)
	}
	for _, k := range []string{"producer", "consumer", "internal", "server", "client"} {
		if kinds[k] {
			put(`<g transform="translate(18 0)">`+icon(k, false, "{x}", "{y}")+`</g>`, iconWords[k])
		}
	}
	words := "times: each lane's own clock, from the first node"
	if skewed {
		words += "; ≠ by its clock it began before its cause"
	}
	put(`<text x="{x}" y="{y}" dy="4" class="small" dx="-2">+1 ms</text>`, words)
	return y + 20
}

var iconWords = map[string]string{
	"producer": "sends", "consumer": "receives", "internal": "internal", "server": "server", "client": "client",
}
