package query

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"
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

// link is a link of a test's span.
type link struct {
	to         causal.SpanRef
	linkType   string
	rule       string
	confidence any // float64, int or string; nil: none
	effect     bool
}

// spec is a test's span; its trace is the first number of its name, its id the
// second.
type spec struct {
	ref    causal.SpanRef
	parent uint64
	kind   ptrace.SpanKind
	start  uint64
	event  string
	group  string
	links  []link
}

func ref(trace, span uint64) causal.SpanRef { return storetest.Ref(trace, span) }

// found is a link as the correlation engine makes it.
func found(to causal.SpanRef, t causal.Type) link {
	return link{to: to, linkType: string(t), rule: "rule", confidence: 1.0}
}

func (l link) led() link { l.effect = true; return l }

func (l link) at(confidence float64) link { l.confidence = confidence; return l }

func (s spec) traces() ptrace.Traces {
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID(s.ref.TraceID)
	span.SetSpanID(s.ref.SpanID)
	if s.parent != 0 {
		span.SetParentSpanID(storetest.SpanID(s.parent))
	}
	span.SetKind(s.kind)
	span.SetStartTimestamp(pcommon.Timestamp(s.start))
	span.SetEndTimestamp(pcommon.Timestamp(s.start + 5))
	for key, value := range map[string]string{causal.AttrEventID: s.event, causal.AttrCorrelationID: s.group} {
		if value != "" {
			span.Attributes().PutStr(key, value)
		}
	}
	for _, l := range s.links {
		to := span.Links().AppendEmpty()
		to.SetTraceID(l.to.TraceID)
		to.SetSpanID(l.to.SpanID)
		if l.linkType != "" {
			to.Attributes().PutStr(causal.AttrLinkType, l.linkType)
		}
		if l.rule != "" {
			to.Attributes().PutStr(causal.AttrLinkRule, l.rule)
		}
		if l.confidence != nil {
			if err := to.Attributes().PutEmpty(causal.AttrLinkConfidence).FromRaw(l.confidence); err != nil {
				panic(err)
			}
		}
		if l.effect {
			to.Attributes().PutStr(causal.AttrLinkRole, causal.LinkRoleEffect)
		}
	}
	return td
}

// encoded is the span as a store returns it.
func (s spec) encoded() store.Span { return splitOne(s.traces()) }

// splitOne is the only span of td as a store returns it.
func splitOne(td ptrace.Traces) store.Span { return storetest.Split(td)[0].Encode(1) }

// source is a model store that counts and bends calls.
type source struct {
	*storetest.Model
	fail  map[string]error // by method
	calls map[string]int
	asked [][]causal.SpanRef // of Spans
	again int                // how often Scan yields everything; 0: once
	limit int                // most spans of Referring; 0: as asked
}

func newSource(t testing.TB, specs ...spec) *source {
	s := &source{Model: storetest.NewModel(time.Now), fail: map[string]error{}, calls: map[string]int{}}
	for _, spec := range specs {
		require.NoError(t, s.Write(t.Context(), spec.traces()))
	}
	return s
}

func (s *source) called(method string) error {
	s.calls[method]++
	return s.fail[method]
}

func (s *source) Trace(ctx context.Context, id pcommon.TraceID) ([]store.Span, error) {
	if err := s.called("Trace"); err != nil {
		return nil, err
	}
	return s.Model.Trace(ctx, id)
}

func (s *source) Spans(ctx context.Context, refs []causal.SpanRef) ([]store.Span, error) {
	s.asked = append(s.asked, slices.Clone(refs))
	if err := s.called("Spans"); err != nil {
		return nil, err
	}
	return s.Model.Spans(ctx, refs)
}

func (s *source) Referring(ctx context.Context, refs []causal.SpanRef, limit int) ([]store.Span, bool, error) {
	if err := s.called("Referring"); err != nil {
		return nil, false, err
	}
	if s.limit > 0 {
		limit = min(limit, s.limit)
	}
	return s.Model.Referring(ctx, refs, limit)
}

func (s *source) Causing(ctx context.Context, refs []causal.SpanRef, limit int) ([]store.Span, bool, error) {
	if err := s.called("Causing"); err != nil {
		return nil, false, err
	}
	return s.Model.Causing(ctx, refs, limit)
}

func (s *source) Correlation(ctx context.Context, id string, limit int) ([]store.Span, bool, error) {
	if err := s.called("Correlation"); err != nil {
		return nil, false, err
	}
	return s.Model.Correlation(ctx, id, limit)
}

func (s *source) Scan(ctx context.Context, opts store.ScanOptions) iter.Seq2[store.Span, error] {
	return func(yield func(store.Span, error) bool) {
		if err := s.called("Scan"); err != nil {
			yield(store.Span{}, err)
			return
		}
		for range max(1, s.again) {
			for span, err := range s.Model.Scan(ctx, opts) {
				if !yield(span, err) {
					return
				}
			}
		}
	}
}

// name is a ref's short form, trace.span.
func name(r causal.SpanRef) string {
	return fmt.Sprintf("%d.%d", binary.BigEndian.Uint64(r.TraceID[8:]), binary.BigEndian.Uint64(r.SpanID[:]))
}

func edgeText(e causal.Edge) string {
	return fmt.Sprintf("%s %s->%s %s %v", e.Type, name(e.Cause), name(e.Effect), e.Rule, e.Confidence)
}

func edgeTexts(edges []causal.Edge) []string {
	texts := []string{}
	for _, e := range edges {
		texts = append(texts, edgeText(e))
	}
	return texts
}

// text is a graph in short: its nodes in order, those that are missing in
// parentheses, then its edges.
func (g Graph) text() string {
	var b strings.Builder
	for i := range g.Nodes {
		if i > 0 {
			b.WriteByte(' ')
		}
		if g.Nodes[i].Missing() {
			fmt.Fprintf(&b, "(%s)", name(g.Nodes[i].Ref))
		} else {
			b.WriteString(name(g.Nodes[i].Ref))
		}
	}
	b.WriteString("\n" + strings.Join(edgeTexts(g.Edges), "\n"))
	if g.Truncated {
		b.WriteString("\ntruncated")
	}
	return b.String()
}
