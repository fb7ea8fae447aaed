package diagram

import (
	"fmt"
	"math/rand/v2"

	"github.com/otelscope/otelscope/internal/causal"
)

const (
	us = int64(1000)
	ms = 1000 * us
	s  = 1000 * ms
	t0 = int64(1795514400) * s
)

// maker builds graphs for tests.
type maker struct{ g Graph }

func (m *maker) node(service, instance, process, kind, name string, start, took int64) int {
	n := Node{ID: fmt.Sprintf("n%d", len(m.g.Nodes)), Service: service, Instance: instance, Process: process, Kind: kind, Name: name, Start: t0 + start, End: t0 + start + took}
	m.g.Nodes = append(m.g.Nodes, n)
	return len(m.g.Nodes) - 1
}

func (m *maker) edge(from, to int, kind causal.Type, confidence float64, rule string) {
	m.g.Edges = append(m.g.Edges, Edge{from, to, kind, confidence, rule})
}

// small is a payment that crashes: five nodes.
func small() Graph {
	m := &maker{g: Graph{Title: "What led to the exit of pay_worker"}}
	a := m.node("gateway", "gw@1", "<0.412.0>", "producer", "send place_order", 0, 0)
	b := m.node("orders", "orders@1", "<0.81.0>", "consumer", "receive place_order", 240*us, 0)
	c := m.node("orders", "orders@1", "<0.81.0>", "internal", "handle_order", 260*us, 18*ms)
	d := m.node("payment", "pay@1", "<0.77.0>", "internal", "charge_card", 1200*us, 4*ms)
	e := m.node("payment", "pay@1", "<0.77.0>", "internal", "exit badarg", 5400*us, 0)
	m.edge(a, b, causal.MessageFlow, 1, "message_id")
	m.edge(b, c, causal.MessageFlow, 1, "arrived_call")
	m.edge(c, d, causal.MessageFlow, 1, "message_id")
	m.edge(d, e, causal.ErrorPropagation, .9, "failed_return_exit")
	m.g.Nodes[d].Failed, m.g.Nodes[d].Open = true, false
	m.g.Nodes[d].Detail = "error.type = badarg\ncard was nil"
	m.g.Nodes[e].Failed, m.g.Nodes[e].Root = true, true
	m.g.Nodes[e].Href = "/api/v1/events/e-17/chain"
	return m.g
}

// medium is an order whose payment worker crashes, is started again by its
// supervisor, and then succeeds: some 40 nodes on 8 lanes.
func medium() Graph {
	m := &maker{g: Graph{Title: "Order o-1042: paid at the second attempt"}}
	m.order("o-1042", 0, true)
	return m.g
}

// order adds what one order does, beginning at t.
func (m *maker) order(id string, t int64, crash bool) {
	pid := 100 + len(m.g.Nodes)
	req := fmt.Sprintf("<0.%d.0>", pid)
	ord := fmt.Sprintf("<0.%d.1>", pid)
	var (
		flow, spawn, state, fail, parent = causal.MessageFlow, causal.ProcessSpawn, causal.StateTransition, causal.ErrorPropagation, causal.ParentChild
	)
	http := m.node("gateway", "gw-7f", req, "server", "POST /orders", t, 2400*ms)
	auth := m.node("gateway", "gw-7f", req, "client", "check_token", t+200*us, 900*us)
	m.edge(http, auth, parent, 1, "parent")
	authz := m.node("auth", "auth-1", "", "server", "POST /introspect", t+500*us, 400*us)
	m.edge(auth, authz, parent, 1, "parent")
	db := m.node("auth", "auth-1", "", "client", "SELECT tokens", t+600*us, 250*us)
	m.edge(authz, db, parent, 1, "parent")
	send := m.node("gateway", "gw-7f", req, "producer", "send place_order", t+1300*us, 0)
	m.edge(http, send, parent, 1, "parent")
	arr := m.node("orders", "orders@n1", "<0.81.0>", "consumer", "place_order arrived", t+1700*us, 0)
	m.edge(send, arr, flow, 1, "message_id")
	route := m.node("orders", "orders@n1", "<0.81.0>", "internal", "route/2", t+1720*us, 600*us)
	m.edge(arr, route, flow, 1, "arrived_call")
	sp := m.node("orders", "orders@n1", "<0.81.0>", "internal", "spawn order", t+1900*us, 0)
	m.edge(route, sp, parent, 1, "parent")
	first := m.node("orders", "orders@n1", ord, "internal", "init/1", t+2000*us, 1100*us)
	m.edge(sp, first, spawn, 1, "spawn")
	st1 := m.node("orders", "orders@n1", ord, "internal", id+" → placed", t+2100*us, 0)
	m.edge(first, st1, parent, 1, "parent")
	resv := m.node("orders", "orders@n1", ord, "producer", "send reserve", t+2400*us, 0)
	m.edge(first, resv, parent, 1, "parent")
	sr := m.node("stock", "stock@n2", "<0.90.0>", "consumer", "reserve/2", t+3100*us, 1800*us)
	m.edge(resv, sr, flow, .9, "queue")
	sq := m.node("stock", "stock@n2", "<0.90.0>", "client", "UPDATE stock", t+3300*us, 1300*us)
	m.edge(sr, sq, parent, 1, "parent")
	sa := m.node("stock", "stock@n2", "<0.90.0>", "producer", "send reserved", t+4800*us, 0)
	m.edge(sr, sa, parent, 1, "parent")
	got := m.node("orders", "orders@n1", ord, "consumer", "receive reserved", t+5400*us, 0)
	m.edge(sa, got, flow, 1, "message_id")
	st2 := m.node("orders", "orders@n1", ord, "internal", id+" → reserved", t+5500*us, 0)
	m.edge(st1, st2, state, 1, "version")
	m.edge(got, st2, state, 1, "trigger")
	charge := m.node("orders", "orders@n1", ord, "producer", "send charge", t+5700*us, 0)
	m.edge(got, charge, parent, 1, "parent")
	worker := fmt.Sprintf("<0.%d.2>", pid)
	last := charge
	if crash {
		cr := m.node("payment", "pay@n3", worker, "consumer", "receive charge", t+5300*us, 0)
		m.edge(charge, cr, flow, 1, "message_id")
		call := m.node("payment", "pay@n3", worker, "internal", "charge_card/2", t+5350*us, 31*ms)
		m.edge(cr, call, flow, .9, "taken")
		gwc := m.node("payment", "pay@n3", worker, "client", "bank_api:authorize/3", t+6000*us, 0)
		m.g.Nodes[gwc].Open = true
		m.edge(call, gwc, parent, 1, "parent")
		bank := m.node("", "", "", "", "span 5b8efff798038103", 0, 0)
		m.g.Nodes[bank].Start, m.g.Nodes[bank].End, m.g.Nodes[bank].Missing = 0, 0, true
		m.edge(gwc, bank, parent, 1, "parent")
		m.g.Nodes[call].Failed = true
		ex := m.node("payment", "pay@n3", worker, "internal", "exit timeout", t+36400*us, 0)
		m.g.Nodes[ex].Failed, m.g.Nodes[ex].Root = true, true
		m.g.Nodes[ex].Href = "/api/v1/events/e-17/chain"
		m.edge(call, ex, fail, .9, "failed_return_exit")
		sig := m.node("payment", "pay@n3", "<0.70.0>", "consumer", "exit signal from worker", t+36600*us, 0)
		m.edge(ex, sig, fail, 1, "exit_signal")
		re := m.node("payment", "pay@n3", "<0.70.0>", "internal", "restart_child/1", t+36700*us, 500*us)
		m.edge(ex, re, fail, .9, "respawn")
		sp2 := m.node("payment", "pay@n3", "<0.70.0>", "internal", "spawn pay_worker", t+36900*us, 0)
		m.edge(re, sp2, parent, 1, "parent")
		worker = fmt.Sprintf("<0.%d.3>", pid)
		in := m.node("payment", "pay@n3", worker, "internal", "init/1", t+37200*us, 2*ms)
		m.edge(sp2, in, spawn, 1, "spawn")
		to := m.node("orders", "orders@n1", ord, "internal", "timeout charge", t+2005*ms, 0)
		m.edge(charge, to, fail, .5, "failed_delivery")
		m.g.Nodes[to].Failed = true
		last = m.node("orders", "orders@n1", ord, "producer", "send charge (retry)", t+2005200*us, 0)
		m.edge(to, last, fail, 1, "recovers")
		t += 2000 * ms
	}
	cr := m.node("payment", "pay@n3", worker, "consumer", "receive charge", t+5900*us, 0)
	m.edge(last, cr, flow, 1, "message_id")
	call := m.node("payment", "pay@n3", worker, "internal", "charge_card/2", t+6000*us, 12*ms)
	m.edge(cr, call, flow, 1, "arrived_call")
	au := m.node("payment", "pay@n3", worker, "client", "bank_api:authorize/3", t+6400*us, 9*ms)
	m.edge(call, au, parent, 1, "parent")
	ok := m.node("payment", "pay@n3", worker, "producer", "send charged", t+17900*us, 0)
	m.edge(call, ok, parent, 1, "parent")
	paid := m.node("orders", "orders@n1", ord, "consumer", "receive charged", t+18500*us, 0)
	m.edge(ok, paid, flow, 1, "message_id")
	st3 := m.node("orders", "orders@n1", ord, "internal", id+" → paid", t+18600*us, 0)
	m.edge(st2, st3, state, 1, "version")
	m.edge(paid, st3, state, 1, "trigger")
	ans := m.node("orders", "orders@n1", ord, "producer", "send order_paid", t+18800*us, 0)
	m.edge(paid, ans, parent, 1, "parent")
	for _, to := range []string{"mailer", "audit"} {
		x := m.node(to, to+"@n2", "<0.55.0>", "consumer", "receive order_paid", t+19500*us, 0)
		m.edge(ans, x, flow, 1, "message_id")
	}
	back := m.node("gateway", "gw-7f", req, "consumer", "receive order_paid", t+19600*us, 0)
	m.edge(ans, back, flow, 1, "message_id")
	reply := m.node("gateway", "gw-7f", req, "internal", "reply 201", t+19900*us, 300*us)
	m.edge(back, reply, parent, 1, "parent")
	m.edge(http, reply, parent, 1, "parent")
}

// large is n nodes of orders that overlap.
func large(n int) Graph {
	m := &maker{g: Graph{Title: "All that order o-1 led to", Truncated: true}}
	r := rand.New(rand.NewPCG(1, 2))
	batch := m.node("gateway", "gw-7f", "<0.40.0>", "internal", "import orders", 0, 7*s)
	for k := 0; len(m.g.Nodes) < n; k++ {
		from := len(m.g.Nodes)
		m.order(fmt.Sprintf("o-%d", k+1), ms+int64(k)*700*ms+r.Int64N(50)*ms, k%2 == 0)
		m.edge(batch, from, causal.Other, 1, "link")
	}
	m.g.Nodes = m.g.Nodes[:n]
	for k := 1; k < n; k++ {
		if m.g.Nodes[k].Root && k > 60 {
			m.g.Nodes[k].Root = false
		}
	}
	kept := m.g.Edges[:0]
	for _, e := range m.g.Edges {
		if e.From < n && e.To < n {
			kept = append(kept, e)
		}
	}
	m.g.Edges = kept
	return m.g
}
