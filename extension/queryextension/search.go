package queryextension

import (
	"context"
	"net/http"
	"slices"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/traceql"
)

// searchJSON is what a search found.
type searchJSON struct {
	Spansets  []spansetJSON `json:"spansets"` // the latest first
	Truncated bool          `json:"truncated"`
	Cursor    string        `json:"cursor,omitempty"` // only where there is more
	Plan      *query.Plan   `json:"plan,omitempty"`   // only with explain
}

// spansetJSON are spans that match together.
type spansetJSON struct {
	Spans   []matchJSON  `json:"spans"`
	Matched int          `json:"matched"` // those beyond spans_per_spanset included
	By      []fieldJSON  `json:"by,omitempty"`
	Figures []figureJSON `json:"figures,omitempty"`
	// Path is in causal order; it and its edges are empty without select(path).
	Path      []spanJSON `json:"path"`
	PathEdges []edgeJSON `json:"path_edges"`
}

// matchJSON is a span that matches, with the fields of select().
type matchJSON struct {
	spanJSON
	Selected []fieldJSON `json:"selected,omitempty"`
}

// fieldJSON is a field, as TraceQL writes it, and its value: null where there is
// none; durations in nanoseconds.
type fieldJSON struct {
	Field string `json:"field"`
	Value any    `json:"value"`
}

// figureJSON is an aggregate, as TraceQL writes it, and its value.
type figureJSON struct {
	Aggregate string `json:"aggregate"`
	Value     any    `json:"value"`
}

// search answers a TraceQL query.
func (a *api) search(w http.ResponseWriter, req *http.Request) error {
	q, err := queryOf(req)
	if err != nil {
		return err
	}
	opts, err := a.searchOptions(req)
	if err != nil {
		return err
	}
	found, err := a.find(req.Context(), q, opts)
	if err != nil {
		return err
	}
	answer, err := a.newSearchJSON(found)
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

// queryOf reads the query.
func queryOf(req *http.Request) (*traceql.Query, error) {
	text := req.URL.Query().Get("q")
	if text == "" {
		return nil, newProblem(http.StatusBadRequest, "q", "q is required: a TraceQL query such as { status = error }")
	}
	return traceql.Parse(text)
}

func (a *api) searchOptions(req *http.Request) (opts query.SearchOptions, err error) {
	opts.MaxBytes, opts.MaxVisited = int(a.cfg.Query.MaxBytes), a.cfg.Query.MaxVisited
	opts.Cursor = req.URL.Query().Get("cursor")
	if opts.Range, err = rangeOf(req); err != nil {
		return opts, err
	}
	if opts.Filter, err = filterOf(req); err != nil {
		return opts, err
	}
	if opts.Limit, err = limitOf(req); err != nil {
		return opts, err
	}
	if opts.MaxSpans, err = numberOf(req, "spans_per_spanset", defaultLimit); err != nil {
		return opts, err
	}
	opts.Explain, err = flagOf(req, "explain")
	return opts, err
}

// find runs a search when there is room for one.
func (a *api) find(ctx context.Context, q *traceql.Query, opts query.SearchOptions) (query.Answer, error) {
	src, leave, err := a.takeTurn(ctx)
	if err != nil {
		return query.Answer{}, err
	}
	defer leave()
	return query.Search(ctx, src, q, opts)
}

func (a *api) newSearchJSON(found query.Answer) (searchJSON, error) {
	if err := a.checkAnswer(found); err != nil {
		return searchJSON{}, err
	}
	answer := searchJSON{
		Spansets: make([]spansetJSON, 0, len(found.Spansets)), Truncated: found.Truncated, Cursor: found.Cursor, Plan: found.Plan,
	}
	var reader query.Reader
	for i := range found.Spansets {
		set, err := newSpansetJSON(&found.Spansets[i], &reader)
		if err != nil {
			return searchJSON{}, err
		}
		answer.Spansets = append(answer.Spansets, set)
	}
	return answer, nil
}

// checkAnswer refuses an answer that repeats so much of what was found, in the
// paths of many spansets, that it is more than one query may hold.
func (a *api) checkAnswer(found query.Answer) error {
	spans, size := 0, 0
	count := func(all []store.Span) {
		spans += len(all)
		for _, span := range all {
			size += len(span.Origin) + len(span.Bytes)
		}
	}
	for i := range found.Spansets {
		count(found.Spansets[i].Spans)
		for j := range found.Spansets[i].Path.Nodes {
			count(found.Spansets[i].Path.Nodes[j].Spans)
		}
	}
	return a.checkSize(spans, size)
}

func newSpansetJSON(set *query.Spanset, reader *query.Reader) (spansetJSON, error) {
	path, err := newGraphJSON(set.Path)
	if err != nil {
		return spansetJSON{}, err
	}
	answer := spansetJSON{Spans: make([]matchJSON, len(set.Spans)), Matched: set.Matched, Path: path.Nodes, PathEdges: path.Edges}
	for _, by := range set.By {
		answer.By = addField(answer.By, by.Field, by.Value)
	}
	for _, figure := range set.Figures {
		answer.Figures = append(answer.Figures, figureJSON{figure.Aggregate.String(), doubleJSON(figure.Value)})
	}
	spans, err := newSpansJSON(set.Spans)
	if err != nil {
		return spansetJSON{}, err
	}
	for i, span := range spans {
		answer.Spans[i].spanJSON = span
		if answer.Spans[i].Selected, err = selected(set.Spans[i], set.Fields, reader); err != nil {
			return spansetJSON{}, err
		}
	}
	return answer, nil
}

// selected returns the fields of a span that the query selects.
func selected(span store.Span, fields []traceql.FieldExpr, reader *query.Reader) ([]fieldJSON, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	record, err := reader.Read(span)
	if err != nil {
		return nil, err
	}
	var values []fieldJSON
	for _, field := range fields {
		values = addField(values, field, record.ValueOf(field))
	}
	return values, nil
}

// addField adds a field and its value, once however often it is asked for.
func addField(values []fieldJSON, field traceql.FieldExpr, value any) []fieldJSON {
	name := field.String()
	if slices.ContainsFunc(values, func(known fieldJSON) bool { return known.Field == name }) {
		return values
	}
	return append(values, fieldJSON{name, plainJSON(value)})
}
