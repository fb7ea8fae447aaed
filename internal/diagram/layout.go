package diagram

import (
	"math"
	"sort"
)

// Measures in user units, which are CSS pixels.
const (
	rowHeight    = 28
	boxHeight    = 20
	boxCells     = 24 // of a name on a box
	charWidth    = 7  // of a box's name and of a head
	smallWidth   = 6  // of small text
	iconWidth    = 22
	padding      = 8
	indent       = 14 // of a nested call
	barWidth     = 5
	headHeight   = 24
	headCells    = 26
	breakHeight  = 26
	axisWidth    = 100
	trackWidth   = 7
	gutterPad    = 14
	serviceBand  = 26
	sharedLanes  = 10 // so many lanes have a column each
	headInterval = 32 // rows from one repetition of the heads to the next
)

// box is a node's place. Its text begins iconWidth after x.
type box struct {
	x, y, width int // y is the middle
	column      int
	slot        int    // how many calls of the column are around it
	end         int    // the last row its bar reaches
	bottom      int    // where the bar ends
	name, note  string // as they are shown
}

// strand is a lane's stay in its column.
type strand struct {
	lane        lane
	column      int
	first, last int // rows
	head        string
}

// column is a vertical strip that lanes of one service share one after
// another.
type column struct {
	service  string
	x, width int
	last     int // row that is taken
}

// group is the columns of one service.
type group struct {
	service  string
	from, to int // columns
}

// gap is a wait that is marked between two rows.
type gap struct {
	y    int
	text string
}

// head is the label of a lane within the diagram.
type head struct {
	strand int
	y      int
}

// layout is where everything stands.
type layout struct {
	ordering
	g       Graph
	boxes   []box
	strands []strand
	laneOf  []int // the strand of each node
	columns []column
	groups  []group
	gaps    []gap
	heads   []head
	wires   []wire
	way     []int     // nodes that led to what matters most, and that
	spread  []*gutter // left of each column
	rowY    []int
	base    int64 // the time that the axis counts from
	top     int   // of the lanes, below their heads
	width   int
	bottom  int
}

// arrange lays g out.
func arrange(g Graph) *layout {
	l := &layout{ordering: order(g), g: g}
	l.bars()
	l.lanes()
	l.slots()
	l.captions()
	l.route()
	l.way = l.findWay()
	l.across()
	l.down()
	return l
}

// bars finds the last row of each node's bar: what begins before the node
// ended is beside it, what its own lane began later is not.
func (l *layout) bars() {
	n := len(l.rows)
	l.boxes = make([]box, n)
	lanes := map[lane][]int{} // rows
	for r, i := range l.rows {
		lanes[l.g.Nodes[i].lane()] = append(lanes[l.g.Nodes[i].lane()], r)
	}
	children := make([][]int, n)
	for _, k := range l.edges {
		if e := l.g.Edges[k]; e.kind() == "parent_child" {
			children[e.From] = append(children[e.From], e.To)
		}
	}
	for r := n - 1; r >= 0; r-- {
		i := l.rows[r]
		node, b := l.g.Nodes[i], &l.boxes[i]
		b.end = r
		own := lanes[node.lane()]
		if node.Open {
			b.end = own[len(own)-1]
			continue
		}
		took, ok := node.duration()
		if !ok {
			continue
		}
		limit := n - 1
		own = own[sort.SearchInts(own, r+1):]
		for k, q := range own {
			if s := l.g.Nodes[l.rows[q]].start(); s >= node.End {
				limit = q - 1
				own = own[:k]
				break
			}
		}
		if len(own) > 0 {
			b.end = own[len(own)-1]
		}
		for _, c := range children[i] {
			if d, ok := l.g.Nodes[c].duration(); ok && d <= took {
				b.end = max(b.end, min(l.boxes[c].end, limit))
			}
		}
		ended := after(l.time[i], took)
		for b.end < limit && l.time[l.rows[b.end+1]] < ended {
			b.end++
		}
	}
}

// lanes gives each lane a column. Services stand in the order in which they
// appear, and so do the lanes of a service. Where there are many lanes, one
// takes the column of another of its service that is over.
func (l *layout) lanes() {
	l.laneOf = make([]int, len(l.rows))
	known := map[lane]int{}
	for r, i := range l.rows {
		k, ok := known[l.g.Nodes[i].lane()]
		if !ok {
			k = len(l.strands)
			known[l.g.Nodes[i].lane()] = k
			lane := l.g.Nodes[i].lane()
			l.strands = append(l.strands, strand{lane: lane, first: r, head: cut(clean(lane.label()), headCells)})
		}
		l.laneOf[i] = k
		l.strands[k].last = max(l.strands[k].last, l.boxes[i].end)
	}
	members := map[string][]int{} // columns, by service
	var services []string
	var columns []column
	for k := range l.strands {
		s := &l.strands[k]
		mine, ok := members[s.lane.service]
		if !ok {
			services = append(services, s.lane.service)
		}
		s.column = -1
		for _, c := range mine {
			if len(l.strands) > sharedLanes && columns[c].last < s.first {
				s.column = c
				break
			}
		}
		if s.column < 0 {
			s.column = len(columns)
			columns = append(columns, column{service: s.lane.service})
			members[s.lane.service] = append(mine, s.column)
		}
		columns[s.column].last = s.last
	}
	moved := make([]int, len(columns))
	for _, service := range services {
		from := len(l.columns)
		for _, c := range members[service] {
			moved[c] = len(l.columns)
			l.columns = append(l.columns, columns[c])
		}
		l.groups = append(l.groups, group{service, from, len(l.columns) - 1})
	}
	for k := range l.strands {
		l.strands[k].column = moved[l.strands[k].column]
	}
}

// slots indents each box past the bars that run beside it.
func (l *layout) slots() {
	running := make([][]int, len(l.columns))
	for r, i := range l.rows {
		b := &l.boxes[i]
		b.column = l.strands[l.laneOf[i]].column
		still := running[b.column][:0]
		for _, j := range running[b.column] {
			if l.boxes[j].end >= r {
				still = append(still, j)
				b.slot = max(b.slot, l.boxes[j].slot+1)
			}
		}
		running[b.column] = append(still, i)
	}
}

// captions decides what stands on the boxes.
func (l *layout) captions() {
	for i, n := range l.g.Nodes {
		b := &l.boxes[i]
		b.name = cut(name(n), boxCells)
		switch d, ok := n.duration(); {
		case n.Missing:
			b.note = "not found"
		case n.Open:
			b.note = "no return"
		case ok:
			b.note = short(d)
		}
		b.width = iconWidth + cells(b.name)*charWidth + padding
		if b.note != "" {
			b.width += cells(b.note)*smallWidth + padding
		}
	}
}

// across sets all x. Many nested calls are indented less.
func (l *layout) across() {
	step := make([]int, len(l.columns))
	for _, b := range l.boxes {
		step[b.column] = max(step[b.column], b.slot)
	}
	for c := range step {
		step[c] = max(barWidth+1, min(indent, 140/max(step[c], 1)))
	}
	for i := range l.boxes {
		b := &l.boxes[i]
		b.x = b.slot * step[b.column]
		l.columns[b.column].width = max(l.columns[b.column].width, b.x+b.width)
	}
	for _, s := range l.strands {
		c := &l.columns[s.column]
		c.width = max(c.width, 2*padding+cells(s.head)*charWidth)
	}
	for _, g := range l.groups {
		// The service's name stands across its columns; one column must do.
		c := &l.columns[g.from]
		c.width = max(c.width, min(cells(clean(l.serviceName(g))), headCells)*(charWidth+1))
	}
	x := axisWidth
	for c := range l.columns {
		l.spread[c].x = x
		x += l.spread[c].width()
		l.columns[c].x = x
		x += l.columns[c].width
	}
	l.width = x + gutterPad
	for i := range l.boxes {
		l.boxes[i].x += l.columns[l.boxes[i].column].x
	}
}

func (l *layout) serviceName(g group) string { return lane{service: g.service}.serviceLabel() }

// down sets all y: rows, and between them breaks and heads.
func (l *layout) down() {
	l.top = serviceBand + headHeight
	y := l.top + 6
	heads := l.headRows()
	waits := l.waits()
	l.rowY = make([]int, len(l.rows))
	for r, i := range l.rows {
		if waits[r] > 0 {
			l.gaps = append(l.gaps, gap{y + breakHeight/2, short(waits[r])})
			y += breakHeight
		}
		if len(heads[r]) > 0 {
			for _, k := range heads[r] {
				l.heads = append(l.heads, head{k, y + headHeight/2})
			}
			y += headHeight + 4
		}
		l.rowY[r] = y + rowHeight/2
		l.boxes[i].y = l.rowY[r]
		y += rowHeight
	}
	for i := range l.boxes {
		b := &l.boxes[i]
		b.bottom = l.rowY[b.end] + rowHeight/2 - 2
		if b.end == l.row[i] {
			b.bottom = b.y + boxHeight/2
		}
	}
	l.bottom = y + 8
}

// headRows says before which rows which lanes are named: where one begins in
// a column that another had, and now and then in a long diagram.
func (l *layout) headRows() map[int][]int {
	first := make([]int, len(l.columns)) // the strand that is named at the top
	for c := range first {
		first[c] = -1
	}
	rows := map[int][]int{}
	for k, s := range l.strands {
		if f := first[s.column]; f < 0 {
			first[s.column] = k
		} else {
			rows[s.first] = append(rows[s.first], k)
		}
	}
	for r := headInterval; r < len(l.rows)-headInterval/4; r += headInterval {
		for k, s := range l.strands {
			if s.first < r && s.last >= r {
				rows[r] = append(rows[r], k)
			}
		}
	}
	for _, k := range first {
		l.heads = append(l.heads, head{k, l.top - headHeight/2})
	}
	return rows
}

// waits returns, for the rows before which much time passed, how much: ten
// times the usual step and at least a 20th of all.
func (l *layout) waits() map[int]int64 {
	var known []int // rows
	var steps []int64
	for r, i := range l.rows {
		if l.time[i] > 0 {
			known = append(known, r)
		}
	}
	if len(known) == 0 {
		return nil
	}
	l.base = l.time[l.rows[known[0]]]
	latest, last := l.base, l.base
	waits := map[int]int64{}
	for _, r := range known[1:] {
		t := l.time[l.rows[r]]
		last = max(last, t)
		if t > latest {
			steps = append(steps, t-latest)
			waits[r] = t - latest
			latest = t
		}
	}
	if len(steps) < 2 {
		return nil
	}
	sort.Slice(steps, func(i, j int) bool { return steps[i] < steps[j] })
	usual := steps[(len(steps)-1)/2]
	for r, w := range waits {
		if w/10 < usual || w < (last-l.base)/20 {
			delete(waits, r)
		}
	}
	return waits
}

// after returns t and a duration later, at most the last moment there is.
func after(t, d int64) int64 { return t + min(d, math.MaxInt64-t) }
