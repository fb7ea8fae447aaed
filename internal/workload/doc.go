// Package workload simulates a small shop that runs on asynchronous
// processes, and says what it did: native events in the order in which they
// happened, or OTLP spans, and of each of them what truly caused it.
//
// # The shop
//
// A gateway spawns a process a request. The request asks the order router,
// which spawns a process an order; that one is a state machine (created, paid,
// shipped; or cancelled, failed) which talks to a stock server, to supervised
// payment workers, to a shipping queue and to a mailer, and announces each
// order to two subscribers at once. Payment workers crash and are respawned by
// their supervisor, the shipping queue delivers again what failed, the mailer
// loses its server and recovers, payments are tried again.
//
// # Scenarios
//
// A Scenario is a smaller simulation of what is hard to understand from
// outside: equal messages, ids that come back, mailboxes that say little,
// deaths that nobody answers and deaths that somebody does, causes that nobody
// tells. Merge plays several sources at once.
//
// # Protocol
//
// Shop is a discrete-event simulation in one goroutine: a virtual clock, a
// queue of actions that are due, and a queue of steps that happened. The same
// Config yields the same steps, byte for byte. Next returns steps in the order
// of their times, so that the events of one process keep its order; it never
// ends unless Config.Orders bounds it.
//
// # Ownership
//
// A Step and all that hangs on it belong to the caller of Next; the shop keeps
// nothing of it. What is done to the stream afterwards is done by stages between
// Next and the encoder: Disturb loses, reorders and skews, Requests cuts and
// doubles, Decide says which edges nobody can be sure of any more. A Step
// carries its own truth, so they know nothing of the shop.
package workload
