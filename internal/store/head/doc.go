// Package head keeps the newest spans in memory, as the OTLP bytes that the
// log holds too, and finds them by trace, by identity, by native event, by the
// spans that they name and by correlation id.
//
// # Protocol
//
//	b, err := head.Parse(payload)   // any goroutine: looks into every span once
//	h.Insert(b, received)           // one writer
//	h.TraceRows(id), h.Span(id), …  // any goroutine, also while Insert runs
//
// A span has one row for as long as the head lives: a later version of it
// changes its row in place, so that whoever goes over the rows by number meets
// each identity once. Which version stays is the contract of store.Store: the
// complete one beats an open call, otherwise the first; links are united.
//
// # Memory and ownership
//
// The head keeps the payloads, which nobody may write to from Parse on, and
// what it returns are parts of them; they live as long as anyone holds them.
// Beside them a span costs a row of 64 bytes and some 50 bytes of tables, and
// none of it is a pointer: rows name payloads by number and offset, tables
// name rows by number. So a head of any size is nothing to the garbage
// collector.
//
// Readers hold a lock while they collect what they return and not longer;
// Insert holds it for one batch.
package head
