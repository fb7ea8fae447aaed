// Package correlateprocessor is the processor correlate: the shell around
// internal/correlate. It reduces each batch of spans to observations by the
// rules, has the engine find the edges, and writes these onto the spans as
// links, before it hands the batch on with whatever the next consumer answers.
//
// Any number of workers may be in ConsumeTraces at once. What one batch needs
// comes from a pool and goes back when the work is done; what panicked does
// not go back.
//
// What was observed can be observed again, and that is all of the state: the
// engine itself is never written down. Where the storage is a hub, Start reads
// the spans of the window from its store (rebuild.go, recollection.go), and
// nothing else is written. Any other storage gets a journal of observations
// (journal.go, chunk.go), which a goroutine of its own writes from Start to
// Shutdown.
package correlateprocessor

//go:generate mdatagen metadata.yaml
