// Package assemble turns native events into spans: it keeps each process's
// stack of open calls and its current activity, recognises events that come
// again, and rebuilds all of that from stored spans after a restart. The rules
// are those of docs/adr/0005-assembly.md.
//
// It is a deterministic core: no goroutine, clock, lock or logger. Given the
// same events in the same order it makes the same spans with the same ids,
// however they are cut into transactions.
//
// # Protocol
//
// All events of one process go to one Assembler, in their order; PartitionKey
// says which processes may be parted. An Assembler is used by one goroutine at
// a time. Assemblers share nothing but the Budget.
//
//	Restore*  FinishRestore      once, from the store's spans, before all else
//	Begin  Add*  End             one transaction: out now holds what must be
//	                             durable before its events are acknowledged
//	Commit                       when it is durable
//	Rollback                     when it is not, or when Add or End panicked:
//	                             the events come again, in any grouping, or
//	                             are dead-lettered
//	Refuse, Expire, Stats        between transactions
//
// Writing a transaction's spans and rolling it back all the same does no harm:
// the events that come again make the same spans. A crash between the write
// and Commit is the same as a crash after it.
//
// # Ownership
//
// Between transactions an Assembler holds no memory of events it was given:
// what an open call or a waiting return needs is copied at Commit. Spans in an
// Output refer to the strings of their events. An Output may serve many
// transactions and Assemblers of one goroutine; who rolls back must drop what
// Traces returns.
//
// # State
//
// A process is a small value: its activity, a stack of immutable frames, and
// the returns that wait. A transaction saves the value of each process that it
// touches, once; Rollback puts it back, so both cost what the transaction
// touched and not what the Assembler holds. What is evicted or expires does so
// at the end of a transaction, so that there is nothing to bring back.
package assemble
