package queryextension

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/extension/queryextension/internal/metadata"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

// BenchmarkTail writes 20,000 spans a second, in requests of a hundred, to the
// real store, with a hundred subscribers over HTTP that each match one span in
// a hundred. An operation is a second of it; the latency is from before the
// request is written until a subscriber has read the span.
func BenchmarkTail(b *testing.B) {
	for _, subscribers := range []int{0, 100} {
		b.Run(fmt.Sprint(subscribers), func(b *testing.B) { benchTail(b, subscribers) })
	}
}

func benchTail(b *testing.B, subscribers int) {
	const rate, size = 20_000, 100
	cfg := testConfig()
	cfg.Storage.Directory = b.TempDir()
	ext, err := NewFactory().Create(b.Context(), extensiontest.NewNopSettings(metadata.Type), cfg)
	require.NoError(b, err)
	e := ext.(*queryExtension)
	require.NoError(b, e.Start(b.Context(), componenttest.NewNopHost()))
	require.NoError(b, e.Ready())
	var latencies latencies
	var readers sync.WaitGroup
	for i := range subscribers {
		q := fmt.Sprintf(`{ resource.service.name = "payment" && span.order = %d }`, i)
		res, err := http.Get("http://" + e.listener.Addr().String() + "/api/v1/tail?q=" + url.QueryEscape(q))
		require.NoError(b, err)
		readers.Go(func() {
			defer res.Body.Close()
			latencies.read(bufio.NewReader(res.Body))
		})
	}
	before, seed := cpuTime(), uint64(0)
	for b.Loop() {
		ticks := time.NewTicker(time.Second * size / rate)
		for range rate / size {
			<-ticks.C
			td := storetest.Request(4*seed+3, size)
			seed++
			for j, span := range td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
				span.Attributes().PutInt("order", int64(j))
				span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
			}
			require.NoError(b, e.Store().Write(b.Context(), td))
		}
		ticks.Stop()
	}
	b.ReportMetric(float64((cpuTime()-before).Milliseconds())/float64(10*b.N), "cpu-%")
	if subscribers > 0 {
		for e.tail.Stats().Delivered < int64(seed)*size {
			time.Sleep(time.Millisecond)
		}
	}
	require.Zero(b, e.tail.Stats().Lost)
	require.NoError(b, e.NotReady())
	readers.Wait()
	latencies.report(b)
	http.DefaultClient.CloseIdleConnections()
	require.NoError(b, e.Shutdown(context.Background()))
}

// latencies are those of what subscribers read.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *latencies) read(lines *bufio.Reader) {
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		_, rest, ok := strings.Cut(line, `"start":"`)
		if !ok {
			continue
		}
		text, _, _ := strings.Cut(rest, `"`)
		ns, _ := strconv.ParseInt(text, 10, 64)
		l.mu.Lock()
		l.all = append(l.all, time.Since(time.Unix(0, ns)))
		l.mu.Unlock()
	}
}

func (l *latencies) report(b *testing.B) {
	if len(l.all) == 0 {
		return
	}
	slices.Sort(l.all)
	for name, at := range map[string]int{"p50-ms": len(l.all) / 2, "p99-ms": len(l.all) * 99 / 100, "max-ms": len(l.all) - 1} {
		b.ReportMetric(float64(l.all[at].Microseconds())/1000, name)
	}
	b.ReportMetric(float64(len(l.all))/float64(b.N), "delivered/s")
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
