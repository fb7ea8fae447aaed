package queryextension

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"

	"github.com/otelscope/otelscope/internal/store"
)

func figures(trouble string) store.Stats {
	return store.Stats{
		Spans: 1, OpenCalls: 2, Blocks: 3, BlockBytes: 4 << 20, LogSegments: 5, LogBytes: 6 << 20, HeadSpans: 7,
		HeadBytes: 8 << 20, Cuts: 9, Compactions: 10, Duplicates: 11, DroppedBlocks: 12,
		Oldest: time.Unix(1_700_000_000, 13), RecoveredSpans: 14, RecoverySecs: 1.5,
		Backlog: 0.25, StalledMillis: 15, Trouble: trouble,
	}
}

func TestStatus(t *testing.T) {
	s := newFaulty()
	s.stats = func() store.Stats { return figures("slow disk") }
	c := serving(t, s)
	off := c.extension.RegisterStatus(scopeID, func() any { return map[string]int{"workers": 2} })
	c.extension.RegisterStatus(component.MustNewIDWithName("pressure", "a"), func() any { return nil })

	before := time.Now()
	var got map[string]any
	c.get(t, "/api/v1/status").into(t, &got)
	require.Equal(t, "1.2.3", got["version"])
	require.GreaterOrEqual(t, got["uptime_seconds"], 0.0)
	require.GreaterOrEqual(t, got["time"], nanoseconds(uint64(before.UnixNano())))
	require.Equal(t, map[string]any{
		"spans": 1.0, "open_calls": 2.0, "blocks": 3.0, "block_bytes": 4194304.0, "log_segments": 5.0, "log_bytes": 6291456.0,
		"head_spans": 7.0, "head_bytes": 8388608.0, "cuts": 9.0, "compactions": 10.0, "duplicates": 11.0, "dropped_blocks": 12.0,
		"oldest": "1700000000000000013", "recovered_spans": 14.0, "recovery_seconds": 1.5,
		"backlog": 0.25, "stalled_ms": 15.0, "trouble": "slow disk",
	}, got["store"])
	require.Equal(t, map[string]any{"scope": map[string]any{"workers": 2.0}, "pressure/a": nil}, got["components"])

	off()
	c.get(t, "/api/v1/status").into(t, &got)
	require.Equal(t, map[string]any{"pressure/a": nil}, got["components"])
}

func TestStatusOfAnEmptyStore(t *testing.T) {
	var got statusJSON
	serving(t, newFaulty()).get(t, "/api/v1/status").into(t, &got)
	require.Empty(t, got.Store.Oldest)
	require.Empty(t, got.Components)
	require.NotNil(t, got.Components)
}

func TestHealth(t *testing.T) {
	got := serving(t, newFaulty()).get(t, "/api/v1/health")
	require.Equal(t, http.StatusOK, got.status)
	require.JSONEq(t, `{"status":"ok"}`, string(got.body))

	s := newFaulty()
	s.stats = func() store.Stats { return store.Stats{Trouble: "no space left"} }
	p := serving(t, s).get(t, "/api/v1/health").problem(t, http.StatusServiceUnavailable)
	require.Equal(t, "the store is in trouble: no space left", p.Detail)
}

func TestPage(t *testing.T) {
	s := newFaulty()
	s.stats = func() store.Stats { return figures("<script>disk</script>") }
	c := serving(t, s)
	c.extension.RegisterStatus(component.MustNewIDWithName("scope", "b"), func() any { return map[string]string{"x": "<b>"} })
	c.extension.RegisterStatus(scopeID, func() any { return map[string]int{"workers": 2} })

	got := c.get(t, "/")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "text/html; charset=utf-8", got.header.Get("Content-Type"))
	require.Contains(t, got.header.Get("Content-Security-Policy"), "default-src 'none'")
	body := string(got.body)
	for _, want := range []string{
		"Scope 1.2.3 is running", "&lt;script&gt;disk", "2023-11-14T22:13:20Z", "4.0 MiB", "6.0 MiB", "8.0 MiB",
		"<h3>scope</h3>", "<h3>scope/b</h3>", "&#34;workers&#34;: 2",
		"curl " + c.url + "/api/v1/events/hello-1",
	} {
		require.Contains(t, body, want)
	}
	require.NotContains(t, body, "<script>")
	require.Less(t, strings.Index(body, "<h3>scope</h3>"), strings.Index(body, "<h3>scope/b</h3>"))

	require.Contains(t, string(serving(t, newFaulty()).get(t, "/").body), "nothing is stored")
}
