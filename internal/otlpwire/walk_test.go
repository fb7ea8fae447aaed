package otlpwire

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/pdata/testdata"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"
)

func unmarshal(t require.TestingT, data []byte) ptrace.Traces {
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
	require.NoError(t, err)
	return td
}

// receive decodes data as an OTLP server does, which knows the deprecated field.
func receive(data []byte) (ptrace.Traces, error) {
	r := ptraceotlp.NewExportRequest()
	err := r.UnmarshalProto(data)
	return r.Traces(), err
}

// parts returns every span of td as traces of its own, encoded: all there is to
// know about it.
func parts(t testing.TB, td ptrace.Traces) []string {
	out := []string{}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				one := ptrace.NewTraces()
				toRS := one.ResourceSpans().AppendEmpty()
				rs.Resource().CopyTo(toRS.Resource())
				toRS.SetSchemaUrl(rs.SchemaUrl())
				toSS := toRS.ScopeSpans().AppendEmpty()
				ss.Scope().CopyTo(toSS.Scope())
				toSS.SetSchemaUrl(ss.SchemaUrl())
				s.CopyTo(toSS.Spans().AppendEmpty())
				out = append(out, string(marshal(t, one)))
			}
		}
	}
	return out
}

// rebuild takes encoded traces apart and puts them together again, a group for
// each origin.
func rebuild(t require.TestingT, data []byte) []byte {
	var out []byte
	var origins [][]byte
	var groups [][][]byte
	err := Walk(data, func(o Origin, span []byte) error {
		for o.Index >= len(groups) {
			origins, groups = append(origins, nil), append(groups, nil)
		}
		origins[o.Index] = o.Append(nil)
		groups[o.Index] = append(groups[o.Index], span)
		return nil
	})
	require.NoError(t, err)
	for i, spans := range groups {
		if spans == nil {
			continue
		}
		out, err = AppendTraces(out, origins[i], spans...)
		require.NoError(t, err)
	}
	return out
}

func TestRoundTripLosesNothing(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		td := randomTraces(r)
		data := marshal(t, td)
		require.Equal(r, parts(t, td), parts(t, unmarshal(r, rebuild(r, data))))
	})
	td := testdata.GenerateTraces(20)
	require.Equal(t, parts(t, td), parts(t, unmarshal(t, rebuild(t, marshal(t, td)))))
}

func TestOriginRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		err := Walk(marshal(t, randomTraces(r)), func(o Origin, _ []byte) error {
			got, err := ParseOrigin(o.Append(nil))
			require.NoError(r, err)
			require.Equal(r, o.Append([]byte("x")), got.Append([]byte("x")))
			require.Equal(r, string(o.Resource), string(got.Resource))
			require.Equal(r, string(o.ResourceSchemaURL), string(got.ResourceSchemaURL))
			require.Equal(r, string(o.Scope), string(got.Scope))
			require.Equal(r, string(o.ScopeSchemaURL), string(got.ScopeSchemaURL))
			return nil
		})
		require.NoError(r, err)
	})
}

// An origin is a ResourceSpans of its own, as pdata sees it.
func TestOriginIsResourceSpans(t *testing.T) {
	td := testdata.GenerateTraces(1)
	err := Walk(marshal(t, td), func(o Origin, _ []byte) error {
		data := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), o.Append(nil))
		got := unmarshal(t, data).ResourceSpans().At(0)
		want := td.ResourceSpans().At(0)
		require.Equal(t, want.Resource(), got.Resource())
		require.Equal(t, want.SchemaUrl(), got.SchemaUrl())
		require.Equal(t, want.ScopeSpans().At(0).Scope(), got.ScopeSpans().At(0).Scope())
		require.Zero(t, got.ScopeSpans().At(0).Spans().Len())
		return nil
	})
	require.NoError(t, err)
}

// field encodes a field of bytes, or a repeated one.
func field(num protowire.Number, value ...[]byte) []byte {
	var b []byte
	for _, v := range value {
		b = protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
	}
	return b
}

func number(num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
}

func join(b ...[]byte) []byte {
	var out []byte
	for _, p := range b {
		out = append(out, p...)
	}
	return out
}

func attr(key, value string) []byte {
	return join(field(1, []byte(key)), field(2, field(1, []byte(value))))
}

func group(num protowire.Number, inner []byte) []byte {
	b := append(protowire.AppendTag(nil, num, protowire.StartGroupType), inner...)
	return protowire.AppendTag(b, num, protowire.EndGroupType)
}

// Encodings that no SDK writes but that protobuf allows mean what they mean to
// pdata.
func TestUnusualEncodings(t *testing.T) {
	span := func(name string) []byte { return field(2, field(5, []byte(name))) }
	for name, data := range map[string][]byte{
		"origin behind the spans": field(1, join(
			field(2, join(span("a"), field(3, []byte("scope-url")), field(1, field(1, []byte("scope"))))),
			field(3, []byte("url")), field(1, field(1, attr("k", "v"))))),
		"resource and scope twice": field(1, join(
			field(1, field(1, attr("a", "1"))),
			field(2, join(field(1, field(1, []byte("name"))), span("a"), field(1, field(2, []byte("1.0"))))),
			field(1, field(1, attr("b", "2"))))),
		"unknown fields": join(
			number(99, 5), group(98, nil), field(97, []byte("x")),
			protowire.AppendFixed32(protowire.AppendTag(nil, 96, protowire.Fixed32Type), 7),
			field(1, join(number(50, 1<<60), field(2, join(field(40, nil), field(2, join(field(5, []byte("n")), field(300, []byte("y"))))))))),
		"deprecated scope spans": field(1, join(field(1, field(1, attr("a", "1"))), field(1000, span("old")))),
		"the last of a field counts": field(1, field(2, field(2, join(
			field(5, []byte("first")), number(6, 1), field(5, []byte("second")), number(6, 3),
			field(15, join(field(2, []byte("m")), number(3, 2))), field(15, number(3, 1)),
			field(1, make([]byte, 16)), field(1, nil),
			field(9, join(field(1, []byte("k")), field(2, number(3, 1)), field(1, []byte("key")), field(2, field(1, []byte("s"))))),
			field(9, nil), field(13, nil), field(11, nil))))),
		"empty": {},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := receive(data)
			require.NoError(t, err)
			require.Equal(t, parts(t, want), parts(t, unmarshal(t, rebuild(t, data))))
			requireSame(t, want, data)
		})
	}
}

func TestMalformed(t *testing.T) {
	for name, data := range map[string][]byte{
		"cut tag":                   {0x80},
		"field 0":                   {0x02, 0x00},
		"field too high":            protowire.AppendVarint(nil, uint64(protowire.MaxValidNumber+1)<<3),
		"cut length":                {0x0A},
		"cut long length":           {0x0A, 0x80},
		"length beyond the end":     {0x0A, 0x02, 0x01},
		"long length":               {0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F},
		"cut varint":                {0x78, 0x80},
		"cut fixed32":               {0x7D, 1, 2, 3},
		"cut fixed64":               {0x79, 1, 2, 3, 4, 5, 6, 7},
		"open group":                {0x7B},
		"end without group":         {0x7C},
		"wire type 6":               {0x7E},
		"TracesData.1 no message":   number(1, 5),
		"ResourceSpans.1":           field(1, number(1, 5)),
		"ResourceSpans.2":           field(1, number(2, 5)),
		"ResourceSpans.3":           field(1, number(3, 5)),
		"ResourceSpans.1000":        field(1, number(1000, 5)),
		"ScopeSpans.1":              field(1, field(2, number(1, 5))),
		"ScopeSpans.2":              field(1, field(2, number(2, 5))),
		"ScopeSpans.3":              field(1, field(2, number(3, 5))),
		"ResourceSpans is cut":      field(1, []byte{0x0A}),
		"ScopeSpans is cut":         field(1, field(2, []byte{0x0A})),
		"error behind a good group": join(field(1, field(2, field(2, nil))), []byte{0x80}),
	} {
		err := Walk(data, func(Origin, []byte) error { return nil })
		require.ErrorIs(t, err, ErrMalformed, name)
		_, err = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
		require.Error(t, err, name)
	}
	for name, origin := range map[string][]byte{
		"cut": {0x0A}, "ScopeSpans": number(2, 1), "in ScopeSpans": field(2, number(1, 1)),
	} {
		_, err := ParseOrigin(origin)
		require.ErrorIs(t, err, ErrMalformed, name)
		dst, err := AppendTraces([]byte("dst"), origin)
		require.ErrorIs(t, err, ErrMalformed, name)
		require.Equal(t, "dst", string(dst))
	}
}

func TestWalkStopsAtTheCallersError(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	err := Walk(marshal(t, benchTraces(5)), func(o Origin, _ []byte) error {
		require.Zero(t, o.Index)
		if calls++; calls == 3 {
			return stop
		}
		return nil
	})
	require.ErrorIs(t, err, stop)
	require.Equal(t, 3, calls)
}

func TestIndexTellsOriginsApart(t *testing.T) {
	one := field(1, join(field(2, field(2, nil, nil)), field(2, field(2, nil))))
	var got []int
	require.NoError(t, Walk(join(one, one), func(o Origin, _ []byte) error {
		got = append(got, o.Index)
		return nil
	}))
	require.Equal(t, []int{0, 0, 1, 2, 2, 3}, got)
}

func TestErrorsSayWhere(t *testing.T) {
	err := Walk(field(1, field(2, number(3, 5))), func(Origin, []byte) error { return nil })
	require.EqualError(t, err, "malformed OTLP protobuf: ScopeSpans, at or after field 3, 0 bytes before its end")
}
