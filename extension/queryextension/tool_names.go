package queryextension

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/jaegerapi"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/views"
)

// services returns the names of services, sorted.
func (a *api) services(ctx context.Context) ([]string, error) {
	values, err := a.store.Values(ctx, store.Field{Of: store.OfResource, Key: attrService}, 0, 0, maxNames)
	names := []string{}
	for _, v := range values.Values {
		if name, ok := v.(string); ok {
			names = append(names, name)
		}
	}
	return names, err
}

// operationsAsked reads a call that names a service, and perhaps a kind.
func (a *api) operationsAsked(req *http.Request) ([]jaegerapi.Operation, error) {
	values := req.URL.Query()
	service := values.Get("service")
	if service == "" {
		return nil, newProblem(http.StatusBadRequest, "service", "parameter service is required")
	}
	return a.operations(req.Context(), service, cmp.Or(values.Get("spanKind"), values.Get("span_kind")))
}

// operations returns the operations of a service, of a kind if it is not "",
// sorted by name and kind, as far as the view has a row for them.
func (a *api) operations(ctx context.Context, service, kind string) ([]jaegerapi.Operation, error) {
	if err := a.follower.settled(ctx); err != nil {
		return nil, err
	}
	found := []jaegerapi.Operation{}
	a.follower.views.with(func(of []*views.Summary) {
		page := views.Operations(views.Query[views.OperationKey]{
			Keep: func(k views.OperationKey) bool { return k.Service == service && k.Service != views.Other }, Limit: maxNames,
		}, of...)
		for _, row := range page.Rows {
			o := jaegerapi.Operation{Name: row.Key.Name, Kind: strings.ToLower(ptrace.SpanKind(row.Key.Kind).String())}
			if kind == "" || kind == o.Kind {
				found = append(found, o)
			}
		}
	})
	return found, nil
}

// dependencies returns which services led to work of which others, by edges of
// any type, as far as the view has rows for them; of whatever time.
func (a *api) dependencies(ctx context.Context) ([]jaegerapi.Dependency, error) {
	if err := a.follower.settled(ctx); err != nil {
		return nil, err
	}
	found := []jaegerapi.Dependency{}
	a.follower.views.with(func(of []*views.Summary) {
		page := views.Edges(views.Query[views.EdgeKey]{
			Keep: func(k views.EdgeKey) bool { return k.Cause != k.Effect }, Limit: maxNames,
		}, of...)
		for _, row := range page.Rows { // those of two services stand together
			if n := len(found); n > 0 && found[n-1].Parent == row.Key.Cause && found[n-1].Child == row.Key.Effect {
				found[n-1].Calls += row.Values.Count
				continue
			}
			found = append(found, jaegerapi.Dependency{Parent: row.Key.Cause, Child: row.Key.Effect, Calls: row.Values.Count})
		}
	})
	return found, nil
}
