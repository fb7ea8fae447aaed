package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func noID() string { panic("an id was assigned") }

func decodeAll(t require.TestingT, format Format, body []byte) []Event {
	res, err := Decode(format, body, noID)
	require.NoError(t, err)
	require.Empty(t, res.Rejected)
	return res.Events
}

func TestAllFormatsSayTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(genEvent(), 1, 4).Draw(t, "events")
		for format, body := range map[Format][]byte{
			FormatNDJSON: ndjson(events), FormatJSON: array(events), FormatProto: request(t, events),
		} {
			require.Equal(t, events, decodeAll(t, format, body), "format %d", format)
		}
	})
}

func TestEventsDoNotAliasTheBody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := rapid.SliceOfN(genEvent(), 1, 3).Draw(t, "events")
		for format, body := range map[Format][]byte{FormatNDJSON: ndjson(events), FormatProto: request(t, events)} {
			got := decodeAll(t, format, body)
			for i := range body {
				body[i] = 'X'
			}
			require.Equal(t, events, got)
		}
	})
}

func TestRefTextRoundTrip(t *testing.T) {
	seen := map[string]Ref{}
	rapid.Check(t, func(t *rapid.T) {
		r := *genRef().Draw(t, "reference")
		text := r.String()
		got, err := ParseRef(text)
		require.NoError(t, err)
		require.Equal(t, r, got)
		if other, ok := seen[text]; ok {
			require.Equal(t, other, r, "two references have the same text")
		}
		seen[text] = r
	})
}

// TestTruncatedBodies cuts a body that has something of everything.
func TestTruncatedBodies(t *testing.T) {
	body := mark(`"id":"\u00e91","version":-17,"error":{"type":"t","message":null},"cause":{"service":"s","id":"c"},
		"trigger":"t","trace_id":"0123456789abcdef0123456789abcdef","node":null,
		"attributes":{"a":[1,2.5,true,null,"\n",{"b":{}}],"":false,"c":-0.5e-3}`)
	for _, body := range []string{body, strings.Replace(body, `"time":1`, `"time":"1"`, 1)} {
		require.Len(t, decodeAll(t, FormatJSON, []byte(body)), 1)
		for _, format := range []Format{FormatNDJSON, FormatJSON} {
			for n := 1; n < len(body); n++ {
				_, err := Decode(format, []byte(body[:n]), noID)
				require.EqualError(t, err, fmt.Sprintf("body cannot be split into events, broken at byte %d: the body ends within an event", n))
			}
		}
	}
	res, err := Decode(FormatNDJSON, []byte(body), noID)
	require.NoError(t, err)
	wire := request(t, res.Events)
	for n := 1; n < len(wire); n++ {
		_, err := Decode(FormatProto, wire[:n], noID)
		require.IsType(t, &BodyError{}, err)
	}
}

func FuzzDecodeNDJSON(f *testing.F) {
	seedJSON(f)
	f.Fuzz(func(t *testing.T, body []byte) { checkDecode(t, FormatNDJSON, body) })
}

func FuzzDecodeJSON(f *testing.F) {
	seedJSON(f)
	f.Fuzz(func(t *testing.T, body []byte) { checkDecode(t, FormatJSON, body) })
}

func seedJSON(f *testing.F) {
	f.Add([]byte(ordinary(1)))
	f.Add([]byte("[" + ordinary(1) + "," + ordinary(2) + "]"))
	for _, c := range badEvents {
		f.Add([]byte(c.event))
	}
	for _, c := range badBodies {
		f.Add([]byte(c.body))
	}
}

func FuzzDecodeProto(f *testing.F) {
	res, err := Decode(FormatNDJSON, ordinaryBody(2), noID)
	require.NoError(f, err)
	f.Add(request(f, res.Events))
	for _, c := range badProto {
		f.Add(mustHex(f, c.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkDecode(t, FormatProto, body) })
}

// checkDecode holds for any body: events found are valid and encode to what
// decodes to them, what was rejected is rejected again by itself, nothing is
// found in a broken body.
func checkDecode(t *testing.T, format Format, body []byte) {
	res, err := Decode(format, bytes.Clone(body), func() string { return "assigned" })
	checkSyntax(t, format, body, err)
	if err != nil {
		require.IsType(t, &BodyError{}, err)
		require.Zero(t, res)
		return
	}
	for i := range res.Events {
		res.Events[i].Assigned = false
		jsonOnly(res.Events[i].Attributes)
	}
	require.Equal(t, res.Events, append([]Event{}, decodeAll(t, FormatNDJSON, ndjson(res.Events))...))
	for i, r := range res.Rejected {
		require.IsType(t, &FieldError{}, r.Err)
		again, err := Decode(format, r.Raw, noID)
		if format == FormatJSON && r.Raw[0] != '{' {
			continue // not an object: no body by itself
		}
		require.NoError(t, err)
		require.Equal(t, []Rejection{{Index: 0, ID: r.ID, Err: r.Err, Raw: r.Raw}}, again.Rejected, "rejection %d", i)
	}
}

// checkSyntax holds the tokenizer against another one.
func checkSyntax(t *testing.T, format Format, body []byte, err error) {
	if format != FormatJSON || errors.Is(err, ErrTooMuch) {
		return
	}
	empty := len(bytes.Trim(body, " \t\r\n")) == 0
	scalar := err != nil && strings.HasSuffix(err.Error(), "must be an event or an array of events")
	require.Equal(t, json.Valid(body) && !scalar || empty, err == nil, "%v", err)
}

// jsonOnly replaces what JSON cannot say.
func jsonOnly(pairs []KeyValue) {
	for i := range pairs {
		jsonOnlyValue(&pairs[i].Value)
	}
}

func jsonOnlyValue(v *Value) {
	if v.Type == ValueBytes || v.Type == ValueDouble && (math.IsNaN(v.Double) || math.IsInf(v.Double, 0)) {
		*v = Value{}
	}
	for i := range v.Array {
		jsonOnlyValue(&v.Array[i])
	}
	jsonOnly(v.Map)
}
