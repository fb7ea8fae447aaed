package block

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/field"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

// valued is a field with a value.
type valued struct {
	field field.Field
	value any
}

// valuesOf returns what a row has, by pdata.
func valuesOf(t require.TestingT, r Row) (all []valued) {
	span, resource := decode(t, r)
	attributes := func(of field.Of, m pcommon.Map) {
		for key, v := range m.All() {
			switch v.Type() {
			case pcommon.ValueTypeStr, pcommon.ValueTypeInt, pcommon.ValueTypeDouble, pcommon.ValueTypeBool:
				if v.AsRaw() == v.AsRaw() { // not NaN
					all = append(all, valued{field.Field{Of: of, Key: key}, v.AsRaw()})
				}
			}
		}
	}
	attributes(field.Span, span.Attributes())
	attributes(field.Resource, resource)
	for _, e := range span.Events().All() {
		attributes(field.Event, e.Attributes())
		all = append(all, valued{field.Field{Of: field.EventName}, e.Name()})
	}
	return append(all, valued{field.Field{Of: field.Name}, span.Name()}, valued{field.Field{Of: field.Kind}, int64(span.Kind())},
		valued{field.Field{Of: field.Status}, int64(span.Status().Code())}, valued{field.Field{Of: field.StatusMessage}, span.Status().Message()})
}

// checkSearch compares what a block says of zones, fields and values with its
// rows, which stand in their order. A value that a zone does not have must be
// known not to be there, unless its hash is another's.
func checkSearch(t require.TestingT, b *Block, rows []Row) {
	ctx := context.Background()
	zones, err := b.Zones()
	require.NoError(t, err)
	require.Len(t, zones, (len(rows)+ZoneRows-1)/ZoneRows)
	type place struct {
		valued
		failed bool
	}
	where := map[place][]uint32{}
	lists := map[field.Field][]any{}
	for i, r := range rows {
		zone := uint32(i / ZoneRows)
		checkZone(t, zones[zone], r)
		span, _ := decode(t, r)
		for _, v := range valuesOf(t, r) {
			if !slices.Contains(lists[v.field], v.value) {
				lists[v.field] = append(lists[v.field], v.value)
			}
			for _, failed := range []bool{false, true} {
				p := place{v, failed}
				if list := where[p]; (!failed || span.Status().Code() == ptrace.StatusCodeError) && !slices.Contains(list, zone) {
					where[p] = append(list, zone)
				}
			}
		}
	}
	for p := range where {
		v, ok := field.ValueOf(p.value)
		require.True(t, ok)
		found, any, err := b.ZonesWith(nil, p.field, v, p.failed)
		require.NoError(t, err)
		require.Equal(t, !b.ids.search.there, any)
		for _, zone := range where[p] {
			require.True(t, any || slices.Contains(found, zone), "%v in zone %d of %v", p, zone, found)
		}
		require.Subset(t, where[place{p.valued, false}], found, "%v", p)
	}
	for f, list := range lists {
		values, full, err := b.Values(ctx, f)
		require.NoError(t, err)
		for _, v := range list {
			require.True(t, full || slices.ContainsFunc(values, func(w field.Value) bool { return w.Any() == v }), "%v of %v", v, f)
		}
		known, all, err := b.ListedValues(f)
		require.NoError(t, err)
		require.Equal(t, b.ids.search.there && !full, all)
		require.True(t, !all || len(known) == len(list))
	}
	fields, partial, err := b.Fields(ctx)
	require.NoError(t, err)
	for f := range lists {
		require.True(t, partial || !f.Of.Keyed() || slices.Contains(fields, f), "%v", f)
	}
	none, any, err := b.ZonesWith(nil, field.Field{Key: "nobody has this"}, field.Text([]byte("x")), false)
	require.NoError(t, err)
	require.Equal(t, !b.ids.search.there, any)
	require.Empty(t, none)
	values, _, err := b.Values(ctx, field.Field{Key: "nobody has this"})
	require.NoError(t, err)
	require.Empty(t, values)
	for i := range zones {
		checkRows(t, b, rows, i)
	}
}

func checkZone(t require.TestingT, z Zone, r Row) {
	span, _ := decode(t, r)
	start, lasted := uint64(span.StartTimestamp()), uint64(0)
	if span.EndTimestamp() > span.StartTimestamp() {
		lasted = uint64(span.EndTimestamp() - span.StartTimestamp())
	}
	require.True(t, z.MinStart <= start && start <= z.MaxStart, "%d in %+v", start, z)
	require.True(t, z.MinDuration <= lasted && lasted <= z.MaxDuration, "%d in %+v", lasted, z)
}

func checkRows(t require.TestingT, b *Block, rows []Row, zone int) {
	want := rows[zone*ZoneRows : min((zone+1)*ZoneRows, len(rows))]
	i := 0
	require.NoError(t, b.Zone(zone, func(r Row) error {
		require.Equal(t, want[i], r)
		i++
		return nil
	}))
	require.Len(t, want, i)
}

// valuedRows have many values in some fields and failures here and there.
func valuedRows(tb testing.TB, n int) []Row {
	var rows []Row
	for i := range n {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", i/300))
		s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetTraceID(pcommon.TraceID{1, byte(i), byte(i >> 8)})
		s.SetSpanID(pcommon.SpanID{2, byte(i), byte(i >> 8)})
		s.SetName(fmt.Sprintf("name-%d", i%7))
		s.SetStartTimestamp(pcommon.Timestamp(1000 + i))
		s.SetEndTimestamp(pcommon.Timestamp(1000 + i%2000))
		s.Attributes().PutInt("n", int64(i))
		s.Attributes().PutBool("odd", i%2 == 1)
		s.Attributes().PutStr(causal.AttrEventID, fmt.Sprintf("event-%d", i))
		s.Attributes().PutStr(causal.AttrCorrelationID, fmt.Sprintf("group-%d", i/100))
		if i%97 == 0 {
			s.Status().SetCode(ptrace.StatusCodeError)
			e := s.Events().AppendEmpty()
			e.SetName("exception")
			e.Attributes().PutStr("exception.message", strings.Repeat("long ", i%80))
		}
		rows = append(rows, rowsOf(tb, td)...)
	}
	shareOrigins(rows)
	return rows
}

func TestSearch(t *testing.T) {
	rows := valuedRows(t, 2500)
	fsys, _ := write(t, rows)
	b := open(t, fsys)
	checkSearch(t, b, sorted(rows))
	_, full, err := b.Values(context.Background(), field.Field{Key: "n"})
	require.NoError(t, err)
	require.True(t, full, "more values than are listed")

	// A failure of one name is not wherever there is a failure and the name.
	count := func(failed bool) int {
		found, _, err := b.ZonesWith(nil, field.Field{Of: field.Name}, field.Text([]byte("name-0")), failed)
		require.NoError(t, err)
		return len(found)
	}
	require.Equal(t, 10, count(false))
	require.Less(t, count(true), 5)

	errStop := fmt.Errorf("stop")
	require.ErrorIs(t, b.Zone(1, func(Row) error { return errStop }), errStop)
}

// TestSearchOfAnything writes anything that pdata can hold.
func TestSearchOfAnything(t *testing.T) {
	fsys := memfs.New()
	require.NoError(t, fsys.MkdirAll("blocks"))
	w := NewWriter(fsys, "blocks")
	rapid.Check(t, func(rt *rapid.T) {
		rows := rowsOf(t, drawTraces(rt))
		_, err := w.Write(7, rows)
		require.NoError(rt, err)
		b, err := NewSet(fsys, "blocks").Open(7)
		require.NoError(rt, err)
		defer func() { require.NoError(rt, b.Close()) }()
		checkSearch(rt, b, sorted(rows))
	})
}

// TestKeyWithRunsOfItsOwnTwice: the first value is found by its own run, the
// second must be found too.
func TestKeyWithRunsOfItsOwnTwice(t *testing.T) {
	row := rowsOf(t, realisticTwice())[0]
	fsys, _ := write(t, []Row{row})
	b := open(t, fsys)
	for _, id := range []string{"first", "second", ""} {
		found, _, err := b.ZonesWith(nil, field.Field{Key: causal.AttrEventID}, field.Text([]byte(id)), false)
		require.NoError(t, err)
		require.Equal(t, []uint32{0}, found, id)
	}
}

func realisticTwice() ptrace.Traces {
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	for _, id := range []string{"first", "second", ""} {
		s.Attributes().PutStr(fmt.Sprintf("scope.event.i%d", s.Attributes().Len()), id)
	}
	// pdata puts no key twice, but reads it.
	data, _ := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	for i := range 3 {
		data = bytes.Replace(data, []byte(fmt.Sprintf("scope.event.i%d", i)), []byte(causal.AttrEventID), 1)
	}
	td, _ = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
	return td
}

// TestManyFields has more fields than are listed.
func TestManyFields(t *testing.T) {
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	for i := range 1500 {
		s.Attributes().PutInt(fmt.Sprintf("key-%d", i), int64(i))
	}
	s.Status().SetCode(ptrace.StatusCodeError)
	rows := rowsOf(t, td)
	fsys, _ := write(t, rows)
	b := open(t, fsys)
	checkSearch(t, b, rows)
	_, partial, err := b.Fields(context.Background())
	require.NoError(t, err)
	require.True(t, partial)
}

// withoutSearch removes what blocks did not always have.
func withoutSearch(s map[string][]byte) {
	for _, name := range []string{sectionZones, sectionAttributes, sectionAttributes + suffixFirst, sectionAttributes + suffixSums, sectionFields, sectionValues} {
		delete(s, name)
	}
}

func TestSearchWithoutSections(t *testing.T) {
	rows := valuedRows(t, 700)
	fsys, _ := write(t, rows)
	overwrite(t, fsys, IDsName(7), rebuilt(t, contents(t, fsys, IDsName(7)), withoutSearch))
	b := open(t, fsys)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err := b.Fields(ended)
	require.ErrorIs(t, err, context.Canceled)
	_, _, err = b.Values(ended, field.Field{})
	require.ErrorIs(t, err, context.Canceled)
	checkSearch(t, b, sorted(rows))
	zones, err := b.Zones()
	require.NoError(t, err)
	require.Equal(t, Zone{MinStart: 1000 + ZoneRows, MaxStart: 1000 + 2*ZoneRows, MaxDuration: 1<<64 - 1}, zones[1])
	require.EqualValues(t, 1699, zones[2].MaxStart)
}

// readSearch asks for zones, fields and values.
func readSearch(b *Block, rows []Row) error {
	zones, err := b.Zones()
	if err != nil {
		return err
	}
	for i := range zones {
		if err := b.Zone(i, func(Row) error { return nil }); err != nil {
			return err
		}
	}
	for i := range b.ids.search.attributes.sums {
		if _, err := b.ids.search.attributes.read(i, make([]byte, granule)); err != nil {
			return &CorruptError{b.idsName, err}
		}
	}
	fields, _, err := b.Fields(context.Background())
	if err != nil {
		return err
	}
	for of := field.Name; of <= field.EventName; of++ {
		fields = append(fields, field.Field{Of: of})
	}
	for _, f := range fields {
		values, _, err := b.Values(context.Background(), f)
		if err != nil {
			return err
		}
		for _, v := range values {
			if _, _, err := b.ZonesWith(nil, f, v, true); err != nil {
				return err
			}
		}
	}
	for _, r := range rows {
		var span otlpwire.Span
		if span.Parse(r.Span) != nil {
			continue
		}
		for _, a := range span.Attributes {
			v, _ := field.Decode(a.Value)
			if _, _, err := b.ZonesWith(nil, field.Field{Key: string(a.Key)}, v, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestImpossibleSearchSections have right checksums and wrong contents.
func TestImpossibleSearchSections(t *testing.T) {
	rows := valuedRows(t, 600)
	fsys, _ := write(t, rows)
	name := IDsName(7)
	good := contents(t, fsys, name)
	for what, c := range map[string]struct {
		section string
		change  func(b []byte) []byte
		want    string
	}{
		"missing run":     {sectionAttributes, nil, `section "attributes" is missing`},
		"missing fields":  {sectionFields, nil, `section "fields" is missing`},
		"missing values":  {sectionValues, nil, `section "values" is missing`},
		"odd zones":       {sectionZones, func(b []byte) []byte { return b[1:] }, "not a multiple of 32"},
		"few zones":       {sectionZones, func(b []byte) []byte { return b[32:] }, `section "zones" has 64 bytes, 96 are needed`},
		"zones fall":      {sectionZones, func(b []byte) []byte { clear(b[32:40]); return b }, "impossible zone 1"},
		"zone ends early": {sectionZones, func(b []byte) []byte { clear(b[8:16]); return b }, "impossible zone 0"},
		"durations":       {sectionZones, func(b []byte) []byte { b[16+7] = 0xff; return b }, "impossible zone 0"},
		"no fields":       {sectionFields, func([]byte) []byte { return nil }, `section "fields" has 0 bytes`},
		"field ends":      {sectionFields, func(b []byte) []byte { return b[:len(b)-1] }, `section "fields" ends early`},
		"key ends":        {sectionFields, func(b []byte) []byte { b[7] = 0xff; return b }, `section "fields" ends early`},
		"fields unsorted": {sectionFields, func(b []byte) []byte { b[4] = 9; return b }, `section "fields" is not sorted`},
		"values beyond":   {sectionFields, func(b []byte) []byte { b[len(b)-5] = 0xff; return b }, `beyond section "values"`},
		"values' sum":     {sectionValues, func(b []byte) []byte { b[0] ^= 1; return b }, `section "values" has a wrong checksum at 0`},
	} {
		t.Run(what, func(t *testing.T) {
			overwrite(t, fsys, name, rebuilt(t, good, func(s map[string][]byte) {
				if c.change == nil {
					delete(s, c.section)
					return
				}
				s[c.section] = c.change(s[c.section])
			}))
			err := readEverything(fsys, rows)
			requireDamage(t, err, name, what)
			require.ErrorContains(t, err, c.want)
		})
	}
	overwrite(t, fsys, name, rebuilt(t, good, func(s map[string][]byte) {
		// A list that ends within a value, with the right sum.
		values := []byte{1, 5, 'a'}
		f := appendField(binary.LittleEndian.AppendUint32(nil, 0), tallyOf(), 0, values)
		s[sectionFields], s[sectionValues] = f, values
	}))
	require.ErrorContains(t, readEverything(fsys, rows), "a list of values ends early")
}

func tallyOf() *field.Tally {
	c := field.NewCensus()
	_, t := c.Tally(field.Name, nil)
	return t
}
