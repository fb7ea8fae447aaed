package workload

import (
	"fmt"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// Flavour says how spans of messages look.
type Flavour uint8

// The flavours: RabbitMQ in the names that are current; as the amqplib
// instrumentation of Node writes it; Kafka in current and in older names,
// where a record has a partition and an offset and no id.
const (
	RabbitMQ Flavour = iota
	Amqplib
	Kafka
	KafkaOld
)

// record is where a message lies in its topic.
type record struct{ partition, offset int64 }

// partitions is how many a topic has.
const partitions = 3

// attributes puts what an instrumentation would on a span that begins with the
// step.
func (s *Spans) attributes(span ptrace.Span, step *Step) {
	e := &step.Event
	attrs := span.Attributes()
	putAttributes(attrs, e.Attributes)
	if e.Kind == event.KindCall {
		attrs.PutStr("code.function.name", e.Name)
	}
	produces := span.Kind() == ptrace.SpanKindProducer
	if !produces && span.Kind() != ptrace.SpanKindConsumer {
		return
	}
	switch s.Flavour {
	case Kafka, KafkaOld:
		s.kafka(attrs, step, produces)
	case Amqplib:
		amqplib(attrs, e, produces)
	default:
		rabbitMQ(attrs, e, produces)
	}
}

func rabbitMQ(attrs pcommon.Map, e *event.Event, produces bool) {
	operation := "process"
	if produces {
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

// amqplib uses the default exchange, whose name is empty.
func amqplib(attrs pcommon.Map, e *event.Event, produces bool) {
	attrs.PutStr("messaging.system", "rabbitmq")
	attrs.PutStr("messaging.destination", "")
	attrs.PutStr("messaging.destination_kind", "topic")
	attrs.PutStr("messaging.rabbitmq.routing_key", destination(e))
	attrs.PutStr("messaging.protocol", "AMQP")
	if !produces {
		attrs.PutStr("messaging.operation", "process")
	}
	if e.MessageID != "" {
		attrs.PutStr("messaging.message_id", e.MessageID)
	}
}

func (s *Spans) kafka(attrs pcommon.Map, step *Step, produces bool) {
	r, ok := s.record(step, produces)
	topic := destination(&step.Event)
	attrs.PutStr("messaging.system", "kafka")
	if s.Flavour == Kafka {
		operation := "process"
		if produces {
			operation = "send"
		}
		attrs.PutStr("messaging.operation.type", operation)
		attrs.PutStr("messaging.destination.name", topic)
	} else {
		operation := "process"
		if produces {
			operation = "publish"
		}
		attrs.PutStr("messaging.operation", operation)
		attrs.PutStr("messaging.destination", topic)
	}
	switch {
	case !ok:
	case s.Flavour == Kafka:
		attrs.PutStr("messaging.destination.partition.id", strconv.FormatInt(r.partition, 10))
		attrs.PutInt("messaging.kafka.offset", r.offset)
	default:
		attrs.PutInt("messaging.kafka.partition", r.partition)
		attrs.PutInt("messaging.kafka.message.offset", r.offset)
	}
}

// record returns where the step's message lies; a sending puts it there.
func (s *Spans) record(step *Step, produces bool) (record, bool) {
	if !produces {
		for _, c := range step.Causes {
			if r, ok := s.records.get(c.ID); ok && c.Type == causal.MessageFlow {
				return r, true
			}
		}
		return record{}, false
	}
	topic := destination(&step.Event)
	r := record{partition: int64(len(step.Event.ID)+int(step.Event.Time/1000)) % partitions}
	log := fmt.Sprintf("%s/%d", topic, r.partition)
	r.offset = s.offsets[log]
	s.offsets[log]++
	s.records.put(step.Event.ID, r)
	return r, true
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
