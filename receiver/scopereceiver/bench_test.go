package scopereceiver

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

func benchReceiver(b *testing.B) *scopeReceiver {
	cfg := createDefaultConfig().(*Config)
	events := *cfg.Protocols.Events.GetOrInsertDefault()
	events.NetAddr.Endpoint = "localhost:0"
	cfg.Protocols.Events = configoptional.Some[confighttp.ServerConfig](events)
	cfg.DeadLetters.Directory = b.TempDir()
	cfg.Dedup.MaxEvents = 200_000
	set := receivertest.NewNopSettings(component.MustNewType("scope"))
	r, err := newReceiver(cfg, set, consumertest.NewNop())
	require.NoError(b, err)
	require.NoError(b, r.Start(b.Context(), componenttest.NewNopHost()))
	b.Cleanup(func() { require.NoError(b, r.Shutdown(context.Background())) })
	return r
}

// benchBody is a request of n events of 20 processes, about 300 bytes each;
// ids have room for 10 digits.
func benchBody(n int) (body string, ids []int) {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, `{"id":"`)
		ids = append(ids, s.Len())
		fmt.Fprintf(&s, `0000000000","kind":"send","time":"17000000000%08d","service":"shop-%d","node":"node-%d","process":"<0.%d.0>","name":"order_placed",`+
			`"message_id":"msg-%06d","peer":"<0.%d.0>","attributes":{"order.id":"o-%d","amount":12.5,"customer":"c-%d","retries":0}}`+"\n",
			i, i%3, i%2, i%20, i, i%7, i, i%100)
	}
	return s.String(), ids
}

// BenchmarkEvents is a native event's way from body to answer, without the
// socket: decoding, ring, assembly, a pipeline that does nothing.
func BenchmarkEvents(b *testing.B) {
	const perRequest = 500
	r := benchReceiver(b)
	template, ids := benchBody(perRequest)
	b.SetBytes(int64(len(template) / perRequest))
	b.ReportAllocs()
	var next atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		body := []byte(template)
		for n := 0; pb.Next(); n++ {
			if n%perRequest > 0 {
				continue
			}
			for _, at := range ids {
				copy(body[at:], fmt.Appendf(nil, "%010d", next.Add(1)))
			}
			req := httptest.NewRequest(http.MethodPost, eventsPath, strings.NewReader(string(body)))
			req.Header.Set("Content-Type", "application/x-ndjson")
			w := httptest.NewRecorder()
			r.server.Handler.ServeHTTP(w, req)
			if w.Code != http.StatusOK {
				b.Error(strconv.Itoa(w.Code), w.Body.String())
				return
			}
		}
	})
}

// BenchmarkOTLP is a span's way from the otlp receiver's servers to the
// pipeline and back.
func BenchmarkOTLP(b *testing.B) {
	const perRequest = 500
	r := benchReceiver(b)
	consumer := tracesConsumer{r.feed, r.counts.refused}
	names := make([]string, perRequest)
	for i := range names {
		names[i] = "GET /order/" + strconv.Itoa(i)
	}
	td := otlp(names...)
	eachSpan(td, func(s ptrace.Span) {
		for i := range 10 {
			s.Attributes().PutStr("attribute."+strconv.Itoa(i), "a value of some length")
		}
	})
	wire, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(b, err)
	run := func(b *testing.B, take func(ptrace.Traces) error) {
		b.ReportAllocs()
		b.SetParallelism(4)
		b.RunParallel(func(pb *testing.PB) {
			for n := 0; pb.Next(); n++ {
				if n%perRequest > 0 {
					continue
				}
				td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(wire)
				if err == nil {
					err = take(td)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	b.Run("decode only", func(b *testing.B) { run(b, func(ptrace.Traces) error { return nil }) })
	b.Run("receiver", func(b *testing.B) {
		run(b, func(td ptrace.Traces) error { return consumer.ConsumeTraces(b.Context(), td) })
	})
}
