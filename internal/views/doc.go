// Package views keeps sums over all stored spans as spans come: which services
// cause what in which, how operations do, which failures lead where, which
// processes there are. docs/views.md says what each number means.
//
// # Parts
//
// Views are sums of parts. A part is a stretch of the stream of spans; what is
// said of it is a Summary, which is encoded and kept with the spans of that
// part. Merge adds summaries. So views are durable and recoverable without a
// file of their own, and spans that are dropped take their share with them.
//
// # Edges
//
// An edge counts in the part of the span that came later, once both are there.
// Views remembers spans that came lately, and of edges whose other end it does
// not know that they wait for it; Unknown names ends that the caller looks up
// among spans that came before. Edges that still wait when a part ends stand
// in its summary, so that they wait on after a start.
//
// # Bounds
//
// Rows of each kind are bounded (the constants most*); the lightest ones
// are folded into a row "(other)", so that totals stay right. Below the bounds
// Merge is associative and commutative; beyond them which rows are kept
// depends on how parts were merged. Texts are cut at maxText bytes.
//
// Nothing here is safe for concurrent use, nothing depends on a clock.
package views
