package store_test

import (
	"context"
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sys/unix"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/store/storetest"
)

const (
	benchSpans   = 500
	benchWriters = 8
)

// BenchmarkWrite writes requests of 500 spans from 8 goroutines to the real
// disk. "cuts" counts what the blocks cost, with a head of the default size;
// "log" has a head that is never cut and shows the write path alone.
func BenchmarkWrite(b *testing.B) {
	b.Run("log", func(b *testing.B) {
		benchmarkWrite(b, store.Config{CutBytes: 1 << 40, CutSpans: 1 << 30, CutAge: time.Hour})
	})
	b.Run("cuts", func(b *testing.B) { benchmarkWrite(b, store.Config{}) })
}

func benchmarkWrite(b *testing.B, cfg store.Config) {
	cfg.Directory = b.TempDir()
	s, err := store.Open(cfg)
	require.NoError(b, err)
	var next, refused atomic.Int64
	var wg sync.WaitGroup
	runtime.GC()
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime(b)
	for range benchWriters {
		td := storetest.Request(1, benchSpans)
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				newIDs(td, uint64(i))
				for s.Write(context.Background(), td) != nil {
					refused.Add(1)
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(b, store.AwaitCut(s))
	b.StopTimer()
	spans := float64(b.N) * benchSpans
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/spans, "ns/span")
	b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/spans, "cpu-ns/span")
	b.ReportMetric(float64(refused.Load()), "refused")
	b.ReportMetric(float64(s.Stats().Cuts), "cuts")
	require.NoError(b, s.Close(context.Background()))
}

// newIDs makes td a request that was not written before.
func newIDs(td ptrace.Traces, request uint64) {
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	var trace pcommon.TraceID
	var span pcommon.SpanID
	for i := range spans.Len() {
		binary.BigEndian.PutUint64(trace[:], request*0x9e3779b97f4a7c15)
		binary.BigEndian.PutUint64(trace[8:], uint64(i/5)*0xbf58476d1ce4e5b9+1)
		binary.BigEndian.PutUint64(span[:], (request<<16+uint64(i)+1)*0x94d049bb133111eb)
		spans.At(i).SetTraceID(trace)
		spans.At(i).SetSpanID(span)
	}
}

// cpuTime is what the process has used, user and system: wall clock alone says
// more about the disk.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
