package block

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/vfs"
	"github.com/otelscope/otelscope/internal/vfs/memfs"
)

// write writes a block into a new file system in memory.
func write(tb testing.TB, rows []Row) (vfs.FS, Meta) {
	fsys := memfs.New()
	require.NoError(tb, fsys.MkdirAll("blocks"))
	meta, err := NewWriter(fsys, "blocks").Write(7, rows)
	require.NoError(tb, err)
	return fsys, meta
}

// open opens the block that write wrote, until the test ends.
func open(tb testing.TB, fsys vfs.FS) *Block {
	b, err := NewSet(fsys, "blocks").Open(7)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, b.Close()) })
	return b
}

func collect(tb testing.TB, seq iter.Seq2[Row, error]) (rows []Row) {
	for r, err := range seq {
		require.NoError(tb, err)
		rows = append(rows, r)
	}
	return rows
}

// sorted is what a block makes of rows.
func sorted(rows []Row) []Row {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b Row) int {
		switch x, y := headOf(a.Span).start, headOf(b.Span).start; {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return rows
}

func TestBlockHoldsWhatWasWritten(t *testing.T) {
	rows := realistic(t, 5000)
	fsys, meta := write(t, rows)
	b := open(t, fsys)
	want := sorted(rows)
	require.Equal(t, want, collect(t, b.Scan(context.Background())))
	require.Equal(t, meta, b.Meta())
	require.EqualValues(t, 5000, meta.Rows)
	require.Equal(t, headOf(want[0].Span).start, meta.MinStart)
	require.Equal(t, headOf(want[4999].Span).start, meta.MaxStart)
	for _, name := range []string{IDsName(7), ParquetName(7)} {
		_, err := fsys.Size("blocks/" + name)
		require.NoError(t, err)
	}
	names, err := fsys.ReadDir("blocks")
	require.NoError(t, err)
	require.Equal(t, []string{"0000000000000007.ids", "0000000000000007.parquet"}, names)
}

func TestFindByIDs(t *testing.T) {
	rows := realistic(t, 1200)
	fsys, _ := write(t, rows)
	b := open(t, fsys)
	traces := map[pcommon.TraceID][]Row{}
	for _, r := range sorted(rows) {
		h := headOf(r.Span)
		traces[h.trace] = append(traces[h.trace], r)
	}
	for id, want := range traces {
		got, err := traceOf(b, id)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, r := range rows {
		h := headOf(r.Span)
		got, err := b.Span(h.trace, h.span)
		require.NoError(t, err)
		require.Equal(t, []Row{r}, got)
		got, err = b.Event(h.span.String())
		require.NoError(t, err)
		require.Equal(t, []Row{r}, got)
	}
	for i := range 300 {
		h := head{trace: pcommon.TraceID{1, byte(i), byte(i >> 8)}, span: pcommon.SpanID{2}}
		got, err := traceOf(b, h.trace)
		require.NoError(t, err)
		require.Empty(t, got)
		got, err = b.Span(h.trace, h.span)
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

func TestEmptyBlock(t *testing.T) {
	fsys, meta := write(t, nil)
	b := open(t, fsys)
	require.Equal(t, meta, b.Meta())
	require.Zero(t, meta.Rows+int64(meta.MinStart+meta.MaxStart))
	require.Empty(t, collect(t, b.Scan(context.Background())))
	rows, err := traceOf(b, pcommon.TraceID{1})
	require.NoError(t, err)
	require.Empty(t, rows)
	require.Empty(t, readTable(t, fsys))
}

func TestOpenMissing(t *testing.T) {
	fsys, _ := write(t, realistic(t, 3))
	_, err := NewSet(fsys, "blocks").Open(8)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, fsys.Remove("blocks/"+ParquetName(7)))
	_, err = NewSet(fsys, "blocks").Open(7)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Empty(t, fsys.(*memfs.FS).OpenFiles())
}

func TestRemoveLeavesOpenBlocksReadable(t *testing.T) {
	rows := realistic(t, 100)
	fsys, _ := write(t, rows)
	b := open(t, fsys)
	require.NoError(t, Remove(fsys, "blocks", 7))
	require.NoError(t, Remove(fsys, "blocks", 7), "again")
	names, err := fsys.ReadDir("blocks")
	require.NoError(t, err)
	require.Empty(t, names)
	require.Equal(t, sorted(rows), collect(t, b.Scan(context.Background())))
	fsys.(*memfs.FS).SetHook(func(memfs.Op, string) error { return errFault })
	require.ErrorIs(t, Remove(fsys, "blocks", 7), errFault)
	fsys.(*memfs.FS).SetHook(nil)
}

func TestScanStops(t *testing.T) {
	fsys, _ := write(t, realistic(t, 500))
	b := open(t, fsys)
	for range b.Scan(context.Background()) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range b.Scan(ctx) {
		if n++; n == 10 {
			cancel()
		}
		last = err
	}
	require.ErrorIs(t, last, context.Canceled)
	require.Less(t, n, 100)
}

// TestManyOrigins has more than an open block remembers, and rows in more
// than one granule and row group.
func TestManyOrigins(t *testing.T) {
	base := realistic(t, 10)
	var rows []Row
	for i := range 70_000 {
		r := base[i%10]
		if i%500 == 0 {
			td := ptrace.NewTraces()
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutInt("n", int64(i))
			rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("x")
			r.Origin = rowsOf(t, td)[0].Origin
		}
		rows = append(rows, r)
	}
	fsys, _ := write(t, rows)
	b := open(t, fsys)
	require.Equal(t, sorted(rows), collect(t, b.Scan(context.Background())))
	got, err := traceOf(b, headOf(base[3].Span).trace)
	require.NoError(t, err)
	require.Len(t, got, len(search(rows, func(s []byte) bool { return headOf(s).trace == headOf(base[3].Span).trace })))
}

func TestConcurrentReads(t *testing.T) {
	rows := realistic(t, 2000)
	fsys, _ := write(t, rows)
	b := open(t, fsys)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := g; i < len(rows); i += 8 {
				h := headOf(rows[i].Span)
				got, err := b.Span(h.trace, h.span)
				if !assert.NoError(t, err) || !assert.Equal(t, []Row{rows[i]}, got) {
					return
				}
			}
			n := 0
			for _, err := range b.Scan(context.Background()) {
				assert.NoError(t, err)
				n++
			}
			assert.Equal(t, len(rows), n)
		})
	}
	wg.Wait()
}

// TestPromotedNames holds the columns' names to their attributes' keys.
func TestPromotedNames(t *testing.T) {
	found := map[int]bool{}
	for _, key := range []string{
		"scope.process.id", "scope.event.id", "scope.event.kind", "scope.return.event.id", "scope.call.state",
		"scope.correlation.id", "scope.entity.id", "code.function.name", "error.type", "messaging.system",
		"messaging.destination.name", "messaging.operation.type", "messaging.message.id", "http.request.method",
		"http.route", "http.response.status_code", "server.address", "db.system.name", "rpc.method",
	} {
		c := promoted([]byte(key))
		require.GreaterOrEqual(t, c, 0, key)
		require.Equal(t, strings.ReplaceAll(key, ".", "_"), columns[c].Name)
		require.True(t, columns[c].Optional)
		found[c] = true
	}
	require.Len(t, found, colRPCMethod-colServiceInstanceID)
	require.Negative(t, promoted([]byte("http.routes")))
}

// TestKeyThatIsThereTwice: the first counts, as for pdata.
func TestKeyThatIsThereTwice(t *testing.T) {
	var span []byte
	for _, v := range []string{"/first", "/second"} {
		kv := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "http.route")
		value := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), v)
		kv = protowire.AppendBytes(protowire.AppendTag(kv, 2, protowire.BytesType), value)
		span = protowire.AppendBytes(protowire.AppendTag(span, 9, protowire.BytesType), kv)
	}
	row := Row{Origin: realistic(t, 1)[0].Origin, Span: span}
	fsys, _ := write(t, []Row{row, row})
	got := readTable(t, fsys)
	require.Equal(t, []string{"/first", "/first"}, got["http_route"])
	require.Equal(t, []string{"{}", "{}"}, got["span_attributes"])
}

// TestSortByStart compares the order with that of a stable sort, for starts
// of any spread.
func TestSortByStart(t *testing.T) {
	var order, scratch []uint64
	rapid.Check(t, func(t *rapid.T) {
		spread := rapid.Uint64().Draw(t, "spread")
		base := rapid.Uint64().Draw(t, "base")
		starts := rapid.SliceOf(rapid.Custom(func(t *rapid.T) uint64 {
			return base | rapid.Uint64().Draw(t, "start")&spread
		})).Draw(t, "starts")
		want := make([]uint64, len(starts))
		for i := range want {
			want[i] = uint64(i)
		}
		slices.SortStableFunc(want, func(a, b uint64) int { return cmp.Compare(starts[a], starts[b]) })
		order, scratch = byStart(starts, order, scratch)
		for i := range order {
			order[i] &= rowMask
		}
		require.True(t, slices.Equal(want, order), "%v", order)
	})
}

func TestHeadOfMalformedSpans(t *testing.T) {
	span := realistic(t, 1)[0].Span
	want := headOf(span)
	for n := range span {
		headOf(span[:n])
	}
	for _, tail := range []string{"\x0a", "\x0a\x05a", "\x39\x01", "\xff", "\x07", "\x08\x80"} {
		require.Equal(t, want, headOf(append(bytes.Clone(span), tail...)), "%q", tail)
	}
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 300, protowire.VarintType), 5)
	require.Equal(t, want, headOf(append(unknown, span...)))
	require.False(t, hasEvent([]byte{0x0a}, "x"))
}

// TestLongWritesAreSyncedOnTheWay: no sync is left with more than syncEvery.
func TestLongWritesAreSyncedOnTheWay(t *testing.T) {
	fsys := memfs.New()
	f, err := fsys.Create("f")
	require.NoError(t, err)
	syncs := 0
	fsys.SetHook(func(op memfs.Op, _ string) error {
		if op == memfs.OpSync {
			syncs++
		}
		return nil
	})
	g := &gently{file: f}
	data := bytes.Repeat([]byte("0123456789abcdef"), (2*syncEvery+syncEvery/2)/16)
	for _, part := range [][]byte{data[:100], data[100 : syncEvery+1], data[syncEvery+1:]} {
		n, err := g.Write(part)
		require.NoError(t, err)
		require.Equal(t, len(part), n)
	}
	require.Equal(t, 2, syncs)
	got := make([]byte, len(data))
	_, err = f.ReadAt(got, 0)
	require.NoError(t, err)
	require.Equal(t, data, got)
}

// traceOf returns the spans of a trace in the order of their start times.
func traceOf(b *Block, id pcommon.TraceID) (rows []Row, err error) {
	failed := b.FindTraces(b.set.Traces([]pcommon.TraceID{id}), func(_ int, numbers []uint32) { rows, err = b.Rows(numbers) })
	rows = slices.DeleteFunc(rows, func(r Row) bool { return headOf(r.Span).trace != id })
	return rows, errors.Join(failed, err)
}

// TestBlocksOfASet asks two blocks together: each gives its own rows.
func TestBlocksOfASet(t *testing.T) {
	rows := realistic(t, 200)
	fsys := memfs.New()
	require.NoError(t, fsys.MkdirAll("blocks"))
	set := NewSet(fsys, "blocks")
	var open []*Block
	for i, part := range [][]Row{rows[:100], rows[100:]} {
		_, err := NewWriter(fsys, "blocks").Write(uint64(7+i), part)
		require.NoError(t, err)
		b, err := set.Open(uint64(7 + i))
		require.NoError(t, err)
		defer func() { require.NoError(t, b.Close()) }()
		open = append(open, b)
	}
	var refs []causal.SpanRef
	for _, r := range rows {
		h := headOf(r.Span)
		refs = append(refs, causal.SpanRef{TraceID: h.trace, SpanID: h.span})
	}
	q := set.Spans(refs)
	for range 2 { // read, and from the cache
		for i, b := range open {
			numbers, err := b.Find(t.Context(), q)
			require.NoError(t, err)
			got, err := b.Rows(numbers)
			require.NoError(t, err)
			require.Equal(t, sorted(rows[100*i:100*(i+1)]), got)
		}
	}
}
