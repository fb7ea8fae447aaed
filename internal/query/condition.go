package query

import (
	"math"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/traceql"
)

// conditionOf returns what a store may know of the spans of which a predicate
// is true, nil for nothing. It is true of all of them, and of others.
func conditionOf(p predicate) store.Condition {
	switch p := p.(type) {
	case conjoined:
		left, right := conditionOf(p.left), conditionOf(p.right)
		switch {
		case left == nil:
			return right
		case right == nil:
			return left
		}
		return store.All{left, right}
	case either:
		left, right := conditionOf(p.left), conditionOf(p.right)
		if left == nil || right == nil {
			return nil
		}
		return store.Any{left, right}
	case *isTrue:
		return hasAny(p.field, true)
	case *matched:
		return among(p.field, func(text string) bool { return p.expr.MatchString(text) != p.not })
	case *compared:
		if p.right.place == literalPlace {
			return conditionOfComparison(p.left, p.op, p.right.literal)
		}
		if p.left.place == literalPlace {
			return conditionOfComparison(p.right, flipped(p.op), p.left.literal)
		}
	}
	return nil
}

// flipped is the operator with its sides exchanged.
func flipped(op traceql.CompareOp) traceql.CompareOp {
	switch op {
	case traceql.Less:
		return traceql.Greater
	case traceql.LessEqual:
		return traceql.GreaterEqual
	case traceql.Greater:
		return traceql.Less
	case traceql.GreaterEqual:
		return traceql.LessEqual
	}
	return op
}

func conditionOfComparison(f field, op traceql.CompareOp, v value) store.Condition {
	switch {
	case f.place == intrinsicPlace && f.intrinsic == traceql.Duration:
		return lasted(op, v)
	case op == traceql.NotEqual:
		return nil // true of nearly everything
	case v.kind == textValue && op != traceql.Equal:
		text := string(v.text)
		return among(f, func(has string) bool { return holds(op, has, text) })
	case op != traceql.Equal:
		return nil
	}
	switch v.kind {
	case textValue:
		return hasAny(f, string(v.text))
	case boolValue:
		return hasAny(f, v.int != 0)
	case statusValue, spanKindValue:
		if of := storeFields(f); len(of) == 1 && of[0].Key == "" {
			return store.Has{Field: of[0], Value: v.int}
		}
	case intValue, durationValue, realValue:
		if number := v.float(); math.Abs(number) < exactFloat {
			return hasAny(f, numbersEqualTo(number)...)
		}
	}
	return nil
}

// exactFloat is up to where each float64 equals one integer at most.
const exactFloat = 1 << 53

// numbersEqualTo returns all values that an attribute may have that compare as
// equal to a number.
func numbersEqualTo(f float64) []any {
	switch {
	case f == 0:
		return []any{int64(0), 0.0, math.Copysign(0, -1)}
	case f == math.Trunc(f):
		return []any{int64(f), f}
	}
	return []any{f}
}

// storeFields returns where a store has a field's values; none where it does
// not know them.
func storeFields(f field) []store.Field {
	switch f.place {
	case spanPlace:
		return []store.Field{{Of: store.OfSpan, Key: f.name}}
	case resourcePlace:
		return []store.Field{{Of: store.OfResource, Key: f.name}}
	case eitherPlace:
		return []store.Field{{Of: store.OfSpan, Key: f.name}, {Of: store.OfResource, Key: f.name}}
	case eventPlace:
		switch {
		case f.attribute:
			return []store.Field{{Of: store.OfEvent, Key: f.name}}
		case f.intrinsic == traceql.EventName:
			return []store.Field{{Of: store.OfEventName}}
		}
	case intrinsicPlace:
		switch f.intrinsic {
		case traceql.Name:
			return []store.Field{{Of: store.OfName}}
		case traceql.Kind:
			return []store.Field{{Of: store.OfKind}}
		case traceql.Status:
			return []store.Field{{Of: store.OfStatus}}
		case traceql.StatusMessage:
			return []store.Field{{Of: store.OfStatusMessage}}
		}
	}
	return nil
}

// hasAny says that the field has one of some values.
func hasAny(f field, values ...any) store.Condition {
	var all store.Any
	for _, of := range storeFields(f) {
		for _, v := range values {
			all = append(all, store.Has{Field: of, Value: v})
		}
	}
	return one(all)
}

func among(f field, accept func(string) bool) store.Condition {
	var all store.Any
	for _, of := range storeFields(f) {
		all = append(all, store.Among{Field: of, Accept: accept})
	}
	return one(all)
}

// one takes a single condition out of an Any; nil for none.
func one(conditions store.Any) store.Condition {
	switch len(conditions) {
	case 0:
		return nil
	case 1:
		return conditions[0]
	}
	return conditions
}

// lasted bounds the duration.
func lasted(op traceql.CompareOp, v value) store.Condition {
	if v.kind != durationValue && v.kind != intValue {
		return nil
	}
	most := store.Lasted{Max: math.MaxUint64}
	switch at := uint64(max(v.int, 0)); op {
	case traceql.Equal:
		most = store.Lasted{Min: at, Max: at}
	case traceql.Less, traceql.LessEqual:
		most.Max = at
	case traceql.Greater, traceql.GreaterEqual:
		most.Min = at
	default:
		return nil
	}
	if v.int == math.MaxInt64 {
		most.Max = math.MaxUint64 // longer ones are taken as so long
	}
	return most
}
