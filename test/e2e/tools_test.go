package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestToolsSeeBothEndsOfALink asks as Jaeger's UI and Grafana do, over blocks
// too: the send of one trace and the receive of another lead to each other.
func TestToolsSeeBothEndsOfALink(t *testing.T) {
	c := newCollector(t, t.TempDir(), func(config string) string {
		return strings.Replace(config, "    storage:\n", "    storage:\n      cut_age: 1s\n", 1)
	})
	c.start()
	first, second := story()
	c.accept(first...)
	c.accept(second...)
	send, receive := c.event("o2"), c.event("w1")
	require.NotEqual(t, send.TraceID, receive.TraceID)

	check := func() {
		t.Helper()
		for _, pair := range [][2]span{{send, receive}, {receive, send}} {
			from, to := pair[0], pair[1]
			var jaeger struct {
				Data []struct {
					Spans []struct {
						SpanID     string
						References []struct{ TraceID, SpanID string }
					}
				}
			}
			c.get("/api/traces/"+from.TraceID).decode(t, &jaeger)
			require.Len(t, jaeger.Data, 1)
			found := false
			for _, s := range jaeger.Data[0].Spans {
				for _, r := range s.References {
					found = found || s.SpanID == from.SpanID && r.TraceID == to.TraceID && r.SpanID == to.SpanID
				}
			}
			require.True(t, found, "Jaeger: from %s to %s", from.Name, to.Name)

			var tempo struct {
				Trace struct {
					ResourceSpans []struct {
						ScopeSpans []struct {
							Spans []struct {
								SpanID string
								Links  []struct{ TraceID, SpanID string }
							}
						}
					}
				}
			}
			c.get("/tempo/api/v2/traces/"+from.TraceID).decode(t, &tempo)
			found = false
			for _, s := range tempo.Trace.ResourceSpans[0].ScopeSpans[0].Spans {
				for _, l := range s.Links {
					found = found || s.SpanID == from.SpanID && l.TraceID == to.TraceID && l.SpanID == to.SpanID
				}
			}
			require.True(t, found, "Tempo: from %s to %s", from.Name, to.Name)
		}
		since := time.Now().Add(-time.Hour)
		for path, has := range map[string]string{
			"/api/services":                                   `"data":["shop"]`,
			"/api/services/shop/operations":                   `"charge_card"`,
			"/api/operations?service=shop":                    `"spanKind":"producer"`,
			"/api/dependencies":                               `"data":[]`, // all is one service
			"/api/v3/services":                                `"services":["shop"]`,
			"/api/v3/operations?service=shop":                 `"charge_card"`,
			"/api/v3/traces/" + send.TraceID:                  `"resourceSpans"`,
			"/api/v3/dependencies":                            `"dependencies":[]`,
			"/api/echo":                                       "echo",
			"/api/status/buildinfo":                           `"version"`,
			"/api/v2/search/tags":                             `"scope.process.id"`,
			"/api/search/tags":                                `"scope.process.id"`,
			"/api/v2/search/tag/span.scope.process.id/values": `"worker2"`,
			"/api/search/tag/service.name/values":             `"shop"`,
			"/api/v2/search/tag/name/values?q=" + url.QueryEscape(`{ status = error }`):                                                                     `"charge_card"`,
			fmt.Sprintf("/api/traces?service=shop&operation=charge_card&tags=%s&limit=20&start=%d", url.QueryEscape(`{"error":"true"}`), since.UnixMicro()): `"charge_card"`,
			"/api/v3/traces?query.serviceName=shop&query.operationName=order":                                                                               `"resourceSpans"`,
			"/api/v3/trace-summaries?query.serviceName=shop&query.startTimeMin=" + since.UTC().Format(time.RFC3339):                                         `"spanCount"`,
			fmt.Sprintf("/api/search?q=%s&start=%d&end=%d", url.QueryEscape(`{ name = "order" } ->> { status = error }`), since.Unix(), time.Now().Unix()):  `"charge_card"`,
		} {
			got := c.get(path)
			require.Equal(t, http.StatusOK, got.status, "%s: %s", path, got.body)
			require.Contains(t, string(got.body), has, path)
		}
		for path, status := range map[string]int{
			"/api/traces/xyz": 400, "/api/traces/" + strings.Repeat("a", 32): 404, "/api/traces?limit=0": 400,
			"/api/v3/traces/xyz": 400, "/api/v2/traces/" + strings.Repeat("a", 32): 404, "/api/search?q=%7B": 400,
			"/api/metrics/query_range": 501, "/api/metrics/calls": 501,
		} {
			require.Equal(t, status, c.get(path).status, path)
		}
	}
	check()
	require.Eventually(t, func() bool {
		var status struct {
			Store struct{ Blocks int }
		}
		c.get("/api/v1/status").decode(t, &status)
		return status.Store.Blocks > 0
	}, patience, 50*time.Millisecond)
	check()
}
