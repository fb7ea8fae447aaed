package rule

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/contexts/ottlspan"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/ottl/ottlfuncs"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"
)

type ottlCondition = *ottl.Condition[*ottlspan.TransformContext]

// ottlParser compiles conditions as the correlate processor does.
func ottlParser(t require.TestingT) func(when string) (Condition, error) {
	set := componenttest.NewNopTelemetrySettings()
	functions := ottlfuncs.StandardConverters[*ottlspan.TransformContext]()
	isRoot := ottlfuncs.NewIsRootSpanFactory()
	functions[isRoot.Name()] = isRoot
	parser, err := ottlspan.NewParser(functions, set, ottlspan.EnablePathContextNames())
	require.NoError(t, err)
	parsers, err := ottl.NewParserCollection(set, ottl.WithParserCollectionContext(ottlspan.ContextName, &parser,
		ottl.WithConditionConverter(func(_ *ottl.ParserCollection[ottlCondition], _ ottl.ConditionsGetter, parsed []ottlCondition) (ottlCondition, error) {
			return parsed[0], nil
		})))
	require.NoError(t, err)
	return func(when string) (Condition, error) {
		parsed, err := parsers.ParseConditionsWithContext(ottlspan.ContextName, ottl.NewConditionsGetter([]string{when}), true)
		if err != nil {
			return nil, err
		}
		return func(rs ptrace.ResourceSpans, ss ptrace.ScopeSpans, span ptrace.Span) bool {
			tc := ottlspan.NewTransformContext(rs, ss, span)
			defer tc.Close()
			met, err := parsed.Eval(context.Background(), tc)
			return met && err == nil
		}, nil
	}
}

// drawCondition draws a condition of the subset, with more or less space.
func drawCondition(t *rapid.T, depth int) string {
	from := func(label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	if depth > 0 {
		inner := func() string { return drawCondition(t, depth-1) }
		switch rapid.IntRange(0, 6).Draw(t, "shape") {
		case 0, 1:
			return inner() + " and " + inner()
		case 2, 3:
			return inner() + " or\n" + inner()
		case 4:
			return "not (" + inner() + ")"
		case 5:
			return "( " + inner() + ")"
		}
	}
	not := from("not", "", "", "not ")
	op := from("op", "==", "!=", " == ", " != ")
	span := from("span", "", "span.", "span . ")
	switch rapid.IntRange(0, 5).Draw(t, "path") {
	case 0:
		return not + span + "kind" + op + from("kind", "SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER")
	case 1:
		return not + span + "status.code" + op + from("status", "STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR")
	case 2:
		return not + span + "name" + op + from("name", `"a"`, `""`, `"a b"`)
	case 3:
		span = "resource."
	}
	key := from("key", "k", "messaging.system", "empty", "gone")
	return not + span + `attributes["` + key + `"]` + op + from("constant", `"v"`, `""`, "nil", "true", "false", "5", "0", `"5"`, `"true"`)
}

func drawSpan(t *rapid.T) spanOf {
	of := spanOf{"kind": rapid.SampledFrom([]string{"internal", "server", "client", "producer", "consumer"}).Draw(t, "kind")}
	if rapid.Bool().Draw(t, "failed") {
		of["error"] = true
	}
	of["name"] = rapid.SampledFrom([]string{"a", "", "a b"}).Draw(t, "name")
	values := []any{"v", "", "5", "true", nil, true, false, int64(5), int64(0), 5.0, 5.5, []byte{}, []byte("v"), []any{"v"}, []any{}, map[string]any{"v": 1}, map[string]any{}}
	for _, key := range []string{"k", "messaging.system", "empty", "resource:k", "resource:messaging.system"} {
		if rapid.Bool().Draw(t, "has "+key) {
			of[key] = rapid.SampledFrom(values).Draw(t, key)
		}
	}
	return of
}

// metBy evaluates a condition of the subset on the only span of a batch.
func metBy(t require.TestingT, when string, td ptrace.Traces) bool {
	s := &Set{names: names{slots: map[string]int{}}, slots: fixedSlots}
	n, ok := parseCondition(when, s.slot)
	require.True(t, ok, "%s is in the subset", when)
	x := s.NewExtractor()
	rs := td.ResourceSpans().At(0)
	span := rs.ScopeSpans().At(0).Spans().At(0)
	x.resource.fill(rs.Resource().Attributes(), &s.names)
	x.span.fill(span.Attributes(), &s.names)
	return n.met(x, span)
}

func TestConditionsMeanWhatOTTLMeans(t *testing.T) {
	compileOTTL := ottlParser(t)
	rapid.Check(t, func(t *rapid.T) {
		when := drawCondition(t, 3)
		met, err := compileOTTL(when)
		require.NoError(t, err, when)
		for range 4 {
			td := batch(t, drawSpan(t))
			rs := td.ResourceSpans().At(0)
			want := met(rs, rs.ScopeSpans().At(0), rs.ScopeSpans().At(0).Spans().At(0))
			require.Equal(t, want, metBy(t, when, td), when)
		}
	})
}

func TestTheSubset(t *testing.T) {
	for _, when := range []string{
		`kind == SPAN_KIND_SERVER`, `not span.kind != SPAN_KIND_SERVER`, `((name == "a"))`, ` name=="a" `,
		`status.code == STATUS_CODE_ERROR and not (name == "a" or attributes["x"] == nil)`,
		`resource.attributes["service.name"] != "a" or attributes["n"] == 12`,
	} {
		require.True(t, Evaluates(when), when)
	}
	deep := strings.Repeat("(", 40) + `name == "a"` + strings.Repeat(")", 40)
	for _, when := range []string{
		``, ` `, `true`, `name`, `name ==`, `name == "a" and`, `and name == "a"`, `name == "a" name == "b"`, `(name == "a"`, `name == "a")`,
		`not not name == "a"`, `name == a`, `name == 5`, `name == SPAN_KIND_SERVER`, `kind == "Server"`, `kind == 2`, `kind == STATUS_CODE_OK`,
		`kind.string == "Server"`, `kind == nil`, `attributes["a"]["b"] == "c"`, `attributes[0] == "c"`, `attributes == nil`,
		`attributes["a"] == SPAN_KIND_SERVER`, `attributes["a"] == 1.5`, `attributes["a"] == -1`, `attributes["a"] == 0x12`, `attributes["a"] > 5`,
		`attributes["a"] == 99999999999999999999`, `attributes["a\"b"] == "c"`, `attributes["a"] == "\n"`, `"v" == attributes["a"]`,
		`resource.kind == SPAN_KIND_SERVER`, `resource.name == "a"`, `span.resource.attributes["a"] == "b"`, `status == nil`, `status.message == "x"`,
		`IsMatch(name, "a")`, `name == "a" and IsRootSpan()`, `attributes["a"] == attributes["b"]`, `instrumentation_scope.name == "a"`,
		`span.kind.x == SPAN_KIND_SERVER`, `name == "é" ?`, deep,
	} {
		require.False(t, Evaluates(when), when)
	}
}

// What the subset takes OTTL takes too, and both mean the same by it.
func FuzzCondition(f *testing.F) {
	f.Add(`kind == SPAN_KIND_SERVER and not (name == "a" or attributes["k"] != nil)`, "v")
	f.Add(`resource.attributes["k"] == 5 or status.code != STATUS_CODE_OK`, "")
	f.Add(`span.attributes["messaging.system"] == true`, "a")
	compileOTTL := ottlParser(f)
	f.Fuzz(func(t *testing.T, when, value string) {
		if !Evaluates(when) {
			return
		}
		met, err := compileOTTL(when)
		require.NoError(t, err, when)
		td := batch(t, spanOf{"kind": "server", "name": value, "k": value, "resource:k": int64(len(value))})
		rs := td.ResourceSpans().At(0)
		require.Equal(t, met(rs, rs.ScopeSpans().At(0), rs.ScopeSpans().At(0).Spans().At(0)), metBy(t, when, td), when)
	})
}

// BenchmarkCondition compares what docs/rules.md says of both ways.
func BenchmarkCondition(b *testing.B) {
	const when = `kind == SPAN_KIND_SERVER and attributes["http.route"] == "/cart/{id}" and attributes["tenant"] != "test"`
	td := spansLike(fillHTTP)
	met, err := ottlParser(b)(when)
	require.NoError(b, err)
	key := []string{"url.path", "tenant"}
	for i, d := range []Definition{
		{},
		{Cause: End{When: when, Key: key}, Effect: End{When: `name == "x"`, Key: key}},
		{Cause: End{When: "( " + strings.Replace(when, `!= "test"`, `!= "te\u0073t"`, 1) + " )", Key: key, Met: met}, Effect: End{When: `name == "x"`, Key: key}},
	} {
		b.Run([]string{"none", "subset", "OTTL"}[i], func(b *testing.B) {
			s := compile(b)
			if d.Cause.When != "" {
				d.Name, d.Type, d.Confidence = fmt.Sprint("rule ", i), "message_flow", 1
				s = compile(b, d)
				require.Equal(b, i == 1, Evaluates(d.Cause.When))
			}
			x := s.NewExtractor()
			x.Extract(td)
			b.ReportAllocs()
			for b.Loop() {
				x.Extract(td)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchSpans), "ns/span")
		})
	}
}
