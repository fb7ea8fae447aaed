package queryextension

import (
	"net/http"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/jaegerapi"
	"github.com/otelscope/otelscope/internal/query"
)

func writeJaeger(w http.ResponseWriter, data any, total int) {
	writeJSON(w, "application/json", http.StatusOK, jaegerapi.Response{Data: data, Total: total})
}

func (a *api) jaegerServices(w http.ResponseWriter, req *http.Request) error {
	services, err := a.services(req.Context())
	if err != nil {
		return err
	}
	writeJaeger(w, services, len(services))
	return nil
}

func (a *api) jaegerServiceOperations(w http.ResponseWriter, req *http.Request) error {
	service, err := longSegment(req, "service", "/operations")
	if err != nil {
		return err
	}
	operations, err := a.operations(req.Context(), service, "")
	if err != nil {
		return err
	}
	names := []string{}
	for _, o := range operations { // sorted by name
		if len(names) == 0 || names[len(names)-1] != o.Name {
			names = append(names, o.Name)
		}
	}
	writeJaeger(w, names, len(names))
	return nil
}

func (a *api) jaegerOperations(w http.ResponseWriter, req *http.Request) error {
	operations, err := a.operationsAsked(req)
	if err != nil {
		return err
	}
	writeJaeger(w, operations, len(operations))
	return nil
}

// jaegerSearch answers whole traces: Jaeger's UI shows them without asking
// again.
func (a *api) jaegerSearch(w http.ResponseWriter, req *http.Request) error {
	search, err := jaegerapi.ParseSearch(req.URL.Query())
	if err != nil {
		return ofTool(err)
	}
	var ids []pcommon.TraceID
	var missing []jaegerapi.Error
	for _, text := range search.TraceIDs {
		id, err := parseShortTraceID(text)
		if err != nil {
			return err
		}
		ids = append(ids, id)
	}
	if ids == nil {
		if ids, err = a.tracesFound(req, search); err != nil {
			return err
		}
	}
	traces, err := a.jaegerTraces(req, ids)
	if err != nil {
		return err
	}
	if len(search.TraceIDs) > 0 {
		for _, id := range ids {
			if !slices.ContainsFunc(traces, func(t jaegerapi.Trace) bool { return t.TraceID == id.String() }) {
				missing = append(missing, jaegerapi.Error{Message: "trace not found", TraceID: id.String()})
			}
		}
	}
	writeJSON(w, "application/json", http.StatusOK, jaegerapi.Response{Data: traces, Errors: missing})
	return nil
}

// tracesFound returns the traces of a search, each once, the latest first.
func (a *api) tracesFound(req *http.Request, search jaegerapi.Search) ([]pcommon.TraceID, error) {
	answer, err := a.searchFor(req.Context(), search.Query, search.Range, search.Limit, 1)
	if err != nil {
		return nil, err
	}
	var ids []pcommon.TraceID
	var reader query.Reader
	for _, found := range answer.Spansets {
		record, _ := reader.Read(found.Spans[0]) // the search has read it
		if id := record.Ref.TraceID; !id.IsEmpty() && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func (a *api) jaegerTrace(w http.ResponseWriter, req *http.Request) error {
	id, err := parseShortTraceID(req.PathValue("trace_id"))
	if err != nil {
		return err
	}
	traces, err := a.jaegerTraces(req, []pcommon.TraceID{id})
	if err != nil {
		return err
	}
	if len(traces) == 0 {
		return newProblem(http.StatusNotFound, "trace_id", "trace not found: %s is not stored", id)
	}
	writeJaeger(w, traces, 0)
	return nil
}

// jaegerTraces returns those of the traces that are stored, in order.
func (a *api) jaegerTraces(req *http.Request, ids []pcommon.TraceID) ([]jaegerapi.Trace, error) {
	spans, err := a.tracesOf(req.Context(), ids)
	if err != nil {
		return nil, err
	}
	td, incomplete, err := a.linked(req.Context(), spans)
	if err != nil {
		return nil, err
	}
	traces := jaegerapi.NewTraces(td)
	place := func(t jaegerapi.Trace) int {
		return slices.IndexFunc(ids, func(id pcommon.TraceID) bool { return t.TraceID == id.String() })
	}
	slices.SortFunc(traces, func(x, y jaegerapi.Trace) int { return place(x) - place(y) })
	if incomplete != "" {
		for i := range traces {
			traces[i].Warnings = append(traces[i].Warnings, incomplete)
		}
	}
	return traces, nil
}

func (a *api) jaegerDependencies(w http.ResponseWriter, req *http.Request) error {
	if err := jaegerapi.CheckLookback(req.URL.Query()); err != nil {
		return ofTool(err)
	}
	all, err := a.dependencies(req.Context())
	if err != nil {
		return err
	}
	if service := req.URL.Query().Get("service"); service != "" {
		all = slices.DeleteFunc(all, func(d jaegerapi.Dependency) bool { return d.Parent != service && d.Child != service })
	}
	writeJaeger(w, all, 0)
	return nil
}
