package queryextension

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/crosslink"
	"github.com/otelscope/otelscope/internal/jaegerapi"
	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/tempoapi"
	"github.com/otelscope/otelscope/internal/traceql"
)

// The APIs of other tools are served at the root and, so that a base URL says
// which is meant, below these too.
const (
	underJaeger = "/jaeger"
	underTempo  = "/tempo"
)

// Bounds of what the tools' calls read.
const (
	maxForeign = 1000  // spans of other traces that are read for a call's links
	maxNames   = 10000 // names or values that a list has
)

// toolRoutes are the calls of other tools' APIs. What parameters they do not
// know they ignore, as the tools themselves do: their clients send more with
// every version.
var toolRoutes = []route{
	{method: "GET", path: "/api/services", under: []string{underJaeger}, fail: failJaeger, handle: (*api).jaegerServices},
	{method: "GET", path: "/api/services/{service}/operations", under: []string{underJaeger}, fail: failJaeger, handle: (*api).jaegerServiceOperations},
	{method: "GET", path: "/api/operations", query: []string{"service", "spanKind"}, under: []string{underJaeger}, fail: failJaeger, handle: (*api).jaegerOperations},
	{method: "GET", path: "/api/traces", query: []string{"service", "operation", "tag", "tags", "minDuration", "maxDuration", "start", "end", "limit", "traceID"},
		under: []string{underJaeger}, fail: failJaeger, handle: (*api).jaegerSearch},
	{method: "GET", path: "/api/traces/{trace_id}", under: []string{underJaeger, underTempo}, fail: failEither, handle: (*api).eitherTrace},
	{method: "GET", path: "/api/dependencies", query: []string{"endTs", "lookback", "service"}, under: []string{underJaeger}, fail: failJaeger, handle: (*api).jaegerDependencies},
	{method: "GET", path: "/api/v3/services", under: []string{underJaeger}, fail: failJaegerV3, handle: (*api).jaegerV3Services},
	{method: "GET", path: "/api/v3/operations", query: []string{"service", "spanKind"}, under: []string{underJaeger}, fail: failJaegerV3, handle: (*api).jaegerV3Operations},
	{method: "GET", path: "/api/v3/traces", query: jaegerV3Parameters, under: []string{underJaeger}, fail: failJaegerV3, handle: (*api).jaegerV3Search},
	{method: "GET", path: "/api/v3/traces/{trace_id}", under: []string{underJaeger}, fail: failJaegerV3, handle: (*api).jaegerV3Trace},
	{method: "GET", path: "/api/v3/trace-summaries", query: jaegerV3Parameters, under: []string{underJaeger}, fail: failJaegerV3, handle: (*api).jaegerV3Summaries},
	{method: "GET", path: "/api/v3/dependencies", query: []string{"startTime", "endTime"}, under: []string{underJaeger}, fail: failJaegerV3, handle: (*api).jaegerV3Dependencies},
	{method: "GET", path: "/api/metrics/{kind}", under: []string{underJaeger, underTempo}, fail: failMetrics, handle: (*api).toolMetrics},

	{method: "GET", path: "/api/echo", under: []string{underTempo}, fail: failTempo, handle: (*api).tempoEcho},
	{method: "GET", path: "/api/status/buildinfo", under: []string{underTempo}, fail: failTempo, handle: (*api).tempoBuildInfo},
	{method: "GET", path: "/api/search", query: []string{"q", "tags", "minDuration", "maxDuration", "start", "end", "limit", "spss"},
		under: []string{underTempo}, fail: failTempo, handle: (*api).tempoSearch},
	{method: "GET", path: "/api/search/tags", query: tempoNames, under: []string{underTempo}, fail: failTempo, handle: (*api).tempoTags},
	{method: "GET", path: "/api/v2/search/tags", query: tempoNames, under: []string{underTempo}, fail: failTempo, handle: (*api).tempoScopes},
	{method: "GET", path: "/api/search/tag/{tag}/values", query: tempoValues, under: []string{underTempo}, fail: failTempo, handle: (*api).tempoValues},
	{method: "GET", path: "/api/v2/search/tag/{tag}/values", query: tempoValues, under: []string{underTempo}, fail: failTempo, handle: (*api).tempoTypedValues},
	{method: "GET", path: "/api/v2/traces/{trace_id}", under: []string{underTempo}, fail: failTempo, handle: (*api).tempoTrace},
}

var (
	jaegerV3Parameters = []string{"query.serviceName", "query.operationName", "query.attributes", "query.startTimeMin", "query.startTimeMax",
		"query.durationMin", "query.durationMax", "query.searchDepth"}
	tempoNames  = []string{"scope", "start", "end", "limit"}
	tempoValues = []string{"q", "start", "end", "limit"}
)

// longSegments are path parameters that may hold a slash which the client did
// not encode, by what comes before and after them.
var longSegments = []struct{ before, name, after string }{
	{"/api/services/", "service", "/operations"},
	{"/api/search/tag/", "tag", "/values"},
	{"/api/v2/search/tag/", "tag", "/values"},
}

// pattern is a route's path for http.ServeMux.
func pattern(path string) string {
	if path == "/" {
		return "/{$}"
	}
	for _, s := range longSegments {
		if path == s.before+"{"+s.name+"}"+s.after {
			return s.before + "{" + s.name + "...}"
		}
	}
	return path
}

// longSegment returns the path parameter whose pattern takes the rest of the
// path.
func longSegment(req *http.Request, name, after string) (string, error) {
	value, ok := strings.CutSuffix(req.PathValue(name), after)
	if !ok || value == "" {
		return "", newProblem(http.StatusNotFound, "", "there is no %s: the calls are listed in docs/openapi.yaml", req.URL.Path)
	}
	return value, nil
}

func failJaeger(w http.ResponseWriter, _ *http.Request, p *problem) {
	writeJSON(w, "application/json", p.Status, jaegerapi.Response{Errors: []jaegerapi.Error{{Code: p.Status, Message: p.Detail}}})
}

func failJaegerV3(w http.ResponseWriter, _ *http.Request, p *problem) {
	writeJSON(w, "application/json", p.Status, jaegerapi.ErrorV3{Error: jaegerapi.ErrorDetails{Code: p.Status, Message: p.Detail}})
}

func failTempo(w http.ResponseWriter, _ *http.Request, p *problem) {
	writeBody(w, "text/plain; charset=utf-8", p.Status, []byte(p.Detail))
}

// wantsTempo tells the two tools apart where they have the same path: by the
// base URL, or else by what Tempo's clients accept and Jaeger's do not.
func wantsTempo(req *http.Request) bool {
	switch {
	case strings.HasPrefix(req.URL.Path, underTempo+"/"):
		return true
	case strings.HasPrefix(req.URL.Path, underJaeger+"/"):
		return false
	}
	return acceptsProtobuf(req)
}

func acceptsProtobuf(req *http.Request) bool {
	return strings.Contains(req.Header.Get("Accept"), "application/protobuf")
}

func failEither(w http.ResponseWriter, req *http.Request, p *problem) {
	if wantsTempo(req) {
		failTempo(w, req, p)
		return
	}
	failJaeger(w, req, p)
}

func (a *api) eitherTrace(w http.ResponseWriter, req *http.Request) error {
	w.Header().Set("Vary", "Accept")
	if wantsTempo(req) {
		return a.tempoOldTrace(w, req)
	}
	return a.jaegerTrace(w, req)
}

// failMetrics fails a call for metrics; the kinds are Jaeger's but for these.
func failMetrics(w http.ResponseWriter, req *http.Request, p *problem) {
	if kind := req.PathValue("kind"); kind == "query" || kind == "query_range" || kind == "summary" {
		failTempo(w, req, p)
		return
	}
	failJaeger(w, req, p)
}

func (a *api) toolMetrics(http.ResponseWriter, *http.Request) error {
	return newProblem(http.StatusNotImplemented, "",
		"metrics of spans are not supported: GET /api/v1/views/operations has rates, errors and durations")
}

// ofTool says what is wrong with a parameter of a tool's call.
func ofTool(err error) error {
	if e, ok := errors.AsType[*jaegerapi.ParameterError](err); ok {
		return newProblem(http.StatusBadRequest, e.Parameter, "%s", e.Error())
	}
	if e, ok := errors.AsType[*tempoapi.ParameterError](err); ok {
		return newProblem(http.StatusBadRequest, e.Parameter, "%s", e.Error())
	}
	return err
}

// parseShortTraceID reads a trace id whose leading zeros may be missing, as
// both tools write and take them.
func parseShortTraceID(text string) (id pcommon.TraceID, err error) {
	if missing := 2*len(id) - len(text); text != "" && missing >= 0 {
		_, err = hex.Decode(id[:], []byte(strings.Repeat("0", missing)+text))
		if err == nil && !id.IsEmpty() {
			return id, nil
		}
	}
	return id, newProblem(http.StatusBadRequest, "trace_id", "%.100q is no trace id: must be up to 32 hex digits, not all zero", text)
}

// searchFor searches for a tool.
func (a *api) searchFor(ctx context.Context, q *traceql.Query, r query.Range, limit, spans int) (query.Answer, error) {
	return a.find(ctx, q, query.SearchOptions{
		Range: r, Limit: limit, MaxSpans: spans, MaxBytes: int(a.cfg.Query.MaxBytes), MaxVisited: a.cfg.Query.MaxVisited,
	})
}

// wholeTrace reads a trace; one that is not stored is a problem.
func (a *api) wholeTrace(ctx context.Context, id pcommon.TraceID) ([]store.Span, error) {
	spans, err := a.tracesOf(ctx, []pcommon.TraceID{id})
	if err == nil && len(spans) == 0 {
		return nil, newProblem(http.StatusNotFound, "trace_id", "trace not found: %s is not stored", id)
	}
	return spans, err
}

// tracesOf reads traces; those that are not stored have no spans.
func (a *api) tracesOf(ctx context.Context, ids []pcommon.TraceID) ([]store.Span, error) {
	var all []store.Span
	size := 0
	for _, id := range ids {
		spans, err := a.store.Trace(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, spans...)
		for _, span := range spans {
			size += len(span.Origin) + len(span.Bytes)
		}
		if err := a.checkSize(len(all), size); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// linked decodes spans with their links both ways. incomplete says what is
// missing, "" if nothing is.
func (a *api) linked(ctx context.Context, spans []store.Span) (td ptrace.Traces, incomplete string, err error) {
	td, more, err := crosslink.Traces(ctx, a.store, spans, maxForeign)
	if more {
		incomplete = "more spans of other traces are linked to these than can be shown"
	}
	return td, incomplete, err
}

// writeOTLP writes spans as OTLP JSON in a tool's wrapping.
func writeOTLP(w http.ResponseWriter, td ptrace.Traces, wrap func(json.RawMessage) any) error {
	encoded, err := otlpJSON(td)
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, wrap(encoded))
	return nil
}
