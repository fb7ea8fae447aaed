package query

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
	"github.com/otelscope/otelscope/internal/traceql"
)

func attributeOf(scope traceql.Scope, name string) traceql.FieldExpr {
	return &traceql.Attribute{Scope: scope, Name: name}
}

// everything is a span that has something in every field.
func everything() store.Span {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "pay")
	rs.Resource().Attributes().PutStr("both", "resource")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("lib")
	ss.Scope().SetVersion("2")
	ss.Scope().Attributes().PutBool("fast", true)
	span := ss.Spans().AppendEmpty()
	span.SetTraceID(storetest.TraceID(1))
	span.SetSpanID(storetest.SpanID(2))
	span.SetParentSpanID(storetest.SpanID(3))
	span.SetName("charge")
	span.SetKind(ptrace.SpanKindServer)
	span.SetStartTimestamp(100)
	span.SetEndTimestamp(350)
	span.Status().SetCode(ptrace.StatusCodeError)
	span.Status().SetMessage("declined")
	a := span.Attributes()
	a.PutStr("both", "span")
	a.PutInt("int", -7)
	a.PutDouble("real", 0.5)
	a.PutBool("bool", false)
	a.PutEmptyBytes("bytes").Append(1)
	a.PutEmpty("empty")
	span.Events().AppendEmpty().SetName("retry")
	e := span.Events().AppendEmpty()
	e.SetName("give up")
	e.SetTimestamp(340)
	e.Attributes().PutInt("tries", 3)
	l := span.Links().AppendEmpty()
	l.SetTraceID(storetest.TraceID(4))
	l.SetSpanID(storetest.SpanID(5))
	l.Attributes().PutStr("why", "asked")
	return storetest.Split(td)[0].Encode(1)
}

func TestValueOf(t *testing.T) {
	var reader Reader
	r, err := reader.Read(everything())
	require.NoError(t, err)
	require.Equal(t, ref(1, 2), r.Ref)
	for _, c := range []struct {
		field traceql.FieldExpr
		want  any
	}{
		{traceql.Name, "charge"},
		{traceql.Status, traceql.StatusError},
		{traceql.StatusMessage, "declined"},
		{traceql.Kind, traceql.KindServer},
		{traceql.Duration, 250 * time.Nanosecond},
		{traceql.SpanID, "0000000000000002"},
		{traceql.ParentID, "0000000000000003"},
		{traceql.TraceID, "0a000000000000000000000000000001"},
		{traceql.EventName, "retry"},
		{traceql.EventTimeSinceStart, -100 * time.Nanosecond},
		{traceql.LinkTraceID, "0a000000000000000000000000000004"},
		{traceql.LinkSpanID, "0000000000000005"},
		{traceql.InstrumentationName, "lib"},
		{traceql.InstrumentationVersion, "2"},
		{traceql.ChildCount, nil},
		{traceql.TraceDuration, nil},
		{traceql.RootName, nil},
		{traceql.RootServiceName, nil},
		{attributeOf(traceql.ScopeNone, "both"), "span"},
		{attributeOf(traceql.ScopeNone, "service.name"), "pay"},
		{attributeOf(traceql.ScopeResource, "both"), "resource"},
		{attributeOf(traceql.ScopeSpan, "service.name"), nil},
		{attributeOf(traceql.ScopeSpan, "int"), int64(-7)},
		{attributeOf(traceql.ScopeSpan, "real"), 0.5},
		{attributeOf(traceql.ScopeSpan, "bool"), false},
		{attributeOf(traceql.ScopeSpan, "bytes"), nil},
		{attributeOf(traceql.ScopeSpan, "empty"), nil},
		{attributeOf(traceql.ScopeEvent, "tries"), int64(3)},
		{attributeOf(traceql.ScopeLink, "why"), "asked"},
		{attributeOf(traceql.ScopeInstrumentation, "fast"), true},
		{&traceql.Not{}, nil},
	} {
		require.Equal(t, c.want, r.ValueOf(c.field), "%v", c.field)
	}
}

func TestMalformedPartsAreEmpty(t *testing.T) {
	var reader Reader
	good := everything()
	// A field of 1 byte that says it has 5: an event, and a link.
	bad := append(append([]byte{}, good.Bytes...), 11<<3|2, 2, 2<<3|2, 5, 13<<3|2, 2, 1<<3|2, 5)
	r, err := reader.Read(store.Span{Origin: good.Origin, Bytes: bad})
	require.NoError(t, err)
	require.Equal(t, 3, r.readEvents())
	require.Equal(t, 2, r.readLinks())
	require.Empty(t, r.eventViews[2])
	require.Empty(t, r.linkViews[1])

	r.wire.Attributes[0].Value = []byte{1<<3 | 2, 5}
	require.Nil(t, r.ValueOf(attributeOf(traceql.ScopeSpan, string(r.wire.Attributes[0].Key))))
}

func TestMalformedRecords(t *testing.T) {
	var reader Reader
	good := everything()
	for name, span := range map[string]store.Span{
		"stored span: malformed":   {Origin: good.Origin, Bytes: []byte{1}},
		"stored origin: malformed": {Origin: []byte{1}, Bytes: good.Bytes},
		"Resource,":                {Origin: []byte{1<<3 | 2, 1, 1}, Bytes: good.Bytes},
		"InstrumentationScope,":    {Origin: []byte{2<<3 | 2, 3, 1<<3 | 2, 1, 1}, Bytes: good.Bytes},
	} {
		_, err := reader.Read(span)
		require.ErrorContains(t, err, name)
		_, err = Summarize([]store.Span{span})
		require.ErrorContains(t, err, name)
	}
}

func TestReaderForgetsOrigins(t *testing.T) {
	var reader Reader
	span := everything()
	for i := range 3 * maxOrigins {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutInt("n", int64(i))
		rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		r, err := reader.Read(store.Span{Origin: storetest.Split(td)[0].Encode(1).Origin, Bytes: span.Bytes})
		require.NoError(t, err)
		require.Equal(t, int64(i), r.ValueOf(attributeOf(traceql.ScopeResource, "n")))
		require.LessOrEqual(t, len(reader.origins), maxOrigins)
	}
}

func TestMatcher(t *testing.T) {
	var reader Reader
	r, err := reader.Read(everything())
	require.NoError(t, err)
	for text, want := range map[string]bool{
		`{ }`:                    true,
		`{ .both = "span" }`:     true,
		`{ .both = "resource" }`: false,
		`{ .bytes != nil }`:      true,
		`{ .bytes != "x" }`:      false,
		`{ .empty = nil }`:       true,
		`{ .int < -6.5 && .real = 0.5 || .bool }`:                         true,
		`{ .int = -7ns }`:                                                 true,
		`{ .bool }`:                                                       false,
		`{ !.bool && instrumentation.fast }`:                              true,
		`{ event:name =~ "give.*" && event.tries >= 3 }`:                  true,
		`{ event:name =~ "give" }`:                                        false,
		`{ event:name !~ "give.*" }`:                                      true,
		`{ link.why = "asked" && link:spanID = "0000000000000005" }`:      true,
		`{ span:id = link:spanID }`:                                       false,
		`{ span:id != link:spanID && trace:id < link:traceID }`:           true,
		`{ .missing != "x" }`:                                             false,
		`{ name > "b" && name <= "charge" }`:                              true,
		`{ kind = client } || { status = error } | { duration > 200ns }`:  true,
		`({ kind = client } || { status = ok }) | select(name)`:           false,
		`({ kind = server } | { name = "x" }) || { name = "y" }`:          false,
		`{ statusMessage = "declined" && instrumentation:version = "2" }`: true,
	} {
		m, err := NewMatcher(parsed(t, text))
		require.NoError(t, err, text)
		require.Equal(t, want, m.Matches(r), text)
		if !strings.Contains(text, "~") { // regexp keeps its machines in a sync.Pool, which forgets
			require.Zero(t, testing.AllocsPerRun(10, func() { m.Matches(r) }), text)
		}
	}
}

func TestNoMatcher(t *testing.T) {
	for text, want := range map[string]string{
		`{ } | count() > 1`:               "count() > 1 is about several spans",
		`{ } | by(name)`:                  "by(name) is about several spans",
		`{ } ->> { }`:                     "->> {} is about several spans",
		`{ } && { }`:                      "&& {} is about several spans",
		`({ } | by(name)) || { }`:         "by(name)",
		`{ } || ({ } | by(name))`:         "by(name)",
		`{ rootName = "x" }`:              `{ rootName = "x" } asks about the whole trace`,
		`{ } | { childCount > 1 }`:        "asks about the whole trace",
		`{ } | select(path)`:              "select(path)",
		`{ traceDuration != nil } || { }`: "asks about the whole trace",
	} {
		_, err := NewMatcher(parsed(t, text))
		var unsupported *UnsupportedError
		require.ErrorAs(t, err, &unsupported, text)
		require.ErrorContains(t, err, want)
	}
	_, err := NewMatcher(&traceql.Query{})
	require.ErrorContains(t, err, "no filter")
	bad := &traceql.Filter{Expr: &traceql.Comparison{Op: traceql.RegexMatch, Left: traceql.Name, Right: traceql.Literal{Kind: traceql.LiteralString, Text: "("}}}
	_, err = NewMatcher(&traceql.Query{Pipeline: traceql.Pipeline{Source: &traceql.Filter{}, Stages: []traceql.Stage{bad}}})
	require.ErrorContains(t, err, "regular expression")
}

// TestMatcherIsTheSearch matches single spans as a search does.
func TestMatcherIsTheOracle(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := rapidDice(rt)
		_, o := modelOf(rt, d.requests())
		q := parsed(rt, "{ "+d.condition(3)+" }")
		filter := q.Pipeline.Source.(*traceql.Filter)
		m, err := NewMatcher(q)
		loose, strict := new(Matcher), new(Matcher)
		p, compiled := compile(filter.Expr)
		require.NoError(rt, compiled)
		loose.predicate, strict.predicate = p.loose(), p.strict()
		where := conditionOf(p.loose())
		var reader Reader
		for _, x := range o.spans {
			r, readErr := reader.Read(x.encoded.Encode(1))
			require.NoError(rt, readErr)
			want := o.holds(x, filter.Expr)
			if err == nil {
				require.Equal(rt, want, m.Matches(r), q.String())
			}
			if want {
				require.True(rt, loose.Matches(r), "loose: %s", q)
				require.True(rt, where == nil || fulfils(where, x), "condition: %s", q)
			} else {
				require.False(rt, strict.Matches(r), "strict: %s", q)
			}
		}
	})
}

// fulfils says what a condition says of a span.
func fulfils(c store.Condition, x *ospan) bool {
	any := func(f store.Field, is func(any) bool) bool {
		for _, v := range fieldValues(f, x) {
			if is(v) {
				return true
			}
		}
		return false
	}
	switch c := c.(type) {
	case store.All:
		for _, part := range c {
			if !fulfils(part, x) {
				return false
			}
		}
		return true
	case store.Any:
		for _, part := range c {
			if fulfils(part, x) {
				return true
			}
		}
		return false
	case store.Has:
		return any(c.Field, func(v interface{}) bool { return v == c.Value })
	case store.Among:
		return any(c.Field, func(v interface{}) bool {
			text, ok := v.(string)
			return ok && c.Accept(text)
		})
	}
	l := c.(store.Lasted)
	lasted := uint64(max(0, int64(x.EndTimestamp())-int64(x.StartTimestamp())))
	return l.Min <= lasted && lasted <= l.Max
}

func fieldValues(f store.Field, x *ospan) []any {
	of := func(m pcommon.Map) []any {
		if v, ok := m.Get(f.Key); ok {
			return []any{v.AsRaw()}
		}
		return nil
	}
	var out []any
	switch f.Of {
	case store.OfSpan:
		return of(x.Attributes())
	case store.OfResource:
		return of(x.resource)
	case store.OfName:
		return []any{x.Name()}
	case store.OfKind:
		return []any{int64(x.Kind())}
	case store.OfStatus:
		return []any{int64(x.Status().Code())}
	case store.OfStatusMessage:
		return []any{x.Status().Message()}
	case store.OfEvent:
		for _, e := range x.Events().All() {
			out = append(out, of(e.Attributes())...)
		}
	case store.OfEventName:
		for _, e := range x.Events().All() {
			out = append(out, e.Name())
		}
	}
	return out
}

func TestConditions(t *testing.T) {
	has := func(of store.FieldOf, key string, v any) store.Has {
		return store.Has{Field: store.Field{Of: of, Key: key}, Value: v}
	}
	for text, want := range map[string]store.Condition{
		`{ }`:                                         nil,
		`{ true }`:                                    nil,
		`{ span.a = "x" }`:                            has(store.OfSpan, "a", "x"),
		`{ .a = "x" }`:                                store.Any{has(store.OfSpan, "a", "x"), has(store.OfResource, "a", "x")},
		`{ resource.a = 5 }`:                          store.Any{has(store.OfResource, "a", int64(5)), has(store.OfResource, "a", 5.0)},
		`{ resource.a = 0.5 }`:                        has(store.OfResource, "a", 0.5),
		`{ event.a = 9007199254740993 }`:              nil,
		`{ 5us = event.a }`:                           store.Any{has(store.OfEvent, "a", int64(5000)), has(store.OfEvent, "a", 5000.0)},
		`{ span.a }`:                                  has(store.OfSpan, "a", true),
		`{ span.a = false }`:                          has(store.OfSpan, "a", false),
		`{ !span.a }`:                                 nil,
		`{ span.a != 5 }`:                             nil,
		`{ span.a > 5 }`:                              nil,
		`{ span.a != nil }`:                           nil,
		`{ link.a = 5 }`:                              nil,
		`{ span.a = span.b }`:                         nil,
		`{ name = "x" && rootName = "y" }`:            has(store.OfName, "", "x"),
		`{ rootName = "y" && kind = server }`:         has(store.OfKind, "", int64(2)),
		`{ status = unset && kind = client }`:         store.All{has(store.OfStatus, "", int64(0)), has(store.OfKind, "", int64(3))},
		`{ statusMessage = "x" || link.a = 5 }`:       nil,
		`{ statusMessage = "x" || event:name = "y" }`: store.Any{has(store.OfStatusMessage, "", "x"), has(store.OfEventName, "", "y")},
		`{ span:id = "x" }`:                           nil,
		`{ duration > 5s }`:                           store.Lasted{Min: 5e9, Max: 1<<64 - 1},
		`{ duration <= -5 }`:                          store.Lasted{},
		`{ duration = 7 }`:                            store.Lasted{Min: 7, Max: 7},
		`{ duration != 7 }`:                           nil,
		`{ duration > 0.5 }`:                          nil,
		`{ duration <= 9223372036854775807 }`:         store.Lasted{Max: 1<<64 - 1},
	} {
		f := parsed(t, text).Pipeline.Source.(*traceql.Filter)
		p, err := compile(f.Expr)
		require.NoError(t, err)
		require.Equal(t, want, conditionOf(p.loose()), text)
	}
	flips := func(op traceql.CompareOp, literal int64) store.Condition {
		p, err := compile(&traceql.Comparison{Op: op, Left: traceql.Literal{Kind: traceql.LiteralInt, Int: literal}, Right: traceql.Duration})
		require.NoError(t, err)
		return conditionOf(p)
	}
	for op, want := range map[traceql.CompareOp]store.Condition{
		traceql.Less: store.Lasted{Min: 7, Max: 1<<64 - 1}, traceql.LessEqual: store.Lasted{Min: 7, Max: 1<<64 - 1},
		traceql.Greater: store.Lasted{Max: 7}, traceql.GreaterEqual: store.Lasted{Max: 7}, traceql.Equal: store.Lasted{Min: 7, Max: 7},
	} {
		require.Equal(t, want, flips(op, 7), op)
	}
	among := func(text string) store.Among {
		p, err := compile(parsed(t, text).Pipeline.Source.(*traceql.Filter).Expr)
		require.NoError(t, err)
		return conditionOf(p).(store.Among)
	}
	require.True(t, among(`{ span.a =~ "x.*" }`).Accept("xy"))
	require.False(t, among(`{ name !~ "x.*" }`).Accept("xy"))
	require.True(t, among(`{ name > "x" }`).Accept("xy"))
	require.False(t, among(`{ name > "x" }`).Accept("x"))
}

func TestSummarize(t *testing.T) {
	half := spec{ref: ref(1, 1), start: 90, kind: ptrace.SpanKindServer}
	var spans []store.Span
	for _, s := range []spec{{ref: ref(1, 4), start: 50, parent: 9}, half, {ref: ref(1, 2), start: 95, parent: 1}, {ref: ref(1, 3), start: 100, parent: 3}} {
		spans = append(spans, s.encoded())
	}
	spans = append(spans, everything())
	s, err := Summarize(spans)
	require.NoError(t, err)
	require.Equal(t, half.encoded(), s.Root, "an orphan that is earlier is not the root")
	require.EqualValues(t, 50, s.Start)
	require.EqualValues(t, 350, s.End)
	require.Equal(t, 5, s.Spans)
	require.Equal(t, map[string]ServiceSummary{"": {Spans: 4}, "pay": {Spans: 1, Errors: 1}}, s.Services)

	s, err = Summarize(spans[:1])
	require.NoError(t, err)
	require.Equal(t, spans[0], s.Root)
	s, err = Summarize([]store.Span{spec{ref: ref(1, 1), parent: 2}.encoded(), spec{ref: ref(1, 2), parent: 1}.encoded()})
	require.NoError(t, err)
	require.Empty(t, s.Root, "a circle has none")
	s, err = Summarize(nil)
	require.NoError(t, err)
	require.Equal(t, Summary{Services: map[string]ServiceSummary{}}, s)
}
