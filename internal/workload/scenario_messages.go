package workload

import (
	"fmt"
	"time"

	"github.com/otelscope/otelscope/internal/event"
)

// ticks: a clock sends the same message again and again, and its receivers
// tell only the content and who sent it. Several are under way at a time.
func ticks(w *world, rounds int) {
	for i, st := range []style{styleTaken, styleArrivedTaken, styleArrivedCall} {
		receiver := w.listens("ticked", 0, st, 50*time.Microsecond, 6*time.Millisecond)
		for n := range 2 {
			clock := w.process("ticker", n, styleTaken)
			w.repeat(clock, rounds, 100*time.Microsecond, 8*time.Millisecond, func(int) {
				clock.send(message{name: "tick", hash: fmt.Sprintf("h-tick-%d", i)}, receiver)
			})
		}
	}
}

// mailboxes: one sender each, and the receiver tells neither who sent a
// message nor, in one case, which one it handles. Now and then it does
// something of its own accord.
func mailboxes(w *world, rounds int) {
	for i, st := range []style{styleArrivedTaken, styleArrivedCall, styleArrivedBlind, styleArrivedBlind} {
		receiver := w.listens("server", i%2, st, 50*time.Microsecond, 2*time.Millisecond)
		client := w.process("client", 0, styleTaken)
		pause := 12 * time.Millisecond
		if i == 3 {
			pause = 3 * time.Millisecond // several wait at times
		}
		w.repeat(client, rounds, time.Millisecond, pause, func(round int) {
			client.call("request")
			client.send(message{name: "req", hash: fmt.Sprintf("h-req-%d", round%7), anonymous: true}, receiver)
			client.ret("", nil)
		})
		w.repeat(receiver, rounds/20+1, 20*time.Millisecond, 200*time.Millisecond, func(int) {
			receiver.work("timer", 10*time.Microsecond, 50*time.Microsecond)
		})
	}
}

// crowd: several send the same to one receiver, who does not tell whose it
// got.
func crowd(w *world, rounds int) {
	for i, st := range []style{styleTaken, styleArrivedTaken} {
		receiver := w.listens("hall", i, st, 20*time.Microsecond, 300*time.Microsecond)
		for n := range 3 {
			guest := w.process("guest", n, styleTaken)
			w.repeat(guest, rounds, time.Millisecond, 60*time.Millisecond, func(int) {
				guest.send(message{name: "hello", hash: "h-hello", anonymous: true}, receiver)
			})
		}
	}
}

// counters: ids that say little. Each sender counts its messages to each
// receiver by itself, and begins anew after a while.
func counters(w *world, rounds int) {
	receivers := make([]*process, 3)
	for i := range receivers {
		receivers[i] = w.listens("counted", i%2, style(i), 50*time.Microsecond, time.Millisecond)
	}
	for n := range 2 {
		sender := w.process("counter", n, styleTaken)
		w.repeat(sender, rounds, time.Millisecond, 10*time.Millisecond, func(round int) {
			for _, receiver := range receivers {
				sender.send(message{name: "numbered", id: fmt.Sprintf("m%d", (rounds-round)%400)}, receiver)
			}
		})
	}
}

// redelivery: a queue gives one message to all that listen to it, and to some
// of them again, until they manage.
func redelivery(w *world, rounds int) {
	queue := w.process("queue", 0, styleTaken)
	var consumers []*process
	for n := range 3 {
		c := w.process([]string{"billing", "search", "archive"}[n], 0, styleTaken)
		c.handle = func(p *process, m message) {
			p.call("consume")
			p.spend(50*time.Microsecond, 2*time.Millisecond)
			if w.chance(0.3) {
				p.ret("error", &event.Error{Type: "busy", Message: "try again later"})
				m.failed, m.arrived = p.began, ""
				w.deliver(m, p, p.clock+w.between(time.Millisecond, 30*time.Millisecond))
				return
			}
			p.ret("", nil)
		}
		consumers = append(consumers, c)
	}
	w.repeat(queue, rounds, time.Millisecond, 15*time.Millisecond, func(int) {
		queue.send(queue.message("job", nil), consumers...)
		queue.send(queue.message("errand", nil), consumers[w.rand.IntN(3)])
	})
}
