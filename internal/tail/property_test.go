package tail

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/traceql"
)

// modelQueries are queries, and the names of the spans that match.
var modelQueries = map[string]string{
	`{}`: "abcd", `{name="a"}`: "a", `{name=~"a|b"}`: "ab", `{name!="d"}`: "abc", `{name="z"}`: "",
}

// model knows all that was ever published, and what each reader got of it.
type model struct {
	t       *rapid.T
	broker  *Broker
	names   string // of all spans, by number
	ids     []ID
	readers []*modelReader
	// delivered and lost are of all readers.
	delivered, lost int64
}

// modelReader is a subscription and how far what it got accounts for.
type modelReader struct {
	sub   *Subscription
	names string // of the spans that match
	at    int    // number of the first span that is not accounted for
	last  ID     // that it was told of
}

func (m *model) matching(r *modelReader, from, to int) (n int64) {
	for _, name := range m.names[from:to] {
		n += int64(strings.Count(r.names, string(name)))
	}
	return n
}

func (m *model) publish() {
	letters := rapid.StringMatching("[abcd]{1,6}").Draw(m.t, "letters")
	received, base := int64(100), uint32(0)
	if n := len(m.ids); n > 0 {
		received = m.ids[n-1].Received + rapid.Int64Range(0, 3).Draw(m.t, "later")
		if received == m.ids[n-1].Received {
			base = m.ids[n-1].Index + 1
		}
	}
	require.NoError(m.t, m.broker.Publish(received, spansOf(letters)))
	for i := range letters {
		m.ids = append(m.ids, ID{received, base + uint32(i)})
	}
	m.names += letters
}

func (m *model) subscribe() {
	text := rapid.SampledFrom(slices.Sorted(maps.Keys(modelQueries))).Draw(m.t, "query")
	r := &modelReader{names: modelQueries[text], at: len(m.ids)}
	if len(m.ids) > 0 {
		r.last = m.ids[len(m.ids)-1]
	}
	var after ID
	if len(m.ids) > 0 && rapid.Bool().Draw(m.t, "resume") {
		after = rapid.SampledFrom(m.ids).Draw(m.t, "after")
		after.Index += rapid.Uint32Range(0, 1).Draw(m.t, "beyond")
		after.Received += rapid.Int64Range(-1, 1).Draw(m.t, "beside")
		r.last = after
		r.at, _ = slices.BinarySearchFunc(m.ids, after, ID.compare)
		if r.at < len(m.ids) && m.ids[r.at] == after {
			r.at++
		}
	}
	var err error
	r.sub, err = m.broker.Subscribe(parse(m.t, text), after)
	require.NoError(m.t, err)
	m.readers = append(m.readers, r)
}

// take takes once and checks what came.
func (m *model) take(r *modelReader) (more bool) {
	held := int(m.broker.ring.first())
	joined := r.sub.joined
	events, more, err := r.sub.Take(nil)
	require.NoError(m.t, err)
	for i, e := range events {
		if e.Span == nil {
			require.Zero(m.t, i, "a gap is in front")
			m.gap(r, e, held, joined)
			continue
		}
		n := slices.Index(m.ids, e.ID)
		require.GreaterOrEqual(m.t, n, r.at, "%v is out of order, or came twice", e.ID)
		require.Zero(m.t, m.matching(r, r.at, n), "something is missing before %v", e.ID)
		require.Equal(m.t, m.names[n:n+1], string(e.Span))
		require.Contains(m.t, r.names, string(e.Span))
		r.at, r.last = n+1, e.ID
		m.delivered++
	}
	if !more {
		require.Zero(m.t, m.matching(r, r.at, len(m.ids)), "something is left")
		if len(m.ids) > 0 {
			r.last = m.ids[len(m.ids)-1]
		}
		r.at = len(m.ids)
		require.Equal(m.t, r.last, r.sub.Position())
	}
	r.last = r.sub.Position()
	return more
}

// gap checks what is said of a gap: it ends where the ring begins.
func (m *model) gap(r *modelReader, e Event, held int, joined bool) {
	require.Equal(m.t, r.last, e.Gap.Since)
	if e.Gap.Missed < 0 {
		require.NotEmpty(m.t, e.Gap.Reason)
		late := len(m.ids) == 0 || e.Gap.Since.compare(m.ids[len(m.ids)-1]) > 0
		if !joined && !late {
			require.Less(m.t, r.at, held+1, "nothing is missing")
		}
		r.at = max(r.at, held)
		return
	}
	require.Empty(m.t, e.Gap.Reason)
	require.Equal(m.t, m.ids[held-1], e.ID)
	require.Equal(m.t, m.matching(r, r.at, held), e.Gap.Missed)
	require.Positive(m.t, e.Gap.Missed)
	m.lost += e.Gap.Missed
	r.at, r.last = held, e.ID
}

func TestModel(t *testing.T) {
	commit := sizeOf("abcd")
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{t: rt, broker: newTestBroker(rapid.Int64Range(0, 6*commit).Draw(rt, "bytes"))}
		reader := func() *modelReader { return rapid.SampledFrom(m.readers).Draw(rt, "reader") }
		rt.Repeat(map[string]func(*rapid.T){
			"publish":   func(*rapid.T) { m.publish() },
			"publish2":  func(*rapid.T) { m.publish() },
			"subscribe": func(*rapid.T) { m.subscribe() },
			"take": func(*rapid.T) {
				if len(m.readers) > 0 {
					m.take(reader())
				}
			},
			"take all": func(*rapid.T) {
				if len(m.readers) > 0 {
					for r := reader(); m.take(r); {
					}
				}
			},
			"close": func(*rapid.T) {
				if len(m.readers) > 0 {
					r := reader()
					r.sub.Close()
					m.readers = slices.DeleteFunc(m.readers, func(other *modelReader) bool { return other == r })
				}
			},
			"": func(rt *rapid.T) {
				require.Equal(rt, Stats{len(m.readers), m.delivered, m.lost}, m.broker.Stats())
				var bytes int64
				for _, c := range m.broker.ring.commits {
					bytes += c.bytes
				}
				require.Equal(rt, bytes, m.broker.ring.bytes)
				require.True(rt, bytes <= m.broker.ring.max || len(m.broker.ring.commits) == 1)
			},
		})
		for _, r := range m.readers {
			for m.take(r) {
			}
			r.sub.Close()
		}
		require.Empty(rt, m.broker.topics)
	})
}

// TestManyReadersAtOnce has readers of all queries, which fall behind or leave
// and resume while one publishes: each gets all, or is told how much not.
func TestManyReadersAtOnce(t *testing.T) {
	const commits = 2000
	b := newTestBroker(40 * sizeOf("abcd"))
	var readers, begun sync.WaitGroup
	for text, names := range modelQueries {
		for i := range 4 {
			begun.Add(1)
			readers.Go(func() {
				r := liveReader{broker: b, text: text + ` || {name="end"}`}
				if err := r.subscribe(ID{}); err != nil {
					t.Error(err)
				}
				begun.Done()
				var err error
				for round := 0; err == nil && !r.ended; round++ {
					<-r.sub.Ready()
					err = r.take()
					if i == 1 { // slow
						for range 100 {
							runtime.Gosched()
						}
					}
					if i == 2 && round%5 == 0 && err == nil && !r.ended {
						err = r.subscribe(r.sub.Position())
					}
				}
				r.sub.Close()
				if want := int64(commits * len(names)); err != nil || !r.uncounted && r.got != want || r.got > want {
					t.Errorf("%s, reader %d: %d of %d, %v", text, i, r.got, want, err)
				}
			})
		}
	}
	begun.Wait()
	commit, end := spansOf("abcd"), storetest.Split(storetest.Traces(storetest.Spec{Name: "end"}))[0].Encode(0)
	for received := range int64(commits) {
		require.NoError(t, b.Publish(received+1, commit))
	}
	require.NoError(t, b.Publish(commits+1, []store.Span{end}))
	readers.Wait()
	require.Zero(t, b.Stats().Subscriptions)
}

// liveReader counts what it gets, and what it is told that it did not.
type liveReader struct {
	broker    *Broker
	text      string
	sub       *Subscription
	got       int64
	uncounted bool // something is missing, but nobody knows how much
	ended     bool
}

func (r *liveReader) subscribe(after ID) error {
	if r.sub != nil {
		r.sub.Close()
	}
	q, err := traceql.Parse(r.text)
	if err == nil {
		r.sub, err = r.broker.Subscribe(q, after)
	}
	return err
}

func (r *liveReader) take() error {
	for more := true; more; {
		var events []Event
		var err error
		if events, more, err = r.sub.Take(nil); err != nil {
			return err
		}
		for _, e := range events {
			switch {
			case string(e.Span) == "end":
				r.ended = true
			case e.Span != nil:
				r.got++
			case e.Gap.Missed < 0:
				r.uncounted = true
			default:
				r.got += e.Gap.Missed
			}
		}
	}
	return nil
}
