package workload

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// attributes puts what an instrumentation would on a span that begins with e.
func attributes(span ptrace.Span, e *event.Event) {
	attrs := span.Attributes()
	putAttributes(attrs, e.Attributes)
	if e.Kind == event.KindCall {
		attrs.PutStr("code.function.name", e.Name)
	}
	if span.Kind() != ptrace.SpanKindProducer && span.Kind() != ptrace.SpanKindConsumer {
		return
	}
	operation := "process"
	if span.Kind() == ptrace.SpanKindProducer {
		operation = "send"
	}
	attrs.PutStr("messaging.system", "rabbitmq")
	attrs.PutStr("messaging.operation.type", operation)
	attrs.PutStr("messaging.destination.name", destination(e))
	if e.MessageID != "" {
		attrs.PutStr("messaging.message.id", e.MessageID)
	}
	if e.MessageHash != "" {
		attrs.PutStr(causal.AttrMessageHash, e.MessageHash)
	}
}

// destination is the queue: one a message type, whoever reads it.
func destination(e *event.Event) string {
	const handler = "handle_"
	if e.Kind == event.KindCall {
		return e.Name[len(handler):]
	}
	return e.Name
}

// failed records an exception, as SDKs do: a span event and the status.
func failed(span ptrace.Span, at int64, failure *event.Error) {
	span.Status().SetCode(ptrace.StatusCodeError)
	span.Status().SetMessage(failure.Message)
	exception := span.Events().AppendEmpty()
	exception.SetName("exception")
	exception.SetTimestamp(pcommon.Timestamp(at))
	exception.Attributes().PutStr("exception.type", failure.Type)
	exception.Attributes().PutStr("exception.message", failure.Message)
	if failure.Stacktrace != "" {
		exception.Attributes().PutStr("exception.stacktrace", failure.Stacktrace)
	}
}

// putAttributes copies the values that the shop makes: strings and integers.
func putAttributes(to pcommon.Map, from []event.KeyValue) {
	for _, kv := range from {
		if kv.Value.Type == event.ValueInt {
			to.PutInt(kv.Key, kv.Value.Int)
			continue
		}
		to.PutStr(kv.Key, kv.Value.Str)
	}
}

// recent remembers at least the last n entries that were put, and at most
// twice as many.
type recent struct {
	n        int
	now, old map[string]causal.SpanRef
}

func newRecent(n int) recent { return recent{n: n, now: map[string]causal.SpanRef{}} }

func (r *recent) put(id string, ref causal.SpanRef) {
	if len(r.now) >= r.n {
		r.now, r.old = map[string]causal.SpanRef{}, r.now
	}
	r.now[id] = ref
}

func (r *recent) get(id string) (causal.SpanRef, bool) {
	ref, ok := r.now[id]
	if !ok {
		ref, ok = r.old[id]
	}
	return ref, ok
}
