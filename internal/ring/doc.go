// Package ring holds work between the servers that take requests and the
// workers that hand them down the pipeline: a bounded, partitioned queue in
// which every request has one answer.
//
// # What it holds
//
// A request is pushed by a client, as parts, one for each partition it
// touches. Each part becomes an entry: the work itself, how many items it
// counts for, how many bytes of memory it stands for, its priority, and which
// keys it has. The parts of one request share one Completion. The bounds (items and bytes) are over everything that
// was pushed and not yet released: what waits and what workers have taken. So
// they bound memory, not only the queue.
//
// # Order and claims
//
// While a worker holds entries of a partition no other worker gets any of it.
// That is what keeps the order of a process's events while workers run side by
// side, and what lets state that belongs to a partition do without a lock. The
// partition Shared is the exception: any number of workers may hold its
// entries at once.
//
// The entries of one client and priority are a flow, and the flows that have
// entries waiting are served in turn, by their weights: a high entry counts
// for a sixteenth of its items, a normal one for a quarter, a low one for all.
// So what is important overtakes, a client that sends little is not stuck
// behind one that sends much, and nobody waits for ever. Keys are stronger: of
// two entries of a partition with a key in common the one that was pushed
// first is handed out first.
//
// A batch begins with the partition whose first entry is due first and takes
// what fits of it before it goes on to the next, so that it claims few. How
// fair service is, then, is a matter of one batch.
//
// # Protocol
//
//  1. Push hands over parts. From then on the ring owns Part.Work: the caller
//     must not touch it again, whatever Push returns. A nil error means that
//     the ring has the request (or dropped it, and the Completion says so);
//     an error means that at least one part was refused, and that the client
//     has to send the request again.
//  2. Take gives a worker a Batch: entries of one or more partitions, which it
//     has claimed. The worker owns the entries and their Work until Release.
//  3. The worker completes entries one by one as it learns their fate
//     (Entry.Complete), then calls Release exactly once. Release completes
//     what the worker left open, gives the memory back, lets go of the
//     partitions, and only then answers, so that a client's next request finds
//     the room that its last one had. Until then the Work must stay as it was
//     pushed: a worker that fails half-way passes the batch to another, which
//     starts again with what is not complete.
//  4. The Completion fires once, when the last of its parts is complete, with
//     nil or the first error. A waiter may give up at any time; the work goes
//     on without it.
//
// # When it is full
//
// Refuse answers ErrFull and takes nothing. Block lets Push wait for space
// (what waits outside is bounded by the same limits again, and beyond them
// refused). DropOldest removes the oldest entries that no worker has taken;
// DropNewest drops the request itself; ByPriority removes the oldest of the
// entries with the lowest priority, never one as important as the newcomer,
// and refuses what then finds no room. Entries that are dropped complete with
// ErrDropped. A request that would not fit into the empty ring is refused with
// a TooLargeError, which trying again cannot cure.
//
// With Refuse and Block, clients share the space. Those count that have
// something in the ring or had, or pushed, within ten seconds. Each has an
// equal share, and the last sixteenth of the ring is kept for requests that
// leave their client within it: others come in while the ring is less full
// than that. A client that is alone may fill the ring. Requests that wait for
// space come in as they came, except that those beyond their client's share
// are passed by those within theirs, of other clients. Where room is made by
// dropping there is no share: newcomers always come in, or it is their
// priority that counts.
//
// SetBound keeps the ring from being filled beyond a fraction of its limits.
// What is in it stays; under DropOldest and ByPriority a newcomer then pushes
// out no more than it needs itself. Whatever the bound and the shares, an
// empty ring takes any request that it can hold.
//
// # The end
//
// Close refuses what comes and lets workers empty the ring; Take then answers
// ErrClosed. Fail completes everything that is unfinished, what workers hold
// included, so that waiters are answered at a deadline; the workers still
// release their batches.
//
// # Structure
//
// core is the state machine: no lock, clock or goroutine, its inputs are the
// calls and the time. Ring is the lock, the clock and the waiting around it.
// One mutex serves all partitions: an entry is a request's share of a
// partition, not an event, so it is taken a few times a request and held for
// well under a microsecond; see docs/adr/0001-ring.md.
package ring
