package query

import "github.com/otelscope/otelscope/internal/traceql"

// related returns the spans of a trace that stand in the operator's relation
// to one of left, by their places: its children, parents, descendants,
// ancestors, or siblings. Ids decide: the halves of a shared span have the
// same parents and children and are no siblings. Beyond a span that is not
// stored nothing is known.
func (t *trace) related(op traceql.SpansetOp, left []bool) []bool {
	switch op {
	case traceql.OpChild:
		return t.step(left, t.down(), false)
	case traceql.OpDescendant:
		return t.step(left, t.down(), true)
	case traceql.OpParent:
		return t.step(left, t.up(), false)
	case traceql.OpAncestor:
		return t.step(left, t.up(), true)
	}
	return t.siblings(left)
}

// down returns what finds a span's children, and up what finds its parents.
func (t *trace) down() func(*Record) []int {
	byParent := map[[8]byte][]int{}
	for i, r := range t.records {
		if parent := r.parent(); parent != ([8]byte{}) {
			byParent[parent] = append(byParent[parent], i)
		}
	}
	return func(r *Record) []int { return byParent[r.wire.SpanID] }
}

func (t *trace) up() func(*Record) []int {
	byID := map[[8]byte][]int{}
	for i, r := range t.records {
		byID[r.wire.SpanID] = append(byID[r.wire.SpanID], i)
	}
	return func(r *Record) []int { return byID[r.parent()] }
}

// step returns where one step leads from some spans, or any number of them.
func (t *trace) step(from []bool, next func(*Record) []int, further bool) []bool {
	reached := make([]bool, len(t.records))
	var queue []int
	for i, is := range from {
		if is {
			queue = append(queue, i)
		}
	}
	for len(queue) > 0 {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, to := range next(t.records[i]) {
			if further && !reached[to] && !from[to] {
				queue = append(queue, to)
			}
			reached[to] = true
		}
	}
	return reached
}

// siblings returns the spans that share a parent with another of left.
func (t *trace) siblings(left []bool) []bool {
	type ids struct {
		first [8]byte
		more  bool
	}
	of := map[[8]byte]ids{} // by parent
	for i, r := range t.records {
		parent := r.parent()
		if !left[i] || parent == ([8]byte{}) {
			continue
		}
		known, found := of[parent]
		if !found {
			known.first = r.wire.SpanID
		}
		known.more = known.more || known.first != r.wire.SpanID
		of[parent] = known
	}
	in := make([]bool, len(t.records))
	for i, r := range t.records {
		known, found := of[r.parent()]
		in[i] = found && (known.more || known.first != r.wire.SpanID)
	}
	return in
}

func structural(op traceql.SpansetOp) bool { return op != traceql.OpAnd && op != traceql.OpOr }
