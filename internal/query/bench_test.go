package query

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// shopOrders is how many orders BenchmarkSearch stores, 15 spans each.
func shopOrders() int {
	if n, err := strconv.Atoi(os.Getenv("QUERY_BENCH_ORDERS")); err == nil {
		return n
	}
	return 20_000
}

// order writes an order: a checkout that sends a message to pay, which now and
// then fails and sends one to cart; each in a trace of its own.
func shopOrder(n int, start uint64, spans func(service string) ptrace.SpanSlice) {
	var sent causal.SpanRef
	for i, service := range []string{"checkout", "pay", "cart"} {
		var trace pcommon.TraceID
		binary.BigEndian.PutUint64(trace[:], uint64(n)*0x9e3779b97f4a7c15)
		binary.BigEndian.PutUint64(trace[8:], uint64(i+1)*0xbf58476d1ce4e5b9)
		var parent pcommon.SpanID
		for j := range 5 {
			span := spans(service).AppendEmpty()
			span.SetTraceID(trace)
			span.SetParentSpanID(parent)
			var id pcommon.SpanID
			binary.BigEndian.PutUint64(id[:], (uint64(n)<<8+uint64(i*5+j)+1)*0x94d049bb133111eb)
			span.SetSpanID(id)
			if j < 3 {
				parent = id
			}
			span.SetName([]string{"handle", "load", "SELECT", "render", "publish"}[j])
			span.SetKind([]ptrace.SpanKind{ptrace.SpanKindConsumer, ptrace.SpanKindInternal, ptrace.SpanKindClient, ptrace.SpanKindInternal, ptrace.SpanKindProducer}[j])
			if i == 0 && j == 0 {
				span.SetKind(ptrace.SpanKindServer)
			}
			at := start + uint64(i*5+j)*1_000_000
			span.SetStartTimestamp(pcommon.Timestamp(at))
			span.SetEndTimestamp(pcommon.Timestamp(at + uint64(n%1000)*10_000))
			a := span.Attributes()
			a.PutStr("order.id", fmt.Sprint("o-", n))
			a.PutStr("http.route", "/orders/{id}")
			a.PutInt("http.response.status_code", 200)
			a.PutStr("server.address", "shop.example.internal")
			a.PutInt("items", int64(n%7))
			if i == 1 && j == 1 && n%200 == 0 {
				span.Status().SetCode(ptrace.StatusCodeError)
			}
			if j == 0 && i > 0 {
				l := span.Links().AppendEmpty()
				l.SetTraceID(sent.TraceID)
				l.SetSpanID(sent.SpanID)
				l.Attributes().PutStr(causal.AttrLinkType, string(causal.MessageFlow))
				l.Attributes().PutStr(causal.AttrLinkRule, "message")
				l.Attributes().PutDouble(causal.AttrLinkConfidence, 1)
			}
			sent = causal.SpanRef{TraceID: trace, SpanID: id}
		}
	}
}

func shopStore(b *testing.B) store.Store {
	st, err := store.Open(store.Config{Directory: b.TempDir(), NoSync: true, CutSpans: 100_000})
	require.NoError(b, err)
	const atOnce = 50
	for n := 0; n < shopOrders(); n += atOnce {
		td := ptrace.NewTraces()
		slices := map[string]ptrace.SpanSlice{}
		for i := range atOnce {
			shopOrder(n+i, uint64(n+i)*10_000_000+1, func(service string) ptrace.SpanSlice {
				if _, known := slices[service]; !known {
					rs := td.ResourceSpans().AppendEmpty()
					rs.Resource().Attributes().PutStr("service.name", service)
					slices[service] = rs.ScopeSpans().AppendEmpty().Spans()
				}
				return slices[service]
			})
		}
		for {
			var full *store.UnavailableError
			err := st.Write(bg, td)
			if err == nil {
				break
			}
			require.True(b, errors.As(err, &full), err)
			time.Sleep(time.Millisecond)
		}
	}
	require.Eventually(b, func() bool { return st.Stats().HeadSpans < 100_000 }, time.Minute, 10*time.Millisecond, "the cuts are done")
	return st
}

// BenchmarkSearch asks a store of a shop, in several blocks, from the page
// cache.
func BenchmarkSearch(b *testing.B) {
	st := shopStore(b)
	b.Logf("%+v", st.Stats())
	for _, text := range []string{
		`{ span.order.id = "o-777" }`,
		`{ resource.service.name = "pay" && status = error }`,
		`{ kind = server }`,
		`{ duration > 9.9ms }`,
		`{ resource.service.name = "checkout" && name = "handle" } >> { kind = producer }`,
		`{ status = error } && { kind = producer }`,
		`{ name = "SELECT" } | count() > 1`,
		`{ span.order.id = "o-777" } ->> { resource.service.name = "cart" }`,
		`{ resource.service.name = "pay" && status = error } ->> { resource.service.name = "cart" }`,
		`{ resource.service.name = "checkout" && kind = producer } -> { resource.service.name = "pay" }`,
		`{ resource.service.name = "checkout" && kind = server } ->> { resource.service.name = "cart" && kind = producer }`,
		`{ resource.service.name = "checkout" } ->> { span.order.id = "o-777" && kind = producer } | select(path)`,
		`{ resource.service.name = "cart" && kind = consumer } <<- { kind = server }`,
	} {
		b.Run(text, func(b *testing.B) {
			q := parsed(b, text)
			b.ReportAllocs()
			var a Answer
			for b.Loop() {
				var err error
				if a, err = Search(context.Background(), st, q, SearchOptions{Limit: 20, MaxSpans: 20, MaxBytes: 64 << 20, MaxVisited: 100_000, Explain: true}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(a.Spansets)), "spansets")
			b.ReportMetric(float64(a.Plan.Traces), "traces")
			b.ReportMetric(float64(a.Plan.Visited), "visited")
			b.ReportMetric(float64(a.Plan.Reading.Spans), "looked-at")
		})
	}
	require.NoError(b, st.Close(bg))
}

func BenchmarkMatch(b *testing.B) {
	td := storetest.Request(1, 100)
	plain := storetest.Split(td)
	spans := make([]store.Span, len(plain))
	for i, p := range plain {
		spans[i] = p.Encode(1)
	}
	var reader Reader
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, err := reader.Read(spans[i%len(spans)]); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
	for _, text := range []string{
		`{ resource.service.name = "cart" && status = error }`,
		`{ span.http.response.status_code >= 500 }`,
		`{ .http.route =~ "GET .*" && duration > 4ms }`,
		`{ kind = server && name = "GET /" && .http.response.body.size > 100 }`,
	} {
		m, err := NewMatcher(parsed(b, text))
		require.NoError(b, err)
		b.Run(text, func(b *testing.B) {
			r, err := reader.Read(spans[3])
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				m.Matches(r)
			}
		})
	}
}
