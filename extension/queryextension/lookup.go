package queryextension

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/bytesize"
	"github.com/otelscope/otelscope/internal/cache"
	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
)

// trace answers a whole trace as OTLP JSON.
func (a *api) trace(w http.ResponseWriter, req *http.Request) error {
	id, err := traceIDOf(req)
	if err != nil {
		return err
	}
	body, err := a.hot.body("trace "+id.String(), func() ([]byte, []cache.Dependency, error) {
		body, err := a.traceBody(req.Context(), id)
		return body, []cache.Dependency{cache.Trace(id)}, err
	})
	if err != nil {
		return err
	}
	writeBody(w, "application/json", http.StatusOK, body)
	return nil
}

func (a *api) traceBody(ctx context.Context, id pcommon.TraceID) ([]byte, error) {
	spans, err := a.store.Trace(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(spans) == 0 {
		return nil, newProblem(http.StatusNotFound, "trace_id", "trace %s is not stored", id)
	}
	size := 0
	for _, span := range spans {
		size += len(span.Origin) + len(span.Bytes)
	}
	if err := a.checkSize(len(spans), size); err != nil {
		return nil, err
	}
	traces, err := store.Traces(spans)
	if err != nil {
		return nil, err
	}
	settleOrder(traces)
	return otlpJSON(traces)
}

// otlpJSON is OTLP JSON of valid UTF-8.
func otlpJSON(traces ptrace.Traces) ([]byte, error) {
	body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(traces)
	if !utf8.Valid(body) { // clients send what they like; JSON is UTF-8
		body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	return body, err
}

// settleOrder orders the spans of a trace by when they began and, where the
// store leaves it open, by their ids: an answer is the same as long as what is
// stored is.
func settleOrder(traces ptrace.Traces) {
	before := func(a, b ptrace.Span) bool {
		x, y := a.SpanID(), b.SpanID()
		return cmp.Or(cmp.Compare(a.StartTimestamp(), b.StartTimestamp()), bytes.Compare(x[:], y[:]), cmp.Compare(a.Kind(), b.Kind())) < 0
	}
	for _, rs := range traces.ResourceSpans().All() {
		rs.ScopeSpans().At(0).Spans().Sort(before)
	}
	traces.ResourceSpans().Sort(func(a, b ptrace.ResourceSpans) bool {
		return before(a.ScopeSpans().At(0).Spans().At(0), b.ScopeSpans().At(0).Spans().At(0))
	})
}

// eventJSON is the span of an event, and the other spans that bear the id.
type eventJSON struct {
	spanJSON
	Others []spanJSON `json:"others"`
	// Truncated says that there are more others than limit.
	Truncated bool `json:"truncated"`
}

// event answers the span of an event, the newest where several bear its id.
func (a *api) event(w http.ResponseWriter, req *http.Request) error {
	limit, err := limitOf(req)
	if err != nil {
		return err
	}
	id := req.PathValue("event_id")
	spans, err := a.store.Event(req.Context(), id)
	if err != nil {
		return err
	}
	service, node := req.URL.Query().Get("service"), req.URL.Query().Get("node")
	found, more, err := a.matching(req.Context(), spans, service, node, 1+limit)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return newProblem(http.StatusNotFound, "event_id", "event %q is not stored%s", id, where(service, node))
	}
	writeJSON(w, "application/json", http.StatusOK, eventJSON{spanJSON: found[0], Others: found[1:], Truncated: more})
	return nil
}

// matching decodes spans in their order, up to limit of those that are of the
// service and the node ("": any); more says that there was another.
func (a *api) matching(ctx context.Context, spans []store.Span, service, node string, limit int) (found []spanJSON, more bool, err error) {
	size := 0
	for i, span := range spans {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		traces, err := store.Traces(spans[i : i+1])
		if err != nil {
			return nil, false, err
		}
		resource := traces.ResourceSpans().At(0)
		answer := newSpanJSON(resource.Resource(), resource.ScopeSpans().At(0).Spans().At(0))
		if service != "" && answer.Service != service || node != "" && answer.Node != node {
			continue
		}
		if len(found) == limit {
			return found, true, nil
		}
		found = append(found, answer)
		size += len(span.Origin) + len(span.Bytes)
		if err := a.checkSize(len(found), size); err != nil {
			return nil, false, err
		}
	}
	return found, false, nil
}

func where(service, node string) string {
	switch {
	case service != "" && node != "":
		return " for this service and node"
	case service != "":
		return " for this service"
	case node != "":
		return " for this node"
	}
	return ""
}

// checkSize refuses to make an answer of more OTLP than one query may hold.
func (a *api) checkSize(spans, size int) error {
	if bytesize.ByteSize(size) <= a.cfg.Query.MaxBytes {
		return nil
	}
	return &query.SizeError{Spans: spans, Bytes: size}
}
