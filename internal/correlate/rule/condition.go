package rule

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// node is a condition of the subset, or a part of one. It means what OTTL
// says it means.
type node struct {
	does     nodeKind
	not      bool // of a comparison: it is !=
	resource bool // of an attribute: it is the resource's
	slot     int
	constant constant
	of       []node
}

type nodeKind uint8

const (
	nodeAnd nodeKind = iota // all of
	nodeOr                  // one of
	nodeNot                 // not of[0]
	nodeKindIs
	nodeStatusIs
	nodeNameIs
	nodeAttributeIs
)

// constant is what is compared with: nil where its type is empty.
type constant struct {
	is pcommon.ValueType
	s  string
	n  int64 // also of enumerations and booleans
}

func (n *node) met(x *Extractor, span ptrace.Span) bool {
	switch n.does {
	case nodeAnd:
		for i := range n.of {
			if !n.of[i].met(x, span) {
				return false
			}
		}
		return true
	case nodeOr:
		for i := range n.of {
			if n.of[i].met(x, span) {
				return true
			}
		}
		return false
	case nodeNot:
		return !n.of[0].met(x, span)
	case nodeKindIs:
		return (int64(span.Kind()) == n.constant.n) != n.not
	case nodeStatusIs:
		return (int64(span.Status().Code()) == n.constant.n) != n.not
	case nodeNameIs:
		return (span.Name() == n.constant.s) != n.not
	}
	from := &x.span
	if n.resource {
		from = &x.resource
	}
	return n.constant.equals(from.get(n.slot)) != n.not
}

// equals compares as OTTL does: values of different types are not equal but
// for integers and floating-point numbers; an empty value is nil, as one that
// is not there.
func (c *constant) equals(v pcommon.Value, there bool) bool {
	if !there {
		return c.is == pcommon.ValueTypeEmpty
	}
	switch v.Type() {
	case pcommon.ValueTypeEmpty:
		return c.is == pcommon.ValueTypeEmpty
	case pcommon.ValueTypeStr:
		return c.is == pcommon.ValueTypeStr && v.Str() == c.s
	case pcommon.ValueTypeInt:
		return c.is == pcommon.ValueTypeInt && v.Int() == c.n
	case pcommon.ValueTypeDouble:
		return c.is == pcommon.ValueTypeInt && v.Double() == float64(c.n)
	case pcommon.ValueTypeBool:
		return c.is == pcommon.ValueTypeBool && v.Bool() == (c.n != 0)
	case pcommon.ValueTypeBytes:
		// OTTL has no bytes where there are none.
		return c.is == pcommon.ValueTypeEmpty && v.Bytes().Len() == 0
	}
	return false
}
