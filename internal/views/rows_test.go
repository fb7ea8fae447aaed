package views

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
)

func TestFailuresLeadSomewhere(t *testing.T) {
	s := example()
	failure := FailureKey{"shop", "error", "timeout"}
	require.Equal(t, Failure{Count: 1, First: 2000, Last: 2000, Example: Ref(ref(2))}, *s.Failures.rows[failure])
	require.Equal(t, Lead{Count: 1, Recovered: 1}, *s.Leads.rows[LeadKey{failure, "shop", "exit"}])
	require.EqualValues(t, 1, s.Services.rows[ServiceKey{"shop"}].Errors)
	require.EqualValues(t, 1, s.Operations.rows[OperationKey{"shop", "error", 0}].Errors)
}

func TestProcessesAreATree(t *testing.T) {
	s := example()
	child := s.Processes.rows[ProcessKey{"shop", "n1", "<0.2.0>"}]
	require.Equal(t, Process{
		Parent: ProcessKey{"shop", "n1", "<0.1.0>"}, Spans: 2, Errors: 1,
		First: 2000, FirstName: "error", Last: 5000, Exit: 5000,
	}, *child)
	require.True(t, child.Exited())
	require.False(t, s.Processes.rows[ProcessKey{"shop", "n1", "<0.1.0>"}].Exited())
	child.merge(&Process{Spans: 1, First: 6000, Last: 6000})
	require.False(t, child.Exited(), "its id was given to another")
}

func TestRateIsFromTheFirstStartToTheLast(t *testing.T) {
	require.Equal(t, 2.0, (&Operation{Count: 5, First: 1e9, Last: 3e9}).Rate())
	require.Zero(t, (&Operation{Count: 5, First: 1e9, Last: 1e9}).Rate())
	require.Zero(t, (&Operation{Count: 1, First: 1e9, Last: 3e9}).Rate())
}

func TestDurations(t *testing.T) {
	v := New()
	v.Add(&Span{Start: 10, End: 30})
	v.Add(&Span{Start: 10, End: 5}) // a clock that was set back
	o := v.Part().Operations.rows[OperationKey{}]
	require.EqualValues(t, 20, o.Max)
	require.EqualValues(t, 0, o.Duration.Quantile(0.5))
	require.EqualValues(t, 20, o.Duration.Quantile(1))
}

func TestLatencyIsFromStartToStart(t *testing.T) {
	v := New()
	v.Add(&Span{Ref: ref(1), Start: 10})
	v.Add(&Span{Ref: ref(2), Start: 30, Edges: []causal.Edge{{Type: causal.MessageFlow, Cause: ref(1), Effect: ref(2), Rule: "id"}}})
	v.Add(&Span{Ref: ref(3), Start: 5, Failed: true, Edges: []causal.Edge{{Type: causal.MessageFlow, Cause: ref(1), Effect: ref(3), Rule: "id"}}})
	e := v.Part().Edges.rows[EdgeKey{"", "", causal.MessageFlow}]
	require.EqualValues(t, 2, e.Count)
	require.EqualValues(t, 1, e.Errors)
	require.EqualValues(t, 0, e.Latency.Quantile(0.5))
	require.EqualValues(t, 20, e.Latency.Quantile(1))
}

// TestSpawnWithoutProcesses is no branch of the tree.
func TestSpawnWithoutProcesses(t *testing.T) {
	v := New()
	v.Add(&Span{Ref: ref(1), Process: "p"})
	v.Add(&Span{Ref: ref(2), Edges: []causal.Edge{{Type: causal.ProcessSpawn, Cause: ref(1), Effect: ref(2), Rule: "spawn"}}})
	require.Len(t, v.Part().Processes.rows, 1)
}

func total(s *table[ServiceKey, Service, *Service]) (n uint64) {
	for _, r := range s.rows {
		n += r.Spans
	}
	return n
}

// TestTablesAreBounded keeps the heaviest rows, and every total.
func TestTablesAreBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 5).Draw(t, "most")
		a, b := newTable[ServiceKey, Service, *Service](most), newTable[ServiceKey, Service, *Service](most)
		n := uint64(0)
		for range rapid.IntRange(0, 40).Draw(t, "rows") {
			to := &a
			if rapid.Bool().Draw(t, "b") {
				to = &b
			}
			spans := rapid.Uint64Range(1, 9).Draw(t, "spans")
			to.at(ServiceKey{fmt.Sprint(rapid.IntRange(0, 15).Draw(t, "service"))}).Spans += spans
			n += spans
			require.LessOrEqual(t, len(to.rows), 2*most+1)
		}
		require.Equal(t, n, total(&a)+total(&b))
		heaviest := uint64(0)
		a.trim()
		a.merge(&b)
		require.LessOrEqual(t, len(a.rows), most+1)
		require.Equal(t, n, total(&a))
		for key, r := range a.rows {
			if key.Service != Other {
				heaviest = max(heaviest, r.Spans)
			}
		}
		for key, r := range b.rows {
			if _, kept := a.rows[key]; !kept {
				require.LessOrEqual(t, r.Spans, heaviest)
				require.Contains(t, a.rows, ServiceKey{Other})
				require.NotZero(t, a.omitted)
			}
		}
	})
}

// TestOldProcessesAreDropped: a sum of processes is none.
func TestOldProcessesAreDropped(t *testing.T) {
	p := newTable[ProcessKey, Process, *Process](2)
	for i := range uint64(5) {
		p.at(ProcessKey{Process: fmt.Sprint(i)}).Last = 10 - i
	}
	p.trim()
	require.Len(t, p.rows, 2)
	require.Contains(t, p.rows, ProcessKey{Process: "0"})
	require.EqualValues(t, 3, p.omitted)
}

func TestEveryBoundHolds(t *testing.T) {
	v := newViews(4, 4)
	for i := range 2*mostProcesses + 10 {
		text := fmt.Sprint(i)
		v.Add(&Span{Ref: ref(i % 200), Start: uint64(i), Service: text, Node: text, Process: text, Name: text, Failed: true, Error: text, Edges: []causal.Edge{
			{Type: causal.ErrorPropagation, Cause: ref((i + 199) % 200), Effect: ref(i % 200), Rule: "r"},
		}})
	}
	s := v.Rotate()
	for name, n := range Count(s) {
		require.Positive(t, n, name)
		require.LessOrEqual(t, n, mostProcesses+1, name)
	}
	require.LessOrEqual(t, len(s.Services.rows), mostServices+1)
	require.LessOrEqual(t, len(s.Edges.rows), mostEdges+1)
	require.LessOrEqual(t, len(s.Operations.rows), mostOperations+1)
	require.LessOrEqual(t, len(s.Failures.rows), mostFailures+1)
	require.LessOrEqual(t, len(s.Leads.rows), mostLeads+1)
	b := encoded(t, s)
	t.Logf("the largest summary takes some %d bytes", len(b))
	_, err := Decode(b)
	require.NoError(t, err)
}
