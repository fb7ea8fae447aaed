package rule

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/correlate"
)

const testWindow = 5 * time.Minute

func compile(t require.TestingT, user ...Definition) *Set {
	s, err := Compile(causal.Types, user, testWindow)
	require.NoError(t, err)
	return s
}

// spanOf is a span that a test speaks of: attributes by key, where
// "resource:KEY" is the resource's; "kind", "name", "error", "state", "at" and
// "parent" are the span's own fields. Each has a trace of its own, and begins
// after those before it.
type spanOf map[string]any

// batch puts spans into one batch, each with a resource of its own.
func batch(t require.TestingT, spans ...spanOf) ptrace.Traces {
	td := ptrace.NewTraces()
	for i, of := range spans {
		rs := td.ResourceSpans().AppendEmpty()
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetTraceID(pcommon.TraceID{0: 1, 15: byte(i + 1)})
		span.SetSpanID(pcommon.SpanID{0: 2, 7: byte(i + 1)})
		span.SetStartTimestamp(pcommon.Timestamp(1000 + i))
		for _, key := range slices.Sorted(maps.Keys(of)) {
			put(t, rs.Resource(), span, key, of[key])
		}
	}
	return td
}

var kindsByName = map[string]ptrace.SpanKind{
	"internal": ptrace.SpanKindInternal, "server": ptrace.SpanKindServer, "client": ptrace.SpanKindClient,
	"producer": ptrace.SpanKindProducer, "consumer": ptrace.SpanKindConsumer,
}

func put(t require.TestingT, resource pcommon.Resource, span ptrace.Span, key string, value any) {
	switch key {
	case "kind":
		kind, ok := kindsByName[value.(string)]
		require.True(t, ok, value)
		span.SetKind(kind)
	case "name":
		span.SetName(value.(string))
	case "error":
		span.Status().SetCode(ptrace.StatusCodeError)
	case "state":
		span.TraceState().FromRaw(value.(string))
	case "at":
		span.SetStartTimestamp(pcommon.Timestamp(value.(int)))
	case "parent":
		span.SetParentSpanID(pcommon.SpanID{9})
	default:
		to := span.Attributes()
		if of, ok := strings.CutPrefix(key, "resource:"); ok {
			key, to = of, resource.Attributes()
		}
		require.NoError(t, to.PutEmpty(key).FromRaw(value))
	}
}

// link puts a link on a span, to the span of number n, in a role.
func link(span ptrace.Span, n byte, role string) {
	l := span.Links().AppendEmpty()
	l.SetTraceID(pcommon.TraceID{0: 1, 15: n})
	l.SetSpanID(pcommon.SpanID{0: 2, 7: n})
	if role != "" {
		l.Attributes().PutStr(causal.AttrLinkRole, role)
	}
}

// native is a span of a native event of process p on node n of service s; what
// more gives is added or replaces.
func native(kind string, more spanOf) spanOf {
	of := spanOf{
		"resource:service.name": "s", "resource:service.instance.id": "n",
		"scope.event.kind": kind, "scope.process.id": "p",
	}
	maps.Copy(of, more)
	return of
}

// with returns the span with another attribute.
func (s spanOf) with(key string, value any) spanOf {
	out := maps.Clone(s)
	out[key] = value
	return out
}

// extract returns the observations of spans.
func extract(t require.TestingT, s *Set, spans ...spanOf) []correlate.Observation {
	return s.NewExtractor().Extract(batch(t, spans...))
}

// edges returns the edges that an engine finds when it observes the spans one
// by one, each as "CAUSE -> EFFECT TYPE RULE CONFIDENCE", where spans are
// counted from 1.
func edges(t require.TestingT, s *Set, spans ...spanOf) []string {
	e := correlate.New(correlate.Config{
		Rules: s.Rules(), Window: time.Minute, MaxEntries: 1000, MaxBytes: 1 << 20, MinConfidence: 0.5, MaxLate: 128,
	})
	var found []string
	var out correlate.Result
	for i, o := range s.NewExtractor().Extract(batch(t, spans...)) {
		e.Observe([]correlate.Observation{o}, int64(i), &out)
		for j := range out.Count(0) {
			f := out.Edge(0, j)
			cause, effect := i+1, int(f.Other.SpanID[7])
			if f.OtherIsCause {
				cause, effect = effect, cause
			}
			r := s.Rules()[f.Rule]
			found = append(found, fmt.Sprintf("%d -> %d %s %s %v", cause, effect, r.Type, r.Name, f.Confidence))
		}
	}
	return found
}
