package queryextension

import (
	"net/http"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
)

// timelineJSON is what one process did, in order.
type timelineJSON struct {
	Process   string      `json:"process"`
	Service   string      `json:"service"`
	Node      string      `json:"node"`
	Spans     []entryJSON `json:"spans"`
	Truncated bool        `json:"truncated"`
	Cursor    string      `json:"cursor,omitempty"` // only where there are more spans
}

// entryJSON is a span, and the edges that lead to it.
type entryJSON struct {
	spanJSON
	Causes []edgeJSON `json:"causes"`
}

// timeline answers what one process did.
func (a *api) timeline(w http.ResponseWriter, req *http.Request) error {
	process := req.PathValue("process")
	opts := query.TimelineOptions{Place: askedPlace(req), MaxBytes: int(a.cfg.Query.MaxBytes), Cursor: req.URL.Query().Get("cursor")}
	var err error
	if opts.Range, err = rangeOf(req); err != nil {
		return err
	}
	if opts.Filter, err = filterOf(req); err != nil {
		return err
	}
	if opts.Limit, err = limitOf(req); err != nil {
		return err
	}
	src, leave, err := a.takeTurn(req.Context())
	if err != nil {
		return err
	}
	defer leave()
	found, err := query.ProcessTimeline(req.Context(), src, process, opts)
	if err != nil {
		return err
	}
	if len(found.Entries) == 0 && opts.Cursor == "" {
		return newProblem(http.StatusNotFound, "process", "nothing that process %q did is stored%s", process, where(opts.Place.Service, opts.Place.Node))
	}
	spans := make([]store.Span, len(found.Entries))
	for i := range found.Entries {
		spans[i] = found.Entries[i].Span
	}
	decoded, err := newSpansJSON(spans)
	if err != nil {
		return err
	}
	answer := timelineJSON{
		Process: process, Service: found.Place.Service, Node: found.Place.Node,
		Spans: make([]entryJSON, len(decoded)), Truncated: found.Truncated, Cursor: found.Cursor,
	}
	for i, span := range decoded {
		answer.Spans[i] = entryJSON{span, newEdgesJSON(found.Entries[i].Causes)}
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

func askedPlace(req *http.Request) query.Place {
	asked := req.URL.Query()
	return query.Place{Service: asked.Get("service"), Node: asked.Get("node")}
}
