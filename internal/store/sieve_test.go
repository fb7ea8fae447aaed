package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// sifted are conditions that look everywhere in a span.
var sifted = []store.Condition{
	nil, store.All{}, store.Any{},
	is("k", "v"), is("k", int64(5)), is("", true), is(strings.Repeat("k", 64+1), "v"), is(strings.Repeat("k", 200), "v"),
	store.Has{Field: store.Field{Of: store.OfResource, Key: "r"}, Value: "v"},
	store.Has{Field: store.Field{Of: store.OfEvent, Key: "k"}, Value: "v"},
	store.Has{Field: store.Field{Of: store.OfEventName}, Value: "happened"},
	store.Has{Field: store.Field{Of: store.OfName}, Value: "name"}, store.Has{Field: store.Field{Of: store.OfName}, Value: ""},
	store.Has{Field: store.Field{Of: store.OfKind}, Value: int64(2)}, store.Has{Field: store.Field{Of: store.OfKind}, Value: int64(0)},
	failed, store.Has{Field: store.Field{Of: store.OfStatus}, Value: int64(0)},
	store.Has{Field: store.Field{Of: store.OfStatusMessage}, Value: "message"},
	store.Among{Field: named, Accept: func(s string) bool { return s > "m" }},
	store.Lasted{Min: 3, Max: 9}, store.Lasted{Max: 0},
	store.All{is("k", "v"), store.Lasted{Min: 1, Max: 9}}, store.Any{is("k", "v"), store.Lasted{Min: 1, Max: 9}},
}

// sift compares what the sieve says of a span with what pdata and the
// conditions do.
func sift(t *testing.T, s store.Span) {
	p, err := storetest.Decode(s)
	if err != nil {
		return
	}
	start := uint64(p.Span().StartTimestamp())
	for i, c := range sifted {
		passes, err := store.Sieve(store.Selection{Where: c})(&s)
		if err != nil {
			return // pdata lets some things pass that it never writes
		}
		require.Equal(t, p.Fulfils(c), passes, "condition %d: %+v of %q", i, c, s.Bytes)
	}
	for _, sel := range []store.Selection{{Start: start, End: start + 1}, {Start: start}, {Start: start + 1}, {End: start}, {Start: 5, End: 9}} {
		passes, err := store.Sieve(sel)(&s)
		require.NoError(t, err)
		require.Equal(t, sel.Start <= start && (sel.End == 0 || start < sel.End), passes, "%+v of %d", sel, start)
	}
}

func siftedSpans() (spans []store.Span) {
	for i := range 4 {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("r", "v")
		s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		if i > 0 {
			s.SetName("name")
			s.SetStartTimestamp(5)
			s.SetEndTimestamp(10)
			s.SetKind(2)
			s.SetFlags(1)
			s.Status().SetCode(2)
		}
		if i > 1 {
			s.Attributes().PutStr("k", "v")
			s.Attributes().PutBool("", true)
			s.Attributes().PutStr(strings.Repeat("k", 65), "v")
			s.Attributes().PutStr(strings.Repeat("k", 200), "v")
			e := s.Events().AppendEmpty()
			e.SetName("happened")
			e.Attributes().PutStr("k", "v")
		}
		if i > 2 {
			s.Attributes().PutInt("k", 5)
			s.Status().SetMessage("message")
			s.SetName(strings.Repeat("n", 300))
			s.SetStartTimestamp(11)
		}
		spans = append(spans, storetest.Split(td)[0].Encode(1))
	}
	return spans
}

func TestSieve(t *testing.T) {
	for _, s := range siftedSpans() {
		sift(t, s)
	}
}

func TestSieveOfWhatIsNoSpan(t *testing.T) {
	all := store.Selection{Where: store.Any(slices.DeleteFunc(slices.Clone(sifted[2:]), func(c store.Condition) bool { return c == nil }))}
	for _, bad := range []string{
		"\xff", "\x0a", "\x0a\x80", "\x0a\x05a", "\x39\x01", "\x30\x80", "\x0b", "\x80\x01",
		"\x4a\x02\x0a\x7f", "\x4a\x03\x0a\x01k\x4a\x05\x0a\x01k\x12\x09",
		"\x5a\x02\x12\x05", "\x7a\x01\xff", "\x7a\x02\x18\x80", "\x7a\x02\x12\x05", "\x7a\x01\x0b",
	} {
		_, err := store.Sieve(all)(&store.Span{Bytes: []byte(bad)})
		require.ErrorContains(t, err, "stored span", "%q", bad)
	}
	for _, bad := range []string{"\x0a\x05", "\x0a\x02\x0a\x09\x12\x00"} {
		_, err := store.Sieve(all)(&store.Span{Origin: []byte(bad)})
		require.ErrorContains(t, err, "stored span", "%q", bad)
	}
}

// TestSieveOfManyOrigins has more than a sieve remembers.
func TestSieveOfManyOrigins(t *testing.T) {
	st, err := store.Open(store.Config{Directory: t.TempDir(), ReserveBytes: -1})
	require.NoError(t, err)
	var specs []storetest.Spec
	for i := range uint64(3000) {
		specs = append(specs, storetest.Spec{Service: fmt.Sprint("service ", i%1500), Trace: 1, Span: i + 1})
	}
	require.NoError(t, st.Write(ctx, storetest.Traces(specs...)))
	for range 2 {
		found, err := selected(st, store.Selection{Where: store.Has{Field: store.Field{Of: store.OfResource, Key: "service.name"}, Value: "service 7"}})
		require.NoError(t, err)
		require.Len(t, found, 2)
		require.NoError(t, store.Cut(st))
	}
	require.NoError(t, st.Close(ctx))
}

func FuzzSieve(f *testing.F) {
	for _, s := range siftedSpans() {
		f.Add([]byte(s.Bytes))
	}
	f.Fuzz(func(t *testing.T, span []byte) { sift(t, store.Span{Origin: []byte{0x12, 0}, Bytes: span}) })
}
