package main

import (
	"time"

	"github.com/otelscope/otelscope/internal/workload"
)

// form is how a workload is told.
type form uint8

const (
	native     form = iota
	otlp            // current names
	otlpJS          // as the amqplib instrumentation of Node writes them
	otlpKafka       // partition and offset, no id
	otlpKafka0      // in older names
)

var flavours = map[form]workload.Flavour{
	otlp: workload.RabbitMQ, otlpJS: workload.Amqplib, otlpKafka: workload.Kafka, otlpKafka0: workload.KafkaOld,
}

// restart is what happens to the collector in the middle.
type restart uint8

const (
	runs restart = iota
	stopped
	killed
)

// recipe is one workload: what is simulated, and what befalls it.
type recipe struct {
	name      string
	what      string
	orders    int      // of the shop; 0: no shop
	scenarios []string // of internal/workload
	ordered   bool     // by one sender, who tells all in order
	unlucky   bool     // in the shop much more goes wrong
	form      form
	propagate bool // of OTLP: trace context travels with messages
	disturb   workload.Disturbance
	duplicate float64 // share of requests that are sent again
	later     int     // up to how many requests afterwards
	shuffle   int     // of OTLP: requests come up to so many late
	restart   restart
}

const (
	orders = 120 // of a workload with a shop
	rounds = 250 // of a scenario's processes
)

// late is what real traces of a BEAM show: 4 effects in 100 are told before
// their causes.
var late = workload.Disturbance{Reorder: 0.04, Delay: 60}

var vicious = workload.Disturbance{
	Reorder: 0.10, Delay: 200, LoseSends: 0.01, LoseReceives: 0.01, Skew: 2 * time.Second, Drift: 1e-3,
}

// recipes are the workloads, from easy to vicious.
var recipes = []recipe{
	{name: "easy", what: "the shop, in order", ordered: true, orders: orders},
	{name: "unlucky", what: "the shop, where half of all goes wrong", ordered: true, orders: orders, unlucky: true},
	{name: "reordered", what: "several senders at once, 4 % of events late", orders: orders, disturb: late},
	{name: "duplicates", what: "a third of all requests again, at once or later", orders: orders, duplicate: 0.33, later: 40},
	{name: "skewed", what: "clocks up to 2 s off, drifting 0.1 %, 4 % of events late", orders: orders, scenarios: []string{"supervision", "states", "ticks", "mailboxes", "redelivery", "counters", "lives"},
		disturb: workload.Disturbance{Reorder: 0.04, Delay: 60, Skew: 2 * time.Second, Drift: 1e-3}},
	{name: "equal-one-sender", what: "the same message over and over, known by its content", ordered: true, scenarios: []string{"ticks", "mailboxes"}},
	{name: "equal-one-sender-late", what: "the same by several senders, 4 % of events late", scenarios: []string{"ticks", "mailboxes"}, disturb: late},
	{name: "equal-many-senders", what: "equal messages of three senders; the receiver does not know whose", ordered: true, scenarios: []string{"crowd"}},
	{name: "equal-many-late", what: "the same by several senders, 4 % of events late", scenarios: []string{"crowd"}, disturb: late},
	{name: "reused-ids", what: "counters as ids, one for each pair, that begin anew", ordered: true, scenarios: []string{"counters", "states"}},
	{name: "reused-ids-late", what: "the same by several senders, 4 % of events late", scenarios: []string{"counters", "states"}, disturb: late},
	{name: "redelivery", what: "one sending, many receives: several consumers, some of them again", scenarios: []string{"redelivery"}, disturb: late},
	{name: "outside", what: "causes that nobody tells, beside look-alikes", scenarios: []string{"outside"}, disturb: late},
	{name: "lives", what: "process ids that come back, crashes nobody supervises", ordered: true, scenarios: []string{"lives"}},
	{name: "lives-late", what: "the same by several senders, 4 % of events late", scenarios: []string{"lives"}, disturb: late},
	{name: "states", what: "machines without versions, gaps, names used twice", scenarios: []string{"states"}, disturb: late},
	{name: "supervision", what: "several children die at once; failures overcome by reference or by name", ordered: true, scenarios: []string{"supervision"}},
	{name: "supervision-late", what: "the same by several senders, 4 % of events late", scenarios: []string{"supervision"}, disturb: late},
	{name: "references", what: "the sender says what caused what", scenarios: []string{"references"}, disturb: late},
	{name: "lossy", what: "1 % of sends and of receives lost", orders: orders, scenarios: []string{"supervision", "redelivery", "counters"},
		disturb: workload.Disturbance{LoseSends: 0.01, LoseReceives: 0.01}},
	{name: "lossy-equal", what: "1 % of sends and of receives lost, among equal messages", scenarios: []string{"ticks", "mailboxes", "crowd", "lives"},
		disturb: workload.Disturbance{LoseSends: 0.01, LoseReceives: 0.01}},
	{name: "otlp", what: "spans, trace context travels with messages", orders: orders, form: otlp, propagate: true},
	{name: "otlp-broken", what: "spans, trace context stays", orders: orders, unlucky: true, scenarios: []string{"redelivery"}, form: otlp},
	{name: "otlp-broken-late", what: "the same, requests out of order and again, clocks 2 s off", orders: orders, unlucky: true, scenarios: []string{"redelivery"}, form: otlp,
		disturb: workload.Disturbance{Skew: 2 * time.Second}, shuffle: 8, duplicate: 0.1, later: 20},
	{name: "otlp-amqplib", what: "spans in the names of Node's amqplib", orders: orders, unlucky: true, scenarios: []string{"redelivery"}, form: otlpJS, shuffle: 4},
	{name: "otlp-kafka", what: "spans with partition and offset", orders: orders, unlucky: true, scenarios: []string{"redelivery"}, form: otlpKafka, shuffle: 4},
	{name: "otlp-kafka-old", what: "the same, in older names", orders: orders, unlucky: true, scenarios: []string{"redelivery"}, form: otlpKafka0, shuffle: 4},
	{name: "everything", what: "all of it at once: 10 % late, 1 % lost, requests again, clocks 2 s off", orders: orders, unlucky: true, scenarios: workload.Scenarios(),
		disturb: vicious, duplicate: 0.1, later: 40},
	{name: "restart", what: "SIGTERM in the middle, then on", orders: orders, scenarios: []string{"ticks", "supervision", "states"}, disturb: late, restart: stopped},
	{name: "kill", what: "kill -9 in the middle, then on", orders: orders, scenarios: []string{"ticks", "supervision", "states"}, disturb: late, restart: killed},
}
