package query

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/traceql"
)

// togetherQueries need all kinds of things.
var togetherQueries = []string{
	`{}`, `{ name = "a" }`, `{ "b" = name }`, `{ name != "a" }`, `{ name =~ "a|b" }`, `{ status = error }`, `{ kind = client && name = "a" }`,
	`{ .x = 1 }`, `{ .x = "1" }`, `{ .x = 1.0 }`, `{ .x = true }`, `{ .x = 9007199254740992 }`, `{ .x = 9007199254740993 }`,
	`{ .x = 1 && span.y = "a" }`, `{ .x = 1 && span.y = "b" }`, `{ .x = 1 && resource.x = "a" }`, `{ resource.x = 1 || .x = 1 }`,
	`{ name = "a" && (.x = 1 || .x = 2) }`, `{ name = "a" && !(.x = 1) }`, `{ !(name = "a") }`, `{ .x = .y }`, `{ .x = nil }`, `{ .x = 1 } | { .y = 1 }`,
	`{ name = "a" } || { .x = 1 }`, `{ duration = 5 }`, `{ duration = 5ns && name = "a" }`, `{ event.x = 1 }`, `{ link:spanID = "0000000000000001" }`,
	`{ 1 = 1 }`, `{ name = "a" && name = "b" }`, `{ instrumentation:name = "storetest" && .x = 2 }`,
}

func drawValue(t *rapid.T, v pcommon.Value) {
	switch rapid.IntRange(0, 6).Draw(t, "type") {
	case 0:
		v.SetStr(rapid.SampledFrom([]string{"a", "b", "1"}).Draw(t, "text"))
	case 1:
		v.SetInt(rapid.SampledFrom([]int64{1, 2, 1 << 53, 1<<53 + 1}).Draw(t, "int"))
	case 2:
		v.SetDouble(rapid.SampledFrom([]float64{1, 1.5, 1 << 53}).Draw(t, "double"))
	case 3:
		v.SetBool(true)
	case 4:
		v.SetEmptySlice()
	}
}

func TestMatchersTogetherAreMatchersAlone(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var all []*Matcher
		for _, text := range rapid.SliceOf(rapid.SampledFrom(togetherQueries)).Draw(rt, "queries") {
			q, err := traceql.Parse(text)
			require.NoError(rt, err)
			matcher, err := NewMatcher(q)
			require.NoError(rt, err)
			all = append(all, matcher)
		}
		together := NewMatchers(all)
		var reader Reader
		for range 3 {
			record, err := reader.Read(drawSpan(rt))
			require.NoError(rt, err)
			var want, got []int
			for i, matcher := range all {
				if matcher.Matches(record) {
					want = append(want, i)
				}
			}
			together.Match(record, func(n int) { got = append(got, n) })
			slices.Sort(got)
			require.Equal(rt, want, got)
		}
	})
}

func drawSpan(t *rapid.T) store.Span {
	td := storetest.Traces(storetest.Spec{
		Trace: 1, Span: 1, Name: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name"),
		Kind: rapid.SampledFrom([]ptrace.SpanKind{ptrace.SpanKindClient, ptrace.SpanKindServer}).Draw(t, "kind"), Links: []uint64{1},
	})
	resource := td.ResourceSpans().At(0)
	span := resource.ScopeSpans().At(0).Spans().At(0)
	drawValue(t, span.Attributes().PutEmpty("x"))
	drawValue(t, span.Attributes().PutEmpty("y"))
	drawValue(t, resource.Resource().Attributes().PutEmpty("x"))
	return storetest.Split(td)[0].Encode(0)
}

// TestMatchersAreFoundByWhatIsRare: many share a service, so it is not what
// they are found by.
func TestMatchersAreFoundByWhatIsRare(t *testing.T) {
	var all []*Matcher
	for _, text := range []string{
		`{ resource.service.name = "cart" && .order = 1 }`, `{ .order = 2 && resource.service.name = "cart" }`,
		`{ resource.service.name = "cart" && kind = client && name = "x" }`, `{ kind = server }`,
	} {
		q, err := traceql.Parse(text)
		require.NoError(t, err)
		matcher, err := NewMatcher(q)
		require.NoError(t, err)
		all = append(all, matcher)
	}
	m := NewMatchers(all)
	require.Len(t, m.byField, 2)
	require.Equal(t, []int{0, 1}, m.byField[0].anyInt)
	require.Equal(t, map[string][]int{"x": {2}}, m.byField[1].texts)
	require.Equal(t, []int{3}, m.rest)
}
