package workload

import (
	"fmt"
	"time"
)

// Shop is the simulation. It is not safe for concurrent use.
type Shop struct {
	*world
	config  Config
	orders  int
	pending int // orders that are not over

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
	s := &Shop{world: newWorld(config.Seed, config.Start), config: config}
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

// Config returns what the shop was made with.
func (s *Shop) Config() Config { return s.config }

// process makes one that belongs to the shop.
func (s *Shop) process(service string, n int, st style) *process {
	p := s.world.process(service, n, st)
	p.shop = s
	return p
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
