package causal

// Attribute keys on spans. Names that OpenTelemetry's semantic conventions
// have are used as they are; only what has none is called scope.*.
const (
	AttrEventID       = "scope.event.id"          // the native event a span came from; of a call's span: the call's
	AttrEventKind     = "scope.event.kind"        // call, send, receive, spawn, exit, state, error, recover, mark
	AttrEventSeq      = "scope.event.seq"         // integer; grows with arrival, orders the events of one process
	AttrReturnEventID = "scope.return.event.id"   // of a call's span: the event that closed it
	AttrReturnTime    = "scope.return.event.time" // integer, ns since the epoch; only where it is not the span's end
	AttrCallID        = "scope.call.id"           // what pairs return and call; on a call only where it is not the event's id
	AttrCallState     = "scope.call.state"        // one of the CallState values
	AttrCallMatch     = "scope.call.match"        // CallMatchName where an ambiguous name paired a return
	AttrActivityBegin = "scope.activity.begin"    // true on what began an activity in a trace of the sender's own
	AttrProcessID     = "scope.process.id"
	AttrProcessFirst  = "scope.process.first" // true on a process's first event
	AttrPeerID        = "scope.peer.id"
	AttrPeerNode      = "scope.peer.node"
	AttrPeerService   = "scope.peer.service"
	AttrChildID       = "scope.child.id"
	AttrChildNode     = "scope.child.node"
	AttrSignal        = "scope.signal" // exit, down
	AttrMessageHash   = "scope.message.hash"
	AttrMessagePhase  = "scope.message.phase" // arrived
	AttrEntityID      = "scope.entity.id"
	AttrEntityVersion = "scope.entity.version" // integer
	AttrStateFrom     = "scope.state.from"
	AttrStateTo       = "scope.state.to"
	AttrOutcome       = "scope.outcome"
	AttrCause         = "scope.cause" // a reference in text form, see event.Ref.String
	AttrCauseType     = "scope.cause.type"
	AttrTrigger       = "scope.trigger"
	AttrRecovers      = "scope.recovers"
	AttrCorrelationID = "scope.correlation.id"
	AttrPriority      = "scope.priority" // low, high; absent: normal
	// AttrSamplingRescued is true on a span that chance had not kept, and that
	// was handed on since its chain came to be one that must be kept. It counts
	// as nothing in estimates.
	AttrSamplingRescued = "scope.sampling.rescued"
)

// Attribute keys on links.
const (
	AttrLinkType       = "scope.link.type"
	AttrLinkRole       = "scope.link.role"       // LinkRoleCause (default) or LinkRoleEffect
	AttrLinkConfidence = "scope.link.confidence" // double, 0 < c <= 1
	AttrLinkRule       = "scope.link.rule"
)

// Values of AttrCallState.
const (
	CallReturned  = "returned"
	CallOpen      = "open"
	CallOrphan    = "orphan"
	CallUnwound   = "unwound"
	CallAbandoned = "abandoned"
)

// CallMatchName is the value of AttrCallMatch.
const CallMatchName = "name"

// Values of AttrLinkRole: what the linked span is to the one that carries the
// link.
const (
	LinkRoleCause  = "cause"
	LinkRoleEffect = "effect"
)
