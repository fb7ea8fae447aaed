// Package tail hands spans on to those who wait for them, as they are
// committed: a Broker is told of every commit and keeps the latest in a ring;
// a Subscription reads what matches its query.
//
// It is the deterministic core of live subscriptions: no clock, goroutine or
// connection. Who publishes never waits for a reader.
//
// # One ring, many cursors
//
//	commits   | 17-0 17-1 17-2 | 21-0 | 30-0 30-1 |      the ring: bounded in bytes
//	numbers        0    1    2      3      4    5        of the spans since the start
//	{a}            x              x        x             a topic: numbers that match
//	                              ^        ^             cursors of its subscriptions
//
// Subscriptions of equal queries (the same canonical text) are one topic. A
// span is read once for all topics, matched once by each, and encoded at most
// once, when the first reader takes it. A subscription is a place in its
// topic's list, so that many of them cost little, and a slow one holds no
// memory: what it has not taken when the ring gives it up is lost to it. The
// topic counts all its matches, so the difference of two counts is how many
// were lost, exactly.
//
// A subscription that resumes begins in front of what its topic has looked
// at. Until it gets there it reads the ring and matches by itself. If the ring
// overtakes it on this way, how many matching spans that cost is not known.
package tail
