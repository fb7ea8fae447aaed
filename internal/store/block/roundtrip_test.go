package block

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/block/table"
	"github.com/otelscope/otelscope/internal/vfs"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

// anyText draws texts that are often promoted keys' values, and sometimes no
// UTF-8.
var anyText = rapid.OneOf(
	rapid.StringN(0, 12, 40),
	rapid.SampledFrom([]string{"", "GET", "a\xffb", "\xc3", "quote\"\\\n\x00", "event-1", "event-2", strings.Repeat("x", 300)}),
)

var anyKey = rapid.OneOf(
	rapid.SampledFrom([]string{
		"http.route", "http.response.status_code", "scope.event.id", "scope.return.event.id", "scope.process.id",
		"error.type", "messaging.message.id", "scope.correlation.id", "server.address", "service.name", "service.instance.id",
	}),
	anyText,
)

var anyTime = rapid.OneOf(
	rapid.Uint64Range(1_700_000_000_000_000_000, 1_700_000_100_000_000_000),
	rapid.SampledFrom([]uint64{0, 1, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64}),
)

func drawValue(t *rapid.T, v pcommon.Value, depth int) {
	last := 7
	if depth == 3 {
		last = 5
	}
	switch rapid.IntRange(0, last).Draw(t, "kind") {
	case 0:
		v.SetStr(anyText.Draw(t, "text"))
	case 1:
		v.SetInt(rapid.Int64().Draw(t, "int"))
	case 2:
		v.SetDouble(rapid.SampledFrom([]float64{0, 1.5, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64}).Draw(t, "double"))
	case 3:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case 4:
		v.SetEmptyBytes().FromRaw(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "bytes"))
	case 5: // stays empty
	case 6:
		s := v.SetEmptySlice()
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			drawValue(t, s.AppendEmpty(), depth+1)
		}
	case 7:
		drawAttributes(t, v.SetEmptyMap(), depth+1)
	}
}

func drawAttributes(t *rapid.T, m pcommon.Map, depth int) {
	for range rapid.IntRange(0, 4).Draw(t, "attributes") {
		drawValue(t, m.PutEmpty(anyKey.Draw(t, "key")), depth)
	}
}

// drawIDs draws ids of which some are empty and some equal.
func drawIDs(t *rapid.T) (trace pcommon.TraceID, span pcommon.SpanID) {
	trace[15] = byte(rapid.IntRange(0, 5).Draw(t, "trace"))
	span[0] = byte(rapid.IntRange(0, 20).Draw(t, "span"))
	return trace, span
}

func drawSpan(t *rapid.T, s ptrace.Span) {
	trace, span := drawIDs(t)
	s.SetTraceID(trace)
	s.SetSpanID(span)
	_, parent := drawIDs(t)
	s.SetParentSpanID(parent)
	s.SetName(anyText.Draw(t, "name"))
	s.SetKind(ptrace.SpanKind(rapid.SampledFrom([]int32{0, 1, 2, 5, 6, -1, math.MaxInt32}).Draw(t, "kind")))
	s.SetStartTimestamp(pcommon.Timestamp(anyTime.Draw(t, "start")))
	s.SetEndTimestamp(pcommon.Timestamp(anyTime.Draw(t, "end")))
	s.Status().SetCode(ptrace.StatusCode(rapid.Int32Range(-1, 4).Draw(t, "status")))
	s.Status().SetMessage(anyText.Draw(t, "message"))
	s.TraceState().FromRaw(anyText.Draw(t, "state"))
	s.SetFlags(rapid.Uint32().Draw(t, "flags"))
	drawAttributes(t, s.Attributes(), 0)
	for range rapid.IntRange(0, 2).Draw(t, "events") {
		e := s.Events().AppendEmpty()
		e.SetName(anyText.Draw(t, "event"))
		e.SetTimestamp(pcommon.Timestamp(anyTime.Draw(t, "time")))
		drawAttributes(t, e.Attributes(), 0)
	}
	for range rapid.IntRange(0, 2).Draw(t, "links") {
		l := s.Links().AppendEmpty()
		trace, span := drawIDs(t)
		l.SetTraceID(trace)
		l.SetSpanID(span)
		l.TraceState().FromRaw(anyText.Draw(t, "state"))
		drawAttributes(t, l.Attributes(), 0)
	}
}

func drawTraces(t *rapid.T) ptrace.Traces {
	td := ptrace.NewTraces()
	for range rapid.IntRange(0, 3).Draw(t, "resources") {
		rs := td.ResourceSpans().AppendEmpty()
		drawAttributes(t, rs.Resource().Attributes(), 0)
		rs.SetSchemaUrl(anyText.Draw(t, "schema"))
		for range rapid.IntRange(0, 2).Draw(t, "scopes") {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName(anyText.Draw(t, "scope"))
			ss.Scope().SetVersion(anyText.Draw(t, "version"))
			for range rapid.IntRange(0, 6).Draw(t, "spans") {
				drawSpan(t, ss.Spans().AppendEmpty())
			}
		}
	}
	return td
}

// TestAnyTraces writes anything that pdata can hold, with one writer, and
// compares all that can be asked of the block with a search of the rows.
func TestAnyTraces(t *testing.T) {
	fsys := memfs.New()
	require.NoError(t, fsys.MkdirAll("blocks"))
	w := NewWriter(fsys, "blocks")
	rapid.Check(t, func(rt *rapid.T) {
		rows := rowsOf(t, drawTraces(rt))
		_, err := w.Write(7, rows)
		require.NoError(rt, err)
		want := sorted(rows)
		checkReads(t, fsys, want)
		checkTable(rt, fsys, want)
	})
}

func checkReads(t *testing.T, fsys vfs.FS, want []Row) {
	b, err := NewSet(fsys, "blocks").Open(7)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	equal := func(want, got []Row, err error) {
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	equal(want, collect(t, b.Scan(context.Background())), nil)
	for i := range byte(6) {
		trace := pcommon.TraceID{15: i}
		got, err := traceOf(b, trace)
		equal(search(want, func(s []byte) bool { return headOf(s).trace == trace }), got, err)
		for j := range byte(21) {
			span := pcommon.SpanID{j}
			got, err := b.Span(trace, span)
			equal(search(want, func(s []byte) bool {
				h := headOf(s)
				return h.trace == trace && h.span == span
			}), got, err)
		}
	}
	for _, id := range []string{"event-1", "event-2", "a\xffb", "GET", "never"} {
		got, err := b.Event(id)
		equal(search(want, func(s []byte) bool { return hasEvent(s, id) }), got, err)
	}
	got, err := b.Event("")
	equal(nil, got, err)
	checkEdges(t, b, want)
}

func search(rows []Row, is func(span []byte) bool) (found []Row) {
	for _, r := range rows {
		if is(r.Span) {
			found = append(found, r)
		}
	}
	return found
}

// readTable reads the columns by parquet-go, each value as text.
func readTable(t require.TestingT, fsys vfs.FS) map[string][]string {
	data, err := vfs.ReadFile(fsys, "blocks/"+ParquetName(7), 1<<30)
	require.NoError(t, err)
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	values := map[string][]string{}
	for _, group := range f.RowGroups() {
		rows := group.Rows()
		buf := make([]parquet.Row, 100)
		for {
			n, err := rows.ReadRows(buf)
			for _, row := range buf[:n] {
				for _, v := range row {
					name := columns[v.Column()].Name
					values[name] = append(values[name], v.String())
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
		require.NoError(t, rows.Close())
	}
	return values
}

// null is how readTable shows NULL.
const null = "<null>"

// checkTable compares the readable columns with the spans.
func checkTable(t *rapid.T, fsys vfs.FS, want []Row) {
	got := readTable(t, fsys)
	for i, r := range want {
		s, resource := decode(t, r)
		is := func(column, want string) { require.Equal(t, want, got[column][i], column) }
		trace := s.TraceID()
		is("trace_id", hex.EncodeToString(trace[:]))
		is("span_id", spanHex(s.SpanID()))
		is("name", valid(s.Name()))
		is("status_message", orNull(s.Status().Message()))
		is("trace_state", orNull(s.TraceState().AsRaw()))
		is("start_unix_nano", fmt.Sprint(min(uint64(s.StartTimestamp()), math.MaxInt64)))
		is("service_name", valid(textAt(resource, "service.name")))
		is("service_instance_id", orNull(textAt(resource, "service.instance.id")))
		is("otlp_span", string(r.Span))
		is("otlp_origin", string(r.Origin))
		if s.ParentSpanID().IsEmpty() {
			is("parent_span_id", null)
		} else {
			is("parent_span_id", spanHex(s.ParentSpanID()))
		}
		checkAttributes(t, s, func(column string) string { return got[column][i] })
	}
}

// checkAttributes finds every attribute where it belongs.
func checkAttributes(t *rapid.T, s ptrace.Span, get func(column string) string) {
	var rest map[string]any
	require.NoError(t, json.Unmarshal([]byte(get("span_attributes")), &rest))
	require.True(t, utf8.ValidString(get("span_attributes")))
	for _, column := range []string{"events", "links"} {
		require.True(t, get(column) == null || json.Valid([]byte(get(column))), column)
	}
	for key, v := range s.Attributes().All() {
		column := promoted([]byte(key))
		typed := column >= 0 && (columns[column].Kind == table.Int64) == (v.Type() == pcommon.ValueTypeInt) &&
			(columns[column].Kind == table.Text) == (v.Type() == pcommon.ValueTypeStr)
		if typed {
			require.Equal(t, valid(v.AsString()), get(columns[column].Name), key)
			require.NotContains(t, rest, key)
		} else {
			require.Contains(t, rest, valid(key))
		}
	}
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func orNull(s string) string { return cmp.Or(valid(s), null) }

func spanHex(id pcommon.SpanID) string { return hex.EncodeToString(id[:]) }

// textAt returns an attribute, "" if it is no text.
func textAt(m pcommon.Map, key string) string {
	v, ok := m.Get(key)
	if !ok || v.Type() != pcommon.ValueTypeStr {
		return ""
	}
	return v.Str()
}

func decode(t require.TestingT, r Row) (ptrace.Span, pcommon.Map) {
	data, err := otlpwire.AppendTraces(nil, r.Origin, r.Span)
	require.NoError(t, err)
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
	require.NoError(t, err)
	rs := td.ResourceSpans().At(0)
	return rs.ScopeSpans().At(0).Spans().At(0), rs.Resource().Attributes()
}
