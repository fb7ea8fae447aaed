package block

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/vfs"
)

// realistic makes spans of 20 services with 200 names and 10 attributes of
// mixed cardinality, 358 bytes each, in the order of their arrival: ends, so
// that starts are nearly sorted.
func realistic(tb testing.TB, n int) []Row {
	r := rand.New(rand.NewPCG(1, 2))
	var traces [64]pcommon.TraceID // under way at once
	rows := make([]Row, 0, n)
	for i := range n {
		t := &traces[r.IntN(len(traces))]
		if t.IsEmpty() || r.IntN(8) == 0 {
			binary.LittleEndian.PutUint64(t[:], r.Uint64())
			binary.LittleEndian.PutUint64(t[8:], r.Uint64())
		}
		rows = append(rows, rowsOf(tb, realisticSpan(r, i, *t))...)
	}
	shareOrigins(rows)
	return rows
}

func realisticSpan(r *rand.Rand, i int, trace pcommon.TraceID) ptrace.Traces {
	op := r.IntN(200)
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	res := rs.Resource().Attributes()
	res.PutStr("service.name", fmt.Sprintf("service-%d", op%20))
	res.PutStr("service.instance.id", fmt.Sprintf("instance-%d", op%20))
	res.PutStr("host.name", fmt.Sprintf("host-%d.example.com", op%20))
	res.PutStr("telemetry.sdk.language", "go")
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("github.com/example/instrumentation")
	s := ss.Spans().AppendEmpty()
	s.SetTraceID(trace)
	var id [8]byte
	binary.LittleEndian.PutUint64(id[:], r.Uint64())
	s.SetSpanID(id)
	s.SetParentSpanID(pcommon.SpanID{1, 2, byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256)), 6, 7, byte(r.IntN(256))})
	s.SetName(fmt.Sprintf("GET /api/v1/op%d", op))
	s.SetKind(ptrace.SpanKind(1 + r.IntN(5)))
	start := int64(1_700_000_000_000_000_000) + int64(i)*50_000 + int64(r.IntN(5_000_000))
	s.SetStartTimestamp(pcommon.Timestamp(start))
	s.SetEndTimestamp(pcommon.Timestamp(start + int64(r.IntN(5e6))))
	a := s.Attributes()
	a.PutStr("http.request.method", "GET")
	a.PutStr("http.route", fmt.Sprintf("/api/v1/op%d", op))
	a.PutInt("http.response.status_code", 200)
	a.PutStr("server.address", fmt.Sprintf("host-%d.example.com", r.IntN(20)))
	a.PutInt("server.port", 8080)
	a.PutStr("user.id", fmt.Sprintf("u%d", r.IntN(100000)))
	a.PutStr("scope.event.id", hex.EncodeToString(id[:]))
	a.PutStr("scope.process.id", fmt.Sprintf("<0.%d.0>", r.IntN(1000)))
	a.PutDouble("load", r.Float64())
	a.PutBool("cached", r.IntN(2) == 0)
	return td
}

// rowsOf takes traces apart as the store does.
func rowsOf(tb testing.TB, td ptrace.Traces) []Row {
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(tb, err)
	var rows []Row
	require.NoError(tb, otlpwire.Walk(data, func(o otlpwire.Origin, span []byte) error {
		rows = append(rows, Row{Origin: o.Append(nil), Span: span})
		return nil
	}))
	return rows
}

// shareOrigins makes equal origins one slice.
func shareOrigins(rows []Row) {
	seen := map[string][]byte{}
	for i, r := range rows {
		if _, ok := seen[string(r.Origin)]; !ok {
			seen[string(r.Origin)] = r.Origin
		}
		rows[i].Origin = seen[string(r.Origin)]
	}
}

// cpuTime is what the process has used, in nanoseconds.
func cpuTime() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

func BenchmarkWrite(b *testing.B) {
	const n = 150_000
	rows := realistic(b, n)
	dir := b.TempDir()
	w := NewWriter(vfs.OS, dir)
	var meta Meta
	b.ReportAllocs()
	b.ResetTimer()
	began := cpuTime()
	for range b.N {
		var err error
		meta, err = w.Write(1, rows)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/span")
	b.ReportMetric(float64(cpuTime()-began)/float64(b.N*n), "cpu-ns/span")
	b.ReportMetric(float64(meta.ParquetBytes)/n, "parquet-B/span")
	b.ReportMetric(float64(meta.IDsBytes)/n, "ids-B/span")
}

// BenchmarkReads asks one block of a head's size, from the page cache.
func BenchmarkReads(b *testing.B) {
	rows := realistic(b, 150_000)
	dir := b.TempDir()
	_, err := NewWriter(vfs.OS, dir).Write(1, rows)
	require.NoError(b, err)
	blk, err := NewSet(vfs.OS, dir).Open(1)
	require.NoError(b, err)
	defer blk.Close()
	r := rand.New(rand.NewPCG(3, 4))
	b.Run("missing trace", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			_, _ = traceOf(blk, pcommon.TraceID{1, byte(i), byte(i >> 8), byte(i >> 16)})
		}
	})
	b.Run("one span", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			h := headOf(rows[r.IntN(len(rows))].Span)
			got, err := blk.Span(h.trace, h.span)
			require.NoError(b, err)
			require.NotEmpty(b, got)
		}
	})
	b.Run("scan", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for range b.N {
			for _, err := range blk.Scan(b.Context()) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/span")
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			other, err := NewSet(vfs.OS, dir).Open(1)
			require.NoError(b, err)
			require.NoError(b, other.Close())
		}
	})
}

// BenchmarkDecode is how long pdata takes for the same spans: a measure of the
// machine, to compare BenchmarkWrite with.
func BenchmarkDecode(b *testing.B) {
	rows := realistic(b, 2000)
	var spans [][]byte
	for _, r := range rows {
		spans = append(spans, r.Span)
	}
	data, err := otlpwire.AppendTraces(nil, rows[0].Origin, spans...)
	require.NoError(b, err)
	began := cpuTime()
	for b.Loop() {
		_, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
		require.NoError(b, err)
	}
	b.ReportMetric(float64(cpuTime()-began)/float64(b.N*len(rows)), "cpu-ns/span")
}
