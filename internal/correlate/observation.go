package correlate

import (
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
)

// Observation is what correlation needs of one version of one span. It refers
// to nothing of the span; Ops, Links and Correlation belong to whoever made
// it, and the engine keeps none of the slices beyond Observe.
type Observation struct {
	Span causal.SpanRef
	// Start is when the span began, nanoseconds since the epoch by Clock.
	Start int64
	// Clock is a hash of whose clock that was: the service instance's or the
	// host's. Times of different clocks are not compared; 0 is unknown and
	// compares with none.
	Clock uint32
	// Process hashes (service, node, process); 0 for spans of no process.
	Process uint64
	// Version says which version of a call's span this is.
	Version Version
	// Root is true on the first span of a trace: it has no parent.
	Root bool
	// Correlation is the span's own scope.correlation.id, "" without.
	Correlation string
	// Sampled says that the trace came with randomness or a threshold of its
	// own (ot=rv or ot=th in its tracestate): nothing of it is replaced.
	// Randomness holds its rv where there is one, else the 56 low bits of the
	// trace id.
	Sampled    bool
	Randomness uint64
	// Links are the causes that the span came with.
	Links []causal.SpanRef
	// Ops say what the span offers and claims, in the order in which they are
	// done.
	Ops []Op
}

// Version is which version of a span was observed. A call may be observed
// twice: open, and complete.
type Version uint8

// The versions. A complete span that was seen open before does its End ops
// only, and carries what the open version carried, again.
const (
	Complete Version = iota
	Open
)

// Op is one thing an observation asks of one shard. What each kind reads of
// the other fields is said there.
type Op struct {
	Kind OpKind
	// End marks what only the end of a call tells (its outcome, its return's
	// id): it is done when the complete version comes, though the span was
	// seen open.
	End bool
	// Rule is the index of the rule in Config.Rules that this is done for.
	Rule uint16
	// Shard hashes what brings ops together: ops that shall see one another
	// have the same Shard. It is not part of the key.
	Shard uint64
	// Keys are what offers and claims are matched by; 0 is none. Different
	// relations need different keys: the rule's name, or that of the relation
	// which several rules share, is part of what is hashed.
	Keys [3]uint64
	// Aux depends on the kind.
	Aux uint64
}

// OpKind says what an Op does.
type OpKind uint8

// By identity, in any order:
//
//   - Offer: this span is a possible cause under Keys[0], told by the process
//     Aux where that matters, else 0.
//   - Claim: what caused this span was offered under Keys[0], or else Keys[1],
//     or else Keys[2]; by the process Aux, 0 where that is not known. The best offer is the latest that is not after the span
//     by the same clock, else the latest that arrived. A claim that finds
//     nothing waits under all its keys and is taken by the first offer.
//
// By order, where messages are equal and have no identity (shard: the hash of
// the message):
//
//   - QueueOffer: one more message under Keys[0] (receiver and content) from
//     the sender Aux.
//   - QueueClaim: the next message under Keys[0], else under Keys[1], else
//     Keys[2]; from sender Aux, 0 where it is not known. It waits under the
//     last key given.
//
// By process (shard and Keys[0]: the process):
//
//   - Arrive: the message Aux lies in the process's mailbox; this span is its
//     arrival.
//
//   - Take: the process handles the message Aux, or one that is not known
//     when Aux is 0: then it is the one that waits, if exactly one does.
//
//   - Fail: what the process does next may be because of this. Any other
//     observation of the process but AtOnce ends that.
//
//   - AtOnce: claims the Fail that came just before.
//
//   - Exited: the process ended. What waits in queues for it is not for the
//     process that bears its id later.
//
// By order within Keys[0]:
//
//   - Set: the latest of Keys[0] is this span, with the value Aux.
//   - Previous: claims the latest of Keys[0] if its value is Aux, or whatever
//     its value when Aux is 0. It does not wait.
//
// By supervision (shard: the child's node):
//
//   - Spawned: the child Keys[0] was started by its spawner under a name: Aux
//     hashes both. It claims the abnormal Died of the only child of the same
//     Aux that lived.
//   - Died: the child Keys[0] ended, abnormally where Aux is not 0.
const (
	Offer OpKind = iota + 1
	Claim
	QueueOffer
	QueueClaim
	Arrive
	Take
	Fail
	AtOnce
	Exited
	Set
	Previous
	Spawned
	Died
)

// Rule is what the engine needs of a rule.
type Rule struct {
	Name string
	Type causal.Type
	// Confidence of its edges: 1 is an exact identity. Queue rules find 1 as
	// long as one sender is in question and say less otherwise.
	Confidence float64
	// Window is how long, in nanoseconds, its offers and waiting claims are
	// remembered; 0: as long as Config.Window, which is also the most.
	Window int64
	// Effects says how many effects one cause may have.
	Effects Effects
	// InOrder says that what is offered to a queue for the rule comes out in
	// order whoever sent it, as out of one mailbox.
	InOrder bool
	// Later demands that the effect begins after its cause by the spans' own
	// times, whatever their clocks.
	Later bool
}

// Effects says how many effects of one rule one cause may have. OneEffect holds
// whether the rule of the offer says so or that of the claim.
type Effects uint8

// A message may be delivered to many and again; an exit is signalled once to
// each process; a spawn has one first event.
const (
	ManyEffects Effects = iota
	OnePerProcess
	OneEffect
)

// Found is an edge between the observed span, which shall carry it, and Other.
type Found struct {
	Rule       uint16
	Confidence float64
	Other      causal.SpanRef
	// OtherIsCause is true where Other caused the observed span, false where
	// the observed span turns out to have caused Other, which came before it.
	OtherIsCause bool
}

// Result says, for each observation of a batch, what its span shall carry. It
// may be used again for the next batch.
type Result struct {
	found []found
	spans []carried
	// Scratch of inherit: see index.
	roots map[pcommon.TraceID]int
	late  map[causal.SpanRef]int
	// effects are, by trace, the trace of an effect that came before its cause.
	effects map[pcommon.TraceID]pcommon.TraceID
}

type carried struct {
	first, count int // in found
	inherited    Inherited
	fresh        bool // the batch is the first that its trace is seen in
	settled      bool // what it inherits is decided
}

// Inherited is what a span takes over from its trace's causal root.
type Inherited struct {
	// Correlation is the group; "" where there is none, or the span has its
	// own.
	Correlation string
	// Randomness is the causal root's, 56 bits, where HasRandomness is set.
	Randomness    uint64
	HasRandomness bool
}

// Count returns how many edges span i of the batch shall carry.
func (r *Result) Count(i int) int { return r.spans[i].count }

// Edge returns edge j of span i, the best first.
func (r *Result) Edge(i, j int) Found { return r.found[r.spans[i].first+j].Found }

// Inherited returns what span i of the batch inherits.
func (r *Result) Inherited(i int) Inherited { return r.spans[i].inherited }

func (r *Result) reset(spans int) {
	clear(r.found)
	r.found = r.found[:0]
	r.spans = append(r.spans[:0], make([]carried, spans)...)
}
