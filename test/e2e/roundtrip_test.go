package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

func TestEventsAreFoundAtOnceAndAfterKill(t *testing.T) {
	c := startCollector(t)
	at := now()
	c.accept(
		`{"id":"e1","kind":"call","time":`+at+`,"service":"shop","node":"n1","process":"<0.83.0>","name":"Shop.order/1"}`,
		`{"id":"e2","kind":"send","time":`+at+`,"service":"shop","node":"n1","process":"<0.83.0>","name":"pay","peer":"<0.90.0>","message_id":"m1"}`,
		`{"id":"e3","kind":"return","time":`+at+`,"service":"shop","node":"n1","process":"<0.83.0>","name":"Shop.order/1"}`,
	)
	check := func() {
		t.Helper()
		call := c.event("e1")
		require.Equal(t, "Shop.order/1", call.Name)
		require.Equal(t, "returned", call.State)
		require.Equal(t, "<0.83.0>", call.Process)
		require.Equal(t, call.SpanID, c.event("e3").SpanID, "a return's id finds its call")
		send := c.event("e2")
		require.Equal(t, "send pay", send.Name)
		require.Equal(t, "producer", send.Kind)
		require.Equal(t, call.TraceID, send.TraceID)
		require.Equal(t, call.SpanID, send.ParentSpanID)
	}
	check()
	c.kill()
	c.start()
	check()
}

func TestOpenCallIsCompletedAfterKill(t *testing.T) {
	c := startCollector(t)
	line := func(id, kind, name string) string {
		return fmt.Sprintf(`{"id":%q,"kind":%q,"time":%s,"service":"shop","process":"p1","name":%q}`, id, kind, now(), name)
	}
	c.accept(line("c1", "call", "outer"), line("c2", "call", "inner"))
	require.Equal(t, "open", c.event("c2").State)

	c.kill()
	c.start()
	require.Equal(t, "open", c.event("c1").State)
	c.accept(line("m1", "mark", "within"), line("r2", "return", "inner"), line("r1", "return", "outer"))

	inner, outer := c.event("c2"), c.event("c1")
	require.Equal(t, "returned", inner.State)
	require.Equal(t, "returned", outer.State)
	require.Equal(t, outer.SpanID, inner.ParentSpanID)
	require.Equal(t, inner.SpanID, c.event("m1").ParentSpanID, "the stack goes on after the restart")
	require.Equal(t, 3, spansOf(t, c, outer.TraceID))
}

// spansOf counts the spans of a stored trace.
func spansOf(t *testing.T, c *collector, traceID string) int {
	t.Helper()
	got := c.get("/api/v1/traces/" + traceID)
	require.Equal(t, http.StatusOK, got.status, string(got.body))
	var trace struct {
		ResourceSpans []struct {
			ScopeSpans []struct{ Spans []json.RawMessage }
		}
	}
	got.decode(t, &trace)
	n := 0
	for _, r := range trace.ResourceSpans {
		for _, s := range r.ScopeSpans {
			n += len(s.Spans)
		}
	}
	return n
}

func TestRequestsResentAfterLostAnswersChangeNothing(t *testing.T) {
	c := startCollector(t)
	var requests [][]string
	for i := range 10 {
		var lines []string
		for j := range 6 {
			kind := []string{"call", "call", "send", "return", "state", "mark"}[j]
			lines = append(lines, fmt.Sprintf(`{"id":"r%d-%d","kind":%q,"time":%s,"service":"shop","process":"p","name":"f%d","to":"s","entity":"o"}`, i, j, kind, now(), j%2))
		}
		requests = append(requests, lines)
	}
	for _, r := range requests {
		c.accept(r...)
	}
	figures := func() (open float64, states []span) {
		var status struct {
			Store struct {
				OpenCalls float64 `json:"open_calls"`
			} `json:"store"`
		}
		c.get("/api/v1/status").decode(t, &status)
		for i := range 10 {
			for j := range 6 {
				states = append(states, c.event(fmt.Sprintf("r%d-%d", i, j)))
			}
		}
		return status.Store.OpenCalls, states
	}
	open, before := figures()
	for _, r := range requests {
		c.accept(r...)
	}
	c.kill()
	c.start()
	for _, r := range requests {
		c.accept(r...)
	}
	openAfter, after := figures()
	require.Equal(t, before, after)
	require.Equal(t, open, openAfter)
}

func TestSpansOfTheSDKAreFoundByTrace(t *testing.T) {
	c := startCollector(t)
	exporters := map[string]func(context.Context) (sdk.SpanExporter, error){
		"grpc": func(ctx context.Context) (sdk.SpanExporter, error) {
			return otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(c.grpc), otlptracegrpc.WithInsecure())
		},
		"http": func(ctx context.Context) (sdk.SpanExporter, error) {
			return otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(c.http), otlptracehttp.WithInsecure())
		},
	}
	for name, open := range exporters {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			exporter, err := open(ctx)
			require.NoError(t, err)
			provider := sdk.NewTracerProvider(sdk.WithSyncer(exporter))
			ctx, parent := provider.Tracer("e2e").Start(ctx, "checkout")
			_, child := provider.Tracer("e2e").Start(ctx, "charge")
			child.End()
			parent.End()
			require.NoError(t, provider.Shutdown(context.Background()))

			id := parent.SpanContext().TraceID().String()
			require.Equal(t, 2, spansOf(t, c, id))
			require.True(t, strings.Contains(string(c.get("/api/v1/traces/"+id).body), `"checkout"`))
		})
	}
}

func TestSIGTERMAnswersWhatWasAcknowledged(t *testing.T) {
	c := startCollector(t)
	c.accept(`{"id":"t1","kind":"mark","time":` + now() + `,"process":"p","name":"x"}`)
	t.Logf("ended %s after SIGTERM", c.terminate())
	c.start()
	require.Equal(t, "x", c.event("t1").Name)
}
