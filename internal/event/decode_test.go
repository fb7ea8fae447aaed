package event

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func counter() func() string {
	n := 0
	return func() string { n++; return "assigned-" + string(rune('0'+n)) }
}

func decodeOne(t *testing.T, body string) Event {
	t.Helper()
	res, err := Decode(FormatJSON, []byte(body), counter())
	require.NoError(t, err)
	require.Empty(t, res.Rejected)
	require.Len(t, res.Events, 1)
	return res.Events[0]
}

func TestMinimalEvents(t *testing.T) {
	for body, want := range map[string]Event{
		`{"kind":"call","time":1,"process":"p","name":"f"}`:      {Kind: KindCall, Name: "f"},
		`{"kind":"return","time":1,"process":"p","name":"f"}`:    {Kind: KindReturn, Name: "f"},
		`{"kind":"return","time":1,"process":"p","call_id":"c"}`: {Kind: KindReturn, CallID: "c"},
		`{"kind":"send","time":1,"process":"p"}`:                 {Kind: KindSend},
		`{"kind":"receive","time":1,"process":"p"}`:              {Kind: KindReceive},
		`{"kind":"spawn","time":1,"process":"p","child":"q"}`:    {Kind: KindSpawn, Child: "q"},
		`{"kind":"exit","time":1,"process":"p"}`:                 {Kind: KindExit},
		`{"kind":"state","time":1,"process":"p","to":"on"}`:      {Kind: KindState, To: "on"},
		`{"kind":"recover","time":1,"process":"p"}`:              {Kind: KindRecover},
		`{"kind":"mark","time":1,"process":"p","name":"n"}`:      {Kind: KindMark, Name: "n"},
		`{"kind":"error","time":1,"process":"p","error":{"type":"t"}}`: {
			Kind: KindError, Error: &Error{Type: "t"},
		},
	} {
		want.Time, want.Process, want.Service = 1, "p", DefaultService
		want.ID, want.Assigned = "assigned-1", true
		require.Equal(t, want, decodeOne(t, body), body)
	}
}

func TestDefaultsMayBeWritten(t *testing.T) {
	want := decodeOne(t, `{"kind":"exit","time":"7","process":"p"}`)
	require.Equal(t, want, decodeOne(t, `{"kind":"exit","time":7,"process":"p","service":"","node":"","phase":"taken","signal":"",
		"outcome":"normal","cause_type":"message_flow","priority":"normal","attributes":{},"trace_id":"","id":null,
		"name":null,"version":null,"error":null,"cause":null,"trigger":null}`))
	require.Equal(t, want, decodeOne(t, `{"kind":"exit","time":7,"process":"p","phase":"","outcome":"","priority":"","cause_type":"","attributes":null}`))
}

func TestTimes(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 30, 0, 123456789, time.UTC)
	for text, want := range map[string]int64{
		`"2026-11-23T09:30:00.123456789Z"`:      at.UnixNano(),
		`"2026-11-23T11:30:00.123456789+02:00"`: at.UnixNano(),
		`"2026-11-23T05:00:00.123456789-04:30"`: at.UnixNano(),
		`"2026-11-23T09:30:00.1234567891Z"`:     at.UnixNano(),
		`1795426200123456789`:                   at.UnixNano(),
		`"1795426200123456789"`:                 at.UnixNano(),
		`0`:                                     0,
		`"1970-01-01T00:00:00Z"`:                0,
		`"2262-04-11T23:47:16.854775807Z"`:      math.MaxInt64,
		`9223372036854775807`:                   math.MaxInt64,
	} {
		require.Equal(t, want, decodeOne(t, `{"kind":"exit","process":"p","time":`+text+`}`).Time, text)
	}
}

func TestAttributes(t *testing.T) {
	got := decodeOne(t, mark(`"attributes":{"s":"a\nb","t":true,"i":-9223372036854775808,"big":9223372036854775808,
		"d":1.0,"e":1e2,"z":-0.0,"n":null,"a":[1,"x",[],{}],"m":{"k":{"k":false}}}`)).Attributes
	require.Equal(t, []KeyValue{
		{"s", Value{Type: ValueString, Str: "a\nb"}},
		{"t", Value{Type: ValueBool, Bool: true}},
		{"i", Value{Type: ValueInt, Int: math.MinInt64}},
		{"big", Value{Type: ValueDouble, Double: 1 << 63}},
		{"d", Value{Type: ValueDouble, Double: 1}},
		{"e", Value{Type: ValueDouble, Double: 100}},
		{"z", Value{Type: ValueDouble, Double: math.Copysign(0, -1)}},
		{"n", Value{}},
		{"a", Value{Type: ValueArray, Array: []Value{
			{Type: ValueInt, Int: 1}, {Type: ValueString, Str: "x"}, {Type: ValueArray}, {Type: ValueMap},
		}}},
		{"m", Value{Type: ValueMap, Map: []KeyValue{
			{"k", Value{Type: ValueMap, Map: []KeyValue{{"k", Value{Type: ValueBool}}}}},
		}}},
	}, got)

	deep := decodeOne(t, mark(`"attributes":{"a":`+strings.Repeat("[", 63)+strings.Repeat("]", 63)+`}`))
	require.Len(t, deep.Attributes, 1)
}

func TestReferences(t *testing.T) {
	e := decodeOne(t, mark(`"cause":"e1","trigger":{"id":"e2","node":"n","service":"s"},"recovers":{"message_id":"m","id":null}`))
	require.Equal(t, &Ref{ID: "e1"}, e.Cause)
	require.Equal(t, &Ref{Service: "s", Node: "n", ID: "e2"}, e.Trigger)
	require.Equal(t, &Ref{MessageID: "m"}, e.Recovers)
}

func TestSurrogatePairsAndEscapes(t *testing.T) {
	e := decodeOne(t, mark(`"node":"\ud83d\uDE00 \\ud800 \"\u00e9\/"`))
	require.Equal(t, "\U0001F600 \\ud800 \"é/", e.Node)
}

func TestSplitting(t *testing.T) {
	event := `{"kind":"exit","time":1,"process":"p"}`
	pretty := "{\n  \"kind\": \"exit\",\r\n\t\"time\": 1,\n  \"process\": \"p\"\n}"
	for _, c := range []struct {
		format Format
		body   string
		events int
	}{
		{FormatNDJSON, "", 0},
		{FormatNDJSON, " \r\n\n\t", 0},
		{FormatNDJSON, event, 1},
		{FormatNDJSON, "\n\n" + event + "\n\n" + event + "\n", 2},
		{FormatNDJSON, event + event + event, 3},
		{FormatNDJSON, pretty + " " + pretty, 2},
		{FormatJSON, "", 0},
		{FormatJSON, "\n", 0},
		{FormatJSON, " [ ] ", 0},
		{FormatJSON, pretty + "\n", 1},
		{FormatJSON, "[" + event + "]", 1},
		{FormatJSON, "\n[" + pretty + " , " + event + "]\n", 2},
		{FormatProto, "", 0},
	} {
		res, err := Decode(c.format, []byte(c.body), counter())
		require.NoError(t, err, c.body)
		require.Empty(t, res.Rejected)
		require.Len(t, res.Events, c.events, c.body)
	}
}

func TestIndexesCountAllEvents(t *testing.T) {
	good := `{"kind":"exit","time":1,"process":"p"}`
	res, err := Decode(FormatNDJSON, []byte(good+"{}\n1\n"+good+`{"kind":"x"}`), counter())
	require.NoError(t, err)
	require.Len(t, res.Events, 2)
	require.Equal(t, []string{"assigned-1", "assigned-2"}, []string{res.Events[0].ID, res.Events[1].ID})
	var indexes []int
	for _, r := range res.Rejected {
		indexes = append(indexes, r.Index)
	}
	require.Equal(t, []int{1, 2, 4}, indexes)
}

func TestTooMuchForOneBody(t *testing.T) {
	exit := `{"kind":"exit","time":1,"process":"p"}`
	for _, c := range []struct {
		format Format
		body   string
		err    string
	}{
		{FormatNDJSON, strings.Repeat("{}", maxRejections+1), "more than 10000 invalid events: too much for one body, send several"},
		{FormatJSON, "[" + strings.Repeat("0,", maxRejections) + "0]", "more than 10000 invalid events: too much for one body, send several"},
		{FormatProto, strings.Repeat("\x0a\x00", maxRejections+1), "more than 10000 invalid events: too much for one body, send several"},
		{FormatNDJSON, strings.Repeat(exit, maxEvents+1), "more than 262144 events: too much for one body, send several"},
		{FormatNDJSON, mark(`"attributes":{"a":[` + strings.Repeat("0,", maxValues) + `0]}`), "more than 1048576 attribute values: too much for one body, send several"},
	} {
		res, err := Decode(c.format, []byte(c.body), sameID)
		require.ErrorIs(t, err, ErrTooMuch)
		require.IsType(t, &BodyError{}, err)
		require.EqualError(t, err, c.err)
		require.Zero(t, res)
	}
}

func sameID() string { return "x" }

func TestUnknownFormat(t *testing.T) {
	_, err := Decode(0, nil, noID)
	require.EqualError(t, err, "unknown format 0")
}

func TestFormatOf(t *testing.T) {
	for header, want := range map[string]Format{
		"application/x-ndjson":                 FormatNDJSON,
		"application/json":                     FormatJSON,
		"Application/JSON ; charset=\"utf-8\"": FormatJSON,
		"application/x-protobuf":               FormatProto,
	} {
		got, err := FormatOf(header)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, header := range []string{"", "text/plain", "application/json;=", "json"} {
		_, err := FormatOf(header)
		require.ErrorContains(t, err, "one of application/x-ndjson, application/json, application/x-protobuf", header)
	}
}

func TestFieldTable(t *testing.T) {
	for f := fieldID; f < fieldCount; f++ {
		require.Equal(t, f, fieldNamed([]byte(f.String())))
	}
	require.Equal(t, "invalid", KindInvalid.String())
	require.Equal(t, "invalid", Kind(99).String())
	for k := KindCall; k <= KindMark; k++ {
		require.Equal(t, k, kindNamed(k.String()))
	}
}
