package event

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAppendJSON(t *testing.T) {
	e := Event{
		Kind: KindError, Time: 12, ID: "e\"1", Service: "s", Process: "p", Arrived: true, Version: -3, HasVersion: true,
		Error: &Error{Type: "t"}, Cause: &Ref{ID: "c"}, Trigger: &Ref{Node: "n", ID: "c"}, Recovers: &Ref{MessageID: "m"},
		SpanID: [8]byte{7: 10}, Priority: PriorityLow,
		Attributes: []KeyValue{
			{"a", Value{Type: ValueArray, Array: []Value{{Type: ValueInt, Int: 1}, {}}}},
			{"", Value{Type: ValueMap, Map: []KeyValue{{"x", Value{Type: ValueBool}}}}},
			{"d", Value{Type: ValueDouble, Double: 3}},
			{"f", Value{Type: ValueDouble, Double: 0.25}},
			{"bytes", Value{Type: ValueBytes, Str: "\x00\xff"}},
			{"nan", Value{Type: ValueDouble, Double: math.NaN()}},
			{"inf", Value{Type: ValueDouble, Double: math.Inf(1)}},
			{"ninf", Value{Type: ValueDouble, Double: math.Inf(-1)}},
		},
	}
	require.Equal(t, `before{"id":"e\"1","kind":"error","time":"12","service":"s","process":"p","phase":"arrived","version":-3,`+
		`"error":{"type":"t"},"trigger":{"node":"n","id":"c"},"recovers":{"message_id":"m"},"cause":"c",`+
		`"span_id":"000000000000000a","priority":"low",`+
		`"attributes":{"a":[1,null],"":{"x":false},"d":3e+00,"f":0.25,"bytes":"AP8=","nan":"NaN","inf":"Infinity","ninf":"-Infinity"}}`,
		string(e.AppendJSON([]byte("before"))))
}
