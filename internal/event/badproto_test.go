package event

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// Parts of protobuf events: kind mark, time 1, process p, name n.
const markWire = "1204 6d61726b 19 0100000000000000 3201 70 3a01 6e"

var badProto = []struct{ body, err string }{
	{"", `kind: missing: ` + allKinds},
	{"1203 63616c", `kind: unknown kind "cal": ` + allKinds},
	{"1204 65786974 3201 70", `time: missing: ` + allTimes},
	{"10 01", `kind: wire type 0: must be 2`},
	{"0a01 ff", `id: not valid UTF-8`},
	{"0a01 61 0a01 62", `id: given twice`},
	{"8a02 01 61", `Event has no field with number 33`},
	{"0a05 61", `not valid protobuf`},
	{"ffffffffffffffffffff01", `not valid protobuf`},
	{"0b 0c", `id: wire type 3: must be 2`},
	{"18 01", `time: wire type 0: must be 1`},
	{"19 ffffffffffffffff", `time: 18446744073709551615: must be nanoseconds since the epoch, from 1970 to 2262`},
	{"9a01 01 61", `version: wire type 2: must be 0`},
	{"ea01 03 010203", `trace_id: 3 bytes 010203: must be 16, not all zero`},
	{"f201 08 0000000000000000", `span_id: 8 bytes 0000000000000000: must be 8, not all zero`},
	{"fa01 01 ff", `parent_span_id: 1 bytes ff: must be 8, not all zero`},
	{"ba01 02 0a05", `error: not valid protobuf`},
	{"ba01 03 2201 61", `error: has no field with number 4`},
	{"ba01 02 0801", `error: wire type 0: must be 2`},
	{"ba01 06 0a0161 0a0162", `error: field with number 1 given twice`},
	{"ba01 03 0a01 ff", `error: not valid UTF-8`},
	{"ca01 00", `recovers: names nothing: needs id or message_id`},
	{"d201 06 1a0161 220162", `cause: has id and message_id: one of them is allowed`},
	{"78 01", `attributes: wire type 0: must be 2`},
	{"7a01 0a", `attributes: not valid protobuf`},
	{"7a03 1a01 61", `attributes: KeyValue has no field with number 3`},
	{"7a02 08 01", `attributes: wire type 0: must be 2`},
	{"7a06 0a0161 0a0162", `attributes: KeyValue has field 1 twice`},
	{"7a03 0a01 ff", `attributes: not valid UTF-8`},
	{"7a03 0a0161 7a03 0a0161", `attributes: key "a" given twice`},
	{"7a03 1201 0a", `attributes: not valid protobuf`},
	{"7a06 1204 10011801", `attributes: AnyValue has more than one field`},
	{"7a05 1203 0a01 ff", `attributes: not valid UTF-8`},
	{"7a04 1202 08 01", `attributes: wire type 0: must be 2`},
	{"7a04 1202 1200", `attributes: wire type 2: must be 0`},
	{"7a04 1202 1a00", `attributes: wire type 2: must be 0`},
	{"7a04 1202 2001", `attributes: wire type 0: must be 1`},
	{"7a04 1202 4200", `attributes: AnyValue has no field with number 8`},
	{"7a05 1203 2a01 0a", `attributes: not valid protobuf`},
	{"7a06 1204 2a02 1200", `attributes: a list of values has no field with number 2`},
	{"7a06 1204 2a02 0801", `attributes: wire type 0: must be 2`},
	{"7a06 1204 3202 0801", `attributes: wire type 0: must be 2`},
}

func TestBadProto(t *testing.T) {
	good := "0a 15" + markWire
	for _, c := range badProto {
		msg := mustHex(t, c.body)
		event := append([]byte{0x0a}, protowire.AppendBytes(nil, msg)...)
		body := append(append(mustHex(t, good), event...), mustHex(t, good)...)
		res, err := Decode(FormatProto, body, sameID)
		require.NoError(t, err, c.body)
		require.Len(t, res.Events, 2, c.body)
		require.Len(t, res.Rejected, 1, c.body)
		require.EqualError(t, res.Rejected[0].Err, c.err, c.body)
		require.Equal(t, event, res.Rejected[0].Raw)
		require.Equal(t, 1, res.Rejected[0].Index)
	}
}

func TestProtoRejectionNamesTheEvent(t *testing.T) {
	for msg, id := range map[string]string{
		"1201 61 0a02 6539": "e9", "1201 61": "", "1201 61 0a05 61": "", "0801": "",
	} {
		body := append([]byte{0x0a}, protowire.AppendBytes(nil, mustHex(t, msg))...)
		res, err := Decode(FormatProto, body, sameID)
		require.NoError(t, err)
		require.Equal(t, id, res.Rejected[0].ID, msg)
	}
}

func TestBadProtoBodies(t *testing.T) {
	good := "0a15" + markWire
	size := len(mustHex(t, good))
	for body, reason := range map[string]string{
		good + "0aff01 61":                  "not valid protobuf",
		good + "1200":                       "EventsRequest has no field with number 2 and wire type 2",
		good + "0801":                       "EventsRequest has no field with number 1 and wire type 0",
		good + "00":                         "not valid protobuf",
		good + strings.Repeat("0b", 20_000): "not valid protobuf",
	} {
		res, err := Decode(FormatProto, mustHex(t, body), sameID)
		require.Zero(t, res)
		require.IsType(t, &BodyError{}, err)
		require.EqualError(t, err.(*BodyError).Err, reason)
		require.Equal(t, size, err.(*BodyError).Offset)
	}
}

// nest wraps an AnyValue in arrays.
func nest(levels int) []byte {
	var msg []byte
	for range levels {
		item := protowire.AppendBytes([]byte{0x0a}, msg)
		msg = protowire.AppendBytes([]byte{0x2a}, item)
	}
	pair := protowire.AppendBytes([]byte{0x12}, msg)
	return protowire.AppendBytes([]byte{0x7a}, pair)
}

func TestProtoDepth(t *testing.T) {
	for levels, rejected := range map[int]int{63: 0, 64: 1, 500: 1} {
		msg := append(mustHex(t, markWire), nest(levels)...)
		res, err := Decode(FormatProto, protowire.AppendBytes([]byte{0x0a}, msg), sameID)
		require.NoError(t, err)
		require.Len(t, res.Rejected, rejected, levels)
		if rejected > 0 {
			require.EqualError(t, res.Rejected[0].Err, "attributes: nested deeper than 64")
		}
	}
}

func TestProtoBytesAndEmptyValues(t *testing.T) {
	msg := append(mustHex(t, markWire), mustHex(t, "7a08 0a0161 1203 3a01ff 7a03 0a0162 7a05 0a0163 1200")...)
	res, err := Decode(FormatProto, protowire.AppendBytes([]byte{0x0a}, msg), sameID)
	require.NoError(t, err)
	require.Equal(t, []KeyValue{
		{"a", Value{Type: ValueBytes, Str: "\xff"}}, {"b", Value{}}, {"c", Value{}},
	}, res.Events[0].Attributes)
}
