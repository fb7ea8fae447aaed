package field

import (
	"unsafe"

	"github.com/otelscope/otelscope/internal/otlpwire"
)

// Taker takes a census of encoded spans. It is for one goroutine at a time.
type Taker struct {
	*Census
	span     otlpwire.Span
	event    otlpwire.Event
	resource []otlpwire.Attr
	origins  map[string]struct{}
	last     *byte // the last origin
}

// maxOrigins is how many origins a taker remembers, so as not to look into
// them again.
const maxOrigins = 1024

// NewTaker returns a Taker with an empty census.
func NewTaker() *Taker { return &Taker{Census: NewCensus(), origins: map[string]struct{}{}} }

// Take adds a span and its origin, see store.Span. Nothing of them is kept.
func (t *Taker) Take(origin, span []byte) error {
	if err := t.takeOrigin(origin); err != nil {
		return err
	}
	s := &t.span
	if err := s.Parse(span); err != nil {
		return err
	}
	t.Add(Name, nil, Text(s.Name))
	t.Add(Kind, nil, Int(int64(s.Kind)))
	t.Add(Status, nil, Int(int64(s.StatusCode)))
	t.Add(StatusMessage, nil, Text(s.StatusMessage))
	t.attributes(Span, s.Attributes)
	for _, e := range s.Events {
		if err := t.event.Parse(e); err != nil {
			return err
		}
		t.Add(EventName, nil, Text(t.event.Name))
		t.attributes(Event, t.event.Attributes)
	}
	return nil
}

func (t *Taker) takeOrigin(origin []byte) error {
	if first := unsafe.SliceData(origin); first != t.last {
		t.last = first
	} else if len(origin) > 0 {
		return nil
	}
	if _, seen := t.origins[string(origin)]; seen {
		return nil
	}
	o, err := otlpwire.ParseOrigin(origin)
	if err != nil {
		return err
	}
	if t.resource, err = otlpwire.AppendResourceAttributes(t.resource[:0], o.Resource); err != nil {
		return err
	}
	t.attributes(Resource, t.resource)
	if len(t.origins) == maxOrigins {
		clear(t.origins)
	}
	t.origins[string(origin)] = struct{}{}
	return nil
}

func (t *Taker) attributes(of Of, attrs []otlpwire.Attr) {
	for i := range attrs {
		if v, ok := Decode(attrs[i].Value); ok {
			t.Add(of, attrs[i].Key, v)
		}
	}
}
