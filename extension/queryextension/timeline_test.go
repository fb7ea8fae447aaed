package queryextension

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// did is an event of a process of the service shop.
func did(node, process, event string, id, start uint64, fill ...func(ptrace.Span)) ptrace.Traces {
	return native("shop", node, event, append([]func(ptrace.Span){func(span ptrace.Span) {
		span.SetTraceID(storetest.TraceID(1))
		span.SetSpanID(storetest.SpanID(id))
		span.SetStartTimestamp(pcommon.Timestamp(start))
		span.Attributes().PutStr(causal.AttrProcessID, process)
		span.Attributes().PutInt(causal.AttrEventSeq, int64(id))
	}}, fill...)...)
}

func causedBy(id uint64) func(ptrace.Span) {
	return func(span ptrace.Span) { span.SetParentSpanID(storetest.SpanID(id)) }
}

// busy is a store with what two processes of one id did, and one more.
func busy(t *testing.T) *faulty {
	s := newFaulty()
	write(t, s,
		did("n1", "<0.83.0>", "send", 5, 30, causedBy(4)),
		did("n1", "<0.83.0>", "charge", 4, 30, causedBy(77)),
		did("n1", "<0.83.0>", "take", 3, 20),
		did("n1", "<0.9.0>", "boot", 2, 1),
		did("n2", "<0.9.0>", "boot", 6, 1),
	)
	return s
}

// brief is a timeline's spans, each with its causes.
func (a timelineJSON) brief() string {
	var texts []string
	for _, s := range a.Spans {
		text := s.EventID
		for _, e := range s.Causes {
			text += "<" + e.Cause.brief()
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}

func TestTimeline(t *testing.T) {
	c := serving(t, busy(t))
	const path = "/api/v1/processes/%3C0.83.0%3E/timeline"
	for query, want := range map[string]string{
		"":                           "take charge<? send<charge",
		"?service=shop&node=n1":      "take charge<? send<charge",
		"?types=message_flow":        "take charge send",
		"?start=21":                  "charge<? send<charge",
		"?start=10&end=30":           "take",
		"?limit=1000":                "take charge<? send<charge",
		"?min_confidence=1&limit=3":  "take charge<? send<charge",
		"?service=&node=&start=&end": "take charge<? send<charge",
	} {
		var got timelineJSON
		c.get(t, path+query).into(t, &got)
		require.Equal(t, want, got.brief(), query)
		require.Equal(t, []string{"<0.83.0>", "shop", "n1"}, []string{got.Process, got.Service, got.Node})
		require.False(t, got.Truncated)
		require.Empty(t, got.Cursor)
	}
	var first, rest timelineJSON
	c.get(t, path+"?limit=2").into(t, &first)
	require.Equal(t, "take charge<?", first.brief())
	require.True(t, first.Truncated)
	c.get(t, path+"?limit=2&cursor="+first.Cursor).into(t, &rest)
	require.Equal(t, "send<charge", rest.brief())
	require.False(t, rest.Truncated)

	// A page may turn out to be empty: what it would have had is gone.
	var last timelineJSON
	c.get(t, path+"?end=29&cursor="+first.Cursor).into(t, &last)
	require.Empty(t, last.Spans)
	require.NotNil(t, last.Spans)
}

func TestTimelineOfSeveral(t *testing.T) {
	c := serving(t, busy(t))
	p := c.get(t, "/api/v1/processes/%3C0.9.0%3E/timeline").problem(t, http.StatusConflict)
	require.Equal(t, []placeJSON{{"shop", "n1"}, {"shop", "n2"}}, p.Candidates)
	require.Equal(t, "service", p.Parameter)
	var got timelineJSON
	c.get(t, "/api/v1/processes/%3C0.9.0%3E/timeline?node=n2").into(t, &got)
	require.Equal(t, "n2", got.Node)
	require.Len(t, got.Spans, 1)
}

func TestTimelineProblems(t *testing.T) {
	c := serving(t, busy(t), func(cfg *Config) { cfg.Query.MaxBytes = 10 })
	for query, want := range map[string]struct {
		status            int
		parameter, detail string
	}{
		"<0.84.0>/timeline":               {404, "process", `nothing that process "<0.84.0>" did is stored`},
		"<0.83.0>/timeline?node=n3":       {404, "process", `nothing that process "<0.83.0>" did is stored for this node`},
		"<0.83.0>/timeline?limit=0":       {400, "limit", `"0" is not allowed: must be a number from 1 to 1000`},
		"<0.83.0>/timeline?start=today":   {400, "start", `"today" is no time`},
		"<0.83.0>/timeline?start=2&end=1": {400, "end", `the end 1 is not after the start 2`},
		"<0.83.0>/timeline?types=magic":   {400, "types", `"magic" is no type of edges`},
		"<0.83.0>/timeline?cursor=x":      {400, "cursor", `cursor "x" is not one that this call gave`},
		"<0.83.0>/timeline?q=x":           {400, "q", `unknown parameter "q"`},
		"<0.83.0>/timeline":               {422, "", "allowed are 10B (query::max_bytes of the extension)"},
	} {
		p := c.get(t, "/api/v1/processes/"+strings.NewReplacer("<", "%3C", ">", "%3E").Replace(query)).problem(t, want.status)
		require.Equal(t, want.parameter, p.Parameter, query)
		require.Contains(t, p.Detail, want.detail, query)
	}
}
