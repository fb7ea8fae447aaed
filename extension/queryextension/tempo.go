package queryextension

import (
	"bytes"
	"encoding/json"
	"net/http"
	"runtime"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/tempoapi"
)

// tempoVersion is the version of Tempo whose calls these are: by it Grafana
// decides which it makes.
const tempoVersion = "2.7.0"

func (a *api) tempoEcho(w http.ResponseWriter, _ *http.Request) error {
	writeBody(w, "text/plain; charset=utf-8", http.StatusOK, []byte("echo"))
	return nil
}

func (a *api) tempoBuildInfo(w http.ResponseWriter, _ *http.Request) error {
	writeJSON(w, "application/json", http.StatusOK, tempoapi.BuildInfo{
		Version: tempoVersion, Revision: "scope " + a.version, GoVersion: runtime.Version(),
	})
	return nil
}

func (a *api) tempoSearch(w http.ResponseWriter, req *http.Request) error {
	search, err := tempoapi.ParseSearch(req.URL.Query())
	if err != nil {
		return ofTool(err)
	}
	found, err := a.searchFor(req.Context(), search.Query, search.Range, search.Limit, search.Spans)
	if err != nil {
		return err
	}
	results := tempoapi.NewResults(search)
	for _, set := range found.Spansets {
		if err := results.Add(set); err != nil {
			return err
		}
	}
	answer := tempoapi.SearchResponse{Traces: []tempoapi.Trace{}}
	for _, id := range results.Traces() {
		spans, err := a.tracesOf(req.Context(), []pcommon.TraceID{id})
		if err != nil {
			return err
		}
		if len(spans) == 0 { // dropped meanwhile, or of no trace
			continue
		}
		summary, err := query.Summarize(spans)
		if err != nil {
			return err
		}
		trace, err := results.Trace(id, summary)
		if err != nil {
			return err
		}
		answer.Traces = append(answer.Traces, trace)
		answer.Metrics.InspectedTraces++
		for _, span := range spans {
			answer.Metrics.InspectedBytes += int64(len(span.Origin) + len(span.Bytes))
		}
	}
	answer.Metrics.TotalBlocks = a.store.Stats().Blocks
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

// tempoTrace answers a trace in Tempo's wrapping.
func (a *api) tempoTrace(w http.ResponseWriter, req *http.Request) error {
	w.Header().Set("Vary", "Accept")
	td, incomplete, err := a.traceForTempo(req)
	if err != nil {
		return err
	}
	if acceptsProtobuf(req) {
		return writeProtobuf(w, td, func(trace []byte) []byte { return tempoapi.TraceByID(trace, incomplete) })
	}
	return writeOTLP(w, td, func(trace json.RawMessage) any { return tempoapi.NewTraceResponse(trace, incomplete) })
}

// tempoOldTrace answers a trace as clients ask that know no /api/v2.
func (a *api) tempoOldTrace(w http.ResponseWriter, req *http.Request) error {
	td, _, err := a.traceForTempo(req)
	if err != nil {
		return err
	}
	if acceptsProtobuf(req) {
		return writeProtobuf(w, td, func(trace []byte) []byte { return trace })
	}
	return writeOTLP(w, td, func(trace json.RawMessage) any {
		return json.RawMessage(bytes.Replace(trace, []byte(`"resourceSpans"`), []byte(`"batches"`), 1))
	})
}

func writeProtobuf(w http.ResponseWriter, td ptrace.Traces, wrap func([]byte) []byte) error {
	encoded, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		return err
	}
	writeBody(w, "application/protobuf", http.StatusOK, wrap(encoded))
	return nil
}

func (a *api) traceForTempo(req *http.Request) (td ptrace.Traces, incomplete string, err error) {
	id, err := parseShortTraceID(req.PathValue("trace_id"))
	if err != nil {
		return td, "", err
	}
	spans, err := a.wholeTrace(req.Context(), id)
	if err != nil {
		return td, "", err
	}
	if td, incomplete, err = a.linked(req.Context(), spans); err != nil {
		return td, "", err
	}
	tempoapi.Complete(td)
	return td, incomplete, nil
}
