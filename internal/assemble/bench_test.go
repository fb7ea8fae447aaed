package assemble

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/otelscope/otelscope/internal/event"
)

// workload is what a server of a message-driven system says: a taken receive,
// nested calls, a send and a state change per activity, 6 spans of 8 events,
// each with the sender's own attributes.
func workload(activities, processes int) []*event.Event {
	var events []*event.Event
	text := func(s string) event.Value { return event.Value{Type: event.ValueString, Str: s} }
	attrs := []event.KeyValue{
		{Key: "http.route", Value: text("/orders/{id}")},
		{Key: "user.id", Value: text("user-123456")},
		{Key: "order.items", Value: event.Value{Type: event.ValueInt, Int: 3}},
	}
	for i := range activities {
		process := fmt.Sprintf("<0.%d.0>", i%processes)
		add := func(kind event.Kind, name string, more func(*event.Event)) {
			ev := &event.Event{
				ID: fmt.Sprint("e-", len(events)), Kind: kind, Time: 1_700_000_000_000_000_000 + int64(len(events)),
				Service: "shop", Node: "shop@host1", Process: process, Name: name, Attributes: attrs,
			}
			more(ev)
			events = append(events, ev)
		}
		plain := func(*event.Event) {}
		add(event.KindReceive, "order", func(ev *event.Event) { ev.MessageID, ev.Peer = fmt.Sprint("m-", i), "<0.1.0>" })
		add(event.KindCall, "shop:handle_order", plain)
		add(event.KindCall, "shop:price", plain)
		add(event.KindReturn, "shop:price", func(ev *event.Event) { ev.Attributes = nil })
		add(event.KindState, "order", func(ev *event.Event) { ev.From, ev.To = "new", "priced" })
		add(event.KindSend, "reply", func(ev *event.Event) { ev.MessageID, ev.Peer = fmt.Sprint("r-", i), "<0.1.0>" })
		add(event.KindReturn, "shop:handle_order", func(ev *event.Event) { ev.Attributes = nil })
		add(event.KindMark, "gc", plain)
	}
	return events
}

// cpu is the processor time of this process so far, in ns, garbage collection
// included: on a shared machine it says more than the clock.
func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkAssemble runs transactions of 800 events, duplicates recognised up
// to a full budget. cpu-ns/span is the figure to look at.
func BenchmarkAssemble(b *testing.B) {
	cfg := testConfig()
	cfg.DedupWindow, cfg.Dedup = 10*time.Minute, NewBudget(1_000_000)
	a, out := New(cfg), NewOutput("bench")
	events := workload(100, 50)
	spans := 0
	before := cpu()
	b.ReportAllocs()
	for now := int64(0); b.Loop(); now++ {
		a.Begin()
		for _, ev := range events {
			ev.Time += 1000
			a.Add(ev, now, out)
		}
		a.End(now, out)
		a.Commit()
		spans += out.Spans()
		out.Traces()
	}
	b.ReportMetric((cpu()-before)/float64(spans), "cpu-ns/span")
	b.ReportMetric((cpu()-before)/float64(b.N*len(events)), "cpu-ns/event")
}

// BenchmarkOpenCalls runs transactions that leave all their calls open, to be
// closed by the next: each call is emitted twice and retained between.
func BenchmarkOpenCalls(b *testing.B) {
	a, out := New(testConfig()), NewOutput("bench")
	events := workload(100, 100)
	spans := 0
	before := cpu()
	b.ReportAllocs()
	for now := int64(0); b.Loop(); now++ {
		for _, kind := range []event.Kind{event.KindCall, event.KindReturn} {
			a.Begin()
			for _, ev := range events {
				if ev.Kind == kind {
					ev.Time += 1000
					a.Add(ev, now, out)
				}
			}
			a.End(now, out)
			a.Commit()
			spans += out.Spans()
			out.Traces()
		}
	}
	b.ReportMetric((cpu()-before)/float64(spans), "cpu-ns/span")
}

func BenchmarkPartitionKey(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		PartitionKey("shop", "shop@host1", "<0.83.0>")
	}
}
