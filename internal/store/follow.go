package store

// Follower is told of the spans that become part of the store, part by part,
// and gives each part a summary that is kept with it. A part is what one head
// holds; it becomes one block, or several beyond the bound on a block's rows.
//
// Committed and Rotated are called in order, before the writers are answered,
// by the goroutine that all writers wait for: they must only take note. During
// Open they are called for what is recovered.
type Follower interface {
	// Committed says what one group commit added.
	Committed(c *Commit)
	// Rotated says that the part is complete: what is committed from now on
	// belongs to the next.
	Rotated()
	// Summary returns the summary of the oldest part that was rotated and that
	// it was not asked for yet. It is called once for each part, from a
	// goroutine of its own, and may wait until the follower has caught up; it
	// must return when stop is closed.
	Summary(stop <-chan struct{}) ([]byte, error)
	// Merge returns the summary of several parts together, the oldest first;
	// nil stands for a part that has none.
	Merge(summaries [][]byte) ([]byte, error)
}

// Commit is what one group commit made complete: spans that no part of the
// store had complete before. Open calls are left out until they are complete.
type Commit struct {
	// Received is the commit's time, nanoseconds since the epoch; each
	// commit's is later than that of the one before.
	Received int64
	// Spans are in the order of their arrival. Their slices are immutable and
	// may be kept.
	Spans []Span
}
