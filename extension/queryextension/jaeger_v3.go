package queryextension

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/jaegerapi"
	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/traceql"
)

func (a *api) jaegerV3Services(w http.ResponseWriter, req *http.Request) error {
	services, err := a.services(req.Context())
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, jaegerapi.Services{Services: services})
	return nil
}

func (a *api) jaegerV3Operations(w http.ResponseWriter, req *http.Request) error {
	operations, err := a.operationsAsked(req)
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, jaegerapi.Operations{Operations: operations})
	return nil
}

func (a *api) jaegerV3Search(w http.ResponseWriter, req *http.Request) error {
	search, err := jaegerapi.ParseSearchV3(req.URL.Query())
	if err != nil {
		return ofTool(err)
	}
	ids, err := a.tracesFound(req, search)
	if err != nil {
		return err
	}
	if len(ids) == 0 { // as Jaeger has it
		return newProblem(http.StatusNotFound, "", "No traces found")
	}
	return a.writeResult(w, req, ids)
}

func (a *api) jaegerV3Trace(w http.ResponseWriter, req *http.Request) error {
	id, err := parseShortTraceID(req.PathValue("trace_id"))
	if err != nil {
		return err
	}
	return a.writeResult(w, req, []pcommon.TraceID{id})
}

func (a *api) writeResult(w http.ResponseWriter, req *http.Request, ids []pcommon.TraceID) error {
	spans, err := a.tracesOf(req.Context(), ids)
	if err != nil {
		return err
	}
	if len(spans) == 0 {
		return newProblem(http.StatusNotFound, "trace_id", "trace not found: %s is not stored", ids[0])
	}
	td, _, err := a.linked(req.Context(), spans)
	if err != nil {
		return err
	}
	return writeOTLP(w, td, func(traces json.RawMessage) any { return jaegerapi.Result{Result: traces} })
}

func (a *api) jaegerV3Summaries(w http.ResponseWriter, req *http.Request) error {
	search, err := jaegerapi.ParseSearchV3(req.URL.Query())
	if err != nil {
		return ofTool(err)
	}
	ids, err := a.tracesFound(req, search)
	if err != nil {
		return err
	}
	answer := jaegerapi.Summaries{Summaries: []jaegerapi.Summary{}}
	for _, id := range ids {
		spans, err := a.tracesOf(req.Context(), []pcommon.TraceID{id})
		if err != nil {
			return err
		}
		if len(spans) == 0 { // dropped meanwhile
			continue
		}
		summary, err := newSummary(id, spans)
		if err != nil {
			return err
		}
		answer.Summaries = append(answer.Summaries, summary)
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

func newSummary(id pcommon.TraceID, spans []store.Span) (jaegerapi.Summary, error) {
	of, err := query.Summarize(spans)
	if err != nil {
		return jaegerapi.Summary{}, err
	}
	var reader query.Reader
	root, _ := reader.Read(of.Root) // Summarize has read it
	s := jaegerapi.Summary{TraceID: id.String(), Start: of.Start, End: of.End, Spans: of.Spans, Services: []jaegerapi.ServiceSummary{}}
	s.RootOperation, _ = root.ValueOf(traceql.Name).(string)
	s.RootService, _ = root.ValueOf(&traceql.Attribute{Scope: traceql.ScopeResource, Name: attrService}).(string)
	for name, service := range of.Services {
		s.Errors += service.Errors
		s.Services = append(s.Services, jaegerapi.ServiceSummary{Name: name, Spans: service.Spans, Errors: service.Errors})
	}
	slices.SortFunc(s.Services, func(x, y jaegerapi.ServiceSummary) int { return cmp.Compare(x.Name, y.Name) })
	s.Orphans = orphans(spans)
	return s, nil
}

// orphans counts the spans whose parent is not among them, which were read
// before and are of one trace.
func orphans(spans []store.Span) (count int) {
	var wire otlpwire.Span
	stored := map[pcommon.SpanID]bool{{}: true} // nobody's parent is none
	parents := make([]pcommon.SpanID, 0, len(spans))
	for _, span := range spans {
		_ = wire.Parse(span.Bytes)
		stored[wire.SpanID] = true
		parents = append(parents, wire.ParentSpanID)
	}
	for _, parent := range parents {
		if !stored[parent] {
			count++
		}
	}
	return count
}

func (a *api) jaegerV3Dependencies(w http.ResponseWriter, req *http.Request) error {
	if err := jaegerapi.CheckRangeV3(req.URL.Query()); err != nil {
		return ofTool(err)
	}
	all, err := a.dependencies(req.Context())
	if err != nil {
		return err
	}
	answer := jaegerapi.Dependencies{Dependencies: make([]jaegerapi.DependencyV3, 0, len(all))}
	for _, d := range all {
		answer.Dependencies = append(answer.Dependencies, jaegerapi.DependencyV3(d))
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}
