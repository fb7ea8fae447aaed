package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/event"
	"github.com/otelscope/otelscope/internal/workload"
)

// Small versions of all workloads, without a collector: the same rules and the
// same engine in a fixed order.
func TestWorkloadsHoldTheBars(t *testing.T) {
	for _, r := range recipes {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			p, err := newPlan(r, 1, 0.25, false)
			require.NoError(t, err)
			v, err := playInProcess(p)
			require.NoError(t, err)
			var why bytes.Buffer
			explain(&why, v, 3)
			require.Empty(t, v.failures(), why.String())
		})
	}
}

func TestSameSeedSamePlan(t *testing.T) {
	for _, name := range []string{"everything", "otlp-broken-late"} {
		r := recipes[indexOf(name)]
		bodies := func(seed uint64) string {
			p, err := newPlan(r, seed, 0.1, true)
			require.NoError(t, err)
			var b strings.Builder
			for _, parcel := range p.parcels {
				for i := range parcel.steps {
					b.Write(parcel.steps[i].Event.AppendJSON(nil))
				}
				if parcel.steps == nil {
					for _, span := range allSpans(parcel.traces) {
						b.WriteString(span.SpanID().String())
					}
				}
				b.WriteByte('\n')
			}
			return b.String()
		}
		require.Equal(t, bodies(1), bodies(1))
		require.NotEqual(t, bodies(1), bodies(2))
	}
}

func TestRecipesAreToldApart(t *testing.T) {
	names := map[string]bool{}
	for _, r := range recipes {
		require.False(t, names[r.name], r.name)
		names[r.name] = true
		require.NotEmpty(t, r.what)
		require.True(t, r.orders > 0 || len(r.scenarios) > 0, r.name)
	}
	_, err := choose("easy,bedlam")
	require.ErrorContains(t, err, `unknown workload "bedlam"`)
	some, err := choose("kill,easy")
	require.NoError(t, err)
	require.Len(t, some, 2)
}

// handmade has a call c with a mark m and its return r, a send s and its
// receive t, and a receive u of which nobody can say who sent it.
func handmade() *plan {
	step := func(id, span, activity string, causes ...workload.Cause) workload.Step {
		return workload.Step{Event: event.Event{ID: id}, Span: span, Activity: activity, Causes: causes}
	}
	steps := []workload.Step{
		step("c", "c", "c"),
		step("m", "m", "c", workload.Cause{Type: causal.ParentChild, ID: "c"}),
		step("r", "c", "c", workload.Cause{Type: causal.ParentChild, ID: "c"}),
		step("s", "s", "s", workload.Cause{Type: causal.ErrorPropagation, ID: "m", SpansOnly: true}),
		step("t", "t", "t", workload.Cause{Type: causal.MessageFlow, ID: "s"}, workload.Cause{Type: causal.ErrorPropagation, ID: "r"}),
		step("u", "u", "", workload.Cause{Type: causal.MessageFlow, ID: "s"}),
	}
	steps[5].Undecided = []causal.Type{causal.MessageFlow}
	p := &plan{recipe: recipe{name: "handmade", what: "by hand"}, truth: newTruth(), events: len(steps), early: early(steps)}
	p.truth.ofSteps(steps)
	return p
}

func TestJudgeSeesWhatIsWrong(t *testing.T) {
	parent := found{edge{causal.ParentChild, "c", "m"}, 1, "parent"}
	flow := found{edge{causal.MessageFlow, "s", "t"}, 1, "id"}
	failure := found{edge{causal.ErrorPropagation, "c", "t"}, 0.9, "at_once"}
	good := []found{parent, flow, failure, {flow.edge, 0.5, "twice"}, {edge{causal.Other, "s", "t"}, 1, "link"}, {edge{causal.MessageFlow, "x", "t"}, 1, "end unknown"}}
	cases := map[string]struct {
		found  []found
		traces map[string]string
		missed string
	}{
		"all":               {found: good},
		"undecided, wrong":  {found: append(good[:len(good):len(good)], found{edge{causal.MessageFlow, "c", "u"}, 1, "x"})},
		"not sure, wrong":   {found: append(good[:len(good):len(good)], found{edge{causal.MessageFlow, "c", "t"}, 0.8, "x"})},
		"sure and wrong":    {found: append(good[:len(good):len(good)], found{edge{causal.MessageFlow, "c", "t"}, 0.9, "x"}), missed: "precision of message_flow is 50.00 %"},
		"one is missed":     {found: []found{parent, flow}, missed: "recall of error_propagation is 0.00 %"},
		"no parent":         {found: []found{flow, failure}, missed: "of 1 parents 0 were found, 0 of them right"},
		"a parent too many": {found: append(good[:len(good):len(good)], found{edge{causal.ParentChild, "s", "t"}, 1, "x"}), missed: "of 1 parents 2 were found, 1 of them right"},
		"another trace":     {found: good, traces: map[string]string{"m": "elsewhere"}, missed: `1 events lie in another trace than they should, the first: ["m"]`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			v := judge(handmade(), c.found, func(id string) (string, bool) {
				if trace, ok := c.traces[id]; ok {
					return trace, true
				}
				return map[string]string{"c": "1", "m": "1", "r": "1", "s": "2", "t": "3", "u": "4"}[id], true
			})
			got := strings.Join(v.failures(), "\n")
			require.Contains(t, got, c.missed)
			require.Equal(t, c.missed == "", got == "", got)
		})
	}
}

func TestReportTellsTheTruth(t *testing.T) {
	v := judge(handmade(), []found{
		{edge{causal.ParentChild, "c", "m"}, 1, "parent"}, {edge{causal.MessageFlow, "s", "u"}, 0.7, "x"}, {edge{causal.MessageFlow, "c", "s"}, 0.9, "x"},
	}, func(string) (string, bool) { return "", true })
	var out bytes.Buffer
	report(&out, options{seed: 7}, []*verdict{v})
	for _, line := range []string{
		"Written by `make accuracy` (seed 7): each workload is sent to a fresh collector over HTTP or gRPC by 4 senders at once, and all edges are read from `GET /api/v1/edges`.",
		"| handmade | by hand | events | 6 | 0.00 % |",
		"| handmade | parent_child | 1 | 1 | 1 | 100.00 % | 100.00 % | 0 | - |",
		"| handmade | message_flow | 1 | 1 | 0 | 0.00 % | 0.00 % | 1 | 1, found 1, right 1 |",
		"| handmade | error_propagation | 1 | 0 | 0 | - | 0.00 % | 0 | - |",
		"| 0.90 | x | 1 | 0 | 0.00 % | 0 | 0 | - | 0.00 % |",
		"| 0.70 | x | 0 | 0 | - | 1 | 1 | 100.00 % | 100.00 % |",
		"- handmade: recall of error_propagation is 0.00 %, below 99.00 %",
	} {
		require.Contains(t, out.String(), line+"\n", out.String())
	}
	out.Reset()
	explain(&out, v, 1)
	require.Equal(t, "  handmade: missed error_propagation: 1\n    c -> t\n  handmade: missed message_flow: 1\n    s -> t\n  handmade: wrong message_flow by x, confidence 0.90: 1\n    c -> s\n", out.String())
}

func TestEdgesAreReadFromTheAPI(t *testing.T) {
	answer := func(status int, body string) (got []told, err error) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			require.Equal(t, "/api/v1/edges", r.URL.Path)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		defer server.Close()
		err = edges(t.Context(), server.URL, func(e *told) { got = append(got, *e) })
		return got, err
	}
	got, err := answer(200, `{"type":"message_flow","confidence":0.9,"rule":"x","cause":{"trace_id":"1","span_id":"2","event_id":"e"},"effect":{"trace_id":"3","span_id":"4","event_id":""}}`+"\n")
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, "e", got[0].Cause.text())
	require.Equal(t, "3/4", got[0].Effect.text())
	_, err = answer(503, "busy")
	require.ErrorContains(t, err, "503 Service Unavailable: busy")
	_, err = answer(200, "{")
	require.ErrorContains(t, err, "unexpected end")
	_, err = answer(200, "")
	require.NoError(t, err)
}

func TestRunInProcess(t *testing.T) {
	out := filepath.Join(t.TempDir(), "accuracy.md")
	var printed bytes.Buffer
	require.NoError(t, run(t.Context(), options{out: out, only: "references", seed: 1, size: 0.1, inProcess: true, explain: 1}, &printed))
	require.Contains(t, printed.String(), "references")
	require.NoFileExists(t, out, "a part is not the report")
	require.Error(t, run(t.Context(), options{only: "bedlam"}, &printed))
}

// A few workloads through the distribution itself, where it has been built.
func TestTheDistributionHoldsTheBars(t *testing.T) {
	const binary = "../../bin/otelcol-scope"
	if _, err := os.Stat(binary); err != nil {
		t.Skip("bin/otelcol-scope is not built: make build")
	}
	var out bytes.Buffer
	err := run(t.Context(), options{binary: binary, config: "../../collector-config.yaml", only: "easy,otlp-broken-late,restart", seed: 1, size: 0.1, explain: 3}, &out)
	t.Log(out.String())
	require.NoError(t, err)
}
