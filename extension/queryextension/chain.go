package queryextension

import (
	"fmt"
	"net/http"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/cache"
	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
)

// chainParameters are the query parameters of every call that follows a chain.
var chainParameters = []string{"direction", "types", "min_confidence", "depth", "limit"}

// chainJSON is the causal neighbourhood of a span. Spans that are not stored
// are no nodes, only ends of edges.
type chainJSON struct {
	Root endJSON `json:"root"`
	graphJSON
}

type graphJSON struct {
	Nodes     []spanJSON `json:"nodes"` // in causal order
	Edges     []edgeJSON `json:"edges"`
	Truncated bool       `json:"truncated"`
}

// groupJSON is what belongs to a correlation id.
type groupJSON struct {
	Spans     []spanJSON `json:"spans"` // in causal order
	Edges     []edgeJSON `json:"edges"`
	Truncated bool       `json:"truncated"`
}

func (a *api) eventChain(w http.ResponseWriter, req *http.Request) error {
	return a.writeChain(w, req, a.rootOfPathEvent)
}

func (a *api) spanChain(w http.ResponseWriter, req *http.Request) error {
	return a.writeChain(w, req, func(req *http.Request) (causal.SpanRef, error) {
		return parseRef("trace_id", req.PathValue("trace_id"), "span_id", req.PathValue("span_id"))
	})
}

func (a *api) writeChain(w http.ResponseWriter, req *http.Request, rootOf func(*http.Request) (causal.SpanRef, error)) error {
	body, err := a.chain(req, "json", rootOf, func(root causal.SpanRef, g query.Graph) ([]byte, error) {
		answer, err := newChainJSON(root, g)
		if err != nil {
			return nil, err
		}
		return encodeJSON(answer)
	})
	if err != nil {
		return err
	}
	writeBody(w, "application/json", http.StatusOK, body)
	return nil
}

// chain finds the root of the request and follows its chain; encode makes the
// body of it in a format.
func (a *api) chain(req *http.Request, format string, rootOf func(*http.Request) (causal.SpanRef, error),
	encode func(root causal.SpanRef, g query.Graph) ([]byte, error),
) ([]byte, error) {
	opts, err := a.chainOptions(req)
	if err != nil {
		return nil, err
	}
	root, err := rootOf(req)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprint(format, " ", root.TraceID, root.SpanID, opts)
	return a.hot.body(key, func() ([]byte, []cache.Dependency, error) {
		g, err := a.follow(req, root, opts)
		if err != nil {
			return nil, nil, err
		}
		body, err := encode(root, g)
		return body, nodesOf(g), err
	})
}

// follow returns the chain of a root, which must be stored.
func (a *api) follow(req *http.Request, root causal.SpanRef, opts query.ChainOptions) (query.Graph, error) {
	g, err := query.Chain(req.Context(), a.store, []causal.SpanRef{root}, opts)
	if err == nil && nodeOf(g, root).Missing() {
		name := "span"
		if req.PathValue("span_id") != "" {
			name = "span_id"
		}
		return g, newProblem(http.StatusNotFound, name, "span %s of trace %s is not stored", root.SpanID, root.TraceID)
	}
	return g, err
}

func (a *api) chainOptions(req *http.Request) (query.ChainOptions, error) {
	opts := query.ChainOptions{MaxBytes: int(a.cfg.Query.MaxBytes)}
	direction, err := choiceOf(req, "direction", "both", "causes", "effects")
	if err != nil {
		return opts, err
	}
	opts.Direction = map[string]query.Direction{"both": query.Both, "causes": query.Causes, "effects": query.Effects}[direction]
	if opts.Filter, err = filterOf(req); err != nil {
		return opts, err
	}
	if opts.Depth, err = numberOf(req, "depth", 0); err != nil {
		return opts, err
	}
	opts.Limit, err = limitOf(req)
	return opts, err
}

// rootOfPathEvent finds the span of the event that the path names.
func (a *api) rootOfPathEvent(req *http.Request) (causal.SpanRef, error) {
	return a.rootOfEvent(req, "event_id", req.PathValue("event_id"))
}

// rootOfEvent finds the span of an event, the newest where several bear its
// id; name is the parameter that has the id.
func (a *api) rootOfEvent(req *http.Request, name, id string) (causal.SpanRef, error) {
	spans, err := a.store.Event(req.Context(), id)
	if err != nil {
		return causal.SpanRef{}, err
	}
	service, node := req.URL.Query().Get("service"), req.URL.Query().Get("node")
	found, _, err := a.matching(req.Context(), spans, service, node, 1)
	if err != nil {
		return causal.SpanRef{}, err
	}
	if len(found) == 0 {
		return causal.SpanRef{}, newProblem(http.StatusNotFound, name, "event %q is not stored%s", id, where(service, node))
	}
	ref, err := parseRef(name, found[0].TraceID, name, found[0].SpanID)
	if err != nil {
		return ref, newProblem(http.StatusNotFound, name, "the span of event %q has no trace id or no span id: nothing can name it", id)
	}
	return ref, nil
}

func parseRef(traceName, trace, spanName, span string) (ref causal.SpanRef, err error) {
	if ref.TraceID, err = parseTraceID(traceName, trace); err != nil {
		return ref, err
	}
	ref.SpanID, err = parseSpanID(spanName, span)
	return ref, err
}

// correlation answers a sender's group.
func (a *api) correlation(w http.ResponseWriter, req *http.Request) error {
	limit, err := limitOf(req)
	if err != nil {
		return err
	}
	id := req.PathValue("correlation_id")
	g, err := query.Group(req.Context(), a.store, id, limit, int(a.cfg.Query.MaxBytes))
	if err != nil {
		return err
	}
	if len(g.Nodes) == 0 {
		return newProblem(http.StatusNotFound, "correlation_id", "no span with the correlation id %q is stored", id)
	}
	answer, err := newGraphJSON(g)
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, groupJSON{Spans: answer.Nodes, Edges: answer.Edges, Truncated: answer.Truncated})
	return nil
}

func newChainJSON(root causal.SpanRef, g query.Graph) (chainJSON, error) {
	graph, err := newGraphJSON(g)
	n := nodeOf(g, root)
	return chainJSON{Root: newEndJSON(root, n.Event, n.Missing()), graphJSON: graph}, err
}

// nodeOf returns a node that the graph has.
func nodeOf(g query.Graph, ref causal.SpanRef) *query.Node {
	return &g.Nodes[slices.IndexFunc(g.Nodes, func(n query.Node) bool { return n.Ref == ref })]
}

func newGraphJSON(g query.Graph) (graphJSON, error) {
	answer := graphJSON{Edges: make([]edgeJSON, 0, len(g.Edges)), Truncated: g.Truncated}
	ends := make(map[causal.SpanRef]endJSON, len(g.Nodes))
	var spans []store.Span
	for i := range g.Nodes {
		n := &g.Nodes[i]
		ends[n.Ref] = newEndJSON(n.Ref, n.Event, n.Missing())
		spans = append(spans, n.Spans...)
	}
	var err error
	if answer.Nodes, err = newSpansJSON(spans); err != nil {
		return graphJSON{}, err
	}
	for _, e := range g.Edges {
		answer.Edges = append(answer.Edges, edgeJSON{
			Type: e.Type, Confidence: e.Confidence, Rule: e.Rule, Cause: ends[e.Cause], Effect: ends[e.Effect],
		})
	}
	return answer, nil
}

func decode(span store.Span) (pcommon.Resource, ptrace.Span, error) {
	traces, err := store.Traces([]store.Span{span})
	if err != nil {
		return pcommon.Resource{}, ptrace.Span{}, err
	}
	resource := traces.ResourceSpans().At(0)
	return resource.Resource(), resource.ScopeSpans().At(0).Spans().At(0), nil
}

// newSpansJSON decodes spans, which is cheaper together than one by one, and
// returns them in their order.
func newSpansJSON(spans []store.Span) ([]spanJSON, error) {
	traces, err := store.Traces(spans)
	if err != nil {
		return nil, err
	}
	places := map[string][]int{} // by origin
	var origins []string
	for i, span := range spans {
		origin := string(span.Origin)
		if places[origin] == nil {
			origins = append(origins, origin)
		}
		places[origin] = append(places[origin], i)
	}
	answer := make([]spanJSON, len(spans))
	for i, origin := range origins { // as store.Traces groups them
		resource := traces.ResourceSpans().At(i)
		for j, place := range places[origin] {
			answer[place] = newSpanJSON(resource.Resource(), resource.ScopeSpans().At(0).Spans().At(j))
		}
	}
	return answer, nil
}
