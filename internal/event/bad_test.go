package event

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// mark is a valid mark with more fields.
func mark(fields string) string {
	return `{"kind":"mark","time":1,"process":"p","name":"n",` + fields + `}`
}

var long = strings.Repeat("x", 129)

const (
	allKinds = "one of call, return, send, receive, spawn, exit, state, error, recover, mark"
	allTimes = "an RFC 3339 time or nanoseconds since the epoch, from 1970 to 2262"
)

var badEvents = []struct{ event, err string }{
	{`5`, `a number: an event is an object`},
	{`null`, `null: an event is an object`},
	{`"text"`, `a string: an event is an object`},
	{`[{"kind":"mark"}]`, `an array: an event is an object`},
	{`true`, `a boolean: an event is an object`},
	{`{}`, `kind: missing: ` + allKinds},
	{`{"kind":"cal"}`, `kind: unknown kind "cal": ` + allKinds},
	{`{"kind":"Call"}`, `kind: unknown kind "Call": ` + allKinds},
	{`{"kind":""}`, `kind: unknown kind "": ` + allKinds},
	{`{"kind":null}`, `kind: missing: ` + allKinds},
	{`{"kind":1}`, `kind: a number: must be a string`},
	{`{"kind":"mark","Name":"n"}`, `unknown field "Name": free data goes into attributes`},
	{`{"":1}`, `unknown field "": free data goes into attributes`},
	{mark(`"kind":"mark"`), `kind: given twice`},
	{`{"name":null,"name":"a"}`, `name: given twice`},
	{`{"kind":"mark","\u006bind":"mark"}`, `kind: given twice`},
	{`{"` + strings.Repeat("é", 40) + `":1}`, `unknown field "` + strings.Repeat("é", 32) + `"...: free data goes into attributes`},
	{`{"` + "a" + strings.Repeat("é", 40) + `":1}`, `unknown field "a` + strings.Repeat("é", 31) + `"...: free data goes into attributes`},

	{`{"kind":"mark","process":"p","name":"n"}`, `time: missing: ` + allTimes},
	{`{"kind":"mark","time":null,"process":"p","name":"n"}`, `time: missing: ` + allTimes},
	{`{"time":true}`, `time: a boolean: must be ` + allTimes},
	{`{"time":"yesterday"}`, `time: "yesterday": must be ` + allTimes},
	{`{"time":""}`, `time: "": must be ` + allTimes},
	{`{"time":"2026-11-23"}`, `time: "2026-11-23": must be ` + allTimes},
	{`{"time":"2026-11-23T10:00:00"}`, `time: "2026-11-23T10:00:00": must be ` + allTimes},
	{`{"time":"2026-11-23T1:00:00Z"}`, `time: "2026-11-23T1:00:00Z": must be ` + allTimes},
	{`{"time":"2026-11-23T10:00:00,5Z"}`, `time: "2026-11-23T10:00:00,5Z": must be ` + allTimes},
	{`{"time":"2026-02-30T10:00:00Z"}`, `time: "2026-02-30T10:00:00Z": must be ` + allTimes},
	{`{"time":"1969-12-31T23:59:59Z"}`, `time: "1969-12-31T23:59:59Z": must be ` + allTimes},
	{`{"time":"1970-01-01T00:00:00+00:01"}`, `time: "1970-01-01T00:00:00+00:01": must be ` + allTimes},
	{`{"time":"2262-04-11T23:47:16.854775808Z"}`, `time: "2262-04-11T23:47:16.854775808Z": must be ` + allTimes},
	{`{"time":"9999-12-31T00:00:00Z"}`, `time: "9999-12-31T00:00:00Z": must be ` + allTimes},
	{`{"time":-1}`, `time: "-1": must be ` + allTimes},
	{`{"time":"-1"}`, `time: "-1": must be ` + allTimes},
	{`{"time":1e18}`, `time: "1e18": must be ` + allTimes},
	{`{"time":1.5}`, `time: "1.5": must be ` + allTimes},
	{`{"time":9223372036854775808}`, `time: "9223372036854775808": must be ` + allTimes},
	{`{"time":"99999999999999999999999999"}`, `time: "99999999999999999999999999": must be ` + allTimes},

	{`{"kind":"mark","time":1,"name":"n"}`, `process: missing: every event needs one`},
	{`{"kind":"mark","time":1,"name":"n","process":""}`, `process: missing: every event needs one`},
	{`{"kind":"call","time":1,"process":"p"}`, `name: missing: kind call needs it`},
	{`{"kind":"mark","time":1,"process":"p"}`, `name: missing: kind mark needs it`},
	{`{"kind":"return","time":1,"process":"p"}`, `call_id: missing: kind return needs call_id or name`},
	{`{"kind":"spawn","time":1,"process":"p"}`, `child: missing: kind spawn needs it`},
	{`{"kind":"state","time":1,"process":"p"}`, `to: missing: kind state needs it`},
	{`{"kind":"error","time":1,"process":"p"}`, `error.type: missing: kind error needs it`},
	{`{"kind":"error","time":1,"process":"p","error":{"message":"m"}}`, `error.type: missing: kind error needs it`},

	{mark(`"id":""`), `id: "" has 0 bytes: 1 to 128 are allowed`},
	{mark(`"id":"` + long + `"`), `id: "` + long[:64] + `"... has 129 bytes: 1 to 128 are allowed`},
	{mark(`"id":7`), `id: a number: must be a string`},
	{mark(`"node":{}`), `node: an object: must be a string`},
	{mark(`"peer":[[[[]]]]`), `peer: an array: must be a string`},
	{mark(`"phase":"later"`), `phase: unknown phase "later": one of taken, arrived`},
	{mark(`"signal":"kill"`), `signal: unknown signal "kill": one of exit, down`},
	{mark(`"outcome":"ok"`), `outcome: unknown outcome "ok": one of normal, error, exception, exit, throw`},
	{mark(`"priority":"urgent"`), `priority: unknown priority "urgent": one of low, normal, high`},
	{mark(`"cause_type":"magic"`), `cause_type: unknown cause_type "magic": one of parent_child, message_flow, state_transition, error_propagation, process_spawn`},
	{mark(`"version":"1"`), `version: a string: must be an integer`},
	{mark(`"version":1.0`), `version: "1.0": must be an integer of 64 bits`},
	{mark(`"version":9223372036854775808`), `version: "9223372036854775808": must be an integer of 64 bits`},

	{mark(`"trace_id":"abc"`), `trace_id: "abc": must be 32 hex digits, not all zero`},
	{mark(`"trace_id":"` + strings.Repeat("0", 32) + `"`), `trace_id: "` + strings.Repeat("0", 32) + `": must be 32 hex digits, not all zero`},
	{mark(`"span_id":"000000000000000g"`), `span_id: "000000000000000g": must be 16 hex digits, not all zero`},
	{mark(`"parent_span_id":"0000000000000000"`), `parent_span_id: "0000000000000000": must be 16 hex digits, not all zero`},

	{mark(`"error":"boom"`), `error: a string: must be an object`},
	{mark(`"error":{"typ":"x"}`), `error: unknown field "typ": one of type, message, stacktrace`},
	{mark(`"error":{"type":1}`), `error.type: a number: must be a string`},
	{mark(`"error":{"type":"a","type":"b"}`), `error: type given twice`},
	{mark(`"cause":7`), `cause: a number: must be an event id or an object`},
	{mark(`"cause":""`), `cause: names nothing: needs id or message_id`},
	{mark(`"trigger":{}`), `trigger: names nothing: needs id or message_id`},
	{mark(`"trigger":{"service":"s","node":"n"}`), `trigger: names nothing: needs id or message_id`},
	{mark(`"recovers":{"id":"a","message_id":"b"}`), `recovers: has id and message_id: one of them is allowed`},
	{mark(`"recovers":{"node":"a","message_id":"b"}`), `recovers: has service or node beside message_id: message_id stands alone`},
	{mark(`"recovers":{"event":"a"}`), `recovers: unknown field "event": one of service, node, id, message_id`},
	{mark(`"cause":{"id":null}`), `cause: names nothing: needs id or message_id`},
	{mark(`"cause":"` + long + `"`), `cause: id "` + long[:64] + `"... has 129 bytes: 1 to 128 are allowed`},

	{mark(`"attributes":[1]`), `attributes: an array: must be an object`},
	{mark(`"attributes":{"a":1,"a":1}`), `attributes: key "a" given twice`},
	{mark(`"attributes":{"m":{"a":1,"b":{},"a":1}}`), `attributes: key "a" given twice`},
	{mark(`"attributes":{` + manyKeys(40) + `,"k17":1}`), `attributes: key "k17" given twice`},
	{mark(`"attributes":{"a":1e999}`), `attributes: "1e999": beyond the range of a double`},
	{mark(`"attributes":{"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`), `attributes: nested deeper than 64`},
	{mark(`"attributes":` + strings.Repeat(`{"a":`, 5000) + `1` + strings.Repeat("}", 5000)), `attributes: nested deeper than 64`},

	{mark("\"node\":\"\xff\""), `node: not valid UTF-8: byte 0xff at 57 of the event`},
	{mark("\"attributes\":{\"\xc3(\":1}"), `attributes: not valid UTF-8: byte 0xc3 at 64 of the event`},
	{mark(`"node":"a\\ \ud800"`), `node: not valid UTF-8: \ud800 is half of a surrogate pair`},
	{mark(`"node":"\uDC00\ud83d"`), `node: not valid UTF-8: \uDC00 is half of a surrogate pair`},
	{mark(`"attributes":{"\ud83d\u0041":1}`), `attributes: not valid UTF-8: \ud83d is half of a surrogate pair`},
	{mark("\"n\xffde\":1"), `not valid UTF-8: byte 0xff at 51 of the event`},
	{mark(`"\ud800":1`), `not valid UTF-8: \ud800 is half of a surrogate pair`},
	{mark("\"\xff\":1,\"node\":\"\xff\""), `node: not valid UTF-8: byte 0xff at 50 of the event`},
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"k` + strings.Repeat("1", i%2) + string(rune('0'+i%10)) + strings.Repeat("x", i) + `":1`)
	}
	return strings.Replace(b.String(), `"k0":1`, `"k17":1`, 1)
}

func TestBadEvents(t *testing.T) {
	for _, c := range badEvents {
		for before, body := range []string{c.event, ordinary(1) + c.event + "\n" + ordinary(2)} {
			res, err := Decode(FormatNDJSON, []byte(body), noID)
			require.NoError(t, err, c.event)
			require.Len(t, res.Rejected, 1, c.event)
			require.EqualError(t, res.Rejected[0].Err, c.err)
			require.Equal(t, c.event, string(res.Rejected[0].Raw))
			require.Equal(t, before, res.Rejected[0].Index)
			require.Len(t, res.Events, 2*before)
		}
		res, err := Decode(FormatJSON, []byte("["+ordinary(1)+", "+c.event+" ,"+ordinary(2)+"]"), noID)
		require.NoError(t, err, c.event)
		require.Len(t, res.Rejected, 1)
		require.EqualError(t, res.Rejected[0].Err, c.err)
		require.Len(t, res.Events, 2)
	}
}

func TestRejectionNamesTheEvent(t *testing.T) {
	for event, id := range map[string]string{
		`{"kind":"cal","id":"e9"}`:                 "e9",
		`{"id":"e9","kind":"cal"}`:                 "e9",
		`{"kind":"cal","a":{"id":"no"},"id":"e9"}`: "e9",
		`{"kind":"cal"}`:                           "",
		`{"kind":"cal","id":9}`:                    "",
		`[]`:                                       "",
		`{"id":"` + long + `"}`:                    long[:128],
		"{\"id\":\"a\xff\"}":                       "a",
	} {
		res, err := Decode(FormatNDJSON, []byte(event), noID)
		require.NoError(t, err)
		require.Equal(t, id, res.Rejected[0].ID, event)
	}
}

var badBodies = []struct {
	format Format
	body   string
	offset int
	err    string
}{
	{FormatNDJSON, `{"kind":`, 8, "the body ends within an event"},
	{FormatNDJSON, `{"kind":"mark"`, 14, "the body ends within an event"},
	{FormatNDJSON, "{}\n{\"kind\":\"ma", 14, "the body ends within an event"},
	{FormatNDJSON, "{}\n{\"kind\" \"mark\"}\n{}", 11, "invalid character '\"' after object key"},
	{FormatNDJSON, "{}}", 2, "invalid character '}' looking for beginning of value"},
	{FormatNDJSON, "{},{}", 2, "invalid character ',' looking for beginning of value"},
	{FormatNDJSON, `{"a":1,}`, 7, "invalid character '}' looking for beginning of object key string"},
	{FormatNDJSON, `{"a":01}`, 6, "invalid character '1' after object key:value pair"},
	{FormatNDJSON, "{\"a\":\"\n\"}", 6, "invalid character '\\n' in string literal"},
	{FormatNDJSON, "\xef\xbb\xbf{}", 0, "invalid character 'ï' looking for beginning of value"},
	{FormatNDJSON, "\x00", 0, "invalid character '\\x00' looking for beginning of value"},
	{FormatNDJSON, `tru`, 3, "the body ends within an event"},
	{FormatNDJSON, `{"kind":"mark","attributes":{"a":[1,]}}`, 36, "invalid character ']' looking for beginning of value"},
	{FormatNDJSON, strings.Repeat("[", 100_000), 10_000, "invalid character '[' exceeded max depth"},
	{FormatNDJSON, `{"attributes":` + strings.Repeat(`{"a":`, 100_000), 50_009, "invalid character '{' exceeded max depth"},
	{FormatJSON, `[`, 1, "the body ends within an event"},
	{FormatJSON, `[{}`, 3, "the body ends within an event"},
	{FormatJSON, `[{},]`, 4, "invalid character ']' looking for beginning of value"},
	{FormatJSON, `[{} {}]`, 4, "invalid character '{' after array element"},
	{FormatJSON, `[] []`, 3, "invalid character '[' after top-level value"},
	{FormatJSON, "{}\n{}", 3, "invalid character '{' after top-level value"},
	{FormatJSON, `x`, 0, "invalid character 'x' looking for beginning of value"},
	{FormatJSON, `5`, 0, "a number: must be an event or an array of events"},
	{FormatJSON, `null`, 0, "null: must be an event or an array of events"},
}

func TestBadBodies(t *testing.T) {
	for _, c := range badBodies {
		name := c.body[:min(len(c.body), 40)]
		res, err := Decode(c.format, []byte(c.body), noID)
		require.Zero(t, res, name)
		require.IsType(t, &BodyError{}, err, name)
		require.EqualError(t, err.(*BodyError).Err, c.err, name)
		require.Equal(t, c.offset, err.(*BodyError).Offset, name)
	}
	_, err := Decode(FormatNDJSON, []byte("{}}"), noID)
	require.EqualError(t, err, "body cannot be split into events, broken at byte 2: invalid character '}' looking for beginning of value")
}
