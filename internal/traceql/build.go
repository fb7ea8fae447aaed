package traceql

import (
	"maps"
	"slices"
)

// All is the conditions joined with &&, nil for none.
func All(conditions []FieldExpr) FieldExpr { return join(false, conditions) }

// Any is the conditions joined with ||, nil for none.
func Any(conditions []FieldExpr) FieldExpr { return join(true, conditions) }

func join(or bool, conditions []FieldExpr) FieldExpr {
	var joined FieldExpr
	for _, c := range conditions {
		if joined == nil {
			joined = c
			continue
		}
		joined = &Logic{Or: or, Left: joined, Right: c}
	}
	return joined
}

// IntrinsicNamed returns the intrinsic that is written so.
func IntrinsicNamed(name string) (i Intrinsic, ok bool) {
	i, ok = intrinsicOf[name]
	return i, ok
}

// IntrinsicNames returns all that may be written for an intrinsic, sorted.
func IntrinsicNames() []string { return slices.Sorted(maps.Keys(intrinsicOf)) }

// Check holds a query that was put together to the bounds of one that is
// written. Errors: *Error.
func (q *Query) Check() error {
	_, err := Parse(q.String())
	return err
}
