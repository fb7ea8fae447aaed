package otlpwire

import "google.golang.org/protobuf/encoding/protowire"

// Event is a view of one encoded Span.Event, to be reused like Span.
type Event struct {
	Time              uint64 // nanoseconds since the epoch
	Name              []byte
	Attributes        []Attr
	DroppedAttributes uint32
}

const (
	eventTime              = 1
	eventName              = 2
	eventAttributes        = 3
	eventDroppedAttributes = 4
)

// Parse makes e the view of the encoded event b.
func (e *Event) Parse(b []byte) error {
	*e = Event{Attributes: e.Attributes[:0]}
	c := fields{rest: b}
	for c.next() {
		switch c.num {
		case eventTime:
			e.Time = c.uint(protowire.Fixed64Type)
		case eventName:
			e.Name = c.bytes()
		case eventAttributes:
			e.Attributes = appendAttr(e.Attributes, &c)
		case eventDroppedAttributes:
			e.DroppedAttributes = uint32(c.uint(protowire.VarintType))
		}
	}
	return c.fail("Span.Event")
}
