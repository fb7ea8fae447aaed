package field_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/field"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// anyValue draws what fields have values of.
var anyValue = rapid.OneOf(
	rapid.Custom(func(t *rapid.T) any { return rapid.StringN(0, 4, -1).Draw(t, "text") }),
	rapid.Custom(func(t *rapid.T) any { return rapid.Int64().Draw(t, "int") }),
	rapid.Custom(func(t *rapid.T) any { return rapid.Float64().Draw(t, "double") }),
	rapid.Custom(func(t *rapid.T) any { return rapid.Bool().Draw(t, "bool") }),
	rapid.SampledFrom([]any{"", strings.Repeat("x", 200), int64(0), 0.0, math.Inf(1), int64(-1)}),
)

// encoded returns an AnyValue as pdata encodes it.
func encoded(t require.TestingT, v any) otlpwire.Value {
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	require.NoError(t, s.Attributes().PutEmpty("k").FromRaw(v))
	return parse(t, td).Attributes[0].Value
}

func parse(t require.TestingT, td ptrace.Traces) (span otlpwire.Span) {
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	require.NoError(t, otlpwire.Walk(data, func(_ otlpwire.Origin, b []byte) error { return span.Parse(b) }))
	return span
}

// TestValuesAreThemselves: what pdata encoded, what a caller names and what a
// list holds are the same value.
func TestValuesAreThemselves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := anyValue.Draw(t, "value")
		v, ok := field.ValueOf(x)
		require.True(t, ok)
		require.Equal(t, x, v.Any())
		w, ok := field.Decode(encoded(t, x))
		require.True(t, ok)
		require.True(t, v.Equal(w))
		require.Equal(t, v.Hash(7), w.Hash(7))
		require.NotEqual(t, v.Hash(7), w.Hash(8))
		hash, ok := field.HashEncoded(encoded(t, x), 7)
		require.True(t, ok)
		require.Equal(t, v.Hash(7), hash)
		list := v.AppendTo([]byte("before"))
		r, rest, ok := field.ReadValue(append(list[6:], "after"...))
		require.True(t, ok)
		require.Equal(t, "after", string(rest))
		require.True(t, v.Equal(r))
		for n := range len(list) - 6 {
			_, _, ok := field.ReadValue(list[6 : 6+n])
			require.False(t, ok, n)
		}

		y := anyValue.Draw(t, "other")
		u, _ := field.ValueOf(y)
		require.Equal(t, x == y, v.Equal(u))
		require.Equal(t, x == y, v.Hash(7) == u.Hash(7))
		require.Equal(t, x == y, field.CompareValues(u, v) == 0)
		require.Equal(t, field.CompareValues(v, u), -field.CompareValues(u, v))
	})
}

func TestOrderOfValues(t *testing.T) {
	var values []field.Value
	want := []any{"", "a", "b", int64(-5), int64(3), math.Inf(-1), -1.5, 0.0, 2.5, false, true}
	for _, x := range want {
		v, _ := field.ValueOf(x)
		values = append(values, v)
	}
	slices.Reverse(values)
	slices.SortFunc(values, field.CompareValues)
	for i, v := range values {
		require.Equal(t, want[i], v.Any())
	}
}

func TestWhatIsNoValue(t *testing.T) {
	for _, x := range []any{nil, 5, math.NaN(), []byte("b")} {
		v, ok := field.ValueOf(x)
		require.False(t, ok, x)
		require.Nil(t, v.Any())
	}
	for _, x := range []any{nil, math.NaN(), []byte("b"), []any{"a"}, map[string]any{"a": "b"}} {
		_, ok := field.Decode(encoded(t, x))
		require.False(t, ok, x)
		_, ok = field.HashEncoded(encoded(t, x), 7)
		require.False(t, ok, x)
	}
	for _, b := range []string{"\x0a", "\x0a\x05a", "\x18\x80", "\x21\x01", "\xff"} {
		_, ok := field.Decode(otlpwire.Value(b))
		require.False(t, ok, "%q", b)
	}
	_, _, ok := field.ReadValue([]byte{5, 1, 2, 3, 4, 5, 6, 7, 8})
	require.False(t, ok)
	require.NotEqual(t, field.Text(nil), field.Value{})
	_, isText := field.Int(1).Text()
	require.False(t, isText)
}

// TestUnusualEncodings: the last of several alternatives counts, and a number
// may be longer than it must be.
func TestUnusualEncodings(t *testing.T) {
	for b, want := range map[string]any{
		"\x18\x01\x0a\x01a": "a",
		"\x0a\x01a\x18\x05": int64(5),
		"\x18\x85\x00":      int64(5),
		"\x10\x81\x00":      true,
		"\x10\x05":          true,
		"\x10\x01\x21\x00\x00\x00\x00\x00\x00\xf8\x3f": 1.5,
		"\x21\x00\x00\x00\x00\x00\x00\x00\x80":         0.0,
	} {
		v, ok := field.Decode(otlpwire.Value(b))
		require.True(t, ok, "%q", b)
		require.Equal(t, want, v.Any(), "%q", b)
		w, _ := field.ValueOf(want)
		require.Equal(t, w.Hash(1), v.Hash(1))
	}
	negative, _ := field.ValueOf(math.Copysign(0, -1))
	require.True(t, negative.Equal(field.Double(0)))
}

func TestFields(t *testing.T) {
	a, b := field.Field{Of: field.Span, Key: "k"}, field.Field{Of: field.Resource, Key: "k"}
	require.Equal(t, a.Hash(), field.HashOf(field.Span, []byte("k")))
	require.NotEqual(t, a.Hash(), b.Hash())
	require.Negative(t, field.Compare(a, b))
	require.True(t, field.Event.Keyed())
	require.False(t, field.Name.Keyed())
}

// fill notes values until a field has too many.
func fill(c *field.Census, of field.Of, key string, values ...any) {
	for _, x := range values {
		v, _ := field.ValueOf(x)
		c.Add(of, []byte(key), v)
	}
}

func anys(t *field.Tally) (all []any) {
	for _, v := range t.Values() {
		all = append(all, v.Any())
	}
	return all
}

func TestCensus(t *testing.T) {
	c := field.NewCensus()
	fill(c, field.Span, "b", "x", "y", "x", int64(1), 1.0)
	fill(c, field.Span, "a", true)
	fill(c, field.Resource, "a", "x")
	var fields []field.Field
	for _, tally := range c.Tallies() {
		fields = append(fields, tally.Field())
		require.False(t, tally.Full())
	}
	require.Equal(t, []field.Field{{Key: "a"}, {Key: "b"}, {Of: field.Resource, Key: "a"}}, fields)
	require.Equal(t, []any{"x", "y", int64(1), 1.0}, anys(c.Of(field.Field{Key: "b"})))
	require.Nil(t, c.Of(field.Field{Key: "c"}))
	require.False(t, c.Partial())
	c.Reset()
	require.Empty(t, c.Tallies())
	_, tally := c.Tally(field.Span, []byte("b"))
	require.Empty(t, tally.Values())
}

func TestCensusIsBounded(t *testing.T) {
	c := field.NewCensus()
	for i := range 5000 {
		fill(c, field.Span, "many", int64(i))
	}
	many := c.Of(field.Field{Key: "many"})
	require.True(t, many.Full())
	require.Len(t, many.Values(), 1024)
	fill(c, field.Span, "long", strings.Repeat("x", 256), strings.Repeat("y", 257), "short")
	long := c.Of(field.Field{Key: "long"})
	require.True(t, long.Full())
	require.Len(t, long.Values(), 1)

	fill(c, field.Span, strings.Repeat("k", 257), "x")
	require.True(t, c.Partial())
	c.Reset()
	for i := range 3000 {
		fill(c, field.Span, fmt.Sprint(i), "x")
	}
	require.True(t, c.Partial())
	require.Len(t, c.Tallies(), 1024)

	c.Reset()
	total := 0
	for i := range 1000 {
		for n := range 1000 {
			fill(c, field.Span, fmt.Sprint(i), fmt.Sprintf("%0200d", n))
		}
	}
	for _, tally := range c.Tallies() {
		total += len(tally.Values())
	}
	require.Less(t, total*264, 3<<19)
}

// TestTaker compares a census with what pdata says.
func TestTaker(t *testing.T) {
	taker := field.NewTaker()
	want := map[string]bool{}
	note := func(of field.Of, key string, v any) { want[fmt.Sprint(of, key, v)] = true }
	for i := range 30 {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutInt("r", int64(i%3))
		note(field.Resource, "r", int64(i%3))
		s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetName(fmt.Sprint("name", i%4))
		s.SetKind(ptrace.SpanKind(i % 5))
		s.Status().SetCode(2)
		s.Status().SetMessage("m")
		s.Attributes().PutStr("a", fmt.Sprint(i%7))
		s.Attributes().PutEmptySlice("none")
		e := s.Events().AppendEmpty()
		e.SetName("e")
		e.Attributes().PutBool("b", i%2 == 0)
		for of, v := range map[field.Of]any{field.Name: s.Name(), field.Kind: int64(i % 5), field.Status: int64(2), field.StatusMessage: "m", field.EventName: "e"} {
			note(of, "", v)
		}
		note(field.Span, "a", fmt.Sprint(i%7))
		note(field.Event, "b", i%2 == 0)
		data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		require.NoError(t, otlpwire.Walk(data, func(o otlpwire.Origin, span []byte) error {
			origin := o.Append(nil)
			return cmp.Or(taker.Take(origin, span), taker.Take(origin, span))
		}))
	}
	got := map[string]bool{}
	for _, tally := range taker.Tallies() {
		for _, v := range tally.Values() {
			got[fmt.Sprint(tally.Field().Of, tally.Field().Key, v.Any())] = true
		}
	}
	require.Equal(t, want, got)
}

func TestTakerOfManyOrigins(t *testing.T) {
	taker := field.NewTaker()
	for i := range 3000 {
		var kv []byte
		kv = append(kv, 0x0a, 1, 'k', 0x12, 3, 0x18, byte(i)|0x80, byte(i>>7))
		resource := append([]byte{0x0a, byte(len(kv))}, kv...)
		origin := append([]byte{0x0a, byte(len(resource))}, resource...)
		require.NoError(t, taker.Take(append(origin, 0x12, 0), nil))
	}
	require.True(t, taker.Of(field.Field{Of: field.Resource, Key: "k"}).Full())
}

func TestTakerOfWhatIsNoSpan(t *testing.T) {
	bad := []byte{0x0a, 5}
	for name, take := range map[string][2][]byte{
		"origin":   {bad, nil},
		"resource": {[]byte{0x0a, 2, 0x0a, 9, 0x12, 0}, nil},
		"span":     {nil, bad},
		"event":    {nil, []byte{11<<3 | 2, 2, 0x0a, 5}},
	} {
		require.Error(t, field.NewTaker().Take(take[0], take[1]), name)
	}
}

func FuzzReadValue(f *testing.F) {
	for _, x := range []any{"text", int64(1), 1.5, true} {
		v, _ := field.ValueOf(x)
		f.Add(v.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, rest, ok := field.ReadValue(data)
		if !ok {
			return
		}
		require.Less(t, len(rest), len(data))
		w, _, ok := field.ReadValue(v.AppendTo(nil))
		require.True(t, ok)
		require.True(t, v.Equal(w))
	})
}
