package diagram

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// minWidth leaves room for the legend of a small diagram.
const minWidth = 760

// SVG writes g as a space-time diagram, a document of its own: no scripts, no
// references to anything, light or dark as the reader prefers.
func SVG(w io.Writer, g Graph) error {
	l := arrange(g)
	p := &painter{layout: l, width: max(l.width, minWidth)}
	p.lanes()
	p.axis()
	p.bars()
	p.highlight()
	for _, w := range l.wires {
		p.wire(w)
	}
	for _, i := range l.rows {
		p.node(i)
	}
	p.headings()
	for _, w := range l.wires {
		p.certainty(w)
	}
	if len(g.Nodes) == 0 {
		p.text(axisWidth, l.top+20, "none", "", "Nothing to show: the graph has no nodes.")
	}
	body := p.out
	p.out = bytes.Buffer{}
	top := p.caption()
	above := p.out

	p.out = bytes.Buffer{}
	height := top + max(l.bottom, 90)
	p.add(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="graphics-document">`+"\n", p.width, height, p.width, height)
	p.add("<title>%s</title>\n<desc>%s</desc>\n<style>%s</style>\n", escape(p.title()), escape(p.describe()), style())
	p.add(`<rect class="bg" width="%d" height="%d"/>`+"\n", p.width, height)
	p.out.Write(above.Bytes())
	p.add(`<g transform="translate(0 %d)">`+"\n", top)
	p.out.Write(body.Bytes())
	p.add("</g>\n</svg>\n")
	_, err := w.Write(p.out.Bytes())
	return err
}

// painter writes the parts of a diagram.
type painter struct {
	*layout
	out   bytes.Buffer
	width int
}

func (p *painter) add(format string, args ...any) { fmt.Fprintf(&p.out, format, args...) }

func (p *painter) text(x, y int, class, anchor, s string) {
	if anchor != "" {
		anchor = ` text-anchor="` + anchor + `"`
	}
	p.add(`<text x="%d" y="%d" class="%s"%s>%s</text>`+"\n", x, y, class, anchor, escape(s))
}

// escape makes s the text of an XML element.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return strings.ReplaceAll(b.String(), "&#xA;", "\n")
}

// lanes draws the services' bands, and a line for each lane's life.
func (p *painter) lanes() {
	for _, g := range p.groups {
		from, to := p.columns[g.from], p.columns[g.to]
		x, width := from.x-padding, to.x+to.width-from.x+2*padding
		p.add(`<rect class="band" x="%d" y="0" width="%d" height="%d" rx="8"/>`+"\n", x, width, p.bottom)
		name := p.serviceName(g)
		p.text(from.x, 18, "service", "", cut(clean(name), (width-2*padding)/(charWidth+1)))
	}
	for _, s := range p.strands {
		x := p.columns[s.column].x + barWidth/2
		from := p.top
		for _, h := range p.heads {
			if p.strands[h.strand] == s {
				from = h.y
				break
			}
		}
		p.add(`<path class="life" d="M%d %dV%d"/>`+"\n", x, from, p.rowY[s.last]+rowHeight/2)
	}
}

// axis draws the times, the breaks and the band of what was asked for.
func (p *painter) axis() {
	if len(p.rows) > 0 {
		p.text(axisWidth-14, p.top-8, "small", "end", "time")
	}
	var offsets []int64
	for _, n := range p.g.Nodes {
		if n.start() > 0 {
			offsets = append(offsets, n.Start-p.base)
		}
	}
	write := scale(offsets)
	for r, i := range p.rows {
		n := p.g.Nodes[i]
		if n.Root {
			p.add(`<rect class="asked" x="0" y="%d" width="%d" height="%d"/>`+"\n", p.rowY[r]-rowHeight/2, p.width, rowHeight)
		}
		if n.start() == 0 {
			continue
		}
		at := write(n.Start - p.base)
		if p.early(i) {
			at = "≠ " + at
		}
		p.text(axisWidth-14, p.rowY[r]+4, "small", "end", at)
	}
	for _, b := range p.gaps {
		p.add(`<path class="break" d="M%d %dH%d"/>`+"\n", axisWidth-8, b.y, p.width-gutterPad)
		p.add(`<path class="icon hollow" d="M%d %dl4 -4l4 8l4 -4"/>`+"\n", axisWidth-20, b.y)
		p.text(axisWidth-26, b.y+4, "small", "end", b.text)
	}
}

// early reports whether node i began, by its lane's clock, before one of its
// causes did by theirs.
func (p *painter) early(i int) bool {
	n := p.g.Nodes[i]
	return n.start() > 0 && p.time[i] > n.Start
}

// bars draws how long calls ran, and what they called.
func (p *painter) bars() {
	for _, i := range p.rows {
		b, n := p.boxes[i], p.g.Nodes[i]
		if b.end == p.row[i] {
			continue
		}
		if n.Open {
			p.add(`<path class="%s bar" d="M%d %dV%dM%d %dV%d"/>`+"\n", class(n), b.x, b.y, b.bottom, b.x+barWidth, b.y, b.bottom)
		} else {
			p.add(`<rect class="%s bar" x="%d" y="%d" width="%d" height="%d" rx="2"/>`+"\n", class(n), b.x, b.y, barWidth, b.bottom-b.y)
		}
	}
	for _, k := range p.edges {
		if e := p.g.Edges[k]; p.nested(e) {
			a, b := p.boxes[e.From], p.boxes[e.To]
			p.add(`<path class="elbow" d="M%d %dH%d"/>`+"\n", a.x+barWidth, b.y, b.x)
		}
	}
}

// class lists the states of a node.
func class(n Node) string {
	c := "n"
	if n.Failed {
		c += " fail"
	}
	if n.Open {
		c += " open"
	}
	if n.Missing {
		c += " missing"
	}
	if n.Root {
		c += " root"
	}
	return c
}

// node draws a box.
func (p *painter) node(i int) {
	n, b := p.g.Nodes[i], p.boxes[i]
	href := link(n.Href)
	if href != "" {
		p.add(`<a href="%s">`, escape(href))
	}
	tip := tooltip(n)
	if p.early(i) {
		tip += "\nby this clock it began before its cause"
	}
	p.add(`<g class="%s"><title>%s</title>`, class(n), escape(tip))
	if n.Root {
		p.add(`<rect class="ring" x="%d" y="%d" width="%d" height="%d" rx="7"/>`, b.x-3, b.y-boxHeight/2-3, b.width+6, boxHeight+6)
	}
	p.add(`<rect class="box" x="%d" y="%d" width="%d" height="%d" rx="4"/>`, b.x, b.y-boxHeight/2, b.width, boxHeight)
	if x, y := strconv.Itoa(b.x+12), strconv.Itoa(b.y); n.Failed {
		p.out.WriteString(stop(x, y))
	} else {
		p.out.WriteString(icon(n.Kind, n.Missing, x, y))
	}
	p.add(`<text x="%d" y="%d">%s</text>`, b.x+iconWidth, b.y+4, escape(b.name))
	if b.note != "" {
		p.add(`<text x="%d" y="%d" class="small" text-anchor="end">%s</text>`, b.x+b.width-padding, b.y+4, escape(b.note))
	}
	p.add("</g>")
	if href != "" {
		p.add("</a>")
	}
	p.add("\n")
}

// stop is the mark of failures.
func stop(x, y string) string {
	at := `d="M` + x + ` ` + y
	return `<path class="stop" ` + at + `m-3 -7h6l4 4v6l-4 4h-6l-4 -4v-6z"/><path class="cross" ` + at + `m-3 -3l6 6m0 -6l-6 6"/>`
}

// icon is the mark of a kind of spans.
func icon(kind string, missing bool, x, y string) string {
	shape, hollow := "m-4 -4h8v8h-8z", true
	switch kind {
	case "producer":
		shape, hollow = "m-4 -5l9 5l-9 5z", false
	case "consumer":
		shape = "m-5 -4h10v8h-10zl5 5l5 -5"
	case "server":
		shape = "m-5 0a5 5 0 1 1 10 0a5 5 0 1 1 -10 0z"
	case "client":
		shape, hollow = "m-5 0a5 5 0 1 1 10 0a5 5 0 1 1 -10 0z", false
	}
	class := "icon"
	if hollow || missing {
		class += " hollow"
	}
	return `<path class="` + class + `" d="M` + x + ` ` + y + shape + `"/>`
}

// headings draws the lanes' names.
func (p *painter) headings() {
	for _, h := range p.heads {
		s := p.strands[h.strand]
		x := p.columns[s.column].x
		p.add(`<g><title>%s</title><rect class="head" x="%d" y="%d" width="%d" height="20" rx="4"/>`, escape(cut(clean(s.lane.serviceLabel()+", "+s.lane.label()), 2*maxName)), x, h.y-10, cells(s.head)*charWidth+2*padding)
		p.add(`<text x="%d" y="%d">%s</text></g>`+"\n", x+padding, h.y+4, escape(s.head))
	}
}

// highlight marks the way to what matters most.
func (p *painter) highlight() {
	on := map[[2]int]bool{}
	for k, i := range p.way {
		b := p.boxes[i]
		p.add(`<rect class="way" x="%d" y="%d" width="%d" height="%d" rx="5"/>`+"\n", b.x, b.y-boxHeight/2, b.width, boxHeight)
		if k > 0 {
			on[[2]int{p.way[k-1], i}] = true
		}
	}
	for _, w := range p.wires {
		if e := p.g.Edges[w.edge]; on[[2]int{e.From, e.To}] {
			p.add(`<path class="way" d="%s"/>`+"\n", p.path(w))
			delete(on, [2]int{e.From, e.To})
		}
	}
	for _, k := range p.edges {
		if e := p.g.Edges[k]; on[[2]int{e.From, e.To}] {
			a, b := p.boxes[e.From], p.boxes[e.To]
			p.add(`<path class="way" d="M%d %dV%dH%d"/>`+"\n", a.x+barWidth/2, a.y+boxHeight/2, b.y, b.x)
			delete(on, [2]int{e.From, e.To})
		}
	}
}

// path returns the way of a wire up to its arrow's head.
func (p *painter) path(w wire) string {
	fromX, fromY, toX, toY := p.ends(w)
	track := p.spread[w.bus.gutter].at(w.bus)
	out, in, head := 6, 6, 7
	if w.from == left {
		out = -6
	}
	if w.to == right {
		in, head = -6, -7
	}
	return fmt.Sprintf("M%d %dH%dq%d 0 %d 6V%dq0 6 %d 6H%d", fromX, fromY, track-out, out, out, toY-6, in, toX-head)
}

// wire draws an edge.
func (p *painter) wire(w wire) {
	e := p.g.Edges[w.edge]
	k := looks[e.kind()]
	_, _, toX, toY := p.ends(w)
	head := 8
	if w.to == right {
		head = -8
	}
	unsure := ""
	if e.uncertain() {
		unsure = " unsure"
	}
	p.add(`<g><title>%s</title>`, escape(p.sentence(e)))
	p.add(`<path class="wire %s%s" d="%s"/>`, k.class, unsure, p.path(w))
	p.add(`<path class="to-%s" d="M%d %dl%d -4v8z"/></g>`+"\n", k.class, toX, toY, -head)
}

// ends returns where a wire begins and ends.
func (p *painter) ends(w wire) (fromX, fromY, toX, toY int) {
	e := p.g.Edges[w.edge]
	a, b := p.boxes[e.From], p.boxes[e.To]
	fromX, toX = a.x, b.x-1
	if w.from == right {
		fromX = a.x + a.width
	}
	if w.to == right {
		toX = b.x + b.width + 1
	}
	if p.g.Nodes[e.To].Root { // its ring
		toX += 3 * (2*int(w.to) - 1)
	}
	return fromX, a.y + w.out, toX, b.y + w.in
}

// certainty writes the confidence at the arrow of a wire that is not certain.
func (p *painter) certainty(w wire) {
	e := p.g.Edges[w.edge]
	if !e.uncertain() {
		return
	}
	_, _, x, y := p.ends(w)
	if w.to == right {
		p.text(x+12+w.label, y-1, "conf", "start", confidence(e.Confidence))
	} else {
		p.text(x-12-w.label, y-1, "conf", "end", confidence(e.Confidence))
	}
}

// sentence says an edge in words.
func (p *painter) sentence(e Edge) string {
	s := string(e.kind()) + ": " + cut(name(p.g.Nodes[e.From]), maxName) + " → " + cut(name(p.g.Nodes[e.To]), maxName)
	if e.Rule != "" {
		s += "\nrule " + cut(clean(e.Rule), maxName)
	}
	return s + "\nconfidence " + confidence(e.Confidence)
}
