package otlpwire

import (
	"fmt"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"
)

var anyString = rapid.OneOf(
	rapid.String(),
	rapid.SampledFrom([]string{"", "\xff\xfe", "a\xc3", "\x00\x1f\"\\\n\r\t\b", "\u2028é漢😀\ufffd"}),
	rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes")) }),
)

var anyDouble = rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e300, 5e-324, math.Copysign(0, -1)}))

func fillValue(t *rapid.T, v pcommon.Value, depth int) {
	kinds := 6
	if depth > 0 {
		kinds = 8
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
	case 1:
		v.SetStr(anyString.Draw(t, "str"))
	case 2:
		v.SetInt(rapid.Int64().Draw(t, "int"))
	case 3:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case 4:
		v.SetDouble(anyDouble.Draw(t, "double"))
	case 5:
		v.SetEmptyBytes().FromRaw(rapid.SliceOfN(rapid.Byte(), 0, 10).Draw(t, "bytes"))
	case 6:
		s := v.SetEmptySlice()
		for range rapid.IntRange(0, 3).Draw(t, "len") {
			fillValue(t, s.AppendEmpty(), depth-1)
		}
	case 7:
		fillMap(t, v.SetEmptyMap(), depth-1)
	}
}

func fillMap(t *rapid.T, m pcommon.Map, depth int) {
	for i := range rapid.IntRange(0, 4).Draw(t, "attrs") {
		fillValue(t, m.PutEmpty(fmt.Sprintf("%d%s", i, anyString.Draw(t, "key"))), depth)
	}
}

func anyID[T ~[16]byte | ~[8]byte](t *rapid.T) (id T) {
	if rapid.IntRange(0, 4).Draw(t, "empty") == 0 {
		return id
	}
	for i := range len(id) {
		id[i] = rapid.Byte().Draw(t, "id")
	}
	return id
}

func fillSpan(t *rapid.T, s ptrace.Span) {
	s.SetTraceID(anyID[pcommon.TraceID](t))
	s.SetSpanID(anyID[pcommon.SpanID](t))
	s.SetParentSpanID(anyID[pcommon.SpanID](t))
	s.TraceState().FromRaw(anyString.Draw(t, "state"))
	s.SetFlags(rapid.Uint32().Draw(t, "flags"))
	s.SetName(anyString.Draw(t, "name"))
	s.SetKind(ptrace.SpanKind(rapid.Int32().Draw(t, "kind")))
	s.SetStartTimestamp(pcommon.Timestamp(rapid.Uint64().Draw(t, "start")))
	s.SetEndTimestamp(pcommon.Timestamp(rapid.Uint64().Draw(t, "end")))
	fillMap(t, s.Attributes(), 2)
	s.SetDroppedAttributesCount(rapid.Uint32().Draw(t, "dropped"))
	s.SetDroppedEventsCount(rapid.Uint32().Draw(t, "dropped"))
	s.SetDroppedLinksCount(rapid.Uint32().Draw(t, "dropped"))
	for range rapid.IntRange(0, 2).Draw(t, "events") {
		e := s.Events().AppendEmpty()
		e.SetName(anyString.Draw(t, "event"))
		fillMap(t, e.Attributes(), 0)
	}
	for range rapid.IntRange(0, 3).Draw(t, "links") {
		fillLink(t, s.Links().AppendEmpty())
	}
	s.Status().SetCode(ptrace.StatusCode(rapid.Int32Range(-1, 3).Draw(t, "code")))
	s.Status().SetMessage(anyString.Draw(t, "message"))
}

func fillLink(t *rapid.T, l ptrace.SpanLink) {
	l.SetTraceID(anyID[pcommon.TraceID](t))
	l.SetSpanID(anyID[pcommon.SpanID](t))
	l.TraceState().FromRaw(anyString.Draw(t, "state"))
	l.SetFlags(rapid.Uint32Range(0, 2).Draw(t, "flags"))
	l.SetDroppedAttributesCount(rapid.Uint32Range(0, 1).Draw(t, "dropped"))
	fillMap(t, l.Attributes(), 0)
}

// randomTraces draws traces with everything in them that OTLP knows.
func randomTraces(t *rapid.T) ptrace.Traces {
	td := ptrace.NewTraces()
	for range rapid.IntRange(0, 3).Draw(t, "resources") {
		rs := td.ResourceSpans().AppendEmpty()
		fillMap(t, rs.Resource().Attributes(), 1)
		rs.SetSchemaUrl(anyString.Draw(t, "url"))
		for range rapid.IntRange(0, 2).Draw(t, "scopes") {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.SetSchemaUrl(anyString.Draw(t, "url"))
			ss.Scope().SetName(anyString.Draw(t, "scope"))
			ss.Scope().SetVersion(anyString.Draw(t, "version"))
			fillMap(t, ss.Scope().Attributes(), 0)
			for range rapid.IntRange(0, 3).Draw(t, "spans") {
				fillSpan(t, ss.Spans().AppendEmpty())
			}
		}
	}
	return td
}
