package loadgen

import (
	"fmt"
	"strings"
)

// EventsPerProcess is how many events one process makes in one request of
// Events.
const EventsPerProcess = 10

// Events returns a template of an NDJSON body of native events, about 300
// bytes each: processes of several services that take a message, handle it in
// nested calls, change an order's state, pass a message on, and now and then
// spawn a worker that exits. Stacks are balanced at the end of each request.
// Events are numbered 0 to Items-1, and 0 to Items-1 of Text are their ids.
//
// worker tells the processes of one worker from those of another, since one
// process must not have two requests in flight; processes*EventsPerProcess is
// the size.
func Events(seed uint64, worker, processes int) *Template {
	b := &eventBuilder{worker: worker}
	for p := range processes {
		b.process(p, processes)
	}
	return compile(seed, b.events, []byte(b.body.String()))
}

type eventBuilder struct {
	worker int
	events int
	total  int
	body   strings.Builder
}

// Ids beyond those of events.
const (
	messageIDs = 1_000_000
	orderIDs   = 2_000_000
	childIDs   = 3_000_000
)

func (b *eventBuilder) process(p, processes int) {
	service := serviceNames[p%services]
	b.total = processes * EventsPerProcess
	who := fmt.Sprintf(`"service":"%s","node":"%s@10.0.%d.7","process":"<0.%d.%d>"`, service, service, p%5, 100+b.worker, p)
	order := fmt.Sprintf(`"correlation_id":"ord-%s"`, hexMark(orderIDs+p))
	next := fmt.Sprintf(`"peer":"<0.%d.%d>","peer_service":"%s","peer_node":"%s@10.0.%d.7"`, 100+b.worker, (p+1)%processes,
		serviceNames[(p+1)%processes%services], serviceNames[(p+1)%processes%services], (p+1)%processes%5)

	b.add("receive", who, `"name":"order_placed"`, `"message_id":"m-`+hexMark(messageIDs+p)+`"`, order,
		`"attributes":{"queue.length":4,"message.size":812,"routing.key":"orders.placed.eu"}`)
	handle := b.add("call", who, `"name":"`+service+`:handle_order"`, order,
		`"attributes":{"code.function.name":"handle_order","user.id":"u-`+hexMark(orderIDs+p)+`","tenant":"eu-west","retry":false}`)
	query := b.add("call", who, `"name":"db:query"`,
		`"attributes":{"db.system.name":"postgresql","db.query.summary":"SELECT orders","db.namespace":"shop","server.address":"db-1.shop.svc"}`)
	b.add("return", who, `"call_id":"`+hexMark(query)+`"`, `"name":"db:query"`,
		`"attributes":{"db.response.returned_rows":12,"db.response.bytes":4096,"db.client.connection.pool.name":"main"}`)
	b.add("state", who, `"name":"order"`, `"entity":"ord-`+hexMark(orderIDs+p)+`"`, `"version":1`, `"from":"created"`, `"to":"accepted"`, order,
		`"attributes":{"order.total":12900,"order.currency":"EUR"}`)
	b.add("send", who, `"name":"order_placed"`, `"message_id":"m-`+hexMark(messageIDs+(p+1)%processes)+`"`, next, order,
		`"attributes":{"message.size":812,"routing.key":"orders.placed.eu"}`)
	if p%5 == 0 {
		child := `"<0.` + hexMark(childIDs+p) + `.0>"`
		b.add("spawn", who, `"name":"print_label"`, `"child":`+child, order, `"attributes":{"supervisor":"label_sup","restart":"temporary"}`)
		of := strings.Replace(who, `"process":`+fmt.Sprintf(`"<0.%d.%d>"`, 100+b.worker, p), `"process":`+child, 1)
		b.add("exit", of, `"outcome":"normal"`, order, `"attributes":{"reductions":18233,"memory":142840,"messages.left":0}`)
	} else {
		b.add("mark", who, `"name":"gc.minor"`, `"priority":"low"`, `"attributes":{"gc.heap_size":233,"gc.stack_size":12,"gc.recent_size":4181,"gc.duration_us":42}`)
		b.add("mark", who, `"name":"cache.hit"`, `"attributes":{"cache.name":"prices","cache.key":"`+hexMark(orderIDs+p)+`","cache.size":18231}`)
	}
	b.add("mark", who, `"name":"metrics.sample"`, `"priority":"low"`, order, `"attributes":{"vm.memory":48234496,"vm.run_queue":3,"vm.process_count":812}`)
	b.add("return", who, `"call_id":"`+hexMark(handle)+`"`, `"name":"`+service+`:handle_order"`, order, `"attributes":{"result":"ok","duration.cpu_us":312}`)
}

// add writes one event and returns its number.
func (b *eventBuilder) add(kind string, fields ...string) int {
	n := b.events
	b.events++
	fmt.Fprintf(&b.body, `{"id":"%s","kind":"%s","time":%s,%s}`+"\n", hexMark(n), kind, decimalMark(20*(b.total-n)), strings.Join(fields, ","))
	return n
}
