package workload

import (
	"fmt"
	"time"

	"github.com/otelscope/otelscope/internal/event"
)

// world is what all simulations are made of: the clock, and processes with
// their ids on the nodes of their services.
type world struct {
	sim
	prefix   string // of the ids of events and messages, another for each run
	serial   uint64 // in process ids, another for most runs
	ids      map[string]int
	pids     map[string]int
	messages int
	crashes  map[string]string // node/name of a supervised process -> its abnormal exit
	place    int               // tells the addresses of its nodes from another world's
	// fifo is when the last message of a pair of processes is delivered, where
	// one may not overtake another; nil where it may.
	fifo map[[2]*process]int64
}

func newWorld(seed uint64, start time.Time) *world {
	run := (seed ^ uint64(start.UnixNano())) * 0x9e3779b97f4a7c15
	return &world{
		sim:     newSim(seed, start),
		prefix:  fmt.Sprintf("%06x", run>>40),
		serial:  run >> 20 & 0x1fff,
		ids:     map[string]int{},
		pids:    map[string]int{},
		crashes: map[string]string{},
	}
}

// Next returns the next step in order of time. ok is false once all is over.
func (w *world) Next() (step Step, ok bool) {
	next, ok := w.next()
	if !ok {
		return Step{}, false
	}
	return *next, true
}

// process makes a process with an id as its node writes them.
func (w *world) process(service string, n int, st style) *process {
	node := fmt.Sprintf("%s@10.%d.%d.%d", service, w.place, len(service), n+1)
	w.pids[node]++
	return &process{
		world: w, service: service, node: node, style: st,
		id: fmt.Sprintf("<0.%d.%d>", 100+w.pids[node], w.serial),
	}
}

func (w *world) nextID(p *process) string {
	w.ids[p.node]++
	return fmt.Sprintf("%s-%s-%x", w.prefix, p.node, w.ids[p.node])
}

// transit is how long a message takes.
func (w *world) transit(from, to *process) int64 {
	if from.node == to.node {
		return w.between(3*time.Microsecond, 200*time.Microsecond)
	}
	return w.between(200*time.Microsecond, 8*time.Millisecond)
}

// arrival is when what is sent at t arrives.
func (w *world) arrival(t int64, from, to *process) int64 {
	t += w.transit(from, to)
	if w.fifo != nil {
		pair := [2]*process{from, to}
		t = max(t, w.fifo[pair]+1)
		w.fifo[pair] = t
	}
	return t
}

func text(key, value string) event.KeyValue {
	return event.KeyValue{Key: key, Value: event.Value{Type: event.ValueString, Str: value}}
}

func integer(key string, value int) event.KeyValue {
	return event.KeyValue{Key: key, Value: event.Value{Type: event.ValueInt, Int: int64(value)}}
}
