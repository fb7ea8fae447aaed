package storetest

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
)

// clock returns a clock that moves a millisecond at every call.
func clock() func() time.Time {
	t := time.Unix(1_700_000_000, 0)
	return func() time.Time {
		t = t.Add(time.Millisecond)
		return t
	}
}

const client, server = ptrace.SpanKindClient, ptrace.SpanKindServer

var answers = []answer{
	{
		name:   "nothing",
		writes: []ptrace.Traces{ptrace.NewTraces(), emptyParts()},
		traces: []uint64{0, 1}, events: []string{"", "e"},
		check: holds(0),
	},
	{
		name: "one trace in several requests, ordered by start",
		writes: []ptrace.Traces{
			Traces(Spec{Service: "a", Trace: 1, Span: 1, Start: 30}, Spec{Service: "b", Trace: 1, Span: 2, Start: 10}),
			Traces(Spec{Service: "a", Trace: 1, Span: 3, Start: 20}, Spec{Service: "a", Trace: 2, Span: 3, Start: 1}),
			Traces(Spec{Service: "a", Trace: 1, Span: 4, Start: 5}),
		},
		traces: []uint64{1, 2, 3},
		check:  holds(5),
	},
	{
		name: "the first of two equal identities stays",
		writes: []ptrace.Traces{
			Traces(Spec{Trace: 1, Span: 1, Name: "first"}, Spec{Trace: 1, Span: 1, Name: "second"}),
			Traces(Spec{Trace: 1, Span: 1, Name: "third"}),
		},
		traces: []uint64{1},
		check:  holds(1),
	},
	{
		name: "the same request twice",
		writes: []ptrace.Traces{
			Traces(Spec{Service: "a", Trace: 1, Span: 1, Links: []uint64{1, 2}}, Spec{Service: "a", Trace: 1, Span: 2}),
			Traces(Spec{Service: "a", Trace: 1, Span: 1, Links: []uint64{1, 2}}, Spec{Service: "a", Trace: 1, Span: 2}),
		},
		traces: []uint64{1},
		check:  holds(2),
	},
	{
		name: "complete after open",
		writes: []ptrace.Traces{
			Traces(Spec{Trace: 1, Span: 1, Name: "call", State: causal.CallOpen, Event: "c"}),
			Traces(Spec{Trace: 1, Span: 1, Name: "call", State: causal.CallReturned, Event: "c", Return: "r"}),
		},
		traces: []uint64{1}, events: []string{"c", "r"},
		check: holds(1),
	},
	{
		name: "open after complete",
		writes: []ptrace.Traces{
			Traces(Spec{Trace: 1, Span: 1, State: causal.CallReturned, Event: "c", Return: "r", Links: []uint64{1}}),
			Traces(Spec{Trace: 1, Span: 1, State: causal.CallOpen, Event: "c", Links: []uint64{2}}),
		},
		traces: []uint64{1}, events: []string{"c", "r"},
		check: holds(1),
	},
	{
		name: "complete after open with writes between",
		writes: []ptrace.Traces{
			Traces(Spec{Trace: 1, Span: 1, State: causal.CallOpen, Event: "c", Links: []uint64{1}}),
			Traces(Spec{Trace: 1, Span: 2, Event: "d"}),
			Traces(Spec{Trace: 2, Span: 2, State: causal.CallOpen}),
			Traces(Spec{Trace: 1, Span: 1, State: causal.CallAbandoned, Event: "c", Links: []uint64{2}}),
		},
		traces: []uint64{1, 2}, events: []string{"c", "d"},
		check: holds(3),
	},
	{
		name: "links are united",
		writes: []ptrace.Traces{
			Traces(Spec{Trace: 1, Span: 1, Links: []uint64{1, 2}}),
			Traces(Spec{Trace: 1, Span: 1, Links: []uint64{2, 3}}),
			Traces(Spec{Trace: 1, Span: 1}),
			Traces(Spec{Trace: 1, Span: 1, Links: []uint64{4}}),
		},
		traces: []uint64{1},
		check:  holds(1),
	},
	{
		name: "spans without ids are all kept",
		writes: []ptrace.Traces{
			Traces(Spec{Span: 1, Name: "a"}, Spec{Span: 1, Name: "a"}, Spec{Trace: 1, Name: "b"}, Spec{Name: "c"}),
			Traces(Spec{Span: 1, Name: "a"}, Spec{Trace: 1, Name: "b"}, Spec{Name: "c"}),
		},
		traces: []uint64{0, 1},
		check:  holds(7),
	},
	{
		name: "shared ids of client and server",
		writes: []ptrace.Traces{
			Traces(Spec{Service: "a", Trace: 1, Span: 1, Kind: client, Start: 1}, Spec{Service: "b", Trace: 1, Span: 1, Kind: server, Start: 2}),
			Traces(Spec{Service: "b", Trace: 1, Span: 1, Kind: server, Start: 3}),
		},
		traces: []uint64{1},
		check:  holds(2),
	},
	{
		name: "one event id in several services, newest arrival first",
		writes: []ptrace.Traces{
			Traces(Spec{Service: "a", Trace: 1, Span: 1, Start: 1, Event: "e"}),
			Traces(Spec{Service: "b", Trace: 2, Span: 2, Start: 9, Event: "e"}),
			Traces(Spec{Service: "c", Trace: 3, Span: 3, Start: 5, State: causal.CallReturned, Event: "x", Return: "e"}),
		},
		events: []string{"e", "x", "y", ""},
		check:  holds(3),
	},
	{
		name: "the event of a later duplicate is not the span's",
		writes: []ptrace.Traces{
			Traces(Spec{Trace: 1, Span: 1, Event: "first"}),
			Traces(Spec{Trace: 1, Span: 1, Event: "second"}),
		},
		events: []string{"first", "second"},
		check:  holds(1),
	},
	{
		name: "parents and links name spans, of other requests and of none",
		writes: []ptrace.Traces{
			Traces(Spec{Service: "a", Trace: 1, Span: 1}, Spec{Service: "a", Trace: 1, Span: 2, Parent: 1}),
			Traces(Spec{Service: "b", Trace: 2, Span: 2, Parent: 1, Links: []uint64{1, 2, 2}}, Spec{Service: "b", Trace: 2, Span: 1, Links: []uint64{9}}),
			Traces(Spec{Service: "a", Trace: 1, Span: 3, Parent: 2, Links: []uint64{2}}, Spec{Trace: 1, Span: 4, Parent: 4, Links: []uint64{4}}),
		},
		traces: []uint64{1, 2},
		check:  holds(6),
	},
	{
		name: "links with the role effect, of several versions",
		writes: []ptrace.Traces{
			Traces(Spec{Trace: 1, Span: 1, Links: []uint64{2}, Effects: []uint64{3, 3}}, Spec{Trace: 2, Span: 1, State: causal.CallOpen, Effects: []uint64{3, 4}}),
			Traces(Spec{Trace: 1, Span: 1, Effects: []uint64{2}}, Spec{Trace: 2, Span: 1, State: causal.CallReturned, Effects: []uint64{5}, Links: []uint64{4}}),
			Traces(Spec{Trace: 1, Span: 3}, Spec{Trace: 1, Effects: []uint64{3}}, Spec{Trace: 1, Span: 4, Effects: []uint64{0, 4}}),
		},
		traces: []uint64{1},
		check:  holds(5),
	},
	{
		name: "spans without ids name spans too",
		writes: []ptrace.Traces{
			Traces(Spec{Trace: 1, Parent: 1, Group: "g"}, Spec{Span: 1, Parent: 1, Links: []uint64{1}}, Spec{Parent: 1}),
			Traces(Spec{Trace: 1, Parent: 1, Group: "g"}, Spec{Trace: 1, Span: 1, Group: "g"}),
		},
		traces: []uint64{0, 1},
		check:  holds(5),
	},
	{
		name: "open and complete name the same and more",
		writes: []ptrace.Traces{
			Traces(Spec{Trace: 1, Span: 1, Parent: 5, State: causal.CallOpen, Event: "c", Group: "g", Links: []uint64{7}}),
			Traces(Spec{Trace: 1, Span: 2, Parent: 1, Group: "h"}),
			Traces(Spec{Trace: 1, Span: 1, Parent: 5, State: causal.CallReturned, Event: "c", Return: "r", Group: "g", Links: []uint64{7, 8}}),
			Traces(Spec{Trace: 1, Span: 1, Parent: 6, State: causal.CallOpen, Event: "c", Group: "h", Links: []uint64{9}}),
		},
		traces: []uint64{1}, events: []string{"c", "r"},
		check: holds(2),
	},
	{
		name: "a correlation group in several services, by start",
		writes: []ptrace.Traces{
			Traces(Spec{Service: "a", Trace: 1, Span: 1, Start: 30, Group: "g"}, Spec{Service: "a", Trace: 1, Span: 2, Start: 5, Group: "h"}),
			Traces(Spec{Service: "b", Trace: 2, Span: 1, Start: 10, Group: "g"}, Spec{Service: "b", Trace: 2, Span: 2}),
			Traces(Spec{Service: "c", Trace: 3, Span: 1, Start: 20, Group: "g\xff"}, Spec{Service: "c", Trace: 3, Span: 3, Start: 20, Group: "g"}),
		},
		check: holds(6),
	},
	{
		name:   "nothing is lost of odd data",
		writes: []ptrace.Traces{odd(), odd()},
		traces: []uint64{7, 8},
		events: []string{"e\xff"},
		check:  holds(3),
	},
}

// holds checks that the case is about n spans.
func holds(n int) func(t *testing.T, m *Model) {
	return func(t *testing.T, m *Model) { require.EqualValues(t, n, m.Stats().Spans) }
}

func emptyParts() ptrace.Traces {
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	td.ResourceSpans().AppendEmpty().Resource().Attributes().PutStr("service.name", "none")
	return td
}

// odd is a request with all that OTLP can say and readers may stumble over.
func odd() ptrace.Traces {
	td := Traces(Spec{Service: "s\xff\xfe", Trace: 7, Span: 1, Name: "n\xc3", Event: "e\xff"}, Spec{Trace: 8, Span: 2}, Spec{Service: "t", Trace: 8, Span: 3})
	resource := td.ResourceSpans().At(0).Resource()
	resource.SetDroppedAttributesCount(3)
	resource.Attributes().PutEmptyMap("map").PutEmptySlice("list").AppendEmpty().SetDouble(math.NaN())
	scope := td.ResourceSpans().At(0).ScopeSpans().At(0).Scope()
	scope.Attributes().PutBool("b", false)
	scope.SetDroppedAttributesCount(4)

	span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	span.SetStartTimestamp(math.MaxUint64)
	span.SetEndTimestamp(math.MaxInt64 + 1)
	span.SetFlags(0x301)
	span.TraceState().FromRaw("ot=th:8;rv:0123456789abcd,\xff=1")
	span.SetParentSpanID(SpanID(9))
	span.Attributes().PutEmptyBytes("bytes").FromRaw([]byte{0, 1, 255})
	span.Attributes().PutEmpty("empty")
	span.Attributes().PutStr("", "no key")
	span.Attributes().PutInt("min", math.MinInt64)
	span.Attributes().PutStr("zero\x00", "a\x00b")
	span.Attributes().PutInt(causal.AttrCallState, 5)
	span.Attributes().PutInt(causal.AttrCorrelationID, 6)
	span.SetDroppedAttributesCount(math.MaxUint32)
	span.SetDroppedEventsCount(1)
	span.SetDroppedLinksCount(2)
	span.SetKind(99)
	span.Status().SetCode(ptrace.StatusCodeError)
	span.Status().SetMessage("\xf0\x28")
	for range 2 {
		e := span.Events().AppendEmpty()
		e.SetName("exception")
		e.SetTimestamp(pcommon.Timestamp(math.MaxUint64))
		e.SetDroppedAttributesCount(5)
		e.Attributes().PutStr("exception.message", "\xff")
		l := span.Links().AppendEmpty()
		l.SetTraceID(TraceID(3))
		l.TraceState().FromRaw("x=\xff")
		l.SetFlags(1)
		l.SetDroppedAttributesCount(6)
	}
	return td
}
