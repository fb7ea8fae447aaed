package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// at puts a spec's span at a place and fills in what it says.
func at(s spec, place Place, fill ...func(ptrace.Span)) ptrace.Traces {
	td := s.traces()
	rs := td.ResourceSpans().At(0)
	if place.Service != "" {
		rs.Resource().Attributes().PutStr(attrService, place.Service)
	}
	if place.Node != "" {
		rs.Resource().Attributes().PutStr(attrNode, place.Node)
	}
	for _, f := range fill {
		f(rs.ScopeSpans().At(0).Spans().At(0))
	}
	return td
}

func encodedAt(s spec, place Place, fill ...func(ptrace.Span)) store.Span {
	return splitOne(at(s, place, fill...))
}

// process makes a span one of a process; seq 0 is none.
func process(id string, seq int64) func(ptrace.Span) {
	return func(s ptrace.Span) {
		s.Attributes().PutStr(causal.AttrProcessID, id)
		if seq != 0 {
			s.Attributes().PutInt(causal.AttrEventSeq, seq)
		}
	}
}

// texts are the entries in short.
func (t Timeline) texts() []string {
	var texts []string
	for _, e := range t.Entries {
		var r reader
		span, err := r.read(e.Span.Bytes)
		if err != nil {
			panic(err)
		}
		text := name(span.ref)
		for _, c := range e.Causes {
			text += causeText(c.Type, c.Cause.Ref, c.Confidence, c.Cause.Event, c.Cause.Missing)
		}
		texts = append(texts, text)
	}
	return texts
}

func causeText(t causal.Type, cause causal.SpanRef, confidence float64, event string, missing bool) string {
	text := fmt.Sprintf(" <%s %s %v", t, name(cause), confidence)
	if missing {
		return text + " missing"
	}
	return text + event
}

var home = Place{"shop", "n1"}

func TestTimeline(t *testing.T) {
	src := newSource(t, spec{ref: ref(1, 1), start: 1, event: "e1", links: []link{found(ref(2, 3), causal.MessageFlow).led()}})
	for _, td := range []ptrace.Traces{
		at(spec{ref: ref(2, 4), start: 20, parent: 3}, home, process("p", 2)),
		at(spec{ref: ref(2, 5), start: 20, parent: 8, links: []link{found(ref(9, 9), causal.StateTransition).at(0.9)}}, home, process("p", 1)),
		at(spec{ref: ref(2, 3), start: 10}, home, process("p", 7)),
		at(spec{ref: ref(2, 6), start: 30}, home, process("q", 8)),
		at(spec{ref: ref(2, 7), start: 25}, Place{"shop", "n2"}, process("q", 8)),
		at(spec{ref: ref(2, 0), start: 5}, home, process("p", 1)), // nothing can name it
	} {
		require.NoError(t, src.Write(t.Context(), td))
	}
	all := []string{
		"2.3 <message_flow 1.1 1e1",
		"2.5 <parent_child 2.8 1 missing <state_transition 9.9 0.9 missing",
		"2.4 <parent_child 2.3 1",
	}
	for name, c := range map[string]struct {
		process string
		change  func(*TimelineOptions)
		want    []string
	}{
		"all":          {"p", func(*TimelineOptions) {}, all},
		"of its place": {"p", func(o *TimelineOptions) { o.Place = home }, all},
		"of no place":  {"p", func(o *TimelineOptions) { o.Place.Node = "n3" }, nil},
		"nobody":       {"r", func(*TimelineOptions) {}, nil},
		"one of two":   {"q", func(o *TimelineOptions) { o.Place.Node = "n2" }, []string{"2.7"}},
		"a time":       {"p", func(o *TimelineOptions) { o.Range = Range{Start: 10, End: 20} }, all[:1]},
		"certain edges": {"p", func(o *TimelineOptions) {
			o.MinConfidence, o.Types = 1, []causal.Type{causal.StateTransition, causal.MessageFlow}
		}, []string{all[0], "2.5", "2.4"}},
	} {
		opts := TimelineOptions{Limit: 10, MaxBytes: math.MaxInt}
		c.change(&opts)
		got, err := ProcessTimeline(t.Context(), src, c.process, opts)
		require.NoError(t, err, name)
		require.Equal(t, c.want, got.texts(), name)
		require.False(t, got.Truncated, name)
		require.Empty(t, got.Cursor, name)
	}
	_, err := ProcessTimeline(t.Context(), src, "q", TimelineOptions{Limit: 10, MaxBytes: math.MaxInt})
	var several *AmbiguousError
	require.ErrorAs(t, err, &several)
	require.Equal(t, []Place{{"shop", "n1"}, {"shop", "n2"}}, several.Places)
	require.Contains(t, err.Error(), "n2")
}

// TestPlaces: what is asked for exactly is meant, whatever else there is.
func TestPlaces(t *testing.T) {
	src := newSource(t)
	for i, place := range []Place{{"shop", "n1"}, {"shop", ""}, {"pay", ""}, {"shop", ""}, {"shop", "n1"}} {
		n := uint64(i + 1)
		require.NoError(t, src.Write(t.Context(), at(spec{ref: ref(1, n), start: n}, place, process("p", 0))))
	}
	opts := TimelineOptions{Limit: 10, MaxBytes: math.MaxInt, Place: Place{Service: "shop"}}
	got, err := ProcessTimeline(t.Context(), src, "p", opts)
	require.NoError(t, err)
	require.Equal(t, []string{"1.2", "1.4"}, got.texts())
	require.Equal(t, Place{"shop", ""}, got.Place)

	for i := range uint64(2 * maxPlaces) {
		td := at(spec{ref: ref(2, i+1), start: 100 + i}, Place{Service: "shop", Node: fmt.Sprint("m", i)}, process("p", 0))
		require.NoError(t, src.Write(t.Context(), td))
	}
	got, err = ProcessTimeline(t.Context(), src, "p", opts)
	require.NoError(t, err)
	require.Equal(t, []string{"1.2", "1.4"}, got.texts())

	opts.Place = Place{}
	_, err = ProcessTimeline(t.Context(), src, "p", opts)
	var several *AmbiguousError
	require.ErrorAs(t, err, &several)
	require.Len(t, several.Places, maxPlaces)
}

// TestTimelineIsTheModel goes through timelines page by page.
func TestTimelineIsTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		specs := worlds(rt)
		src := newSource(t)
		type did struct {
			spec
			seq int64
		}
		var mine []did
		var written []spec
		for _, s := range specs {
			id, seq := rapid.SampledFrom([]string{"p", "q"}).Draw(rt, "process"), rapid.Int64Range(0, 3).Draw(rt, "seq")
			require.NoError(rt, src.Write(t.Context(), at(s, home, process(id, seq))))
			twice := slices.ContainsFunc(written, func(w spec) bool { return w.ref == s.ref && w.kind == s.kind })
			written = append(written, s)
			if id == "p" && !twice {
				mine = append(mine, did{s, seq})
			}
		}
		slices.SortFunc(mine, func(a, b did) int {
			return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.seq, b.seq), a.ref.Compare(b.ref), cmp.Compare(a.kind, b.kind))
		})
		within := Range{Start: rapid.Uint64Range(0, 5).Draw(rt, "from"), End: rapid.Uint64Range(15, 30).Draw(rt, "to")}
		filter := anyFilter(rt)
		edges := allEdges(rt, specs)
		var want []string
		for _, s := range mine {
			if !within.holds(s.start) {
				continue
			}
			text := name(s.ref)
			for _, e := range edges {
				if e.Effect != s.ref || !filter.accepts(&e) {
					continue
				}
				event := ""
				i := slices.IndexFunc(specs, func(s spec) bool { return s.ref == e.Cause })
				if i >= 0 {
					event = specs[i].event
				}
				text += causeText(e.Type, e.Cause, e.Confidence, event, i < 0)
			}
			want = append(want, text)
		}
		var got []string
		opts := TimelineOptions{Range: within, Filter: filter, Limit: rapid.IntRange(1, 5).Draw(rt, "limit"), MaxBytes: rapid.IntRange(1000, 2000).Draw(rt, "bytes")}
		for {
			answer, err := ProcessTimeline(t.Context(), src, "p", opts)
			require.NoError(rt, err)
			require.LessOrEqual(rt, len(answer.Entries), opts.Limit)
			require.Equal(rt, answer.Truncated, answer.Cursor != "")
			got = append(got, answer.texts()...)
			if opts.Cursor = answer.Cursor; opts.Cursor == "" {
				break
			}
			require.NotEmpty(rt, answer.Entries)
		}
		require.Equal(rt, want, got)
	})
}

// TestEarliest adds spans in any order.
func TestEarliest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		starts := rapid.SliceOfN(rapid.Uint64Range(1, 50), 0, 60).Draw(rt, "starts")
		e := earliest{limit: rapid.IntRange(1, 8).Draw(rt, "limit"), maxBytes: rapid.IntRange(1, 400).Draw(rt, "bytes")}
		var all []timed
		for i, start := range starts {
			m := moment{start: start, ref: ref(1, uint64(i+1))}
			span := store.Span{Bytes: make([]byte, rapid.IntRange(1, 100).Draw(rt, "size"))}
			all = append(all, timed{span, m})
			e.add(span, m)
			require.LessOrEqual(rt, len(e.kept), 2*e.limit)
			require.LessOrEqual(rt, e.bytes, max(2*e.maxBytes, 100))
		}
		e.cut()
		slices.SortFunc(all, func(a, b timed) int { return a.moment.compare(b.moment) })
		n, bytes := 0, 0
		for n < len(all) && n < e.limit && (n == 0 || bytes+len(all[n].Bytes) <= e.maxBytes) {
			bytes += len(all[n].Bytes)
			n++
		}
		require.Len(rt, e.kept, n)
		for i := range n {
			require.Equal(rt, all[i].moment, e.kept[i].moment)
		}
		require.Equal(rt, n < len(all), e.more)
		require.Equal(rt, bytes, e.bytes)
	})
}

// selecting is a source whose Select yields what it is given.
type selecting struct {
	*source
	yields []store.Span
	err    error
}

func (s selecting) Select(_ context.Context, sel store.Selection) iter.Seq2[store.Span, error] {
	return func(yield func(store.Span, error) bool) {
		matches := sel.NewMatcher()
		for _, span := range s.yields {
			ok, err := matches(span)
			if (err != nil || ok) && !yield(span, err) {
				return
			}
		}
		if s.err != nil {
			yield(store.Span{}, s.err)
		}
	}
}

func TestTimelineFailures(t *testing.T) {
	broken := errors.New("bad checksum")
	good := encodedAt(spec{ref: ref(1, 1), start: 1, parent: 2}, home, process("p", 1))
	opts := TimelineOptions{Limit: 1, MaxBytes: math.MaxInt}
	for name, src := range map[string]selecting{
		"select":  {source: newSource(t), err: broken},
		"span":    {source: newSource(t), yields: []store.Span{{Bytes: []byte{0xff}}}},
		"origin":  {source: newSource(t), yields: []store.Span{{Bytes: good.Bytes, Origin: []byte{0xff}}}},
		"causing": {source: failing(t, "Causing", broken), yields: []store.Span{good}},
		"causes":  {source: failing(t, "Spans", broken), yields: []store.Span{good}},
	} {
		_, err := ProcessTimeline(t.Context(), src, "p", opts)
		require.Error(t, err, name)
	}
	src := selecting{source: newSource(t), yields: []store.Span{good}}
	for _, cursor := range []string{"!", "AAAA", moment{}.String() + "A"} {
		opts := opts
		opts.Cursor = cursor
		_, err := ProcessTimeline(t.Context(), src, "p", opts)
		var bad *CursorError
		require.ErrorAs(t, err, &bad, cursor)
	}
	opts.MaxBytes = len(good.Bytes) + len(good.Origin) - 1
	_, err := ProcessTimeline(t.Context(), src, "p", opts)
	var large *SizeError
	require.ErrorAs(t, err, &large)
	require.Greater(t, large.Bytes, opts.MaxBytes)
}

func failing(t *testing.T, method string, err error) *source {
	s := newSource(t)
	s.fail[method] = err
	return s
}

// TestTimelineSaysThatCausesAreLeftOut: more spans name one as their effect
// than are read.
func TestTimelineSaysThatCausesAreLeftOut(t *testing.T) {
	src := newSource(t)
	require.NoError(t, src.Write(t.Context(), at(spec{ref: ref(1, 1), start: 1}, home, process("p", 1))))
	for i := range uint64(minCauses + 1) {
		cause := spec{ref: ref(2, i+1), links: []link{found(ref(1, 1), causal.MessageFlow).led()}}
		require.NoError(t, src.Write(t.Context(), cause.traces()))
	}
	got, err := ProcessTimeline(t.Context(), src, "p", TimelineOptions{Limit: 1, MaxBytes: math.MaxInt})
	require.NoError(t, err)
	require.True(t, got.Truncated)
	require.Empty(t, got.Cursor)
	require.Len(t, got.Entries[0].Causes, minCauses)
}

func TestCursorsComeBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := moment{
			start: rapid.Uint64().Draw(rt, "start"), seq: rapid.Int64().Draw(rt, "seq"), kind: ptrace.SpanKind(rapid.Int32().Draw(rt, "kind")),
			ref: ref(rapid.Uint64().Draw(rt, "trace"), rapid.Uint64().Draw(rt, "span")),
		}
		var back moment
		require.NoError(rt, back.parse(m.String()))
		require.Equal(rt, m, back)
	})
}
