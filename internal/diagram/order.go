package diagram

import (
	"container/heap"
	"sort"
)

// ordering says in which row each node stands.
type ordering struct {
	rows  []int   // the node of each row
	row   []int   // the row of each node
	time  []int64 // of each node: its start, moved after its causes'
	edges []int   // indexes of the edges that lead downwards
	left  int     // edges that name no two nodes, or close a cycle
}

// order finds rows in which every cause stands above its effects. Edges of a
// cycle that lead back in time are left out. Within a lane the lane's own
// clock decides, as far as causality allows; between lanes the times do, where
// each is at least that of its causes.
func order(g Graph) ordering {
	n := len(g.Nodes)
	o := ordering{row: make([]int, n), time: make([]int64, n)}
	out := make([][]int, n)
	for i, e := range g.Edges {
		if g.valid(e) {
			out[e.From] = append(out[e.From], i)
		}
	}
	component := components(g, out)
	earlier := func(a, b int) bool {
		if x, y := g.Nodes[a].start(), g.Nodes[b].start(); x != y {
			return x < y
		}
		return a < b
	}
	for i, e := range g.Edges {
		if g.valid(e) && (component[e.From] != component[e.To] || earlier(e.From, e.To)) {
			o.edges = append(o.edges, i)
		}
	}
	o.left = len(g.Edges) - len(o.edges)
	causes, next := make([]int, n), make([][]int, n)
	for _, i := range o.edges {
		e := g.Edges[i]
		causes[e.To]++
		next[e.From] = append(next[e.From], e.To)
	}
	o.times(g, next, append([]int(nil), causes...))

	before, after := laneOrder(g, earlier)
	o.place(next, causes, before, after)
	return o
}

// laneOrder returns for each node how many of its lane must come right before
// it (0 or 1), and which comes right after it, or -1. A node without a time
// has no place in it.
func laneOrder(g Graph, earlier func(a, b int) bool) (before, after []int) {
	lanes := map[lane][]int{}
	before, after = make([]int, len(g.Nodes)), make([]int, len(g.Nodes))
	for i, n := range g.Nodes {
		after[i] = -1
		if n.start() > 0 {
			lanes[n.lane()] = append(lanes[n.lane()], i)
		}
	}
	for _, l := range lanes {
		sort.Slice(l, func(i, j int) bool { return earlier(l[i], l[j]) })
		for k := 1; k < len(l); k++ {
			before[l[k]] = 1
			after[l[k-1]] = l[k]
		}
	}
	return before, after
}

// times sets each node's time to the latest of its own and its causes'. One
// without either stands at the time of its first effect.
func (o *ordering) times(g Graph, next [][]int, causes []int) {
	var sorted []int
	for i := range causes {
		o.time[i] = g.Nodes[i].start()
		if causes[i] == 0 {
			sorted = append(sorted, i)
		}
	}
	for k := 0; k < len(sorted); k++ {
		for _, to := range next[sorted[k]] {
			o.time[to] = max(o.time[to], o.time[sorted[k]])
			if causes[to]--; causes[to] == 0 {
				sorted = append(sorted, to)
			}
		}
	}
	for k := len(sorted) - 1; k >= 0; k-- {
		i := sorted[k]
		for _, to := range next[i] {
			if g.Nodes[i].start() == 0 && (o.time[i] == 0 || o.time[to] < o.time[i]) {
				o.time[i] = o.time[to]
			}
		}
	}
}

// place fills rows: of the nodes all of whose causes are placed, those whose
// turn it is in their lane, the earliest first; where lanes and causes
// contradict each other, causes win.
func (o *ordering) place(next [][]int, causes, before, after []int) {
	turn, ready := &queue{time: o.time}, &queue{time: o.time}
	done := make([]bool, len(causes))
	offer := func(i int) {
		if causes[i] > 0 || done[i] {
			return
		}
		if before[i] == 0 {
			heap.Push(turn, i)
		} else {
			heap.Push(ready, i)
		}
	}
	for i := range causes {
		offer(i)
	}
	for len(o.rows) < len(causes) {
		from := turn
		if turn.Len() == 0 {
			from = ready
		}
		i := heap.Pop(from).(int)
		if done[i] {
			continue
		}
		done[i] = true
		o.row[i] = len(o.rows)
		o.rows = append(o.rows, i)
		for _, to := range next[i] {
			if causes[to]--; causes[to] == 0 {
				offer(to)
			}
		}
		if to := after[i]; to >= 0 {
			before[to] = 0
			offer(to)
		}
	}
}

// queue is a heap of nodes by time, then index.
type queue struct {
	nodes []int
	time  []int64
}

func (q *queue) Len() int { return len(q.nodes) }
func (q *queue) Less(i, j int) bool {
	a, b := q.nodes[i], q.nodes[j]
	if q.time[a] != q.time[b] {
		return q.time[a] < q.time[b]
	}
	return a < b
}
func (q *queue) Swap(i, j int) { q.nodes[i], q.nodes[j] = q.nodes[j], q.nodes[i] }
func (q *queue) Push(x any)    { q.nodes = append(q.nodes, x.(int)) }
func (q *queue) Pop() any {
	last := q.nodes[len(q.nodes)-1]
	q.nodes = q.nodes[:len(q.nodes)-1]
	return last
}

// components numbers the strongly connected components (Tarjan): two nodes
// share one if and only if they lie on a cycle.
func components(g Graph, out [][]int) []int {
	n := len(out)
	component, index, low := make([]int, n), make([]int, n), make([]int, n)
	var stack []int
	visited, found := 0, 0
	var visit func(v int)
	visit = func(v int) {
		visited++
		index[v], low[v] = visited, visited
		stack = append(stack, v)
		for _, i := range out[v] {
			w := g.Edges[i].To
			if index[w] == 0 {
				visit(w)
				low[v] = min(low[v], low[w])
			} else if component[w] == 0 {
				low[v] = min(low[v], index[w])
			}
		}
		if low[v] != index[v] {
			return
		}
		found++
		for {
			w := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			component[w] = found
			if w == v {
				return
			}
		}
	}
	for v := range n {
		if index[v] == 0 {
			visit(v)
		}
	}
	return component
}
