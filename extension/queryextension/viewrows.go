package queryextension

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/views"
)

// quantilesJSON are of durations in nanoseconds.
type quantilesJSON struct {
	P50 uint64 `json:"p50"`
	P90 uint64 `json:"p90"`
	P99 uint64 `json:"p99"`
}

func quantilesOf(h *views.Histogram) quantilesJSON {
	return quantilesJSON{h.Quantile(0.5), h.Quantile(0.9), h.Quantile(0.99)}
}

type serviceGraphJSON struct {
	pageJSON
	Services []serviceJSON     `json:"services"` // all, whatever the page of edges
	Edges    []serviceEdgeJSON `json:"edges"`
}

type serviceJSON struct {
	Service string `json:"service"`
	Spans   uint64 `json:"spans"`
	Errors  uint64 `json:"errors"`
}

type serviceEdgeJSON struct {
	Cause   string        `json:"cause"`
	Effect  string        `json:"effect"`
	Type    causal.Type   `json:"type"`
	Count   uint64        `json:"count"`
	Errors  uint64        `json:"errors"`
	Latency quantilesJSON `json:"latency"`
}

func serviceGraph(of []*views.Summary, q viewQuery) (any, error) {
	edges, page, err := rowsOf(views.ServiceGraph, of, q, func(k views.EdgeKey) bool {
		return q.service == "" || k.Cause == q.service || k.Effect == q.service
	}, views.Edges)
	if err != nil {
		return nil, err
	}
	answer := serviceGraphJSON{page, []serviceJSON{}, make([]serviceEdgeJSON, 0, len(edges))}
	for _, e := range edges {
		answer.Edges = append(answer.Edges, serviceEdgeJSON{
			e.Key.Cause, e.Key.Effect, e.Key.Type, e.Values.Count, e.Values.Errors, quantilesOf(&e.Values.Latency),
		})
	}
	services := views.Services(views.Query[views.ServiceKey]{Limit: allServices}, of...)
	for _, s := range services.Rows {
		answer.Services = append(answer.Services, serviceJSON{s.Key.Service, s.Values.Spans, s.Values.Errors})
	}
	return answer, nil
}

// allServices is more than the views keep.
const allServices = 10_000

type operationsJSON struct {
	pageJSON
	Operations []operationJSON `json:"operations"`
}

type operationJSON struct {
	Service  string        `json:"service"`
	Name     string        `json:"name"`
	Kind     string        `json:"kind"`
	Count    uint64        `json:"count"`
	Errors   uint64        `json:"errors"`
	Rate     float64       `json:"rate"`  // spans a second, from the first start to the last
	First    string        `json:"first"` // start, nanoseconds since the epoch
	Last     string        `json:"last"`
	Duration durationsJSON `json:"duration"`
}

type durationsJSON struct {
	quantilesJSON
	Max uint64 `json:"max"`
}

// durationsOf knows the longest one exactly; no quantile is above it.
func durationsOf(o *views.Operation) durationsJSON {
	q := quantilesOf(&o.Duration)
	return durationsJSON{quantilesJSON{min(q.P50, o.Max), min(q.P90, o.Max), min(q.P99, o.Max)}, o.Max}
}

func operations(of []*views.Summary, q viewQuery) (any, error) {
	rows, page, err := rowsOf(views.OperationsView, of, q, func(k views.OperationKey) bool {
		return q.service == "" || k.Service == q.service
	}, views.Operations)
	if err != nil {
		return nil, err
	}
	answer := operationsJSON{page, make([]operationJSON, 0, len(rows))}
	for _, r := range rows {
		o := &r.Values
		answer.Operations = append(answer.Operations, operationJSON{
			Service: r.Key.Service, Name: r.Key.Name, Kind: strings.ToLower(ptrace.SpanKind(r.Key.Kind).String()),
			Count: o.Count, Errors: o.Errors, Rate: o.Rate(), First: nanoseconds(o.First), Last: nanoseconds(o.Last),
			Duration: durationsOf(o),
		})
	}
	return answer, nil
}

type failuresJSON struct {
	pageJSON
	Errors []failureJSON `json:"errors"`
}

type failureJSON struct {
	Service   string      `json:"service"`
	Name      string      `json:"name"`
	Error     string      `json:"error"` // error.type, else the status message
	Count     uint64      `json:"count"`
	First     string      `json:"first"` // start, nanoseconds since the epoch
	Last      string      `json:"last"`
	Example   exampleJSON `json:"example"`   // the last one
	Recovered uint64      `json:"recovered"` // edges of LeadsTo whose effect did not fail
	LeadsTo   []leadJSON  `json:"leads_to"`  // the most frequent first
}

type exampleJSON struct {
	TraceID string `json:"trace_id"`
	SpanID  string `json:"span_id"`
}

type leadJSON struct {
	Service   string `json:"service"`
	Name      string `json:"name"`
	Count     uint64 `json:"count"`
	Recovered uint64 `json:"recovered"`
}

func failureRows(of []*views.Summary, q viewQuery) (any, error) {
	rows, page, err := rowsOf(views.ErrorsView, of, q, func(k views.FailureKey) bool {
		return q.service == "" || k.Service == q.service
	}, views.Failures)
	if err != nil {
		return nil, err
	}
	keys := make([]views.FailureKey, len(rows))
	for i, r := range rows {
		keys[i] = r.Key
	}
	leads := views.Leads(keys, leadsShown, of...)
	answer := failuresJSON{page, make([]failureJSON, 0, len(rows))}
	for _, r := range rows {
		f := failureJSON{
			Service: r.Key.Service, Name: r.Key.Name, Error: r.Key.Error, Count: r.Values.Count,
			First: nanoseconds(r.Values.First), Last: nanoseconds(r.Values.Last),
			Example: exampleJSON{r.Values.Example.TraceID.String(), r.Values.Example.SpanID.String()},
			LeadsTo: []leadJSON{},
		}
		for _, l := range leads[r.Key] {
			f.Recovered += l.Values.Recovered
			f.LeadsTo = append(f.LeadsTo, leadJSON{l.Key.Service, l.Key.Name, l.Values.Count, l.Values.Recovered})
		}
		answer.Errors = append(answer.Errors, f)
	}
	return answer, nil
}

type processesJSON struct {
	pageJSON
	Processes []processJSON `json:"processes"`
}

type processJSON struct {
	processKeyJSON
	Parent    *processKeyJSON `json:"parent"` // what started it, null where nobody told
	FirstName string          `json:"first_name"`
	Spans     uint64          `json:"spans"`
	Errors    uint64          `json:"errors"`
	First     string          `json:"first"` // start, nanoseconds since the epoch
	Last      string          `json:"last"`
	Exited    bool            `json:"exited"`
}

type processKeyJSON struct {
	Service string `json:"service"`
	Node    string `json:"node"`
	Process string `json:"process"`
}

func processTree(of []*views.Summary, q viewQuery) (any, error) {
	rows, page, err := rowsOf(views.ProcessesView, of, q, func(k views.ProcessKey) bool {
		return (q.service == "" || k.Service == q.service) && (q.node == "" || k.Node == q.node)
	}, views.Processes)
	if err != nil {
		return nil, err
	}
	answer := processesJSON{page, make([]processJSON, 0, len(rows))}
	for _, r := range rows {
		p := processJSON{
			processKeyJSON: processKeyJSON(r.Key), FirstName: r.Values.FirstName,
			Spans: r.Values.Spans, Errors: r.Values.Errors,
			First: nanoseconds(r.Values.First), Last: nanoseconds(r.Values.Last), Exited: r.Values.Exited(),
		}
		if parent := processKeyJSON(r.Values.Parent); parent != (processKeyJSON{}) {
			p.Parent = &parent
		}
		answer.Processes = append(answer.Processes, p)
	}
	return answer, nil
}
