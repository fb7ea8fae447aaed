package queryextension

import (
	"bytes"
	"io"
	"math"
	"net/http"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/diagram"
	"github.com/otelscope/otelscope/internal/query"
)

// formats are how a graph is drawn, and the content type of each.
var formats = map[string]struct {
	contentType string
	draw        func(io.Writer, diagram.Graph) error
}{
	"dot":     {"text/vnd.graphviz; charset=utf-8", diagram.DOT},
	"mermaid": {"text/vnd.mermaid; charset=utf-8", diagram.Mermaid},
	"svg":     {"image/svg+xml", diagram.SVG},
}

// graph answers a chain or what a search found, drawn.
func (a *api) graph(w http.ResponseWriter, req *http.Request) error {
	format, err := choiceOf(req, "format", "json", "dot", "mermaid", "svg")
	if err != nil {
		return err
	}
	if req.URL.Query().Has("q") {
		return a.searchGraph(w, req, format)
	}
	if err := unused(req, "the graph of a search, which q asks for", "start", "end"); err != nil {
		return err
	}
	if format == "json" {
		return a.writeChain(w, req, a.rootOfGraph)
	}
	body, err := a.chain(req, format, a.rootOfGraph, func(root causal.SpanRef, g query.Graph) ([]byte, error) {
		drawing, err := newDiagram(g, map[causal.SpanRef]bool{root: true})
		if err != nil {
			return nil, err
		}
		return draw(format, drawing)
	})
	if err != nil {
		return err
	}
	writeDrawing(w, format, body)
	return nil
}

func draw(format string, drawing diagram.Graph) ([]byte, error) {
	var body bytes.Buffer
	err := formats[format].draw(&body, drawing)
	return body.Bytes(), err
}

func writeDrawing(w http.ResponseWriter, format string, body []byte) {
	// A browser that opens the diagram runs nothing of it and loads nothing.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	writeBody(w, formats[format].contentType, http.StatusOK, body)
}

// unused refuses parameters that only something else has a use for.
func unused(req *http.Request, by string, names ...string) error {
	for _, name := range names {
		if req.URL.Query().Get(name) != "" {
			return newProblem(http.StatusBadRequest, name, "%s is for %s", name, by)
		}
	}
	return nil
}

// rootOfGraph finds what the graph is asked for: an event, or a span.
func (a *api) rootOfGraph(req *http.Request) (causal.SpanRef, error) {
	asked := req.URL.Query()
	event, trace, span := asked.Get("event"), asked.Get("trace"), asked.Get("span")
	switch {
	case event != "" && (trace != "" || span != ""):
		return causal.SpanRef{}, newProblem(http.StatusBadRequest, "event", "a graph is asked for by event, or by trace and span: not by both")
	case event != "":
		return a.rootOfEvent(req, "event", event)
	case trace == "" && span == "":
		return causal.SpanRef{}, newProblem(http.StatusBadRequest, "event", "a graph is asked for by event, or by trace and span: none is given, and no search by q")
	}
	for _, name := range []string{"service", "node"} {
		if asked.Get(name) != "" {
			return causal.SpanRef{}, newProblem(http.StatusBadRequest, name, "%s narrows an event: with trace and span there is nothing to narrow", name)
		}
	}
	return parseRef("trace", trace, "span", span)
}

// newDiagram draws a graph, with the roots marked; the last of them gives it
// its title.
func newDiagram(g query.Graph, roots map[causal.SpanRef]bool) (diagram.Graph, error) {
	drawing := diagram.Graph{Truncated: g.Truncated}
	at := make(map[causal.SpanRef]int, len(g.Nodes))
	for i := range g.Nodes {
		node, err := newDiagramNode(&g.Nodes[i])
		if err != nil {
			return diagram.Graph{}, err
		}
		if roots[g.Nodes[i].Ref] {
			node.Root = true
			drawing.Title = "Causal chain of " + node.Name
		}
		at[g.Nodes[i].Ref] = i
		drawing.Nodes = append(drawing.Nodes, node)
	}
	for _, e := range g.Edges {
		drawing.Edges = append(drawing.Edges, diagram.Edge{
			From: at[e.Cause], To: at[e.Effect], Type: e.Type, Confidence: e.Confidence, Rule: e.Rule,
		})
	}
	return drawing, nil
}

// newDiagramNode draws a span; of two that share an id the one by whose kind
// they come first.
func newDiagramNode(n *query.Node) (diagram.Node, error) {
	trace, span := n.Ref.TraceID.String(), n.Ref.SpanID.String()
	node := diagram.Node{ID: trace + "/" + span, Missing: n.Missing(), Detail: "trace " + trace + "\nspan " + span}
	if n.Missing() {
		return node, nil
	}
	resource, decoded, err := decode(n.Spans[0])
	if err != nil {
		return diagram.Node{}, err
	}
	s := newSpanJSON(resource, decoded)
	node.Service, node.Instance, node.Process, node.Name, node.Kind = s.Service, s.Node, s.Process, s.Name, s.Kind
	node.Start, node.End = clamp(n.Start), clamp(n.End)
	node.Failed, node.Open = s.Status == "error", s.State == causal.CallOpen
	node.Href = "?trace=" + trace + "&span=" + span + "&format=svg"
	for _, line := range [][2]string{{"event ", s.EventID}, {"event kind ", s.EventKind}, {"status message ", s.StatusMessage}} {
		if line[1] != "" {
			node.Detail += "\n" + line[0] + line[1]
		}
	}
	return node, nil
}

func clamp(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
