package block

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/block/table"
)

type fastSnappy struct{}

func (fastSnappy) String() string                            { return "SNAPPY" }
func (fastSnappy) CompressionCodec() format.CompressionCodec { return format.Snappy }
func (fastSnappy) Encode(dst, src []byte) ([]byte, error) {
	return s2.EncodeSnappy(dst[:cap(dst)], src), nil
}
func (fastSnappy) Decode(dst, src []byte) ([]byte, error) { return s2.Decode(dst, src) }

func altSchema() *parquet.Schema {
	g := parquet.Group{}
	for _, c := range columns {
		var n parquet.Node
		switch c.Kind {
		case table.Text:
			n = parquet.String()
		case table.Bytes:
			n = parquet.Leaf(parquet.ByteArrayType)
		case table.Int64:
			n = parquet.Int(64)
		case table.Micros:
			n = parquet.Timestamp(parquet.Microsecond)
		}
		if c.Dict {
			n = parquet.Encoded(n, &parquet.RLEDictionary)
		}
		if c.Optional {
			n = parquet.Optional(n)
		}
		g[c.Name] = n
	}
	return parquet.NewSchema("spans", g)
}

// BenchmarkAlt: the same columns by parquet-go's column writers.
func BenchmarkAlt(b *testing.B) {
	const n = 150_000
	rows := realistic(b, n)
	sc := altSchema()
	pos := map[string]int{}
	for i, p := range sc.Columns() {
		pos[p[0]] = i
	}
	for _, cd := range []string{"fast", "lib", "zstd"} {
		b.Run(cd, func(b *testing.B) {
			opts := []parquet.WriterOption{sc, parquet.PageBufferSize(64 << 10), parquet.DataPageStatistics(false), parquet.DictionaryMaxBytes(512 << 10)}
			switch cd {
			case "fast":
				opts = append(opts, parquet.Compression(fastSnappy{}))
			case "lib":
				opts = append(opts, parquet.Compression(&parquet.Snappy))
			case "zstd":
				opts = append(opts, parquet.Compression(&parquet.Zstd))
			}
			for _, c := range columns {
				if c.Kind == table.Text || c.Kind == table.Bytes {
					opts = append(opts, parquet.SkipPageBounds(c.Name))
				}
			}
			w := parquet.NewGenericWriter[any](nil, opts...)
			var size int64
			began := cpuTime()
			for range b.N {
				f, _ := os.Create(filepath.Join(b.TempDir(), "x.parquet"))
				w.Reset(f)
				cols := w.ColumnWriters()
				alt(b, w, cols, pos, rows)
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
				_ = f.Sync()
				st, _ := f.Stat()
				size = st.Size()
				_ = f.Close()
			}
			b.ReportMetric(float64(cpuTime()-began)/float64(b.N*n), "cpu-ns/span")
			b.ReportMetric(float64(size)/n, "B/span")
		})
	}
}

func alt(b *testing.B, w *parquet.GenericWriter[any], cols []*parquet.ColumnWriter, pos map[string]int, rows []Row) {
	type org struct{ service, instance, scope, res, raw []byte }
	orgs := map[string]org{}
	var at [columnCount]int
	for i, c := range columns {
		at[i] = pos[c.Name]
	}
	var vals [columnCount][]parquet.Value
	var arena []byte
	var sp otlpwire.Span
	var rest []otlpwire.Attr
	rawN := 0
	keep := func(f func([]byte) []byte) []byte {
		n := len(arena)
		arena = f(arena)
		return arena[n:len(arena):len(arena)]
	}
	for i := 0; i < len(rows); i += 256 {
		arena = arena[:0]
		for c := range vals {
			vals[c] = vals[c][:0]
		}
		for _, r := range rows[i:min(i+256, len(rows))] {
			if err := sp.Parse(r.Span); err != nil {
				b.Fatal(err)
			}
			o, ok := orgs[string(r.Origin)]
			if !ok {
				p, _ := otlpwire.ParseOrigin(r.Origin)
				ra, _ := otlpwire.AppendResourceAttributes(nil, p.Resource)
				var s otlpwire.Scope
				_ = s.Parse(p.Scope)
				j, _ := otlpwire.AppendAttrsJSON(nil, ra)
				v1, _ := otlpwire.Find(ra, "service.name")
				v2, _ := otlpwire.Find(ra, "service.instance.id")
				s1, _ := v1.Str()
				s2, _ := v2.Str()
				o = org{s1, s2, s.Name, j, r.Origin}
				orgs[string(r.Origin)] = o
			}
			var v [columnCount]parquet.Value
			txt := func(c int, x []byte) {
				v[c] = parquet.ByteArrayValue(x)
				if columns[c].Optional {
					v[c] = v[c].Level(0, 1, 0)
				}
			}
			txt(colTraceID, keep(func(d []byte) []byte { return hex.AppendEncode(d, sp.TraceID[:]) }))
			txt(colSpanID, keep(func(d []byte) []byte { return hex.AppendEncode(d, sp.SpanID[:]) }))
			txt(colParentSpanID, keep(func(d []byte) []byte { return hex.AppendEncode(d, sp.ParentSpanID[:]) }))
			txt(colName, sp.Name)
			txt(colKind, []byte(kindNames[sp.Kind]))
			txt(colStatusCode, []byte(statusNames[sp.StatusCode]))
			st := clamp(sp.Start)
			v[colStartTime] = parquet.Int64Value(st / 1000)
			v[colStartUnixNano] = parquet.Int64Value(st)
			v[colDurationNS] = parquet.Int64Value(duration(sp.Start, sp.End))
			txt(colServiceName, o.service)
			txt(colServiceInstanceID, o.instance)
			txt(colScopeName, o.scope)
			txt(colResourceAttributes, o.res)
			txt(colOTLPOrigin, o.raw)
			txt(colOTLPSpan, r.Span)
			rest = rest[:0]
			for _, a := range sp.Attributes {
				c := promoted(a.Key)
				if c == colHTTPResponseStatusCode {
					x, _ := a.Value.Int()
					v[c] = parquet.Int64Value(x).Level(0, 1, 0)
				} else if c >= 0 {
					x, _ := textOf(a.Value)
					txt(c, x)
				} else {
					rest = append(rest, a)
				}
			}
			txt(colSpanAttributes, keep(func(d []byte) []byte { d, _ = otlpwire.AppendAttrsJSON(d, rest); return d }))
			for c := range v {
				vals[c] = append(vals[c], v[c])
			}
		}
		for c := range vals {
			col := cols[at[c]]
			a := 0
			if c == colOTLPSpan {
				for q, v := range vals[c] {
					if rawN += len(v.ByteArray()); rawN >= spanPageBytes {
						_, _ = col.WriteRowValues(vals[c][a : q+1])
						_ = col.Flush()
						a, rawN = q+1, 0
					}
				}
			}
			if _, err := col.WriteRowValues(vals[c][a:]); err != nil {
				b.Fatal(err)
			}
		}
		if (i/256)%256 == 255 {
			_ = w.Flush()
		}
	}
}
