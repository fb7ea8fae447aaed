package queryextension

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/extension/queryextension/internal/metadata"
	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// dense returns n spans of a graph where everything leads to much: ten in a
// trace, each caused by five before it.
func dense(first, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i := first; i < first+n; i++ {
		span := spans.AppendEmpty()
		span.SetTraceID(storetest.TraceID(uint64(1 + i/10)))
		span.SetSpanID(storetest.SpanID(uint64(1 + i)))
		if i%10 > 0 {
			span.SetParentSpanID(storetest.SpanID(uint64(i)))
		}
		span.SetName("step " + strings.Repeat("a", i%50))
		span.SetStartTimestamp(pcommon.Timestamp(1e18 + i*1000))
		span.SetEndTimestamp(pcommon.Timestamp(1e18 + i*1000 + 1))
		for k := range min(5, i) {
			to := (i*7 + k*131) % i
			link := span.Links().AppendEmpty()
			link.SetTraceID(storetest.TraceID(uint64(1 + to/10)))
			link.SetSpanID(storetest.SpanID(uint64(1 + to)))
			link.Attributes().PutStr(causal.AttrLinkType, string(causal.MessageFlow))
		}
	}
	return td
}

// TestHeavySearches asks for much of a dense graph, many times at once, while
// spans come: each search ends in its time, with an answer or with what ended
// it, and what comes is taken.
func TestHeavySearches(t *testing.T) {
	const batch = 1000
	c := servingOpened(t, openStore, extensiontest.NewNopSettings(metadata.Type), func(cfg *Config) {
		cfg.Storage.Directory, cfg.Storage.Sync = t.TempDir(), false
		cfg.Query.Timeout, cfg.Query.MaxConcurrent, cfg.Query.MaxVisited = time.Second, 2, 5000
	})
	next := 0
	for ; next < 20*batch; next += batch {
		write(t, c.extension.Store(), dense(next, batch))
	}

	searching, done := context.WithCancel(t.Context())
	var took []time.Duration
	var writer, searches sync.WaitGroup
	writer.Go(func() {
		for ; searching.Err() == nil; next += batch {
			begin := time.Now()
			if err := c.extension.Store().Write(t.Context(), dense(next, batch)); err != nil {
				t.Error(err)
			}
			took = append(took, time.Since(begin))
			<-time.After(20 * time.Millisecond)
		}
	})
	nested := `{ name =~ "(((a*)*)*)*b" || ` + strings.Repeat(`name =~ ".*(a|aa|aaa)+.*x" || `, 20) + `name =~ "((a?){20}){5}" }`
	ended := map[int]string{
		504: "query::timeout", 503: "query::max_concurrent", 422: "query::m", 200: `"spansets"`,
	}
	for _, q := range []string{`{ }`, nested, `{ } ->> { }`, `{ } ->> { } ->> { } | select(path)`, `{ } <<- { } within 1h`, `{ } >> { } ~ { }`} {
		for range 3 {
			searches.Go(func() {
				begin := time.Now()
				got := c.get(t, searchPath(q, "limit=1000", "spans_per_spanset=1000"))
				if reason, known := ended[got.status]; !known || !strings.Contains(string(got.body), reason) {
					t.Errorf("%s: %d %.200s", q, got.status, got.body)
				}
				if since := time.Since(begin); since > 10*time.Second {
					t.Errorf("%s took %s", q, since)
				}
			})
		}
	}
	searches.Wait()
	done()
	writer.Wait()
	slices.Sort(took)
	require.Less(t, took[len(took)/2], time.Second)
}
