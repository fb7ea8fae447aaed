package pressure

// Kind names what a source reads. It stands in metrics and status pages.
type Kind string

// The kinds of sources.
const (
	Ring     Kind = "ring"                // items or bytes between servers and workers, whichever are more
	Waiting  Kind = "waiting"             // age of the oldest work that no worker has taken
	Memory   Kind = "memory"              // live heap and what lies outside of it, against the limit
	Backlog  Kind = "store_backlog"       // what is accepted beyond what the store's head is cut at
	Stall    Kind = "store_stall"         // how long writers have waited for room in the store
	Failures Kind = "downstream_failures" // batches that the next consumer failed
	Latency  Kind = "downstream_latency"  // age of the oldest batch that it has not answered
)

// Kinds are all of them.
var Kinds = []Kind{Ring, Waiting, Memory, Backlog, Stall, Failures, Latency}

// Reading is what a source says at one moment.
type Reading struct {
	Kind Kind
	// Value is from 0 to 1; see the package comment. What lies outside is
	// clipped, NaN counts as no reading.
	Value float64
	// Words say what was read, with numbers and units, for a sentence's end:
	// "the ring holds 120.1 MiB of 128.0 MiB".
	Words string
	// Held of Limit bytes, of Ring and Memory: where both are known, the ring
	// may grow only as far as there is memory.
	Held, Limit int64
}

// Source reads. It must return at once, and may be called from any goroutine.
// An empty slice means that it has nothing to say now.
type Source func() []Reading
