package diagram

import (
	"sort"

	"github.com/otelscope/otelscope/internal/causal"
)

// side is where a wire touches a box.
type side int

const (
	left side = iota
	right
)

// wire is an edge's way: out of its cause, down a track between the columns,
// into its effect. Wires of one kind from one cause share their track, and so
// the part of the way that they have in common.
type wire struct {
	edge     int
	from, to side
	bus      *bus
	out, in  int // distance from the middle of the box
	label    int // width of the other confidences between arrow and its own
}

// bus is a track's use.
type bus struct {
	first, last int // rows
	gutter      int
	rightward   bool
	track       int
	port        int // what it is in its box's list of ports
}

// gutter is the space left of a column: tracks of wires that leave the column
// on its left for the right, then of those that leave its own column.
type gutter struct {
	x           int
	before      [][]*bus // tracks, from the left
	behind      [][]*bus // tracks, from the right
	labelBefore int      // room for confidences at boxes on its left
	labelBehind int
}

func (t *gutter) width() int {
	return t.labelBefore + t.labelBehind + 2*gutterPad + (len(t.before)+len(t.behind))*trackWidth
}

// at returns the x of a bus.
func (t *gutter) at(b *bus) int {
	if b.rightward {
		return t.x + t.labelBefore + gutterPad + b.track*trackWidth
	}
	return t.x + t.width() - t.labelBehind - gutterPad - b.track*trackWidth
}

// busKey is what wires share a bus by.
type busKey struct {
	node      int
	from      side
	kind      causal.Type
	uncertain bool
}

// nested reports whether e is a call within its parent, which the indentation
// shows.
func (l *layout) nested(e Edge) bool {
	return e.kind() == causal.ParentChild && l.laneOf[e.From] == l.laneOf[e.To] && l.boxes[e.From].end >= l.row[e.To]
}

// visible lists the edges that get a wire: not the nested, not a parent's
// where another kind of edge says more, and of equal ones the most certain.
func (l *layout) visible() []int {
	type pair struct {
		from, to int
		kind     causal.Type
	}
	best := map[pair]int{}
	other := map[[2]int]bool{}
	for _, k := range l.edges {
		e := l.g.Edges[k]
		p := pair{e.From, e.To, e.kind()}
		if b, ok := best[p]; !ok || e.Confidence > l.g.Edges[b].Confidence {
			best[p] = k
		}
		if e.kind() != causal.ParentChild {
			other[[2]int{e.From, e.To}] = true
		}
	}
	var all []int
	for _, k := range l.edges {
		e := l.g.Edges[k]
		if best[pair{e.From, e.To, e.kind()}] != k || l.nested(e) ||
			e.kind() == causal.ParentChild && other[[2]int{e.From, e.To}] {
			continue
		}
		all = append(all, k)
	}
	return all
}

// route finds the wires and the tracks they need.
func (l *layout) route() {
	l.spread = make([]*gutter, len(l.columns))
	for c := range l.spread {
		l.spread[c] = &gutter{}
	}
	buses := map[busKey]*bus{}
	var all []*bus
	for _, k := range l.visible() {
		e := l.g.Edges[k]
		a, b := l.boxes[e.From].column, l.boxes[e.To].column
		w := wire{edge: k, from: left, to: left}
		gutter := a
		if a < b {
			w.from = right
			gutter = a + 1
		} else if a > b {
			w.to = right
		}
		key := busKey{e.From, w.from, e.kind(), e.uncertain()}
		if buses[key] == nil {
			buses[key] = &bus{first: l.row[e.From], last: l.row[e.To], gutter: gutter, rightward: w.from == right}
			all = append(all, buses[key])
		}
		w.bus = buses[key]
		w.bus.last = max(w.bus.last, l.row[e.To])
		l.wires = append(l.wires, w)
	}
	l.tracks(all)
	l.ports()
}

// tracks gives each bus a track that no other has in its rows: short ones the
// nearest to the column they leave.
func (l *layout) tracks(all []*bus) {
	sort.SliceStable(all, func(i, j int) bool { return all[i].last-all[i].first < all[j].last-all[j].first })
	for _, b := range all {
		tracks := &l.spread[b.gutter].behind
		if b.rightward {
			tracks = &l.spread[b.gutter].before
		}
		for b.track = 0; b.track < len(*tracks); b.track++ {
			if !taken((*tracks)[b.track], b) {
				break
			}
		}
		if b.track == len(*tracks) {
			*tracks = append(*tracks, nil)
		}
		(*tracks)[b.track] = append((*tracks)[b.track], b)
	}
}

func taken(track []*bus, b *bus) bool {
	for _, o := range track {
		if o.first <= b.last && b.first <= o.last {
			return true
		}
	}
	return false
}

// ports spreads what touches one side of a box: what comes in above what goes
// out. It also makes room for the labels of what comes in.
func (l *layout) ports() {
	type place struct {
		node int
		side side
	}
	incoming, outgoing := map[place]int{}, map[place]int{}
	labels := map[place]int{}
	seen := map[*bus]bool{}
	for i := range l.wires {
		w := &l.wires[i]
		e := l.g.Edges[w.edge]
		in, out := place{e.To, w.to}, place{e.From, w.from}
		w.in = incoming[in]
		incoming[in]++
		if e.uncertain() {
			w.label = labels[in]
			labels[in] += cells(confidence(e.Confidence))*smallWidth + 4
			t := l.spread[l.boxes[e.To].column+int(w.to)]
			if w.to == left {
				t.labelBehind = max(t.labelBehind, labels[in])
			} else {
				t.labelBefore = max(t.labelBefore, labels[in])
			}
		}
		if !seen[w.bus] {
			seen[w.bus] = true
			w.bus.port = outgoing[out]
			outgoing[out]++
		}
	}
	for i := range l.wires {
		w := &l.wires[i]
		e := l.g.Edges[w.edge]
		in, out := place{e.To, w.to}, place{e.From, w.from}
		w.in = port(w.in, incoming[in]+outgoing[in])
		w.out = port(incoming[out]+w.bus.port, incoming[out]+outgoing[out])
	}
}

// port returns the distance from a box's middle of the k-th of n ports.
func port(k, n int) int {
	if n < 2 {
		return 0
	}
	room := min(5*(n-1), boxHeight-6)
	return (2*k*room/(n-1) - room) / 2
}
