package otlpwire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

// requireSame compares what this package reads in data with what pdata read.
func requireSame(t require.TestingT, want ptrace.Traces, data []byte) {
	var spans []ptrace.Span
	var resources []pcommon.Resource
	var scopes []pcommon.InstrumentationScope
	for _, rs := range want.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				spans, resources, scopes = append(spans, s), append(resources, rs.Resource()), append(scopes, ss.Scope())
			}
		}
	}
	var s Span // reused
	var scope Scope
	i := 0
	err := Walk(data, func(o Origin, b []byte) error {
		require.Less(t, i, len(spans))
		if err := s.Parse(b); err != nil {
			return err
		}
		requireSameSpan(t, spans[i], &s)
		attrs, err := AppendResourceAttributes(nil, o.Resource)
		require.NoError(t, err)
		requireSameAttrs(t, resources[i].Attributes(), attrs)
		require.NoError(t, scope.Parse(o.Scope))
		require.Equal(t, scopes[i].Name(), string(scope.Name))
		require.Equal(t, scopes[i].Version(), string(scope.Version))
		requireSameAttrs(t, scopes[i].Attributes(), scope.Attributes)
		i++
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, len(spans), i)
}

func requireSameSpan(t require.TestingT, want ptrace.Span, got *Span) {
	require.Equal(t, [16]byte(want.TraceID()), got.TraceID)
	require.Equal(t, [8]byte(want.SpanID()), got.SpanID)
	require.Equal(t, [8]byte(want.ParentSpanID()), got.ParentSpanID)
	require.Equal(t, want.TraceState().AsRaw(), string(got.TraceState))
	require.Equal(t, want.Name(), string(got.Name))
	require.Equal(t, int32(want.Kind()), got.Kind)
	require.Equal(t, uint64(want.StartTimestamp()), got.Start)
	require.Equal(t, uint64(want.EndTimestamp()), got.End)
	require.Equal(t, want.Flags(), got.Flags)
	require.Equal(t, int32(want.Status().Code()), got.StatusCode)
	require.Equal(t, want.Status().Message(), string(got.StatusMessage))
	require.Equal(t, want.DroppedAttributesCount(), got.DroppedAttributes)
	require.Equal(t, want.DroppedEventsCount(), got.DroppedEvents)
	require.Equal(t, want.DroppedLinksCount(), got.DroppedLinks)
	require.Equal(t, want.Events().Len(), len(got.Events))
	requireSameAttrs(t, want.Attributes(), got.Attributes)
	require.Equal(t, want.Links().Len(), len(got.Links))
	var link Link
	for i, b := range got.Links {
		require.NoError(t, link.Parse(b))
		l := want.Links().At(i)
		require.Equal(t, [16]byte(l.TraceID()), link.TraceID)
		require.Equal(t, [8]byte(l.SpanID()), link.SpanID)
		require.Equal(t, l.TraceState().AsRaw(), string(link.TraceState))
		require.Equal(t, l.Flags(), link.Flags)
		require.Equal(t, l.DroppedAttributesCount(), link.DroppedAttributes)
		requireSameAttrs(t, l.Attributes(), link.Attributes)
	}
}

func requireSameAttrs(t require.TestingT, want pcommon.Map, got []Attr) {
	require.Equal(t, want.Len(), len(got))
	i := 0
	for k, v := range want.All() {
		require.Equal(t, k, string(got[i].Key))
		requireSameValue(t, v, got[i].Value)
		found, ok := Find(got, k)
		require.True(t, ok)
		first, _ := want.Get(k)
		requireSameValue(t, first, found)
		i++
	}
	text, err := AppendAttrsJSON([]byte("x"), got)
	require.NoError(t, err)
	requireSameJSON(t, asJSON(pcommonMap(want), 0), string(text[1:]))
}

func requireSameValue(t require.TestingT, want pcommon.Value, got Value) {
	kind, err := got.Kind()
	require.NoError(t, err)
	str, isStr := got.Str()
	num, isInt := got.Int()
	yes, isBool := got.Bool()
	double, isDouble := got.Double()
	require.Equal(t, kind == KindString, isStr)
	require.Equal(t, kind == KindInt, isInt)
	require.Equal(t, kind == KindBool, isBool)
	require.Equal(t, kind == KindDouble, isDouble)
	switch want.Type() {
	case pcommon.ValueTypeEmpty:
		require.Equal(t, KindEmpty, kind)
	case pcommon.ValueTypeStr:
		require.True(t, isStr)
		require.Equal(t, want.Str(), string(str))
	case pcommon.ValueTypeInt:
		require.True(t, isInt)
		require.Equal(t, want.Int(), num)
	case pcommon.ValueTypeBool:
		require.True(t, isBool)
		require.Equal(t, want.Bool(), yes)
	case pcommon.ValueTypeDouble:
		require.True(t, isDouble)
		require.Equal(t, math.Float64bits(want.Double()), math.Float64bits(double))
	case pcommon.ValueTypeBytes:
		require.Equal(t, KindBytes, kind)
	case pcommon.ValueTypeSlice:
		require.Equal(t, KindArray, kind)
	case pcommon.ValueTypeMap:
		require.Equal(t, KindMap, kind)
	}
}

func pcommonMap(m pcommon.Map) pcommon.Value {
	v := pcommon.NewValueMap()
	m.CopyTo(v.Map())
	return v
}

// asJSON is what AppendJSON must write, as encoding/json would decode it.
func asJSON(v pcommon.Value, depth int) any {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return valid(v.Str())
	case pcommon.ValueTypeInt:
		return json.Number(fmt.Sprint(v.Int()))
	case pcommon.ValueTypeBool:
		return v.Bool()
	case pcommon.ValueTypeDouble:
		return doubleJSON(v.Double())
	case pcommon.ValueTypeBytes:
		return base64.StdEncoding.EncodeToString(v.Bytes().AsRaw())
	case pcommon.ValueTypeSlice:
		if depth == MaxJSONDepth {
			return nil
		}
		out := []any{}
		for _, e := range v.Slice().All() {
			out = append(out, asJSON(e, depth+1))
		}
		return out
	case pcommon.ValueTypeMap:
		if depth == MaxJSONDepth {
			return nil
		}
		out, seen := map[string]any{}, map[string]bool{}
		for k, e := range v.Map().All() {
			if !seen[k] {
				out[valid(k)] = asJSON(e, depth+1)
			}
			seen[k] = true
		}
		return out
	default:
		return nil
	}
}

func doubleJSON(f float64) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	default:
		return f
	}
}

// valid replaces each byte that is not valid UTF-8, as ranging over a string
// does.
func valid(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}

func requireSameJSON(t require.TestingT, want any, text string) {
	require.True(t, json.Valid([]byte(text)), text)
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var got any
	require.NoError(t, d.Decode(&got))
	requireSameDecoded(t, want, got)
}

func requireSameDecoded(t require.TestingT, want, got any) {
	switch w := want.(type) {
	case float64:
		f, err := got.(json.Number).Float64()
		require.NoError(t, err)
		require.Equal(t, w, f)
	case []any:
		require.Len(t, got, len(w))
		for i := range w {
			requireSameDecoded(t, w[i], got.([]any)[i])
		}
	case map[string]any:
		require.Len(t, got, len(w))
		for k := range w {
			requireSameDecoded(t, w[k], got.(map[string]any)[k])
		}
	default:
		require.Equal(t, want, got)
	}
}

func TestParseReadsWhatPdataReads(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		td := randomTraces(r)
		requireSame(r, td, marshal(t, td))
	})
}

func TestMalformedSpans(t *testing.T) {
	cases := map[string][]byte{
		"trace id of 15 bytes":     field(1, make([]byte, 15)),
		"span id of 9 bytes":       field(2, make([]byte, 9)),
		"parent span id of 1 byte": field(4, make([]byte, 1)),
		"status":                   field(15, []byte{0x80}),
		"status message":           field(15, number(2, 1)),
		"status code":              field(15, field(3, nil)),
		"attribute":                field(9, []byte{0x0A}),
		"attribute key":            field(9, number(1, 1)),
		"attribute value":          field(9, number(2, 1)),
		"cut":                      {0x2A, 5},
	}
	for _, num := range []int{1, 2, 3, 4, 5, 7, 8, 9, 11, 13, 15, 16} {
		cases[fmt.Sprintf("field %d is a varint", num)] = number(protowire.Number(num), 1)
	}
	for _, num := range []int{6, 10, 12, 14} {
		cases[fmt.Sprintf("field %d is bytes", num)] = field(protowire.Number(num), nil)
	}
	for name, b := range cases {
		var s Span
		require.ErrorIs(t, s.Parse(b), ErrMalformed, name)
		_, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(field(1, field(2, field(2, b))))
		require.Error(t, err, name)
	}
}

func TestMalformedLinks(t *testing.T) {
	for _, b := range [][]byte{field(1, []byte("x")), field(2, []byte("x")), number(3, 1), number(4, 1), field(5, nil), number(6, 1), {0x80}} {
		require.ErrorIs(t, new(Link).Parse(b), ErrMalformed)
	}
	require.ErrorIs(t, new(Scope).Parse(number(1, 1)), ErrMalformed)
	_, err := AppendResourceAttributes(nil, number(1, 1))
	require.ErrorIs(t, err, ErrMalformed)
}

func TestParseAllocatesNothing(t *testing.T) {
	data := marshal(t, benchTraces(10))
	var s Span
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if err := Walk(data, func(_ Origin, b []byte) error { return s.Parse(b) }); err != nil {
			t.Fatal(err)
		}
	}))
}

// linksOf returns the encoded links of an encoded span.
func linksOf(t require.TestingT, b []byte) []string {
	var s Span
	require.NoError(t, s.Parse(b))
	out := []string{}
	for _, l := range s.Links {
		out = append(out, string(l))
	}
	return out
}

func TestUnionLinks(t *testing.T) {
	a, b, c := field(1, make([]byte, 16)), field(2, make([]byte, 8)), []byte{}
	span := func(name string, links ...[]byte) []byte { return join(field(13, links...), field(5, []byte(name))) }
	for _, tc := range []struct{ span, other, want []byte }{
		{span("s"), span("o"), span("s")},
		{span("s", a), span("o", a, a), span("s", a)},
		{span("s", a, a), span("o"), span("s", a, a)},
		{span("s", a), span("o", b, a, c, b), join(span("s", a), field(13, b, c))},
		{nil, span("o", c), field(13, c)},
	} {
		got, err := UnionLinks([]byte("dst"), tc.span, tc.other)
		require.NoError(t, err)
		require.Equal(t, "dst"+string(tc.want), string(got))
	}
	for _, bad := range [][]byte{number(13, 1), {0x80}} {
		for _, pair := range [][2][]byte{{bad, nil}, {nil, bad}} {
			got, err := UnionLinks([]byte("dst"), pair[0], pair[1])
			require.ErrorIs(t, err, ErrMalformed)
			require.Equal(t, "dst", string(got))
		}
	}
}

func TestUnionLinksKeepsTheSpan(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		td := ptrace.NewTraces()
		ss := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
		fillSpan(r, ss.Spans().AppendEmpty())
		fillSpan(r, ss.Spans().AppendEmpty())
		var spans [][]byte
		require.NoError(r, Walk(marshal(t, td), func(_ Origin, b []byte) error {
			spans = append(spans, b)
			return nil
		}))
		got, err := UnionLinks(nil, spans[0], spans[1])
		require.NoError(r, err)
		require.Equal(r, spans[0], got[:len(spans[0])])
		all := linksOf(r, got)
		require.Subset(r, all, linksOf(r, spans[0]))
		require.Subset(r, all, linksOf(r, spans[1]))
		again, err := UnionLinks(nil, got, spans[1])
		require.NoError(r, err)
		require.Equal(r, got, again)
	})
}
