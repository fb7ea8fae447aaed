package crosslink

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/goleak"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// span writes a span of a trace; links are made by its fill.
func span(t *testing.T, s store.Store, trace, id, parent uint64, fill ...func(ptrace.Span)) {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(storetest.TraceID(trace))
	span.SetSpanID(storetest.SpanID(id))
	if parent > 0 {
		span.SetParentSpanID(storetest.SpanID(parent))
	}
	span.SetStartTimestamp(pcommon.Timestamp(id))
	for _, f := range fill {
		f(span)
	}
	require.NoError(t, s.Write(t.Context(), td))
}

// to adds a link as the correlation engine makes it; role is "" for none.
func to(trace, id uint64, role string, kind causal.Type) func(ptrace.Span) {
	return func(span ptrace.Span) {
		l := span.Links().AppendEmpty()
		l.SetTraceID(storetest.TraceID(trace))
		l.SetSpanID(storetest.SpanID(id))
		l.Attributes().PutStr("of", "the sender")
		if role != "" {
			l.Attributes().PutStr(causal.AttrLinkRole, role)
		}
		if kind != "" {
			l.Attributes().PutStr(causal.AttrLinkType, string(kind))
			l.Attributes().PutStr(causal.AttrLinkRule, "rule")
			l.Attributes().PutDouble(causal.AttrLinkConfidence, 0.9)
		}
	}
}

// seen returns what the links of a trace say, in short: whose, role, type, to,
// and whether it was stored.
func seen(t *testing.T, s store.Store, trace uint64) []string {
	spans, err := s.Trace(t.Context(), storetest.TraceID(trace))
	require.NoError(t, err)
	td, more, err := Traces(t.Context(), s, spans, 100)
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, len(spans), td.SpanCount())
	texts := []string{}
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				for _, l := range span.Links().All() {
					kind, _ := l.Attributes().Get(causal.AttrLinkType)
					_, stored := l.Attributes().Get("of")
					how := "added"
					if stored {
						how = "stored"
					} else {
						role, _ := l.Attributes().Get(causal.AttrLinkRole)
						require.Equal(t, role.Str(), roleOf(l))
						require.Equal(t, 4, l.Attributes().Len(), "type, role, confidence and rule")
					}
					texts = append(texts, fmt.Sprintf("%d %s %s %s %s", number(span.SpanID()), roleOf(l), kind.Str(), short(l), how))
				}
			}
		}
	}
	slices.Sort(texts)
	return texts
}

func number(id pcommon.SpanID) byte { return id[7] }

func short(l ptrace.SpanLink) string {
	trace := l.TraceID()
	return fmt.Sprintf("%d.%d", trace[15], number(l.SpanID()))
}

func TestLinksGoBothWays(t *testing.T) {
	for name, c := range map[string]struct {
		write         func(*testing.T, store.Store)
		cause, effect []string // of trace 1, span 1 and trace 2, span 2
	}{
		"the effect carries it": {
			write: func(t *testing.T, s store.Store) {
				span(t, s, 1, 1, 0)
				span(t, s, 2, 2, 0, to(1, 1, causal.LinkRoleCause, causal.MessageFlow))
			},
			cause: []string{"1 effect message_flow 2.2 added"}, effect: []string{"2 cause message_flow 1.1 stored"},
		},
		"the cause carries it": {
			write: func(t *testing.T, s store.Store) {
				span(t, s, 1, 1, 0, to(2, 2, causal.LinkRoleEffect, causal.MessageFlow))
				span(t, s, 2, 2, 0)
			},
			cause: []string{"1 effect message_flow 2.2 stored"}, effect: []string{"2 cause message_flow 1.1 added"},
		},
		"both do": {
			write: func(t *testing.T, s store.Store) {
				span(t, s, 1, 1, 0, to(2, 2, causal.LinkRoleEffect, causal.MessageFlow))
				span(t, s, 2, 2, 0, to(1, 1, causal.LinkRoleCause, causal.MessageFlow))
			},
			cause: []string{"1 effect message_flow 2.2 stored"}, effect: []string{"2 cause message_flow 1.1 stored"},
		},
		"an application's link": {
			write: func(t *testing.T, s store.Store) {
				span(t, s, 1, 1, 0)
				span(t, s, 2, 2, 0, to(1, 1, "", ""))
			},
			cause: []string{"1 effect other 2.2 added"}, effect: []string{"2 cause  1.1 stored"},
		},
		"two kinds": {
			write: func(t *testing.T, s store.Store) {
				span(t, s, 1, 1, 0, to(2, 2, causal.LinkRoleEffect, causal.ErrorPropagation))
				span(t, s, 2, 2, 0, to(1, 1, "", causal.MessageFlow))
			},
			cause:  []string{"1 effect error_propagation 2.2 stored", "1 effect message_flow 2.2 added"},
			effect: []string{"2 cause error_propagation 1.1 added", "2 cause message_flow 1.1 stored"},
		},
		"the other one is not stored": {
			write: func(t *testing.T, s store.Store) {
				span(t, s, 1, 1, 0, to(2, 2, causal.LinkRoleEffect, causal.MessageFlow))
			},
			cause: []string{"1 effect message_flow 2.2 stored"}, effect: []string{},
		},
		"halves of a shared span": {
			write: func(t *testing.T, s store.Store) {
				span(t, s, 1, 1, 0)
				span(t, s, 1, 1, 0, func(s ptrace.Span) { s.SetKind(ptrace.SpanKindServer) })
				span(t, s, 2, 2, 0, to(1, 1, "", causal.MessageFlow))
			},
			cause:  []string{"1 effect message_flow 2.2 added", "1 effect message_flow 2.2 added"},
			effect: []string{"2 cause message_flow 1.1 stored"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := storetest.NewModel(time.Now)
			c.write(t, s)
			require.Equal(t, c.cause, seen(t, s, 1))
			require.Equal(t, c.effect, seen(t, s, 2))
		})
	}
}

// TestWithinATrace has only effects carry links: tools show those from both
// ends, and Jaeger's takes a reference for a parent.
func TestWithinATrace(t *testing.T) {
	s := storetest.NewModel(time.Now)
	span(t, s, 1, 1, 0, to(1, 2, causal.LinkRoleEffect, causal.MessageFlow), to(1, 9, causal.LinkRoleEffect, causal.MessageFlow))
	span(t, s, 1, 2, 1)
	span(t, s, 1, 3, 1, to(1, 2, "", ""))
	require.Equal(t, []string{
		"1 effect message_flow 1.9 stored", // which is not stored
		"2 cause message_flow 1.1 added",
		"3 cause  1.2 stored",
	}, seen(t, s, 1))
}

func TestMoreThanTheLimit(t *testing.T) {
	s := storetest.NewModel(time.Now)
	span(t, s, 1, 1, 0)
	for i := range uint64(4) {
		span(t, s, 2+i, 1, 0, to(1, 1, "", causal.MessageFlow))
	}
	spans, err := s.Trace(t.Context(), storetest.TraceID(1))
	require.NoError(t, err)
	td, more, err := Traces(t.Context(), s, spans, 2)
	require.NoError(t, err)
	require.True(t, more)
	require.Less(t, td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Links().Len(), 4)
}

func TestFailures(t *testing.T) {
	s := storetest.NewModel(time.Now)
	require.NoError(t, s.Close(t.Context()))
	_, _, err := Traces(t.Context(), s, []store.Span{{Bytes: []byte{1}}}, 1)
	require.ErrorContains(t, err, "malformed")
	span := storetest.Split(storetest.Traces(storetest.Spec{Trace: 1, Span: 1}))[0].Encode(1)
	_, _, err = Traces(t.Context(), s, []store.Span{span}, 1)
	require.True(t, errors.Is(err, store.ErrClosed), err)
	span.Origin = []byte{1}
	_, _, err = Traces(t.Context(), storetest.NewModel(time.Now), []store.Span{span}, 1)
	require.ErrorContains(t, err, "stored span")
}
