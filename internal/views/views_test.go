package views

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
)

// machine drives views as the store and its follower do: spans come, parts end
// and become blocks, blocks are merged, and what is in memory is lost.
type machine struct {
	t      *rapid.T
	views  *Views
	todo   []Span     // that have not come
	head   [][]Span   // of the parts that are not in blocks, the last one incomplete
	blocks [][]byte   // summaries
	done   []*Summary // of the parts before the last one of head
	all    []Span     // that came
	recent int
}

func (m *machine) start() {
	m.views = newViews(m.recent, 1000)
	for _, b := range m.blocks {
		s, err := Decode(b)
		require.NoError(m.t, err)
		m.views.Await(s.Pending)
	}
}

func (m *machine) add(s Span) {
	s.Edges = slices.Clone(s.Edges)
	m.views.Add(&s)
}

// come lets the next span come.
func (m *machine) come() {
	if len(m.todo) == 0 {
		return
	}
	s := m.todo[0]
	m.todo = m.todo[1:]
	m.all = append(m.all, s)
	last := len(m.head) - 1
	m.head[last] = append(m.head[last], s)
	m.add(s)
}

// lookUp looks up some ends among what came.
func (m *machine) lookUp(most, latest int) {
	refs := m.views.Unknown(most, latest)
	var found []Span
	for _, s := range m.all {
		if slices.Contains(refs, s.Ref) {
			found = append(found, s)
		}
	}
	m.views.Found(refs, found)
}

func (m *machine) rotate() {
	m.lookUp(1000, 0)
	m.done = append(m.done, m.views.Rotate())
	m.head = append(m.head, nil)
}

func (m *machine) encode(s *Summary) {
	b, err := s.Encode()
	require.NoError(m.t, err)
	m.blocks = append(m.blocks, b)
}

// cut makes a block of the oldest part that ended.
func (m *machine) cut() {
	if len(m.done) > 0 {
		m.encode(m.done[0])
		m.done, m.head = m.done[1:], m.head[1:]
	}
}

func (m *machine) compact() {
	if len(m.blocks) > 1 {
		sum, err := MergeEncoded(m.blocks[:2])
		require.NoError(m.t, err)
		rest := m.blocks[2:]
		m.blocks = nil
		m.encode(sum)
		m.blocks = append(m.blocks, rest...)
	}
}

// crash loses what is in memory; what is in no block comes again.
func (m *machine) crash() {
	lost := slices.Concat(m.head...)
	m.head, m.done = [][]Span{nil}, nil
	came := m.all
	m.all = m.all[:len(m.all)-len(lost)]
	m.start()
	for _, s := range lost {
		m.all = came[:len(m.all)+1]
		m.head[0] = append(m.head[0], s)
		m.add(s)
	}
}

func (m *machine) sum() *Summary {
	m.lookUp(1000, 0)
	sum, err := MergeEncoded(m.blocks)
	require.NoError(m.t, err)
	for _, s := range m.done {
		sum.Add(s)
	}
	sum.Add(m.views.Part())
	return sum
}

func TestViewsAreWhatAllSpansAddUpTo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spans := drawSpans(t, rapid.IntRange(0, 25).Draw(t, "spans"))
		m := &machine{t: t, todo: spans, head: [][]Span{nil}, recent: rapid.IntRange(1, 8).Draw(t, "recent")}
		m.start()
		steps := []func(){m.come, m.come, m.come, m.come, m.rotate, m.cut, m.compact, m.crash, func() { m.lookUp(2, 2) }}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			steps[rapid.IntRange(0, len(steps)-1).Draw(t, "step")]()
		}
		requireSame(t, recomputed(m.all), m.sum())
	})
}

func TestEndsAreLookedUpOnceAndLate(t *testing.T) {
	v := New()
	child := Span{Ref: ref(1), Edges: []causal.Edge{{Type: causal.ParentChild, Cause: ref(2), Effect: ref(1), Rule: ruleParent}}}
	v.Add(&child)
	require.Equal(t, 1, v.Unsure())
	require.Empty(t, v.Unknown(9, 1))
	require.Equal(t, []causal.SpanRef{ref(2)}, v.Unknown(9, 0))
	v.Found([]causal.SpanRef{ref(2)}, nil)
	require.Zero(t, v.Unsure())
	require.Empty(t, v.Part().Edges.rows)
	v.Add(&Span{Ref: ref(2), Service: "late"})
	require.EqualValues(t, 1, v.Part().Edges.rows[EdgeKey{"late", "", causal.ParentChild}].Count)
	require.Empty(t, v.Unknown(9, 0))
}

func TestKnownEndsAreNotLookedUp(t *testing.T) {
	v := New()
	edge := []causal.Edge{{Type: causal.ParentChild, Cause: ref(2), Effect: ref(1), Rule: ruleParent}}
	v.Add(&Span{Ref: ref(1), Edges: edge})
	v.Add(&Span{Ref: ref(2)})
	require.Empty(t, v.Unknown(9, 0), "it came meanwhile")
}

// TestWhatWaitsIsBounded lets more edges wait than there is room for.
func TestWhatWaitsIsBounded(t *testing.T) {
	v := newViews(1, 4)
	for i := range 10 {
		v.Add(&Span{Ref: ref(i), Edges: []causal.Edge{{Type: causal.Other, Cause: ref(100 + i/2), Effect: ref(i), Rule: "r"}}})
	}
	require.EqualValues(t, 6, v.Part().PendingOmitted)
	for i := range 10 {
		v.Add(&Span{Ref: ref(100 + i)})
	}
	require.EqualValues(t, 4, v.Part().Edges.rows[EdgeKey{"", "", causal.Other}].Count)
	require.Empty(t, v.wait.at)
}

func TestPartKeepsTheLatestOfWhatWaits(t *testing.T) {
	s := NewSummary()
	more := make([]Pending, mostPending+5)
	for i := range more {
		more[i].Teller.Start = uint64(len(more) - i)
	}
	s.await(more)
	require.Len(t, s.Pending, mostPending)
	require.EqualValues(t, 5, s.PendingOmitted)
	require.EqualValues(t, 6, s.Pending[0].Teller.Start)
}

func TestMasks(t *testing.T) {
	edge := func(t causal.Type, rule string) causal.Edge { return causal.Edge{Type: t, Rule: rule} }
	for name, c := range map[string]struct {
		told []causal.Edge
		want []causal.Type
	}{
		"a link alone":          {[]causal.Edge{edge(causal.Other, ruleLink)}, []causal.Type{causal.Other}},
		"a link and its parent": {[]causal.Edge{edge(causal.Other, ruleLink), edge(causal.ParentChild, ruleParent)}, []causal.Type{causal.ParentChild}},
		"a message and its parent": {
			[]causal.Edge{edge(causal.MessageFlow, ruleLink), edge(causal.ParentChild, ruleParent)},
			[]causal.Type{causal.ParentChild, causal.MessageFlow},
		},
		"a message and a rule's other type": {
			[]causal.Edge{edge(causal.MessageFlow, ruleLink), edge(causal.ProcessSpawn, "spawn")}, []causal.Type{causal.ProcessSpawn},
		},
		"a message found too":        {[]causal.Edge{edge(causal.MessageFlow, ruleLink), edge(causal.MessageFlow, "id")}, []causal.Type{causal.MessageFlow}},
		"a typed link beside a rule": {[]causal.Edge{edge(causal.ErrorPropagation, ruleLink), edge(causal.MessageFlow, "id")}, []causal.Type{causal.MessageFlow, causal.ErrorPropagation}},
		"a type nobody knows":        {[]causal.Edge{edge("magic", "id")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []causal.Type
			for i, typ := range types {
				if maskOf(c.told).has(i) {
					got = append(got, typ)
				}
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestLongTextsAreCut(t *testing.T) {
	long := string(make([]byte, maxText-1)) + "äöü"
	v := New()
	v.Add(&Span{Name: long, Service: "s"})
	require.Contains(t, v.Part().Operations.rows, OperationKey{"s", long[:maxText-1] + "…", 0})
	require.Equal(t, "…", short(string(slices.Repeat([]byte{0x80}, 300))))
}
