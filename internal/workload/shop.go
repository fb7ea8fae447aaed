package workload

import (
	"fmt"
	"time"

	"github.com/otelscope/otelscope/internal/event"
)

// Shop is the simulation. It is not safe for concurrent use.
type Shop struct {
	sim
	config  Config
	prefix  string // of the ids of events and messages, another for each run
	serial  uint64 // in process ids, another for most runs
	ids     map[string]int
	pids    map[string]int
	orders  int
	crashes map[string]string // node/name of a supervised process -> its abnormal exit
	pending int               // orders that are not over

	messages                    int
	listeners                   []*process
	routers, stocks, couriers   []*process
	mailers, audits, statistics []*process
	payments                    [][]*process // by node, by worker
}

// order is the state machine that everything is about.
type order struct {
	id         string
	version    int64
	state      string
	stateEvent string
	customer   int
	amount     int
	node       int
	request    *process
	process    *process
	attempts   int
}

// New builds the shop; the first steps it tells are those of its start.
func New(config Config) (*Shop, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	run := (config.Seed ^ uint64(config.Start.UnixNano())) * 0x9e3779b97f4a7c15
	s := &Shop{
		sim:     newSim(config.Seed, config.Start),
		config:  config,
		prefix:  fmt.Sprintf("%06x", run>>40),
		serial:  run >> 20 & 0x1fff,
		ids:     map[string]int{},
		pids:    map[string]int{},
		crashes: map[string]string{},
	}
	for n := range config.Nodes {
		s.listeners = append(s.listeners, s.process("gateway", n, styleTaken))
		s.routers = append(s.routers, s.process("orders", n, styleArrivedCall))
		s.stocks = append(s.stocks, s.process("stock", n, styleArrivedTaken))
		s.couriers = append(s.couriers, s.process("shipping", n, styleTaken))
		s.mailers = append(s.mailers, s.process("mailer", n, styleTaken))
		s.audits = append(s.audits, s.process("audit", n, styleTaken))
		s.statistics = append(s.statistics, s.process("statistics", n, styleArrivedTaken))
		s.routers[n].handle = (*process).route
		s.stocks[n].handle = (*process).reserve
		s.couriers[n].handle = (*process).ship
		s.mailers[n].handle = (*process).mail
		s.audits[n].handle = (*process).audit
		s.statistics[n].handle = (*process).count
		s.supervise(n)
		monitor := s.process("orders", n, styleTaken)
		s.at(s.now+int64(time.Second), func() { s.vitals(monitor) })
	}
	s.at(s.now+s.between(time.Millisecond, 20*time.Millisecond), s.orderComes)
	return s, nil
}

// Next returns the next step in order of time. ok is false once the last of
// Config.Orders is over.
func (s *Shop) Next() (step Step, ok bool) {
	next, ok := s.next()
	if !ok {
		return Step{}, false
	}
	return *next, true
}

// Config returns what the shop was made with.
func (s *Shop) Config() Config { return s.config }

// process makes a process with an id as its node writes them.
func (s *Shop) process(service string, n int, st style) *process {
	node := fmt.Sprintf("%s@10.0.%d.%d", service, len(service), n+1)
	s.pids[node]++
	return &process{
		shop: s, service: service, node: node, style: st,
		id: fmt.Sprintf("<0.%d.%d>", 100+s.pids[node], s.serial),
	}
}

func (s *Shop) nextID(p *process) string {
	s.ids[p.node]++
	return fmt.Sprintf("%s-%s-%x", s.prefix, p.node, s.ids[p.node])
}

// transit is how long a message takes.
func (s *Shop) transit(from, to *process) int64 {
	if from.node == to.node {
		return s.between(3*time.Microsecond, 200*time.Microsecond)
	}
	return s.between(200*time.Microsecond, 8*time.Millisecond)
}

// orderComes lets one order in and schedules the next.
func (s *Shop) orderComes() {
	if s.config.Orders > 0 && s.orders == s.config.Orders {
		return
	}
	s.orders++
	s.pending++
	n := s.rand.IntN(s.config.Nodes)
	o := &order{
		id:       fmt.Sprintf("ord-%s-%06d", s.prefix, s.orders),
		customer: s.rand.IntN(5000),
		amount:   500 + s.rand.IntN(20000),
		node:     n,
	}
	s.accept(s.listeners[n], o)
	gap := s.rand.ExpFloat64() * float64(time.Second) / s.config.OrdersPerSecond
	s.at(s.now+int64(gap), s.orderComes)
}

// over is called once an order needs nothing more.
func (s *Shop) over() { s.pending-- }

// open says whether the shop still has, or awaits, orders.
func (s *Shop) open() bool {
	return s.pending > 0 || s.config.Orders == 0 || s.orders < s.config.Orders
}

// vitals lets a monitor tell once a second how its node feels, as long as the
// shop is open. The monitor is in no activity: it receives nothing.
func (s *Shop) vitals(monitor *process) {
	if !s.open() {
		return
	}
	monitor.mark("vm.memory", integer("vm.memory.bytes", 40<<20+s.rand.IntN(60<<20)), integer("vm.process.count", 50+s.rand.IntN(300)))
	s.at(s.now+int64(time.Second), func() { s.vitals(monitor) })
}

func text(key, value string) event.KeyValue {
	return event.KeyValue{Key: key, Value: event.Value{Type: event.ValueString, Str: value}}
}

func integer(key string, value int) event.KeyValue {
	return event.KeyValue{Key: key, Value: event.Value{Type: event.ValueInt, Int: int64(value)}}
}
