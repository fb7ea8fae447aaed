package main

import (
	"fmt"
	"strings"

	"github.com/otelscope/otelscope/internal/loadgen"
)

// kind is what a request holds.
type kind uint8

const (
	spans      kind = iota // OTLP: whole traces
	activities             // native: messages handled, calls returned
	opens                  // native: messages taken, calls not returned yet
	returns                // native: the returns of an earlier request's calls
)

// Sizes of requests.
const (
	spansPerRequest      = 100
	activitiesPerRequest = 8
	opensPerRequest      = 5
)

// request is one request of the run, which can be built again at any time:
// the same kind, seq and time give the same bytes.
type request struct {
	kind  kind
	seq   uint64
	now   int64
	acked bool
	// back, of opens, is the request that returns the calls, once there is one.
	back *request
}

// service is that of all native events here; ids are unique without node.
const service = "crash-test"

// maker builds the bodies of requests. Each worker has its own.
type maker struct{ template *loadgen.SpanTemplate }

func newMaker(seed uint64, worker int) *maker {
	return &maker{loadgen.Spans(seed, worker, spansPerRequest)}
}

// body builds a request; it is valid until the next call.
func (m *maker) body(r *request) []byte {
	switch r.kind {
	case spans:
		return m.template.Fill(r.seq, r.now)
	case activities:
		return lines(activitiesPerRequest, r, (*request).activity)
	case opens:
		return lines(opensPerRequest, r, (*request).open)
	default:
		return lines(opensPerRequest, r, (*request).ret)
	}
}

func lines(n int, r *request, one func(*request, *strings.Builder, int)) []byte {
	var b strings.Builder
	for i := range n {
		one(r, &b, i)
	}
	return []byte(b.String())
}

// id names event i of a kind of event; those of opens are named by opens and
// by returns.
func (r *request) id(what string, i int) string { return fmt.Sprintf("%s-%x-%d", what, r.seq, i) }

// event writes one event; each request has processes of its own, so that no
// process ever has two requests in flight.
func (r *request) event(b *strings.Builder, what string, i int, after int64, fields string) {
	kind, _, _ := strings.Cut(what, "-")
	fmt.Fprintf(b, `{"id":%q,"kind":%q,"time":%d,"service":%q,"node":"n1","process":"p-%x-%d",%s}`+"\n",
		r.id(what, i), kind, r.now+int64(i)*1000+after, service, r.seq, i, fields)
}

// spansPerActivity is how many spans an activity has: the receive, the call,
// the mark and the send.
const spansPerActivity = 4

func (r *request) activity(b *strings.Builder, i int) {
	r.event(b, "receive", i, 1, fmt.Sprintf(`"name":"work","message_id":"in-%x-%d"`, r.seq, i))
	r.event(b, "call", i, 2, `"name":"handle","attributes":{"size":3,"note":"to be found again"}`)
	r.event(b, "mark", i, 3, `"name":"half"`)
	r.event(b, "send", i, 4, fmt.Sprintf(`"name":"done","message_id":"out-%x-%d","peer":"sink"`, r.seq, i))
	r.event(b, "return", i, 5, fmt.Sprintf(`"name":"handle","call_id":%q`, r.id("call", i)))
}

// spansPerOpen is how many an open call's trace has: the receive and the call.
const spansPerOpen = 2

func (r *request) open(b *strings.Builder, i int) {
	r.event(b, "receive", i, 1, fmt.Sprintf(`"name":"work","message_id":"in-%x-%d"`, r.seq, i))
	r.event(b, "call", i, 2, `"name":"wait"`)
}

func (r *request) ret(b *strings.Builder, i int) {
	r.event(b, "return", i, 9, fmt.Sprintf(`"name":"wait","call_id":%q`, r.id("call", i)))
}

// events is how many spans or events a request holds.
func (r *request) events() int {
	switch r.kind {
	case spans:
		return spansPerRequest
	case activities:
		return activitiesPerRequest * 5
	case opens:
		return opensPerRequest * 2
	default:
		return opensPerRequest
	}
}
