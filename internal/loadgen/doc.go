// Package loadgen makes load that costs the machine little, so that what is
// measured is the server: requests are encoded once, and before each sending
// only ids and times in them are overwritten, in place.
//
// # Protocol
//
// A Template is a request with slots. Fill(seq, now) gives it the ids of
// request seq and the times of now; the same seq gives the same ids, so a
// request can be built again to be sent again, and what was sent can be looked
// up later without having been remembered. A Worker owns a template and sends
// one request after another, each after the answer to the one before; that
// keeps the order of each native process, since no two workers share one.
//
// Closed runs workers as fast as answers come, Open at a given rate, with
// latencies counted from when a request was due (so a server that stalls
// cannot hide it by slowing the load). Both count in a Meter, which may be
// read at any time from any goroutine; a difference of two readings is what
// happened between.
//
// # Ownership
//
// A filled body belongs to its template and is overwritten by the next Fill.
// Senders keep nothing of a body after Send returned without an error or with
// an answer of the server; after any other error the transport may still hold
// it, and the worker stops or takes a copy.
package loadgen
