package query

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
)

// change makes a span a transition; version 0 is none.
func change(entity, from, to string, version int64) func(ptrace.Span) {
	return func(s ptrace.Span) {
		a := s.Attributes()
		for key, value := range map[string]string{causal.AttrEntityID: entity, causal.AttrStateFrom: from, causal.AttrStateTo: to} {
			if value != "" {
				a.PutStr(key, value)
			}
		}
		if version != 0 {
			a.PutInt(causal.AttrEntityVersion, version)
		}
		a.PutStr(causal.AttrEventKind, stateKind)
	}
}

// text is an answer in short.
func (s State) text() string {
	text := fmt.Sprintf("%v %q", s.Known, s.State)
	if s.Since != nil {
		text += fmt.Sprintf(" since %s@%d", name(s.Since.Ref), s.Since.Time)
	}
	for _, t := range s.History {
		text += fmt.Sprintf(" %s:%s>%s", name(t.Ref), t.From, t.To)
		for _, c := range t.Causes {
			text += "<" + name(c.Cause.Ref)
		}
	}
	if s.Truncated {
		text += " truncated"
	}
	return text
}

// order17 is an order whose third change was timed too early, and a process
// that has states of its own.
func order17(t testing.TB) *source {
	src := newSource(t)
	for _, td := range []ptrace.Traces{
		at(spec{ref: ref(1, 1), start: 10}, home, change("o", "new", "paid", 2)),
		at(spec{ref: ref(1, 2), start: 20, links: []link{found(ref(1, 1), causal.StateTransition)}}, Place{"shop", "n2"}, change("o", "paid", "sent", 3)),
		at(spec{ref: ref(1, 3), start: 15}, home, change("o", "sent", "lost", 4)),
		at(spec{ref: ref(1, 4), start: 12}, home, change("o", "", "seen", 0)),
		at(spec{ref: ref(1, 0), start: 90}, home, change("o", "", "nameless", 0)),
		at(spec{ref: ref(1, 5), start: 90}, home, change("o", "", "", 9)),
		at(spec{ref: ref(2, 1), start: 10, event: "e"}, home, change("", "idle", "busy", 0), process("p", 1)),
		at(spec{ref: ref(2, 2), start: 10}, home, change("", "busy", "idle", 0), process("p", 2)),
		at(spec{ref: ref(2, 3), start: 5}, home, change("o2", "a", "b", 0), process("p", 3)),
		at(spec{ref: ref(3, 1), start: 7}, Place{Service: "pay"}, change("both", "", "x", 0)),
		at(spec{ref: ref(3, 2), start: 8}, home, change("", "", "y", 0), process("both", 0)),
	} {
		require.NoError(t, src.Write(t.Context(), td))
	}
	return src
}

func TestState(t *testing.T) {
	src := order17(t)
	for name, c := range map[string]struct {
		entity string
		at     uint64
		limit  int
		place  Place
		want   string
	}{
		"now":                     {"o", 0, 9, Place{}, `true "lost" since 1.3@15 1.1:new>paid 1.4:>seen 1.2:paid>sent<1.1 1.3:sent>lost`},
		"the end of time":         {"o", math.MaxUint64, 9, Place{}, `true "lost" since 1.3@15 1.1:new>paid 1.4:>seen 1.2:paid>sent<1.1 1.3:sent>lost`},
		"a time":                  {"o", 15, 9, Place{}, `true "lost" since 1.3@15 1.1:new>paid 1.4:>seen 1.3:sent>lost`},
		"an earlier time":         {"o", 14, 9, Place{}, `true "seen" since 1.4@12 1.1:new>paid 1.4:>seen`},
		"the first":               {"o", 10, 9, Place{}, `true "paid" since 1.1@10 1.1:new>paid`},
		"before the first":        {"o", 9, 9, Place{}, `true "new"`},
		"before, and not said":    {"both", 1, 9, Place{Service: "pay"}, `true ""`},
		"the last ones":           {"o", 0, 2, Place{}, `true "lost" since 1.3@15 1.2:paid>sent<1.1 1.3:sent>lost truncated`},
		"of a service":            {"o", 0, 1, Place{Service: "shop"}, `true "lost" since 1.3@15 1.3:sent>lost truncated`},
		"of another":              {"o", 0, 1, Place{Service: "pay"}, `false ""`},
		"of another, at a time":   {"o", 30, 1, Place{Service: "pay"}, `false ""`},
		"a process":               {"p", 0, 9, Place{}, `true "idle" since 2.2@10 2.1:idle>busy 2.2:busy>idle`},
		"a process of a node":     {"p", 0, 9, home, `true "idle" since 2.2@10 2.1:idle>busy 2.2:busy>idle`},
		"nothing":                 {"n", 0, 9, Place{}, `false ""`},
		"one of two":              {"both", 0, 9, Place{Service: "shop"}, `true "y" since 3.2@8 3.2:>y`},
		"the other one, by a set": {"both", 0, 9, Place{Service: "pay"}, `true "x" since 3.1@7 3.1:>x`},
	} {
		got, err := EntityState(t.Context(), src, c.entity, StateOptions{Place: c.place, At: c.at, Limit: c.limit, MaxBytes: math.MaxInt})
		require.NoError(t, err, name)
		require.Equal(t, c.want, got.text(), name)
		require.Equal(t, got.Truncated, got.Cursor != "", name)
		require.Equal(t, got.Since != nil, got.Span != nil, name)
	}
	got, err := EntityState(t.Context(), src, "o", StateOptions{Limit: 9, MaxBytes: math.MaxInt})
	require.NoError(t, err)
	require.Equal(t, Place{Service: "shop"}, got.Place)
	require.EqualValues(t, 20, got.Latest)
	got, err = EntityState(t.Context(), src, "p", StateOptions{Limit: 9, MaxBytes: math.MaxInt})
	require.NoError(t, err)
	require.Equal(t, home, got.Place)
	require.Equal(t, "e", got.History[0].Event)

	for _, when := range []uint64{0, 1} {
		_, err = EntityState(t.Context(), src, "both", StateOptions{At: when, Limit: 9, MaxBytes: math.MaxInt})
		var several *AmbiguousError
		require.ErrorAs(t, err, &several)
		require.Equal(t, []Place{{"pay", ""}, {"shop", "n1"}}, several.Places)
	}
}

// TestStateIsTheModel goes through histories page by page, backwards.
func TestStateIsTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type row struct {
			start, id uint64
			version   int64
		}
		var rows []row
		src := newSource(t)
		for i := range rapid.Uint64Range(1, 12).Draw(rt, "transitions") {
			r := row{rapid.Uint64Range(1, 8).Draw(rt, "start"), i + 1, rapid.Int64Range(0, 6).Draw(rt, "version")}
			rows = append(rows, r)
			td := at(spec{ref: ref(1, r.id), start: r.start}, home, change("o", "", fmt.Sprint("s", r.id), r.version))
			require.NoError(rt, src.Write(t.Context(), td))
		}
		when := rapid.Uint64Range(1, 9).Draw(rt, "at")
		rows = slices.DeleteFunc(rows, func(r row) bool { return r.start > when })
		slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.id, b.id)) })
		// Versions that stand the wrong way round change places.
		for i := range rows {
			for j := i + 1; j < len(rows); j++ {
				if a, b := rows[i], rows[j]; a.version != 0 && b.version != 0 && cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.start, b.start), cmp.Compare(a.id, b.id)) > 0 {
					rows[i], rows[j] = b, a
				}
			}
		}
		var want []string
		for _, r := range rows {
			want = append(want, fmt.Sprint("s", r.id))
		}
		opts := StateOptions{At: when, Limit: rapid.IntRange(1, 4).Draw(rt, "limit"), MaxBytes: math.MaxInt}
		var got []string
		for {
			answer, err := EntityState(t.Context(), src, "o", opts)
			require.NoError(rt, err)
			if len(want) == 0 {
				require.Empty(rt, answer.History)
				require.True(rt, answer.Known)
				return
			}
			require.Equal(rt, want[len(want)-1], answer.State)
			var page []string
			for _, t := range answer.History {
				page = append(page, t.To)
			}
			got = append(page, got...)
			if opts.Cursor = answer.Cursor; opts.Cursor == "" {
				break
			}
			require.Len(rt, page, opts.Limit)
		}
		require.Equal(rt, want, got)
	})
}

func TestStateFailures(t *testing.T) {
	broken := errors.New("bad checksum")
	good := encodedAt(spec{ref: ref(1, 1), start: 1, parent: 2}, home, change("o", "a", "b", 0))
	opts := StateOptions{Limit: 1, MaxBytes: math.MaxInt}
	for name, src := range map[string]selecting{
		"select":  {source: newSource(t), err: broken},
		"span":    {source: newSource(t), yields: []store.Span{{Bytes: []byte{0xff}}}},
		"origin":  {source: newSource(t), yields: []store.Span{{Bytes: good.Bytes, Origin: []byte{0xff}}}},
		"spans":   {source: failing(t, "Spans", broken), yields: []store.Span{good}},
		"causing": {source: failing(t, "Causing", broken), yields: []store.Span{good}},
	} {
		_, err := EntityState(t.Context(), src, "o", opts)
		require.Error(t, err, name)
	}
	src := order17(t)
	for _, cursor := range []string{"!", moment{}.String()} {
		_, err := EntityState(t.Context(), src, "o", StateOptions{Limit: 1, MaxBytes: math.MaxInt, Cursor: cursor})
		var bad *CursorError
		require.ErrorAs(t, err, &bad, cursor)
	}
	for _, most := range []int{transitionBytes, 4*transitionBytes + 20} { // of what is remembered, of spans
		src := order17(t)
		for i := range 4 {
			big := func(s ptrace.Span) { s.Attributes().PutStr("x", string(make([]byte, 2*transitionBytes))) }
			require.NoError(t, src.Write(t.Context(), at(spec{ref: ref(7, uint64(i+1)), start: 1}, home, change("big", "", "s", 0), big)))
		}
		_, err := EntityState(t.Context(), src, "big", StateOptions{Limit: 9, MaxBytes: most})
		var large *SizeError
		require.ErrorAs(t, err, &large)
		require.Greater(t, large.Bytes, most)
	}
}

// TestStateOfWhatGoes: a span may be dropped between two reads.
func TestStateOfWhatGoes(t *testing.T) {
	gone := selecting{source: newSource(t), yields: []store.Span{encodedAt(spec{ref: ref(1, 1), start: 1}, home, change("o", "a", "b", 0))}}
	got, err := EntityState(t.Context(), gone, "o", StateOptions{Limit: 1, MaxBytes: math.MaxInt})
	require.NoError(t, err)
	require.Equal(t, `true "b" since 1.1@1 1.1:a>b`, got.text())
	require.Nil(t, got.Span)
}
