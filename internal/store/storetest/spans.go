package storetest

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
)

// Spec describes a span in a test, by small numbers.
type Spec struct {
	Service string // "" is written as no service.name at all
	Trace   uint64 // 0: the empty trace id
	Span    uint64 // 0: the empty span id
	Parent  uint64 // the parent's span id, 0 for none
	Kind    ptrace.SpanKind
	Name    string
	Start   uint64   // nanoseconds
	State   string   // scope.call.state, "" for none
	Event   string   // scope.event.id, "" for none
	Return  string   // scope.return.event.id, "" for none
	Group   string   // scope.correlation.id, "" for none
	Links   []uint64 // span ids of links, all into trace 1
	Lasted  uint64   // nanoseconds; 0: 5
	Status  ptrace.StatusCode
	Message string   // the status's
	Effects []uint64 // the same of links that say what the span caused

	Attributes map[string]any // beside those above
	Happened   []string       // the events' names; each has an attribute "happened" of that text
}

// TraceID is the trace id that the number n stands for.
func TraceID(n uint64) (id pcommon.TraceID) {
	if n != 0 {
		id[0] = 0xa
	}
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// SpanID is the span id that the number n stands for.
func SpanID(n uint64) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

// Traces encodes the specs as one request; neighbours of one service share
// their ResourceSpans.
func Traces(specs ...Spec) ptrace.Traces {
	td := ptrace.NewTraces()
	var spans ptrace.SpanSlice
	for i, s := range specs {
		if i == 0 || specs[i-1].Service != s.Service {
			rs := td.ResourceSpans().AppendEmpty()
			rs.SetSchemaUrl("https://example.org/resource")
			if s.Service != "" {
				rs.Resource().Attributes().PutStr("service.name", s.Service)
			}
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName("storetest")
			ss.Scope().SetVersion("1")
			ss.SetSchemaUrl("https://example.org/scope")
			spans = ss.Spans()
		}
		s.fill(spans.AppendEmpty())
	}
	return td
}

func (s Spec) fill(span ptrace.Span) {
	span.SetTraceID(TraceID(s.Trace))
	span.SetSpanID(SpanID(s.Span))
	span.SetParentSpanID(SpanID(s.Parent))
	span.SetKind(s.Kind)
	span.SetName(s.Name)
	span.SetStartTimestamp(pcommon.Timestamp(s.Start))
	span.SetEndTimestamp(pcommon.Timestamp(s.Start + cmp.Or(s.Lasted, 5)))
	span.Status().SetCode(s.Status)
	span.Status().SetMessage(s.Message)
	for _, a := range [][2]string{
		{causal.AttrEventID, s.Event}, {causal.AttrReturnEventID, s.Return}, {causal.AttrCallState, s.State},
		{causal.AttrCorrelationID, s.Group},
	} {
		if a[1] != "" {
			span.Attributes().PutStr(a[0], a[1])
		}
	}
	span.Attributes().PutInt("n", int64(s.Span))
	for _, key := range slices.Sorted(maps.Keys(s.Attributes)) {
		if err := span.Attributes().PutEmpty(key).FromRaw(s.Attributes[key]); err != nil {
			panic(err) // the test's mistake
		}
	}
	for _, name := range s.Happened {
		event := span.Events().AppendEmpty()
		event.SetName(name)
		event.Attributes().PutStr("happened", name)
	}
	for _, l := range s.Links {
		addLink(span, l)
	}
	for _, l := range s.Effects {
		addLink(span, l).Attributes().PutStr(causal.AttrLinkRole, causal.LinkRoleEffect)
	}
}

func addLink(span ptrace.Span, to uint64) ptrace.SpanLink {
	link := span.Links().AppendEmpty()
	link.SetTraceID(TraceID(1))
	link.SetSpanID(SpanID(to))
	link.Attributes().PutStr(causal.AttrLinkType, string(causal.MessageFlow))
	return link
}
