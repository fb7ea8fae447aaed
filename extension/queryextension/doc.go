// Package queryextension is the extension scope_query: it owns the store,
// answers the query API from it, and is the hub where exporter, receiver and
// processors find the store and put their part of the status.
//
// # Ownership and order
//
// The extension opens the store in Start and alone closes it, in Shutdown.
// Extensions start before the pipelines and stop after them, so a component
// that found the hub may use the store from its own Start to its own Shutdown
// without asking again. What is called later gets store.ErrClosed.
//
//  1. Start starts the follower (follow.go), which is told of what is stored,
//     opens the store (which locks the folder and recovers what the log
//     holds), then listens, then serves. If a step fails, those before it are
//     undone before Start returns, so that a reload can open the same folder
//     in the same process.
//  2. NotReady, before the receivers stop, ends requests that run without a
//     deadline: a replay feeds receivers, and an open stream would hold up
//     Shutdown.
//  3. Shutdown ends the server first, then closes the store, which waits for
//     the follower no more, then ends the follower. It may be called
//     without Start, after a Start that failed, and twice.
//
// # Requests
//
// All calls stand in the table routes; docs/openapi.yaml describes the same
// calls and a test holds the two together. A handler returns its failure as an
// error and has then written nothing; serve turns it into problem details
// (RFC 9457).
package queryextension

//go:generate mdatagen metadata.yaml
