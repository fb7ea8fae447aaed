package views

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
)

// TestPagesAddUpToTheWhole follows pages over several summaries.
func TestPagesAddUpToTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		of := []*Summary{drawSummary(t), drawSummary(t), drawSummary(t)}
		whole := NewSummary()
		for _, s := range of {
			whole.Add(s)
		}
		q := Query[OperationKey]{Limit: rapid.IntRange(1, 4).Draw(t, "limit")}
		if rapid.Bool().Draw(t, "filter") {
			q.Keep = func(k OperationKey) bool { return k.Service != "a" }
		}
		var got []Row[OperationKey, Operation]
		for more := true; more; {
			p := Operations(q, of...)
			require.LessOrEqual(t, len(p.Rows), q.Limit)
			got = append(got, p.Rows...)
			if more = p.More; more {
				q.After = &p.Rows[len(p.Rows)-1].Key
			}
		}
		want := slices.DeleteFunc(whole.Operations.sorted(), func(e entry[OperationKey, Operation]) bool { return q.Keep != nil && !q.Keep(e.Key) })
		require.Len(t, got, len(want))
		for i, e := range want {
			require.Equal(t, e.Key, got[i].Key)
			require.Equal(t, e.Row.Count, got[i].Values.Count)
			require.Equal(t, e.Row.Duration.Count(), got[i].Values.Duration.Count())
		}
		require.Equal(t, len(whole.Edges.rows), Count(of...)[ServiceGraph])
	})
}

func TestEachKindHasPages(t *testing.T) {
	s := example()
	require.Equal(t, uint64(6), Services(Query[ServiceKey]{Limit: 9}, s, s).Rows[0].Values.Spans)
	require.Len(t, Edges(Query[EdgeKey]{Limit: 9}, s).Rows, 2)
	require.Len(t, Failures(Query[FailureKey]{Limit: 9}, s).Rows, 1)
	require.Len(t, Processes(Query[ProcessKey]{Limit: 1}, s).Rows, 1)
	require.Equal(t, map[string]int{ServiceGraph: 2, OperationsView: 3, ErrorsView: 1, ProcessesView: 2}, Count(s, s))
}

func TestLeadsAreTheMostFrequent(t *testing.T) {
	v := New()
	failure := Span{Ref: ref(200), Failed: true, Service: "s", Name: "f", Error: "e"}
	v.Add(&failure)
	for i := range 6 {
		v.Add(&Span{Ref: ref(i), Name: fmt.Sprint(i / 2 * i), Edges: []causal.Edge{{Type: causal.ErrorPropagation, Cause: ref(200), Effect: ref(i), Rule: "r"}}})
	}
	key := FailureKey{"s", "f", "e"}
	found := Leads([]FailureKey{key}, 2, v.Part(), NewSummary())
	require.Equal(t, []Row[LeadKey, Lead]{
		{LeadKey{key, "", "0"}, Lead{2, 2}},
		{LeadKey{key, "", "10"}, Lead{1, 1}},
		{LeadKey{key, Other, Other}, Lead{3, 3}},
	}, found[key])
	require.Empty(t, Leads(nil, 2, v.Part()))
}
