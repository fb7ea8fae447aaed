package queryextension

import (
	"net/http"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/tempoapi"
	"github.com/otelscope/otelscope/internal/traceql"
)

// Bounds of a search for the values that spans have which match a filter: the
// latest of them are looked at.
const (
	valueSpansets = 500
	valueSpans    = 20 // of each
)

func (a *api) tempoTags(w http.ResponseWriter, req *http.Request) error {
	fields, scope, limit, err := a.fieldsAsked(req)
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, tempoapi.TagsResponse{Names: tempoapi.Names(fields, scope, limit)})
	return nil
}

func (a *api) tempoScopes(w http.ResponseWriter, req *http.Request) error {
	fields, scope, limit, err := a.fieldsAsked(req)
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, tempoapi.ScopesResponse{Scopes: tempoapi.Scopes(fields, scope, limit)})
	return nil
}

// fieldsAsked reads what a call for names of tags asks for. A filter (q) does
// not narrow them.
func (a *api) fieldsAsked(req *http.Request) (fields []store.Field, scope string, limit int, err error) {
	values := req.URL.Query()
	if scope, err = tempoapi.ParseScope(values.Get("scope")); err != nil {
		return nil, "", 0, ofTool(err)
	}
	asked, err := tempoapi.ParseRange(values)
	if err != nil {
		return nil, "", 0, ofTool(err)
	}
	if limit, err = tempoapi.ParseLimit(values, maxNames); err != nil {
		return nil, "", 0, ofTool(err)
	}
	fields, err = a.store.Fields(req.Context(), asked.Start, asked.End)
	return fields, scope, limit, err
}

func (a *api) tempoValues(w http.ResponseWriter, req *http.Request) error {
	values, err := a.valuesAsked(req)
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, tempoapi.ValuesResponse{Values: tempoapi.Values(values)})
	return nil
}

func (a *api) tempoTypedValues(w http.ResponseWriter, req *http.Request) error {
	values, err := a.valuesAsked(req)
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, tempoapi.TypedValuesResponse{Values: values})
	return nil
}

// valuesAsked returns the values of the tag that the request names.
func (a *api) valuesAsked(req *http.Request) ([]tempoapi.TypedValue, error) {
	tag, err := longSegment(req, "tag", "/values")
	if err != nil {
		return nil, err
	}
	given := req.URL.Query()
	asked, err := tempoapi.ParseRange(given)
	if err != nil {
		return nil, ofTool(err)
	}
	limit, err := tempoapi.ParseLimit(given, maxNames)
	if err != nil {
		return nil, ofTool(err)
	}
	field := tempoapi.ParseTag(tag)
	if words, ok := tempoapi.Words(field); ok {
		return words, nil
	}
	if filter := filterOfValues(given.Get("q")); filter != nil {
		return a.valuesWhere(req, filter, field, asked, limit)
	}
	var all []any
	for _, indexed := range tempoapi.Indexed(field) {
		values, err := a.store.Values(req.Context(), indexed, asked.Start, asked.End, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, values.Values...)
	}
	return tempoapi.TypedValues(all, limit), nil
}

// filterOfValues is the filter that spans must match for their values to
// count; nil: all do. Clients complete words while a query is being written,
// so what cannot be read is no filter, as in Tempo.
func filterOfValues(text string) *traceql.Query {
	q, err := traceql.Parse(text)
	if err != nil {
		return nil
	}
	if f, ok := q.Pipeline.Source.(*traceql.Filter); ok && f.Expr == nil && len(q.Pipeline.Stages) == 0 {
		return nil
	}
	return q
}

// valuesWhere returns the values that a field has in the latest spans which
// match.
func (a *api) valuesWhere(req *http.Request, filter *traceql.Query, field traceql.FieldExpr, asked query.Range, limit int) ([]tempoapi.TypedValue, error) {
	found, err := a.searchFor(req.Context(), filter, asked, valueSpansets, valueSpans)
	if err != nil {
		return nil, err
	}
	var all []any
	var reader query.Reader
	for _, set := range found.Spansets {
		for _, span := range set.Spans {
			record, _ := reader.Read(span) // the search has read it
			if value := record.ValueOf(field); value != nil {
				all = append(all, value)
			}
		}
	}
	return tempoapi.TypedValues(all, limit), nil
}
