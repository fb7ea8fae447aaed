package workload

import (
	"fmt"
	"time"

	"github.com/otelscope/otelscope/internal/event"
)

// reserve is the stock server's answer to an order.
func (p *process) reserve(m message) {
	p.call("handle_reserve", text("stock.shelf", fmt.Sprintf("shelf-%03d", m.order.customer%180)))
	p.work("db.update", 300*time.Microsecond, 6*time.Millisecond,
		text("db.system.name", "postgresql"), text("db.query.summary", "UPDATE stock"), integer("db.response.returned_rows", 1))
	answer := "reserved"
	if p.shop.chance(p.shop.config.OutOfStock) {
		answer = "out_of_stock"
	}
	p.send(p.message(answer, m.order), m.from)
	p.ret("", nil)
	p.mark("stock.level", integer("stock.items", p.shop.rand.IntN(500)))
}

// supervise starts a node's supervisor and its payment workers.
func (s *Shop) supervise(n int) {
	supervisor := s.process("payments", n, styleTaken)
	supervisor.handle = func(p *process, m message) { p.respawn(n, m.from) }
	workers := make([]*process, s.config.PaymentWorkers)
	s.payments = append(s.payments, workers)
	supervisor.call("supervisor:init", integer("children", len(workers)))
	for i := range workers {
		workers[i] = s.worker(n, supervisor)
		supervisor.spawn(workerName(i), workers[i], (*process).workerStarts)
	}
	supervisor.ret("", nil)
	supervisor.settle()
}

func workerName(i int) string { return fmt.Sprintf("payment_worker_%d", i+1) }

func (s *Shop) worker(n int, supervisor *process) *process {
	w := s.process("payments", n, styleTaken)
	w.handle = (*process).charged
	w.watchers = []*process{supervisor}
	return w
}

func (p *process) workerStarts() { p.work("worker_init", 50*time.Microsecond, 2*time.Millisecond) }

// respawn starts a worker again under its name, and says what it answers.
func (p *process) respawn(n int, dead *process) {
	for i, w := range p.shop.payments[n] {
		if w != dead {
			continue
		}
		fresh := p.shop.worker(n, p)
		p.shop.payments[n][i] = fresh
		crash := p.shop.crashes[p.node+"/"+workerName(i)]
		p.call("restart_child", text("child.name", workerName(i)))
		p.spawn(workerName(i), fresh, (*process).workerStarts)
		p.recovered(event.Ref{ID: crash}, workerName(i))
		p.ret("", nil)
	}
}

// charged is a payment worker's work: the bank says yes or no, or the worker
// dies of the answer, with its mailbox.
func (p *process) charged(m message) {
	o := m.order
	p.call("charge_card", text("payment.provider", "acquirer-eu"), integer("payment.amount", o.amount), text("payment.token", fmt.Sprintf("tok_%010x", o.amount*104729)))
	p.work("bank.authorize", 2*time.Millisecond, 80*time.Millisecond,
		text("http.request.method", "POST"), text("server.address", "bank.example"), text("url.full", "https://bank.example/v2/authorizations/"+o.id))
	switch {
	case p.shop.chance(p.shop.config.PaymentCrash):
		failure := failureOf("badmatch", "no match of right hand side value {error,closed}", "payment:charge_card")
		p.ret("exception", failure)
		p.crash(failure)
	case p.shop.chance(p.shop.config.Declined):
		p.ret("error", &event.Error{Type: "card_declined", Message: "do not honour"})
		p.send(p.message("declined", o), m.from)
	default:
		p.send(p.message("charged", o), m.from)
		p.ret("", nil)
	}
}

// crash ends a supervised worker abnormally, and remembers under which name
// its supervisor will answer.
func (p *process) crash(failure *event.Error) {
	p.exit("exit", failure)
	for n, workers := range p.shop.payments {
		for i, w := range workers {
			if w == p {
				p.shop.crashes[p.shop.payments[n][i].node+"/"+workerName(i)] = p.last.Event.ID
			}
		}
	}
}

// ship books a carrier. Where that fails the queue delivers the same message
// again, which is one send with two receives.
func (p *process) ship(m message) {
	o := m.order
	p.call("book_carrier", text("carrier", []string{"post", "courier", "pigeon"}[o.amount%3]), text("shipment.address", fmt.Sprintf("zone-%02d", o.customer%60)))
	p.spend(time.Millisecond, 30*time.Millisecond)
	if m.failed == "" && p.shop.chance(p.shop.config.DeliveryFails) {
		p.ret("error", &event.Error{Type: "carrier_busy", Message: "try again later"})
		m.failed, m.arrived = p.began, ""
		p.shop.deliver(m, p, p.clock+p.shop.between(20*time.Millisecond, 200*time.Millisecond))
		return
	}
	label := p.shop.process("shipping", o.node, styleTaken)
	p.spawn("print_label", label, func(c *process) {
		c.work("render_label", time.Millisecond, 12*time.Millisecond, text("label.format", "zpl"))
		c.exit("", nil)
	})
	p.send(p.message("shipped", o), m.from)
	p.ret("", nil)
}

// mail sends a mail; the server may be lost first, and is then found again.
func (p *process) mail(m message) {
	p.call("deliver_mail", text("mail.template", m.body), text("mail.to", fmt.Sprintf("u%05d@example.org", m.order.customer)))
	p.spend(500*time.Microsecond, 10*time.Millisecond)
	if p.shop.chance(p.shop.config.MailServerDown) {
		lost := p.fail("smtp_unavailable", "421 service not available", "smtp")
		p.spend(50*time.Millisecond, 300*time.Millisecond)
		p.recovered(event.Ref{ID: lost}, "smtp")
	}
	p.ret("", nil)
}

func (p *process) audit(m message) {
	p.work("write_audit", 100*time.Microsecond, 3*time.Millisecond, text("audit.topic", m.name), text("audit.subject", m.order.id))
}

func (p *process) count(m message) {
	p.call("count", text("topic", m.name))
	p.mark("orders."+m.name, integer("orders.amount", m.order.amount))
	p.ret("", nil)
}
