package diagram

import (
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
)

// firstFailure returns the node that failed first, -1 where none did. Where a
// call failed as what it called failed, that is the innermost.
func (l *layout) firstFailure() int {
	failed := func(i int) bool { return l.g.Nodes[i].Failed }
	k := slices.IndexFunc(l.rows, failed)
	if k < 0 {
		return -1
	}
	called := map[int]int{} // by caller: the first of its calls that failed
	for _, k := range l.edges {
		e := l.g.Edges[k]
		if first, ok := called[e.From]; e.kind() == causal.ParentChild && failed(e.To) && (!ok || l.row[e.To] < l.row[first]) {
			called[e.From] = e.To
		}
	}
	for i := l.rows[k]; ; {
		next, ok := called[i]
		if !ok {
			return i
		}
		i = next
	}
}

// matters returns what a reader wants explained: the failure that was asked
// for, else the first failure, else what was asked for, else -1.
func (l *layout) matters() int {
	failed := func(i int) bool { return l.g.Nodes[i].Root && l.g.Nodes[i].Failed }
	asked := func(i int) bool { return l.g.Nodes[i].Root }
	if k := slices.IndexFunc(l.rows, failed); k >= 0 {
		return l.rows[k]
	}
	if first := l.firstFailure(); first >= 0 {
		return first
	}
	if k := slices.IndexFunc(l.rows, asked); k >= 0 {
		return l.rows[k]
	}
	return -1
}

// findWay follows the causes back from what matters. Of several causes of one
// node the last counts, as it is what the node waited for. It returns the
// nodes from the first cause on; nil where nothing matters or nothing led
// there.
func (l *layout) findWay() []int {
	cause := make([]int, len(l.rows))
	for i := range cause {
		cause[i] = -1
	}
	for _, k := range l.edges {
		e := l.g.Edges[k]
		if c := cause[e.To]; c < 0 || l.row[e.From] > l.row[c] {
			cause[e.To] = e.From
		}
	}
	var way []int
	for i := l.matters(); i >= 0; i = cause[i] {
		way = append(way, i)
	}
	if len(way) < 2 {
		return nil
	}
	slices.Reverse(way)
	return way
}
