package tempoapi

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/traceql"
)

var someFields = []store.Field{
	{Of: store.OfSpan, Key: "z"}, {Of: store.OfSpan, Key: "a"},
	{Of: store.OfResource, Key: "a"}, {Of: store.OfEvent, Key: "e"},
	{Of: store.OfName},
}

func TestNamesOfTags(t *testing.T) {
	all := Scopes(someFields, "", 10)
	require.Equal(t, []Scope{
		{"resource", []string{"a"}}, {"span", []string{"a", "z"}}, {"event", []string{"e"}},
		{"link", []string{"scope.link.confidence", "scope.link.role", "scope.link.rule", "scope.link.type"}},
	}, all[:4])
	require.Equal(t, "intrinsic", all[4].Name)
	require.Len(t, all[4].Tags, 10, "cut")
	require.Equal(t, []Scope{{"span", []string{"a"}}}, Scopes(someFields, "span", 1))
	require.Equal(t, []Scope{}, Scopes(someFields, "instrumentation", 1))
	require.Contains(t, Scopes(nil, "intrinsic", math.MaxInt)[0].Tags, "span:name")

	require.Equal(t, []string{"a", "e", "scope.link.confidence"}, Names(someFields, "", 3))
	require.Contains(t, Names(nil, "intrinsic", 100), "duration")
	require.NotContains(t, Names(someFields, "", 100), "duration")
}

func TestScopesAsked(t *testing.T) {
	for text, want := range map[string]string{"": "", "none": "", "span": "span", "intrinsic": "intrinsic", "link": "link"} {
		got, err := ParseScope(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := ParseScope("trace")
	require.EqualError(t, err, `invalid scope: "trace" is not allowed: must be span, resource, event, link, instrumentation or intrinsic`)
}

func TestTags(t *testing.T) {
	service := store.Field{Of: store.OfResource, Key: "service.name"}
	for text, c := range map[string]struct {
		field   string
		indexed []store.Field
	}{
		"resource.service.name":       {"resource.service.name", []store.Field{service}},
		"span.http.status_code":       {"span.http.status_code", []store.Field{{Of: store.OfSpan, Key: "http.status_code"}}},
		"event.e":                     {"event.e", []store.Field{{Of: store.OfEvent, Key: "e"}}},
		"link.l":                      {"link.l", nil},
		"instrumentation.i":           {"instrumentation.i", nil},
		".service.name":               {".service.name", []store.Field{{Of: store.OfSpan, Key: "service.name"}, service}},
		"service.name":                {".service.name", []store.Field{{Of: store.OfSpan, Key: "service.name"}, service}},
		"span.app.kubernetes.io/name": {"span.app.kubernetes.io/name", []store.Field{{Of: store.OfSpan, Key: "app.kubernetes.io/name"}}},
		"name":                        {"name", []store.Field{{Of: store.OfName}}},
		"span:name":                   {"name", []store.Field{{Of: store.OfName}}},
		"rootName":                    {"rootName", []store.Field{{Of: store.OfName}}},
		"trace:rootService":           {"rootServiceName", []store.Field{service}},
		"statusMessage":               {"statusMessage", []store.Field{{Of: store.OfStatusMessage}}},
		"event:name":                  {"event:name", []store.Field{{Of: store.OfEventName}}},
		"duration":                    {"duration", nil},
	} {
		field := ParseTag(text)
		require.Equal(t, c.field, field.String(), text)
		require.Equal(t, c.indexed, Indexed(field), text)
		_, ok := Words(field)
		require.False(t, ok, text)
	}
	words, ok := Words(ParseTag("span:status"))
	require.True(t, ok)
	require.Equal(t, []TypedValue{{"keyword", "unset"}, {"keyword", "ok"}, {"keyword", "error"}}, words)
	words, ok = Words(ParseTag("kind"))
	require.True(t, ok)
	require.Equal(t, []string{"unspecified", "internal", "server", "client", "producer", "consumer"}, Values(words))
}

func TestValues(t *testing.T) {
	got := TypedValues([]any{"b", int64(3), "a", 0.5, true, "b", "", nil, []byte("x"), time.Second, traceql.StatusError, traceql.KindServer}, 100)
	require.Equal(t, []TypedValue{
		{"bool", "true"}, {"duration", "1s"}, {"float", "0.5"}, {"int", "3"},
		{"keyword", "error"}, {"keyword", "server"}, {"string", "a"}, {"string", "b"},
	}, got)
	require.Equal(t, []TypedValue{{"string", "a"}}, TypedValues([]any{"b", "a"}, 1))
	require.Equal(t, []string{}, Values(TypedValues(nil, 1)))
}
