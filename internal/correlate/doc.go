// Package correlate finds what caused what: observations of spans and the time
// go in, causal edges come out. Where a span is reduced to an observation by
// rules is the business of internal/correlate/rule; how edges become links is
// the correlate processor's.
//
// It is a deterministic core: no goroutine, clock, logger or Collector type.
// The same observations in the same order with the same times find the same
// edges, however they are cut into batches.
//
// # Protocol
//
//	e := New(config)
//	Observe(batch, now, &result)*     result says what each span shall carry
//	Stats()                           at any time
//
// Observe may be called from many goroutines: the state lies in shards, each
// behind a mutex of its own. The caller owes that observations of one process
// come in the process's order; spans of plain OTLP owe no order.
// Who hands a batch on and is refused observes it again when it comes again:
// the second time finds the same edges and leaves the state as it is.
// After a restart the observations that were kept (AppendBatch, ReadBatch) are
// observed again with their own times.
//
// # State
//
// A shard remembers offers (possible causes), claims that found none yet,
// traces, and the edges that spans carry, all as entries of one size without
// pointers in one ring in the order of arrival: the oldest go first, when they
// are older than the window or when entries or bytes are over the bound.
// Nothing is held back to wait: of two spans the one that is observed last
// carries the edge, so it is usually the effect.
//
// # Keys
//
// Keys are 64-bit hashes of length-prefixed strings. Two of a million keys are
// the same by chance once in 10^7 such states; keys are not meant to withstand
// someone who makes them collide on purpose, which would yield a wrong edge
// and nothing worse.
package correlate
