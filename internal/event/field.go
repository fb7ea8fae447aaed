package event

// field numbers a field of an event. The numbers are those of
// proto/scope/v1/event.proto, so that both codecs share one table.
type field uint8

const (
	fieldUnknown field = iota
	fieldID
	fieldKind
	fieldTime
	fieldService
	fieldNode
	fieldProcess
	fieldName
	fieldCallID
	fieldMessageID
	fieldMessageHash
	fieldPhase
	fieldPeer
	fieldPeerNode
	fieldPeerService
	fieldAttributes
	fieldSignal
	fieldChild
	fieldEntity
	fieldVersion
	fieldFrom
	fieldTo
	fieldOutcome
	fieldError
	fieldTrigger
	fieldRecovers
	fieldCause
	fieldCauseType
	fieldCorrelationID
	fieldTraceID
	fieldSpanID
	fieldParentSpanID
	fieldPriority
	fieldCount
)

var fieldNames = [fieldCount]string{
	fieldID:            "id",
	fieldKind:          "kind",
	fieldTime:          "time",
	fieldService:       "service",
	fieldNode:          "node",
	fieldProcess:       "process",
	fieldName:          "name",
	fieldCallID:        "call_id",
	fieldMessageID:     "message_id",
	fieldMessageHash:   "message_hash",
	fieldPhase:         "phase",
	fieldPeer:          "peer",
	fieldPeerNode:      "peer_node",
	fieldPeerService:   "peer_service",
	fieldAttributes:    "attributes",
	fieldSignal:        "signal",
	fieldChild:         "child",
	fieldEntity:        "entity",
	fieldVersion:       "version",
	fieldFrom:          "from",
	fieldTo:            "to",
	fieldOutcome:       "outcome",
	fieldError:         "error",
	fieldTrigger:       "trigger",
	fieldRecovers:      "recovers",
	fieldCause:         "cause",
	fieldCauseType:     "cause_type",
	fieldCorrelationID: "correlation_id",
	fieldTraceID:       "trace_id",
	fieldSpanID:        "span_id",
	fieldParentSpanID:  "parent_span_id",
	fieldPriority:      "priority",
}

func (f field) String() string { return fieldNames[f] }

// fieldNamed returns fieldUnknown for a name that is none, in this exact case.
func fieldNamed(name []byte) field {
	switch string(name) {
	case "id":
		return fieldID
	case "kind":
		return fieldKind
	case "time":
		return fieldTime
	case "service":
		return fieldService
	case "node":
		return fieldNode
	case "process":
		return fieldProcess
	case "name":
		return fieldName
	case "call_id":
		return fieldCallID
	case "message_id":
		return fieldMessageID
	case "message_hash":
		return fieldMessageHash
	case "phase":
		return fieldPhase
	case "peer":
		return fieldPeer
	case "peer_node":
		return fieldPeerNode
	case "peer_service":
		return fieldPeerService
	case "attributes":
		return fieldAttributes
	case "signal":
		return fieldSignal
	case "child":
		return fieldChild
	case "entity":
		return fieldEntity
	case "version":
		return fieldVersion
	case "from":
		return fieldFrom
	case "to":
		return fieldTo
	case "outcome":
		return fieldOutcome
	case "error":
		return fieldError
	case "trigger":
		return fieldTrigger
	case "recovers":
		return fieldRecovers
	case "cause":
		return fieldCause
	case "cause_type":
		return fieldCauseType
	case "correlation_id":
		return fieldCorrelationID
	case "trace_id":
		return fieldTraceID
	case "span_id":
		return fieldSpanID
	case "parent_span_id":
		return fieldParentSpanID
	case "priority":
		return fieldPriority
	}
	return fieldUnknown
}

// text returns where a field of free text is kept, nil for other fields.
func (e *Event) text(f field) *string {
	switch f {
	case fieldService:
		return &e.Service
	case fieldNode:
		return &e.Node
	case fieldProcess:
		return &e.Process
	case fieldName:
		return &e.Name
	case fieldCallID:
		return &e.CallID
	case fieldMessageID:
		return &e.MessageID
	case fieldMessageHash:
		return &e.MessageHash
	case fieldPeer:
		return &e.Peer
	case fieldPeerNode:
		return &e.PeerNode
	case fieldPeerService:
		return &e.PeerService
	case fieldChild:
		return &e.Child
	case fieldEntity:
		return &e.Entity
	case fieldFrom:
		return &e.From
	case fieldTo:
		return &e.To
	case fieldCorrelationID:
		return &e.CorrelationID
	}
	return nil
}

// ref returns where a field that names another event is kept, nil for other
// fields.
func (e *Event) ref(f field) **Ref {
	switch f {
	case fieldTrigger:
		return &e.Trigger
	case fieldRecovers:
		return &e.Recovers
	case fieldCause:
		return &e.Cause
	}
	return nil
}
