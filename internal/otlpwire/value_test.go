package otlpwire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

func strValue(s string) Value { return field(1, []byte(s)) }

func array(elements ...[]byte) Value { return field(5, field(1, elements...)) }

func TestAppendJSON(t *testing.T) {
	for want, v := range map[string]Value{
		`null`:                             nil,
		`""`:                               strValue(""),
		`"a\"\\\n\r\t\u0000\u001f/é漢"`:     strValue("a\"\\\n\r\t\x00\x1f/é漢"),
		`"` + "a\uFFFD\uFFFDb\uFFFD" + `"`: strValue("a\xff\xfeb\xc3"),
		`"` + "\uFFFD ok" + `"`:            strValue("\uFFFD ok"),
		`true`:                             number(2, 1),
		`false`:                            number(2, 0),
		`-1`:                               number(3, 1<<64-1),
		`9223372036854775807`:              number(3, 1<<63-1),
		`"/w=="`:                           field(7, []byte{0xff}),
		`["a",null,[]]`:                    array(strValue("a"), nil, field(5, nil)),
		`{}`:                               field(6, nil),
		`{"k":"v","":{"x":1}}`:             field(6, join(field(1, attr("k", "v")), field(1, field(2, field(6, field(1, join(field(1, []byte("x")), field(2, number(3, 1))))))))),
		`{"k":"first","l":"x"}`:            field(6, field(1, attr("k", "first"), attr("k", "second"), attr("l", "x"))),
		`"last"`:                           join(number(3, 1), strValue("last")),
		`7`:                                join(field(99, nil), number(3, 7)),
		`["b"]`:                            field(5, join(number(9, 1), field(1, strValue("b")))),
	} {
		got, err := v.AppendJSON([]byte("x"))
		require.NoError(t, err)
		require.Equal(t, "x"+want, string(got))
		require.True(t, json.Valid(got[1:]))
	}
	require.Equal(t, KindEmpty, kindOf(t, join(strValue("a"), number(8, 1))), "a reference into a table that traces lack")
}

func kindOf(t *testing.T, v Value) Kind {
	k, err := v.Kind()
	require.NoError(t, err)
	return k
}

func TestMalformedValues(t *testing.T) {
	for name, v := range map[string]Value{
		"string":        number(1, 1),
		"bool":          field(2, nil),
		"int":           field(3, nil),
		"double":        number(4, 1),
		"array":         number(5, 1),
		"map":           number(6, 1),
		"bytes":         number(7, 1),
		"string index":  field(8, nil),
		"cut":           {0x0A, 1},
		"array element": field(5, number(1, 1)),
		"in array":      array(number(1, 1)),
		"array is cut":  field(5, []byte{0x0A}),
		"map entry":     field(6, number(1, 1)),
		"map key":       field(6, field(1, number(1, 1))),
		"in map":        field(6, field(1, field(2, number(1, 1)))),
	} {
		got, err := v.AppendJSON([]byte("x"))
		require.ErrorIs(t, err, ErrMalformed, name)
		require.Equal(t, "x", string(got))
	}
	bad := Value{0x80}
	_, err := bad.Kind()
	require.ErrorIs(t, err, ErrMalformed)
	_, ok := bad.Str()
	require.False(t, ok)
	_, ok = bad.Bool()
	require.False(t, ok)
	_, err = AppendAttrsJSON(nil, []Attr{{Key: []byte("k"), Value: bad}})
	require.EqualError(t, err, `attribute "k": malformed OTLP protobuf: AnyValue, at or after field 0, 1 bytes before its end`)
}

func TestScalar(t *testing.T) {
	type scalar struct {
		kind Kind
		data string
		u    uint64
	}
	for _, tc := range []struct {
		value Value
		want  scalar
	}{
		{nil, scalar{}},
		{strValue("a"), scalar{KindString, "a", 0}},
		{number(2, 1), scalar{KindBool, "", 1}},
		{number(3, 7), scalar{KindInt, "", 7}},
		{field(5, strValue("a")), scalar{KindArray, string(strValue("a")), 0}},
	} {
		kind, data, u, err := tc.value.Scalar()
		require.NoError(t, err)
		require.Equal(t, tc.want, scalar{kind, string(data), u})
	}
	_, _, _, err := Value{0x80}.Scalar()
	require.ErrorIs(t, err, ErrMalformed)
}

// nest wraps an encoded value into n arrays or maps.
func nest(n int, wrap func([]byte) []byte) Value {
	var v []byte
	for range n {
		v = wrap(v)
	}
	return v
}

func TestDeepValues(t *testing.T) {
	inArray := func(v []byte) []byte { return field(5, field(1, v)) }
	inMap := func(v []byte) []byte { return field(6, field(1, field(2, v))) }
	for _, tc := range []struct {
		wrap        func([]byte) []byte
		open, close string
	}{{inArray, "[", "]"}, {inMap, `{"":`, "}"}} {
		for _, n := range []int{MaxJSONDepth, MaxJSONDepth + 1, 1000} {
			got, err := nest(n, tc.wrap).AppendJSON(nil)
			require.NoError(t, err)
			levels := MaxJSONDepth
			require.Equal(t, string(bytes.Repeat([]byte(tc.open), levels))+"null"+string(bytes.Repeat([]byte(tc.close), levels)), string(got))
		}
	}
}

func TestManyAttributesWithOneKey(t *testing.T) {
	for _, n := range []int{fewAttributes, fewAttributes + 1, 100_000} {
		var attrs []Attr
		for i := range n {
			attrs = append(attrs, Attr{Key: []byte("k"), Value: number(3, uint64(i))}, Attr{Key: fmt.Appendf(nil, "k%d", i%2)})
		}
		got, err := AppendAttrsJSON(nil, attrs)
		require.NoError(t, err)
		require.Equal(t, `{"k":0,"k0":null,"k1":null}`, string(got))
	}
}

func TestFind(t *testing.T) {
	attrs := []Attr{{Key: []byte("a"), Value: strValue("1")}, {Key: []byte("a"), Value: strValue("2")}}
	v, ok := Find(attrs, "a")
	require.True(t, ok)
	require.Equal(t, strValue("1"), v)
	_, ok = Find(attrs, "b")
	require.False(t, ok)
}

// Where pdata and this package both accept an input they see the same, and what
// pdata writes this package accepts; nothing panics. (pdata takes some inputs
// that are no protobuf, such as field numbers beyond 32 bits.)
func FuzzWalk(f *testing.F) {
	f.Add(marshal(f, benchTraces(2)))
	f.Add(field(1, join(field(2, join(field(1, field(1, []byte("scope"))), field(2, field(5, []byte("n"))))), field(1, field(1, attr("k", "\xff"))))))
	f.Add(field(1, field(2, field(2, join(field(9, join(field(1, []byte("k")), field(2, field(6, field(1, attr("a", "b")))))), field(13, field(4, attr("t", "u"))))))))
	f.Add(field(1, field(1000, field(2, number(6, 1<<40)))))
	f.Fuzz(func(t *testing.T, data []byte) {
		want, err := receive(data)
		if err == nil {
			canonical := marshal(t, want)
			again, err := receive(canonical)
			require.NoError(t, err)
			requireSame(t, again, canonical)
		}
		if err == nil && readable(data) {
			requireSame(t, want, data)
		}
		_, _ = UnionLinks(nil, data, data)
		_, _ = AppendTraces(nil, data, data)
	})
}

// readable walks and parses all there is in data.
func readable(data []byte) bool {
	var s Span
	var scope Scope
	var link Link
	check := func(o Origin, b []byte) error {
		err := s.Parse(b)
		if err == nil {
			err = scope.Parse(o.Scope)
		}
		if err == nil {
			_, err = AppendResourceAttributes(nil, o.Resource)
		}
		for i := 0; err == nil && i < len(s.Links); i++ {
			err = link.Parse(s.Links[i])
		}
		return err
	}
	return Walk(data, check) == nil
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(strValue("a\xff\n")))
	f.Add([]byte(array(number(2, 1), field(6, field(1, attr("a", "b"))))))
	f.Add(protowire.AppendFixed64(protowire.AppendTag(nil, 4, protowire.Fixed64Type), 0x7ff0000000000000))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Value(data).AppendJSON(nil)
		if err == nil {
			require.True(t, json.Valid(got), "%q", got)
		}
		require.True(t, json.Valid(AppendJSONString(nil, data)))
	})
}
