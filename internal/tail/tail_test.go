package tail

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
)

func TestIDs(t *testing.T) {
	for _, id := range []ID{{1, 0}, {17, 4294967295}, {1<<63 - 1, 7}} {
		got, err := ParseID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, got)
	}
	require.Empty(t, ID{}.String())
	for _, text := range []string{"", "-", "17", "17-", "-1-0", "0-0", "017-0", "+17-0", "17-01", "17-0-0", "17-4294967296", "9223372036854775808-0", "17-0 ", "a-0", "17-b"} {
		_, err := ParseID(text)
		require.ErrorContains(t, err, "is no id of an event: must be <nanoseconds>-<number>", text)
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("17-0")
	f.Add("1700000000000000000-12")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := ParseID(text); err == nil {
			require.Equal(t, text, id.String())
			require.Positive(t, id.Received)
		}
	})
}

func TestSpansAreHandedOn(t *testing.T) {
	b := newTestBroker(1 << 20)
	require.NoError(t, b.Publish(5, spansOf("a")))
	all, as := subscribe(t, b, `{}`, ID{}), subscribe(t, b, `{name="a" || name="z"} | {name="a"}`, ID{})
	require.Equal(t, ID{5, 0}, all.Position())
	require.Empty(t, take(t, all), "what was before")
	require.NoError(t, b.Publish(7, nil))
	require.NoError(t, b.Publish(8, spansOf("aba")))
	require.NoError(t, b.Publish(9, spansOf("cz")))

	events, more, err := as.Take(nil)
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, []Event{{ID: ID{8, 0}, Span: []byte("a")}, {ID: ID{8, 2}, Span: []byte("a")}}, events)
	require.Equal(t, ID{9, 1}, as.Position(), "also behind what does not match")
	require.Equal(t, "abacz", take(t, all))
	require.Empty(t, take(t, all))
	require.Equal(t, Stats{Subscriptions: 2, Delivered: 7}, b.Stats())
}

func TestReadyWakesWhomItConcerns(t *testing.T) {
	b := newTestBroker(1 << 20)
	awake := func(s *Subscription) bool {
		select {
		case <-s.Ready():
			return true
		default:
			return false
		}
	}
	as, bs := subscribe(t, b, `{name="a"}`, ID{}), subscribe(t, b, `{name="b"}`, ID{})
	require.True(t, awake(as), "to begin with")
	require.True(t, awake(bs))
	require.NoError(t, b.Publish(1, spansOf("aa")))
	require.NoError(t, b.Publish(2, spansOf("a")))
	require.True(t, awake(as))
	require.False(t, awake(as), "once is enough")
	require.False(t, awake(bs))
}

func TestEachSpanIsEncodedOnce(t *testing.T) {
	encoded := 0
	b := NewBroker(Options{Bytes: 1 << 20, Subscriptions: 9, Encode: func(s store.Span) ([]byte, error) {
		encoded++
		return nameOf(s)
	}})
	subs := []*Subscription{
		subscribe(t, b, `{name="a"}`, ID{}), subscribe(t, b, `{ name = "a" }`, ID{}), subscribe(t, b, `{name!="b"}`, ID{}),
	}
	require.Len(t, b.topics, 2, "equal queries are one")
	require.NoError(t, b.Publish(1, spansOf("abab")))
	require.Zero(t, encoded, "nobody took it")
	for _, s := range subs {
		require.Equal(t, "aa", take(t, s))
	}
	require.Equal(t, 2, encoded)
}

func TestSlowReadersAreToldWhatTheyLost(t *testing.T) {
	b := newTestBroker(2*sizeOf("abc") + 1000)
	s := subscribe(t, b, `{name=~"a|b"}`, ID{})
	require.NoError(t, b.Publish(1, spansOf("aba")))
	require.NoError(t, b.Publish(2, spansOf("cab")))
	require.NoError(t, b.Publish(3, spansOf("bcc")))
	events, _, err := s.Take(nil)
	require.NoError(t, err)
	require.Equal(t, Event{ID: ID{1, 2}, Gap: Gap{Missed: 3}}, events[0])
	require.Equal(t, "a", string(events[1].Span))
	require.Len(t, events, 4)

	require.NoError(t, b.Publish(4, spansOf("ccc")))
	require.NoError(t, b.Publish(5, spansOf("ccc")))
	require.NoError(t, b.Publish(6, spansOf("abc")))
	require.Equal(t, "ab", take(t, s), "what did not match was not lost")
	for received := range int64(3) {
		require.NoError(t, b.Publish(7+received, spansOf("aaa")))
	}
	events, _, err = s.Take(nil)
	require.NoError(t, err)
	require.Equal(t, Event{ID: ID{7, 2}, Gap: Gap{Missed: 3, Since: ID{6, 2}}}, events[0])
	require.Equal(t, int64(6), b.Stats().Lost)

	for received := range int64(100) {
		require.NoError(t, b.Publish(20+received, spansOf("aaa")))
	}
	require.LessOrEqual(t, len(b.topics[0].numbers), 9, "also those that are not read are held in bounds")
	require.Equal(t, "<294>aaaaaa", take(t, s))
}

func TestResume(t *testing.T) {
	b := newTestBroker(1 << 20)
	require.NoError(t, b.Publish(10, spansOf("abc")))
	require.NoError(t, b.Publish(20, spansOf("ab")))
	require.NoError(t, b.Publish(20, spansOf("c")), "the same commit")
	require.NoError(t, b.Publish(30, spansOf("d")))
	for after, want := range map[ID]string{
		{10, 0}: "bcabcd", {10, 2}: "abcd", {10, 9}: "abcd", {15, 3}: "abcd", {20, 0}: "bcd", {20, 1}: "cd", {20, 2}: "d", {20, 3}: "d", {30, 0}: "",
		{9, 0}: "<?>abcabcd", {30, 1}: "<?>", {99, 0}: "<?>",
	} {
		s := subscribe(t, b, `{}`, after)
		require.Equal(t, want, take(t, s), after)
		require.Equal(t, ID{30, 0}, s.Position(), after)
		s.Close()
	}
	resumed := subscribe(t, b, `{name="b"}`, ID{10, 0})
	live := subscribe(t, b, `{name="b"}`, ID{})
	require.NoError(t, b.Publish(40, spansOf("ab")))
	require.Equal(t, "bbb", take(t, resumed))
	require.Equal(t, "b", take(t, live))
	require.Equal(t, "bbb", take(t, subscribe(t, b, `{name="b"}`, ID{10, 0})), "beside others")
	require.Equal(t, "b", take(t, subscribe(t, b, `{name="b"}`, ID{30, 0})))
}

func TestResumeAfterWhatIsGone(t *testing.T) {
	b := newTestBroker(2*sizeOf("abc") + 1000)
	s := subscribe(t, b, `{}`, ID{3, 0})
	events, _, err := s.Take(nil)
	require.NoError(t, err)
	require.Equal(t, []Event{{Gap: Gap{Missed: unknown, Since: ID{3, 0}, Reason: "nothing is held of what was committed before"}}}, events)
	require.Equal(t, ID{3, 0}, s.Position())
	for received := range int64(4) {
		require.NoError(t, b.Publish(10+received, spansOf("abc")))
	}
	s.Close()
	for after, want := range map[ID]string{
		{11, 2}: "abcabc", // the last that was given up
		{11, 1}: "<?>abcabc",
		{3, 0}:  "<?>abcabc",
	} {
		require.Equal(t, want, take(t, subscribe(t, b, `{}`, after)), after)
	}
	events, _, err = subscribe(t, b, `{}`, ID{10, 0}).Take(nil)
	require.NoError(t, err)
	require.Equal(t, Event{ID: ID{11, 2}, Gap: Gap{Missed: unknown, Since: ID{10, 0}, Reason: "what followed is not held any more"}}, events[0])
}

func TestReaderThatIsOvertakenWhileItResumes(t *testing.T) {
	b := newTestBroker(3*sizeOf("abc") + 1000)
	require.NoError(t, b.Publish(1, spansOf("abc")))
	require.NoError(t, b.Publish(2, spansOf("abc")))
	require.NoError(t, b.Publish(3, spansOf("abc")))
	s := subscribe(t, b, `{name="a"}`, ID{1, 2})
	require.NoError(t, b.Publish(4, spansOf("aba")))
	require.NoError(t, b.Publish(5, spansOf("abc")))
	events, more, err := s.Take(nil)
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, []Event{
		{ID: ID{2, 2}, Gap: Gap{Missed: unknown, Since: ID{1, 2}, Reason: "the reader was too slow while it resumed"}},
		{ID: ID{3, 0}, Span: []byte("a")},
	}, events)
	require.Equal(t, "aaa", take(t, s))

	s = subscribe(t, b, `{name="b"}`, ID{3, 2})
	for received := range int64(4) {
		require.NoError(t, b.Publish(6+received, spansOf("abc")))
	}
	require.Equal(t, "<?>bbb", take(t, s), "also past the place from where it would be counted")
	require.NoError(t, b.Publish(10, spansOf("abc")))
	require.Equal(t, "b", take(t, s))
}

// TestSubscribingWhileACommitIsMatched does step by step what Publish does
// while others subscribe.
func TestSubscribingWhileACommitIsMatched(t *testing.T) {
	b := newTestBroker(1 << 20)
	require.NoError(t, b.Publish(1, spansOf("a")))
	early := subscribe(t, b, `{name="a"}`, ID{})
	none := subscribe(t, b, `{name="z"}`, ID{})
	topics := b.topics
	c := b.ring.push(2, spansOf("abab"))

	within := subscribe(t, b, `{name="a"}`, ID{2, 0})
	behind := subscribe(t, b, `{name="a"}`, ID{})
	before := subscribe(t, b, `{name="a"}`, ID{1, 0})
	other := subscribe(t, b, `{name="b"}`, ID{2, 1})
	noneWithin := subscribe(t, b, `{name="z"}`, ID{2, 0})
	require.Empty(t, take(t, none)+take(t, noneWithin))
	for _, s := range []*Subscription{early, within, behind, before} {
		require.Empty(t, take(t, s))
	}
	require.Equal(t, "b", take(t, other), "a new topic is matched by its subscriptions")

	matches, err := b.match(c, topics)
	require.NoError(t, err)
	topics[0].add(matches[0], c.end())
	topics[1].add(matches[1], c.end())
	require.Empty(t, take(t, none)+take(t, noneWithin))
	require.Equal(t, ID{2, 3}, none.Position())
	<-noneWithin.Ready()
	require.Equal(t, ID{2, 3}, noneWithin.Position())
	require.Equal(t, "aa", take(t, early))
	require.Equal(t, "a", take(t, within))
	require.Equal(t, "", take(t, behind))
	require.Equal(t, "aa", take(t, before))
	require.NoError(t, b.Publish(3, spansOf("ab")))
	for _, s := range []*Subscription{early, within, behind, before} {
		require.Equal(t, "a", take(t, s))
	}
	require.Equal(t, "b", take(t, other))
}

// The topic may have lost matches before the subscription has come to it.
func TestJoiningATopicThatWentOn(t *testing.T) {
	topic := &topic{from: 10, through: 20, gone: 2, numbers: []uint64{15, 18}}
	for cursor, place := range map[uint64]uint64{10: 0, 15: 2, 16: 3, 20: 4} {
		s := &Subscription{topic: topic, cursor: cursor}
		s.join()
		require.True(t, s.joined)
		require.Equal(t, place, s.place, cursor)
	}
}

func TestTakesAreBounded(t *testing.T) {
	b := newTestBroker(1 << 30)
	s := subscribe(t, b, `{}`, ID{})
	many := make([]store.Span, 0, 3000)
	for range 1000 {
		many = append(many, spansWith("abc", 0)...)
	}
	require.NoError(t, b.Publish(1, many))
	live, more, err := s.Take(nil)
	require.NoError(t, err)
	require.True(t, more)
	require.Len(t, live, takeEvents)
	require.Len(t, take(t, s), 3000-takeEvents)

	s = subscribe(t, b, `{}`, ID{1, 0})
	resumed, more, err := s.Take(nil)
	require.NoError(t, err)
	require.True(t, more)
	require.Len(t, resumed, takeEvents)
	s = subscribe(t, b, `{name="z"}`, ID{1, 0})
	none, more, err := s.Take(nil)
	require.NoError(t, err)
	require.True(t, more)
	require.Empty(t, none)
	require.Equal(t, ID{1, takeLooks}, s.Position())

	following := subscribe(t, b, `{name="a"}`, ID{})
	require.NoError(t, b.Publish(2, spansWith("aaa", takeBytes/2)))
	for _, s := range []*Subscription{following, subscribe(t, b, `{name="a"}`, ID{1, 2999}), subscribe(t, b, `{name=~"a"}`, ID{1, 2999})} {
		events, _, err := s.Take(nil)
		require.NoError(t, err)
		require.Len(t, events, 1)
		require.Equal(t, "aa", take(t, s))
	}
}

func TestEncodedSpansCount(t *testing.T) {
	b := NewBroker(Options{Bytes: 100_000, Subscriptions: 9, Encode: func(store.Span) ([]byte, error) { return make([]byte, 90_000), nil }})
	s := subscribe(t, b, `{}`, ID{})
	require.NoError(t, b.Publish(1, spansOf("a")))
	require.NoError(t, b.Publish(2, spansOf("b")))
	require.Len(t, b.ring.commits, 2)
	events, _, err := s.Take(nil)
	require.NoError(t, err)
	require.Len(t, events, 2)
	require.Len(t, b.ring.commits, 1, "the newest is held whatever it takes")
	require.Equal(t, sizeOf("b")+itemBytes+90_000, b.ring.bytes)
}

func TestManySubscriptions(t *testing.T) {
	b := newTestBroker(1 << 20)
	b.opts.Subscriptions = 2
	first := subscribe(t, b, `{}`, ID{})
	subscribe(t, b, `{name="a"}`, ID{})
	_, err := b.Subscribe(parse(t, `{}`), ID{})
	require.ErrorIs(t, err, ErrFull)
	first.Close()
	first.Close()
	require.Len(t, b.topics, 1)
	subscribe(t, b, `{}`, ID{})
	require.Equal(t, 2, b.Stats().Subscriptions)
}

func TestNothingIsLeftOfThem(t *testing.T) {
	b := newTestBroker(1 << 20)
	for range 3 {
		s := subscribe(t, b, `{}`, ID{})
		other := subscribe(t, b, `{}`, ID{})
		s.Close()
		require.Len(t, b.topics, 1)
		other.Close()
	}
	require.Empty(t, b.topics)
	require.Empty(t, b.byQuery)
	require.Zero(t, b.Stats().Subscriptions)
}

func TestQueriesThatAreNotAboutOneSpan(t *testing.T) {
	b := newTestBroker(1 << 20)
	for _, text := range []string{`{} -> {}`, `{} >> {}`, `{} && {}`, `{} | count() > 1`, `{rootName="a"}`} {
		_, err := b.Subscribe(parse(t, text), ID{})
		require.ErrorAs(t, err, new(*query.UnsupportedError), text)
	}
	require.Zero(t, b.Stats().Subscriptions)
}

func TestBrokenSpans(t *testing.T) {
	broken := store.Span{Bytes: []byte{0xff}}
	b := NewBroker(Options{Bytes: 1 << 20, Subscriptions: 9, Encode: func(s store.Span) ([]byte, error) {
		if string(s.Bytes) == string(broken.Bytes) {
			return nil, errors.New("broken")
		}
		name, err := nameOf(s)
		if string(name) == "x" {
			err = errors.New("no JSON has it")
		}
		return name, err
	}})
	require.NoError(t, b.Publish(1, spansOf("a")))
	require.NoError(t, b.Publish(2, []store.Span{broken}), "nobody looked at it")
	resumed := subscribe(t, b, `{}`, ID{1, 0})
	_, _, err := resumed.Take(nil)
	require.Error(t, err)

	live := subscribe(t, b, `{}`, ID{})
	require.Error(t, b.Publish(3, append(spansOf("ab"), broken)))
	require.Equal(t, "ab", take(t, live))
	require.NoError(t, b.Publish(4, spansOf("axb")))
	_, _, err = live.Take(nil)
	require.ErrorContains(t, err, "no JSON has it")
}
