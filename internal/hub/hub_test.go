package hub_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"

	"github.com/otelscope/otelscope/internal/hub"
	"github.com/otelscope/otelscope/internal/hub/hubtest"
)

type other struct {
	component.StartFunc
	component.ShutdownFunc
}

func TestFind(t *testing.T) {
	shared := hubtest.NewHub(nil)
	host := hubtest.NewHost(shared)
	second := component.MustNewIDWithName("scope_query", "a")
	host[second] = hubtest.NewHub(nil)
	stranger := component.MustNewID("health_check")
	host[stranger] = other{}

	found, err := hub.Find(host, "hub", hubtest.ID)
	require.NoError(t, err)
	require.Same(t, shared, found)

	_, err = hub.Find(host, "hub", stranger)
	require.EqualError(t, err, `hub: extension "health_check" is no scope_query extension`)

	missing := component.MustNewIDWithName("scope_query", "b")
	_, err = hub.Find(host, "store", missing)
	require.EqualError(t, err, `store: no extension "scope_query/b": is it listed under service.extensions? (there is scope_query, scope_query/a)`)

	_, err = hub.Find(componenttest.NewNopHost(), "store", missing)
	require.EqualError(t, err, `store: no extension "scope_query/b": is it listed under service.extensions? (there is none)`)
}

func TestFigures(t *testing.T) {
	require.JSONEq(t, `{"fill": 0.5}`, string(hub.Figures(func() any { return map[string]float64{"fill": 0.5} })))
	require.JSONEq(t, `{"error": "json: unsupported value: NaN"}`, string(hub.Figures(func() any { return math.NaN() })))
}
