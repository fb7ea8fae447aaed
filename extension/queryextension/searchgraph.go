package queryextension

import (
	"net/http"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/traceql"
)

// searchGraphJSON is what a search found, and the edges among it.
type searchGraphJSON struct {
	Matches []endJSON `json:"matches"` // those of the nodes that the search lists
	graphJSON
}

// searchGraph answers the spans that a search lists, with the paths that led
// to them, as one graph. Its limit is of nodes.
func (a *api) searchGraph(w http.ResponseWriter, req *http.Request, format string) error {
	if err := unused(req, "the graph of a chain, which a search is not", "event", "service", "node", "trace", "span", "direction", "depth"); err != nil {
		return err
	}
	q, err := queryOf(req)
	if err != nil {
		return err
	}
	opts, err := a.searchOptions(req)
	if err != nil {
		return err
	}
	opts.MaxSpans = opts.Limit
	found, err := a.find(req.Context(), withPath(q), opts)
	if err != nil {
		return err
	}
	g, listed, err := query.Among(found.Spansets, opts.Filter, opts.Limit)
	if err != nil {
		return err
	}
	g.Truncated = g.Truncated || found.Truncated
	if format != "json" {
		drawing, err := newDiagram(g, listed)
		if err != nil {
			return err
		}
		drawing.Title = q.String()
		body, err := draw(format, drawing)
		if err != nil {
			return err
		}
		writeDrawing(w, format, body)
		return nil
	}
	answer := searchGraphJSON{Matches: []endJSON{}}
	for i := range g.Nodes {
		if n := &g.Nodes[i]; listed[n.Ref] {
			answer.Matches = append(answer.Matches, newEndJSON(n.Ref, n.Event, false))
		}
	}
	if answer.graphJSON, err = newGraphJSON(g); err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

// withPath is a query that asks for the path too.
func withPath(q *traceql.Query) *traceql.Query {
	with := *q
	with.Pipeline.Stages = append(with.Pipeline.Stages[:len(with.Pipeline.Stages):len(with.Pipeline.Stages)], &traceql.Select{Path: true})
	return &with
}
