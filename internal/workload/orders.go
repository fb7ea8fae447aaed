package workload

import (
	"fmt"
	"time"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
)

// accept lets the listener take a request and spawn a process for it.
func (s *Shop) accept(listener *process, o *order) {
	listener.call("accept", text("client.address", fmt.Sprintf("203.0.113.%d", o.customer%250)))
	o.request = s.process("gateway", o.node, styleTaken)
	o.request.correlation = o.id
	listener.spawn("http_request", o.request, func(p *process) { p.serve(o) })
	listener.ret("", nil)
	listener.settle()
}

// serve is the life of a request: it asks the router and waits for the order.
func (p *process) serve(o *order) {
	p.call("POST /orders",
		text("http.request.method", "POST"), text("http.route", "/orders"),
		text("url.path", "/orders/"+o.id), text("user.id", fmt.Sprintf("u%05d", o.customer)),
		text("user_agent.original", agents[o.customer%len(agents)]))
	p.work("parse_basket", 80*time.Microsecond, 2*time.Millisecond, integer("basket.items", 1+o.customer%9))
	p.work("check_session", 100*time.Microsecond, 4*time.Millisecond, text("session.id", fmt.Sprintf("s-%08x", o.customer*7919+o.amount)))
	p.send(p.message("create_order", o), p.shop.routers[o.node])
	p.wait(func(m message) bool { return m.name == "order_accepted" }, func(message) {
		p.work("render", 200*time.Microsecond, 3*time.Millisecond)
		p.ret("", nil)
		p.exit("", nil)
	})
}

// route spawns a process for a new order.
func (p *process) route(m message) {
	o := m.order
	o.process = p.shop.process("orders", o.node, styleTaken)
	o.process.correlation = o.id
	p.work("lookup_customer", 200*time.Microsecond, 5*time.Millisecond, text("db.system.name", "postgresql"), text("db.query.summary", "SELECT customers"))
	p.spawn("order", o.process, func(c *process) { c.begins(o) })
	p.ret("", nil)
}

// begins is what an order process does first. What it does next it does when
// messages come: it has no call open between them.
func (p *process) begins(o *order) {
	p.call("order_init", text("order.id", o.id), integer("order.amount", o.amount))
	p.spend(50*time.Microsecond, time.Millisecond)
	p.state(o, "created")
	p.send(p.message("order_accepted", o), o.request)
	p.send(p.message("reserve", o), p.shop.stocks[p.shop.rand.IntN(p.shop.config.Nodes)])
	p.announce(o, "order.created")
	p.ret("", nil)
	p.wait(named("reserved", "out_of_stock"), func(m message) { p.stocked(o, m) })
}

func named(names ...string) func(message) bool {
	return func(m message) bool {
		for _, name := range names {
			if m.name == name {
				return true
			}
		}
		return false
	}
}

func (p *process) stocked(o *order, m message) {
	if m.name == "out_of_stock" {
		p.fail("OutOfStock", "nothing left of what "+o.id+" asks for", o.id)
		p.ends(o, "cancelled", "order_cancelled")
		return
	}
	p.state(o, "reserved", p.trigger())
	p.charge(o)
}

// trigger is the receive that the process just took.
func (p *process) trigger() Cause { return Cause{Type: causal.StateTransition, ID: p.began} }

// charge asks a payment worker, and again when no answer comes.
func (p *process) charge(o *order) {
	o.attempts++
	p.call("request_payment", integer("retry.attempt", o.attempts))
	n := p.shop.rand.IntN(p.shop.config.Nodes)
	workers := p.shop.payments[n]
	p.send(p.message("charge", o), workers[p.shop.rand.IntN(len(workers))])
	p.ret("", nil)

	attempt := o.attempts
	p.wait(named("charged", "declined", "timeout"), func(m message) { p.answered(o, m) })
	p.shop.at(p.clock+int64(400*time.Millisecond), func() {
		if o.attempts == attempt && o.state == "reserved" && p.await != nil {
			p.awaitOver(o)
		}
	})
}

// awaitOver is the process's own timer: it has no sender and is no message.
func (p *process) awaitOver(o *order) {
	p.await, p.waits = nil, nil
	p.clock = max(p.clock, p.shop.now)
	p.fail("PaymentTimeout", fmt.Sprintf("no answer to attempt %d of %s", o.attempts, o.id), o.id)
	if o.attempts >= 3 {
		p.ends(o, "failed", "order_failed")
	} else {
		p.charge(o)
	}
	p.settle()
}

func (p *process) answered(o *order, m message) {
	switch {
	case m.name == "charged":
		p.state(o, "paid", p.trigger())
		p.announce(o, "order.paid")
		p.send(p.message("ship", o), p.shop.couriers[p.shop.rand.IntN(p.shop.config.Nodes)])
		p.wait(named("shipped"), func(message) {
			p.state(o, "shipped", p.trigger())
			p.announce(o, "order.shipped")
			p.ends(o, "", "order_shipped")
		})
	case o.attempts < 2:
		p.charge(o)
	default:
		p.fail("PaymentDeclined", "the bank declined "+o.id, o.id)
		p.ends(o, "failed", "order_failed")
	}
}

// ends tells the customer, changes the state where there is still a change to
// tell, and ends the process.
func (p *process) ends(o *order, state, mail string) {
	if state != "" {
		p.state(o, state)
	}
	p.send(p.mailTo(o, mail), p.shop.mailers[o.node])
	p.exit("", nil)
	p.shop.over()
}

// mailTo has no id: only its content tells it from other mails, and two mails
// to one customer may be equal.
func (p *process) mailTo(o *order, template string) message {
	return message{name: "mail", hash: fmt.Sprintf("%s-%04d", template, o.customer%200), order: o, body: template}
}

// announce tells both subscribers at once: one message, two receivers.
func (p *process) announce(o *order, topic string) {
	m := p.message(topic, o)
	p.send(m, p.shop.audits[o.node], p.shop.statistics[o.node])
}

var agents = []string{
	"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/141.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Mobile/15E148",
	"shop-app/7.2.1 (Android 15)",
	"curl/8.14.1",
}

// failureOf describes a failure as a runtime would.
func failureOf(kind, text, function string) *event.Error {
	return &event.Error{Type: kind, Message: text, Stacktrace: "at " + function + "/2 (payment.erl:118)\nat gen_server:handle_msg/6 (gen_server.erl:1131)"}
}
