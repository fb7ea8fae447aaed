package scopereceiver

import (
	"context"
	"time"
	"unsafe"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/assemble"
	"github.com/otelscope/otelscope/internal/event"
	"github.com/otelscope/otelscope/internal/ring"
)

// work is what a ring entry holds: native events of one partition, an OTLP
// request, or the order to forget what is old. It stays as it was pushed until
// the entry is released, with two exceptions: traces is handed on by the first
// try and empty from then on, later tries decode wire; settled grows.
type work struct {
	events []*event.Event

	wire   []byte // encoded OTLP TracesData
	traces ptrace.Traces
	fresh  bool // traces still holds what wire does

	expire bool
	// acknowledged: the client has its answer, and will not send it again.
	acknowledged bool
	settled      int  // items, the first ones: handed on or kept as dead letters
	replay       bool // came from the dead letters: refused for good, it goes back there
}

// What memory work stands for, in bytes. Decoded OTLP takes a multiple of its
// encoding.
const (
	eventBytes     = int64(unsafe.Sizeof(event.Event{}) + unsafe.Sizeof(&event.Event{}))
	attributeBytes = int64(unsafe.Sizeof(event.KeyValue{}))
	decodedFactor  = 6
)

// freshFill is how near to refusing the ring may come by decoded OTLP that is
// kept beside its encoding. Above, memory is worth more than the time to decode it again.
const freshFill = 0.25

// feed puts requests into the ring and waits for their answers.
type feed struct {
	ring       *ring.Ring[work]
	partitions int
	maxBytes   int64
	stored     bool // wait until the pipeline has taken the request
	timeout    time.Duration
}

// events hands over the events of one body and returns when they are
// acknowledged. body is how many bytes they came from.
func (f *feed) events(ctx context.Context, events []event.Event, body int) error {
	if len(events) == 0 {
		return nil
	}
	client := clientOf(ctx, events[0].Service)
	return f.push(ctx, client, f.split(events, int64(body)), f.stored)
}

// traces hands over an OTLP request and returns when it is acknowledged.
func (f *feed) traces(ctx context.Context, td ptrace.Traces) error {
	client := clientOf(ctx, firstService(td)) // before td is emptied
	parts, err := f.splitTraces(td)
	if err != nil {
		return err
	}
	return f.push(ctx, client, parts, f.stored)
}

// replay hands over a dead letter and returns what became of it.
func (f *feed) replay(ctx context.Context, parts []ring.Part[work]) error {
	for i := range parts {
		parts[i].Work.replay = true
	}
	return f.push(ctx, nobody, parts, true)
}

func (f *feed) push(ctx context.Context, client uint64, parts []ring.Part[work], wait bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, f.timeout, errTimeout)
	defer cancel()
	bytes := int64(0)
	for i := range parts {
		parts[i].Work.acknowledged = !wait
		bytes += parts[i].Bytes
	}
	answer, err := f.ring.Push(ctx, client, parts)
	if err != nil {
		return err
	}
	arrived(ctx, client, bytes)
	if !wait {
		return nil
	}
	return answer.Wait(ctx)
}

// split groups events by partition and keeps the order within each. The low end
// of a process's hash chooses its partition, the high end its key there.
func (f *feed) split(events []event.Event, body int64) []ring.Part[work] {
	slot := make([]int32, f.partitions) // partition -> index in parts, plus 1
	at := make([]int32, len(events))    // event -> index in parts
	var parts []ring.Part[work]
	for i := range events {
		e := &events[i]
		process := assemble.PartitionKey(e.Service, e.Node, e.Process)
		p := int(process % uint64(f.partitions))
		if slot[p] == 0 {
			parts = append(parts, ring.Part[work]{Partition: p, Priority: ring.Low})
			slot[p] = int32(len(parts))
		}
		at[i] = slot[p] - 1
		parts[at[i]].Items++
		parts[at[i]].Keys |= 1 << (process >> 58)
	}
	sorted := make([]*event.Event, 0, len(events))
	for i := range parts {
		n := len(sorted) + parts[i].Items
		parts[i].Work.events = sorted[len(sorted):len(sorted):n]
		sorted = sorted[:n]
	}
	each := body/int64(len(events)) + eventBytes
	for i := range events {
		part := &parts[at[i]]
		part.Work.events = append(part.Work.events, &events[i])
		part.Bytes += each + int64(len(events[i].Attributes))*attributeBytes
		part.Priority = max(part.Priority, priorities[events[i].Priority])
	}
	return parts
}

// A part is as important as the most important of its events.
var priorities = [...]ring.Priority{
	event.PriorityLow:    ring.Low,
	event.PriorityNormal: ring.Normal,
	event.PriorityHigh:   ring.High,
}

// splitTraces makes one part of an OTLP request: its spans need no order. It
// takes the contents out of td in any case: whoever gives up waiting may do with
// td what it likes, and while it waits it holds no decoded spans that the ring
// does not count.
func (f *feed) splitTraces(td ptrace.Traces) ([]ring.Part[work], error) {
	wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		return nil, err
	}
	part := ring.Part[work]{
		Partition: ring.Shared, Work: work{wire: wire}, Items: td.SpanCount(), Bytes: int64(len(wire)), Priority: ring.Normal,
	}
	taken := ptrace.NewTraces()
	td.ResourceSpans().MoveAndAppendTo(taken.ResourceSpans())
	decoded := part.Bytes * (1 + decodedFactor)
	if f.ring.Pressure()+float64(decoded)/float64(f.maxBytes) < freshFill {
		part.Work.traces, part.Work.fresh = taken, true
		part.Bytes = decoded
	}
	return []ring.Part[work]{part}, nil
}

// tracesConsumer is the consumer behind the embedded otlp receiver.
type tracesConsumer struct {
	feed    *feed
	refused func()
}

func (c tracesConsumer) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (c tracesConsumer) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	err := c.feed.traces(ctx, td)
	if err == nil {
		return nil
	}
	c.refused()
	return refuse(err).asStatus()
}
