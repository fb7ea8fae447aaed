package tail

import (
	"slices"

	"github.com/otelscope/otelscope/internal/query"
)

// Event is what a reader gets: a span, or word of a gap in front of what
// follows.
type Event struct {
	// ID is what to resume after to go on behind the event; of a gap it may be
	// zero, where nothing is known of what was in it.
	ID ID
	// Span is the encoded span, nil for a gap. It is shared: not to be changed.
	Span []byte
	Gap  Gap
}

// Gap says that spans are left out.
type Gap struct {
	// Missed is how many match; negative where that is not known.
	Missed int64
	// Since is the place up to which nothing is missing; zero for none.
	Since ID
	// Reason says why it is not known.
	Reason string
}

// unknown is how many are missed where nobody counted.
const unknown = -1

// Bounds of what one Take returns and looks at.
const (
	takeEvents = 256
	takeBytes  = 64 << 10 // of encoded OTLP; the first span may have more
	takeLooks  = 1024     // spans that are matched on the way to the topic
)

// Subscription reads what matches a query. It is for one goroutine, but Close
// may be called by any.
type Subscription struct {
	broker *Broker
	topic  *topic
	ready  chan struct{}
	reader query.Reader // on the way to the topic

	// The broker's mutex guards the rest.
	joined bool   // it reads the topic's numbers, from the match of this place on
	place  uint64 // among all of the topic's matches; once joined
	cursor uint64 // number of the span it is at; before it joined
	last   ID     // up to here the reader has all, or was told what not
	reason string // why a gap is in front of all else; "" for none
}

// Ready returns a channel that yields when Take may have something, and now
// and then when not.
func (s *Subscription) Ready() <-chan struct{} { return s.ready }

func (s *Subscription) wake() {
	select {
	case s.ready <- struct{}{}:
	default: // it is awake
	}
}

// Close ends the subscription. Calling it twice is safe.
func (s *Subscription) Close() { s.broker.leave(s) }

// Take appends to events what there is for the reader, in the order of
// commits, and does not wait. More says that it is to be called again at once:
// there is, or may be, more. Errors are of spans that cannot be read or
// encoded; nothing can be taken after one.
func (s *Subscription) Take(events []Event) (_ []Event, more bool, err error) {
	gap, items, more, err := s.next()
	if err != nil {
		return events, false, err
	}
	if gap != nil {
		events = append(events, *gap)
	}
	if err := s.broker.encode(items); err != nil {
		return events, false, err
	}
	for _, it := range items {
		events = append(events, Event{ID: it.id, Span: it.json})
	}
	return events, more, nil
}

// next moves on.
func (s *Subscription) next() (gap *Event, items []*item, more bool, err error) {
	b, t := s.broker, s.topic
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.ring.first()
	t.forget(first)
	if s.cursor < first && !s.joined {
		s.reason = "the reader was too slow while it resumed"
	}
	if s.reason != "" {
		s.cursor, s.place = max(s.cursor, first), max(s.place, t.gone)
		gap = s.gap(unknown, s.cursor)
		s.join()
	}
	if !s.joined {
		if s.cursor >= t.from {
			return gap, nil, false, nil // the topic is at it, and will wake it
		}
		items, err = s.approach()
		return gap, items, true, err
	}
	if s.place < t.gone {
		gap = s.gap(int64(t.gone-s.place), first)
		b.stats.Lost += gap.Gap.Missed
		s.place = t.gone
	}
	items, more = s.follow()
	return gap, items, more, nil
}

// gap says that something is left out in front of a number.
func (s *Subscription) gap(missed int64, number uint64) *Event {
	e := &Event{ID: s.broker.ring.behind(number), Gap: Gap{Missed: missed, Since: s.last, Reason: s.reason}}
	s.reason = ""
	if e.ID != (ID{}) {
		s.last = e.ID
	}
	return e
}

// join goes over to the topic's matches, once the topic has looked at all that
// comes before the cursor, and at the cursor or nothing before.
func (s *Subscription) join() {
	t := s.topic
	if s.joined || s.cursor < t.from || s.cursor > t.through {
		return
	}
	s.joined = true
	if s.cursor > t.from { // or else all matches are still to come, or gone
		n, _ := slices.BinarySearch(t.numbers, s.cursor)
		s.place = t.gone + uint64(n)
	}
}

// follow takes the topic's matches.
func (s *Subscription) follow() (items []*item, more bool) {
	t, r := s.topic, &s.broker.ring
	waiting := t.numbers[s.place-t.gone:]
	size := 0
	for _, number := range waiting {
		it := r.at(number).item(number)
		size += len(it.span.Bytes)
		if len(items) == takeEvents || len(items) > 0 && size > takeBytes {
			return items, true
		}
		items = append(items, it)
		s.place++
		s.last = it.id
		s.broker.stats.Delivered++
	}
	if t.through > r.first() {
		s.last = r.behind(t.through)
	}
	return items, false
}

// approach looks at what its topic did not, in one commit. The mutex is not
// held while it looks.
func (s *Subscription) approach() (items []*item, err error) {
	b, t := s.broker, s.topic
	c := b.ring.at(s.cursor)
	from, end := s.cursor, min(c.end(), t.from, s.cursor+takeLooks)
	b.mu.Unlock()
	var matches []uint64
	size := 0
	for ; from < end; from++ {
		span := c.spans[from-c.first]
		record, err := s.reader.Read(span)
		if err != nil {
			b.mu.Lock()
			return nil, err
		}
		if !t.matcher.Matches(record) {
			continue
		}
		size += len(span.Bytes)
		if len(matches) == takeEvents || len(matches) > 0 && size > takeBytes {
			break
		}
		matches = append(matches, from)
	}
	b.mu.Lock()
	s.cursor = from
	s.last = c.id(from - 1)
	for _, number := range matches {
		items = append(items, c.item(number))
	}
	b.stats.Delivered += int64(len(items))
	s.join()
	return items, nil
}

// Position is the place that the reader has come to: to resume after it is to
// miss nothing and to get nothing twice. It is zero if nothing was committed
// yet.
func (s *Subscription) Position() ID {
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	return s.last
}
