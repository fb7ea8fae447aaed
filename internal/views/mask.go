package views

import (
	"slices"

	"github.com/otelscope/otelscope/internal/causal"
)

// types are the types of edges, in the order of mask's bits.
var types = append(slices.Clone(causal.Types), causal.Other)

// The rules of edges that are not a correlation rule's.
const (
	ruleParent = "parent"
	ruleLink   = "link"
)

// mask is the set of edges that are told between two spans in one direction:
// what links that came with a span say in the low byte, what rules found in
// the high one. Told by both spans they are united.
type mask uint16

const (
	fromRule    = 8
	parentTold  = mask(1) << 7
	linkOther   = mask(1) << 5
	linkMessage = mask(1) << 1
)

// maskOf returns the edges, which all join the same two spans in the same
// direction.
func maskOf(edges []causal.Edge) (m mask) {
	for i := range edges {
		at := slices.Index(types, edges[i].Type)
		switch {
		case edges[i].Rule == ruleParent:
			m |= parentTold
		case at < 0: // no type that is known
		case edges[i].Rule == ruleLink:
			m |= 1 << at
		default:
			m |= 1 << (at + fromRule)
		}
	}
	return m
}

// has reports whether there is an edge of the type with that index: a plain
// link is none beside what a rule found, and of type other none beside a
// parent.
func (m mask) has(i int) bool {
	found := m>>fromRule != 0
	if found {
		m &^= linkMessage
	}
	if found || m&parentTold != 0 {
		m &^= linkOther
	}
	return m>>i&1 != 0 || m>>(i+fromRule)&1 != 0 || i == 0 && m&parentTold != 0
}
