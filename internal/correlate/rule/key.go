package rule

import (
	"fmt"
	"strings"
)

// destination is the key element that is computed: see computeDestination.
const destination = "@messaging.destination"

// computed stands in an element in the place of a slot.
const computed = -1

// element is one element of a key: the slots of its alternatives.
type element []int

// parseElement reads an element, whose attributes get slots from slot.
func parseElement(s string, slot func(attribute string) int) (element, error) {
	var e element
	for name := range strings.SplitSeq(s, "|") {
		name = strings.TrimSpace(name)
		switch {
		case name == "":
			return nil, fmt.Errorf("%q is not allowed: must be the name of an attribute, or several separated by |", s)
		case name == destination:
			e = append(e, computed)
		case name[0] == '@':
			return nil, fmt.Errorf("%q is not allowed: of what begins with @ only %s is known", s, destination)
		default:
			e = append(e, slot(name))
		}
	}
	return e, nil
}

// hash hashes the value of element i of the set, once a span; 0 where there is
// none.
func (x *Extractor) hash(i int) uint64 {
	v := &x.values[i]
	if v.round != x.span.round {
		v.round, v.hash = x.span.round, x.hashElement(x.set.elements[i].of)
	}
	return v.hash
}

func (x *Extractor) hashElement(e element) uint64 {
	for _, i := range e {
		if i == computed {
			if name := x.destination(); name != "" {
				return text(name)
			}
			continue
		}
		if h := x.span.hash(i); h != 0 {
			return h
		}
		if h := x.resource.hash(i); h != 0 {
			return h
		}
	}
	return 0
}

// key hashes a key of the relation, 0 where an element has no value.
func (x *Extractor) key(relation uint64, elements []int) uint64 {
	h := combine(tagRule, relation, uint64(len(elements)))
	for _, i := range elements {
		v := x.hash(i)
		if v == 0 {
			return 0
		}
		h = combine(tagElement, h, v)
	}
	return h
}

// destination returns where a messaging span's message went, "" where that is
// not said. The older conventions of RabbitMQ have the exchange there, which
// is empty for the default one, where the routing key names the queue; the
// newer have EXCHANGE:ROUTING KEY on the producer, and :QUEUE after it on the
// consumer.
func (x *Extractor) destination() string {
	for _, i := range [...]int{slotDestination, slotOldDestination, slotRoutingKey, slotOldRoutingKey} {
		name := x.span.str(i)
		if name == "" {
			continue
		}
		if i == slotDestination && x.span.str(slotSystem) == "rabbitmq" {
			return withoutQueue(name)
		}
		return name
	}
	return ""
}

// withoutQueue cuts off what follows a second colon.
func withoutQueue(name string) string {
	_, rest, ok := strings.Cut(name, ":")
	if !ok {
		return name
	}
	if i := strings.IndexByte(rest, ':'); i >= 0 {
		return name[:len(name)-len(rest)+i]
	}
	return name
}
