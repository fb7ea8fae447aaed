package tail

import (
	"errors"
	"slices"
	"sync"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/traceql"
)

// Options of a Broker.
type Options struct {
	// Bytes is how much is held of the latest commits, encoded spans included;
	// > 0. One commit may have more.
	Bytes int64
	// Subscriptions is how many there may be at once; > 0.
	Subscriptions int
	// Encode returns a span as its readers get it. Several goroutines call it
	// at once; it must not keep the span.
	Encode func(store.Span) ([]byte, error)
}

// ErrFull says that there are as many subscriptions as there may be.
var ErrFull = errors.New("there are as many subscriptions as there may be")

// Broker hands commits on to subscriptions. Publish is for one goroutine at a
// time, all else for any number of them.
type Broker struct {
	opts Options

	// The goroutine that publishes alone uses these.
	reader   query.Reader
	matchers *query.Matchers
	matched  []*topic // whose matchers those are

	mu      sync.Mutex
	ring    ring
	byQuery map[string]*topic // by canonical text
	topics  []*topic          // the same; replaced, never changed in place
	stats   Stats
}

// Stats are a broker's figures.
type Stats struct {
	Subscriptions int
	Delivered     int64 // spans that readers took
	Lost          int64 // that readers were told they lost, where that is known
}

// topic is a query that somebody is subscribed to. The broker's mutex guards
// all but matcher.
type topic struct {
	text    string
	matcher *query.Matcher
	from    uint64   // number of the first span that it looked at
	through uint64   // and of the first that it did not
	gone    uint64   // how many matches are not in numbers any more
	numbers []uint64 // of the spans that match and are held, rising
	readers []*Subscription
}

// NewBroker returns a broker of nothing yet.
func NewBroker(opts Options) *Broker {
	return &Broker{opts: opts, ring: ring{max: opts.Bytes}, byQuery: map[string]*topic{}}
}

// Stats returns the figures.
func (b *Broker) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats
}

// Publish tells of a commit: its time, which is not before that of the one
// before, and what it made complete. The broker keeps spans, which must not be
// changed. An error is the first span's that could not be read; such match
// nothing.
func (b *Broker) Publish(received int64, spans []store.Span) error {
	if len(spans) == 0 {
		return nil
	}
	b.mu.Lock()
	c := b.ring.push(received, spans)
	topics := b.topics
	b.mu.Unlock()
	if len(topics) == 0 {
		return nil
	}
	matches, err := b.match(c, topics)
	b.mu.Lock()
	defer b.mu.Unlock()
	first := b.ring.first()
	for i, t := range topics {
		t.forget(first)
		t.add(matches[i], c.end())
	}
	return err
}

// match returns the numbers of the spans that match each topic.
func (b *Broker) match(c *commit, topics []*topic) (matches [][]uint64, first error) {
	if !slices.Equal(b.matched, topics) {
		all := make([]*query.Matcher, len(topics))
		for i, t := range topics {
			all[i] = t.matcher
		}
		b.matchers, b.matched = query.NewMatchers(all), topics
	}
	matches = make([][]uint64, len(topics))
	for i, span := range c.spans {
		record, err := b.reader.Read(span)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		number := c.first + uint64(i)
		b.matchers.Match(record, func(t int) { matches[t] = append(matches[t], number) })
	}
	return matches, first
}

// add adds the matches among what comes before through.
func (t *topic) add(matches []uint64, through uint64) {
	t.through = through
	t.numbers = append(t.numbers, matches...)
	for _, s := range t.readers {
		if len(matches) > 0 || !s.joined {
			s.join()
			s.wake()
		}
	}
}

// forget lets go of what the ring has given up.
func (t *topic) forget(first uint64) {
	n, _ := slices.BinarySearch(t.numbers, first)
	t.numbers = t.numbers[n:]
	t.gone += uint64(n)
}

// Subscribe begins a subscription to what is committed behind the span that
// after names, or from now on for the zero ID. The caller closes it. Errors:
// *query.UnsupportedError, ErrFull.
func (b *Broker) Subscribe(q *traceql.Query, after ID) (*Subscription, error) {
	matcher, err := query.NewMatcher(q)
	if err != nil {
		return nil, err
	}
	text := q.String()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stats.Subscriptions >= b.opts.Subscriptions {
		return nil, ErrFull
	}
	b.stats.Subscriptions++
	t := b.byQuery[text]
	if t == nil {
		t = &topic{text: text, matcher: matcher, from: b.ring.next, through: b.ring.next}
		b.byQuery[text] = t
		b.topics = append(slices.Clip(b.topics), t)
	}
	s := &Subscription{broker: b, topic: t, ready: make(chan struct{}, 1)}
	if after == (ID{}) {
		s.cursor, s.last = b.ring.next, b.ring.behind(b.ring.next)
	} else {
		s.last = after
		s.cursor, s.reason = b.ring.after(after)
	}
	t.readers = append(t.readers, s)
	s.join()
	s.wake()
	return s, nil
}

// encode encodes what was not yet.
func (b *Broker) encode(items []*item) error {
	var fresh []*item
	for _, it := range items {
		it.once.Do(func() {
			it.json, it.err = b.opts.Encode(it.span)
			fresh = append(fresh, it)
		})
		if it.err != nil {
			return it.err
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, it := range fresh {
		b.ring.grew(it.of, itemBytes+int64(len(it.json)))
	}
	return nil
}

// leave ends a subscription.
func (b *Broker) leave(s *Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := s.topic
	n := slices.Index(t.readers, s)
	if n < 0 {
		return
	}
	b.stats.Subscriptions--
	t.readers = slices.Delete(t.readers, n, n+1)
	if len(t.readers) == 0 {
		delete(b.byQuery, t.text)
		b.topics = slices.DeleteFunc(slices.Clone(b.topics), func(other *topic) bool { return other == t })
	}
}
