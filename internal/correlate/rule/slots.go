package rule

import (
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
)

// Slots of the attributes that built-in rules speak of. Those that only users'
// rules name have the numbers from fixedSlots on.
const (
	slotEventID = iota
	slotEventKind
	slotReturnID
	slotCallState
	slotProcess
	slotFirst
	slotPeer
	slotPeerNode
	slotPeerService
	slotChild
	slotChildNode
	slotSignal
	slotHash
	slotPhase
	slotEntity
	slotVersion
	slotFrom
	slotTo
	slotOutcome
	slotCause
	slotCauseType
	slotTrigger
	slotRecovers
	slotCorrelation
	slotService
	slotInstance
	slotHost
	slotSystem
	slotDestination
	slotOldDestination
	slotRoutingKey
	slotOldRoutingKey
	slotMessageID
	slotOldMessageID
	slotOperation
	slotOldOperation
	slotPartition
	slotKafkaPartition
	slotOldPartition
	slotOffset
	slotOldOffset
	fixedSlots
)

// fixedSlot returns the slot of an attribute that built-in rules speak of, -1
// for others. The compiler makes it a search by length and bytes.
func fixedSlot(key string) int {
	switch key {
	case causal.AttrEventID:
		return slotEventID
	case causal.AttrEventKind:
		return slotEventKind
	case causal.AttrReturnEventID:
		return slotReturnID
	case causal.AttrCallState:
		return slotCallState
	case causal.AttrProcessID:
		return slotProcess
	case causal.AttrProcessFirst:
		return slotFirst
	case causal.AttrPeerID:
		return slotPeer
	case causal.AttrPeerNode:
		return slotPeerNode
	case causal.AttrPeerService:
		return slotPeerService
	case causal.AttrChildID:
		return slotChild
	case causal.AttrChildNode:
		return slotChildNode
	case causal.AttrSignal:
		return slotSignal
	case causal.AttrMessageHash:
		return slotHash
	case causal.AttrMessagePhase:
		return slotPhase
	case causal.AttrEntityID:
		return slotEntity
	case causal.AttrEntityVersion:
		return slotVersion
	case causal.AttrStateFrom:
		return slotFrom
	case causal.AttrStateTo:
		return slotTo
	case causal.AttrOutcome:
		return slotOutcome
	case causal.AttrCause:
		return slotCause
	case causal.AttrCauseType:
		return slotCauseType
	case causal.AttrTrigger:
		return slotTrigger
	case causal.AttrRecovers:
		return slotRecovers
	case causal.AttrCorrelationID:
		return slotCorrelation
	case "service.name":
		return slotService
	case "service.instance.id":
		return slotInstance
	case "host.name":
		return slotHost
	case "messaging.system":
		return slotSystem
	case "messaging.destination.name":
		return slotDestination
	case "messaging.destination":
		return slotOldDestination
	case "messaging.rabbitmq.destination.routing_key":
		return slotRoutingKey
	case "messaging.rabbitmq.routing_key":
		return slotOldRoutingKey
	case "messaging.message.id":
		return slotMessageID
	case "messaging.message_id":
		return slotOldMessageID
	case "messaging.operation.type":
		return slotOperation
	case "messaging.operation":
		return slotOldOperation
	case "messaging.destination.partition.id":
		return slotPartition
	case "messaging.kafka.destination.partition":
		return slotKafkaPartition
	case "messaging.kafka.partition":
		return slotOldPartition
	case "messaging.kafka.offset":
		return slotOffset
	case "messaging.kafka.message.offset":
		return slotOldOffset
	}
	return -1
}

// names are the slots of attributes that have no fixed one. Few have any, so
// the lengths of their keys, by their low 6 bits, are looked at first.
type names struct {
	lengths uint64
	slots   map[string]int
}

func (n *names) add(key string, slot int) {
	n.lengths |= 1 << (len(key) & 63)
	n.slots[key] = slot
}

// find returns the slot of an attribute, -1 where it has none.
func (n *names) find(key string) int {
	if i := fixedSlot(key); i >= 0 {
		return i
	}
	if n.lengths>>(len(key)&63)&1 != 0 {
		if i, ok := n.slots[key]; ok {
			return i
		}
	}
	return -1
}

// slots hold the attributes of one span or resource. What was put in at
// another round is not there.
type slots struct {
	all   []slot
	round uint64
}

type slot struct {
	value pcommon.Value
	round uint64
}

// fill puts attributes into their slots. Of attributes with the same key the
// first counts, as it does for pdata.
func (s *slots) fill(attributes pcommon.Map, n *names) {
	s.round++
	for key, value := range attributes.All() {
		i := n.find(key)
		if i < 0 {
			continue
		}
		if at := &s.all[i]; at.round != s.round {
			at.value, at.round = value, s.round
		}
	}
}

// get returns the attribute in slot i.
func (s *slots) get(i int) (pcommon.Value, bool) {
	at := &s.all[i]
	return at.value, at.round == s.round
}

// str returns the string in slot i, "" where there is none.
func (s *slots) str(i int) string {
	if v, ok := s.get(i); ok {
		return v.Str()
	}
	return ""
}

// hash hashes the text of the value in slot i. It is 0 where there is none, it
// is empty, or of a type that keys do not compare.
func (s *slots) hash(i int) uint64 {
	v, ok := s.get(i)
	if !ok {
		return 0
	}
	switch v.Type() {
	case pcommon.ValueTypeStr:
		if v.Str() != "" {
			return text(v.Str())
		}
	case pcommon.ValueTypeInt:
		var digits [20]byte
		return text(string(strconv.AppendInt(digits[:0], v.Int(), 10)))
	case pcommon.ValueTypeBool:
		return text(strconv.FormatBool(v.Bool()))
	}
	return 0
}
