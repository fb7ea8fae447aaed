// Package engines holds the tests that read what the store writes with other
// people's programs: ClickHouse (the chdb package) and DuckDB, through Node.
//
// They run where node is found and the packages of package.json are installed,
// in this folder (npm install) or in the one that SCOPE_ENGINES_DIR names, and
// are skipped elsewhere.
package engines

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelscope/otelscope/internal/otlpwire"
	"github.com/otelscope/otelscope/internal/store/block"
	"github.com/otelscope/otelscope/internal/vfs"
)

// engine is another program that reads Parquet.
type engine struct {
	name    string // as query.js has it
	module  string // the folder of its package in node_modules
	table   string // a table of all blocks, with the folder for %s
	time    string // the type of start_time
	text    string // the type of text, which the engine may say is nullable
	integer string
	bytes   string
	extract string // an expression for the text in the JSON %[1]s under the key %[2]s
	typeOf  string
	instant string // a time in UTC, from the text %s
}

var engineList = []engine{
	{
		name: "chdb", module: "chdb", table: "file('%s/*.parquet', Parquet)",
		time: "DateTime64(6, 'UTC')", text: "String", integer: "Int64", bytes: "String",
		extract: "JSONExtractString(%s, '%s')", typeOf: "toTypeName",
		instant: "toDateTime64('%s', 6, 'UTC')",
	},
	{
		name: "duckdb", module: "@duckdb/node-api", table: "'%s/*.parquet'",
		time: "TIMESTAMP WITH TIME ZONE", text: "VARCHAR", integer: "BIGINT", bytes: "BLOB",
		extract: `json_extract_string(%s, '$."%s"')`, typeOf: "typeof",
		instant: "TIMESTAMPTZ '%s+00'",
	},
}

// columns of a block that are not text.
var (
	integerColumns = map[string]bool{"start_unix_nano": true, "duration_ns": true, "http_response_status_code": true}
	bytesColumns   = map[string]bool{"otlp_origin": true, "otlp_span": true}
)

type row = map[string]any

// query runs queries in the engine; in each, FROM blocks stands for the table.
func (e engine) query(t *testing.T, dir string, queries ...string) [][]row {
	modules := modulesFolder(t, e.module)
	for i, q := range queries {
		queries[i] = strings.ReplaceAll(q, "FROM blocks", "FROM "+fmt.Sprintf(e.table, dir))
		t.Logf("%s: %s", e.name, queries[i])
	}
	input, err := json.Marshal(queries)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "node", "query.js", e.name, modules)
	cmd.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), stderr.String())
	var results [][]row
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &results), stdout.String())
	require.Len(t, results, len(queries))
	return results
}

// modulesFolder returns the folder whose node_modules has the package, or
// skips the test.
func modulesFolder(t *testing.T, module string) string {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("node is not installed: other engines are not tried")
	}
	dir := os.Getenv("SCOPE_ENGINES_DIR")
	if dir == "" {
		dir = "."
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", module)); err != nil {
		t.Skipf("npm package %q is not installed in folder %q: run npm install in test/engines, or set SCOPE_ENGINES_DIR to a folder that has it", module, dir)
	}
	return dir
}

func forEachEngine(t *testing.T, f func(t *testing.T, e engine)) {
	for _, e := range engineList {
		t.Run(e.name, func(t *testing.T) { f(t, e) })
	}
}

// writeBlocks writes each of the parts as a block.
func writeBlocks(t *testing.T, parts ...ptrace.Traces) string {
	dir := t.TempDir()
	w := block.NewWriter(vfs.OS, dir)
	for i, td := range parts {
		data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		var rows []block.Row
		require.NoError(t, otlpwire.Walk(data, func(o otlpwire.Origin, span []byte) error {
			rows = append(rows, block.Row{Origin: o.Append(nil), Span: span})
			return nil
		}))
		_, err = w.Write(uint64(i+1), rows)
		require.NoError(t, err)
	}
	return dir
}

const firstStart = 1_700_000_000_123_456_789

// shop makes n spans of three services; user.id stands in no column of its own.
func shop(first, n int) ptrace.Traces {
	td := ptrace.NewTraces()
	for s := range 3 {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%d", s))
		rs.Resource().Attributes().PutStr("deployment.environment.name", "test")
		ss := rs.ScopeSpans().AppendEmpty()
		for i := first + s; i < first+n; i += 3 {
			fillSpan(ss.Spans().AppendEmpty(), i)
		}
	}
	return td
}

func fillSpan(s ptrace.Span, i int) {
	s.SetTraceID(pcommon.TraceID{0xab, byte(i >> 16), byte(i >> 8), byte(i)})
	s.SetSpanID(pcommon.SpanID{0xcd, byte(i >> 16), byte(i >> 8), byte(i)})
	s.SetName(fmt.Sprintf("operation %d", i%7))
	s.SetKind(ptrace.SpanKindServer)
	s.SetStartTimestamp(pcommon.Timestamp(firstStart + i*1000))
	s.SetEndTimestamp(pcommon.Timestamp(firstStart + i*1000 + 500))
	s.Attributes().PutStr("user.id", fmt.Sprintf("user-%d", i%10))
	s.Attributes().PutInt("http.response.status_code", 200)
	s.Attributes().PutStr("scope.event.id", fmt.Sprintf("event-%d", i))
	if i%2 == 0 {
		s.Attributes().PutStr("error.type", "timeout")
		s.Status().SetCode(ptrace.StatusCodeError)
	}
}

// TestCounts spans blocks and row groups; conditions let engines leave out
// pages by their bounds.
func TestCounts(t *testing.T) {
	dir := writeBlocks(t, shop(0, 70_000), shop(70_000, 20_000))
	forEachEngine(t, func(t *testing.T, e engine) {
		got := e.query(t, dir,
			"SELECT service_name, count(*) AS spans FROM blocks GROUP BY 1 ORDER BY 1",
			"SELECT status_code, error_type, count(*) AS spans FROM blocks GROUP BY 1, 2 ORDER BY 1",
			"SELECT min(start_unix_nano) AS first, max(start_unix_nano) AS last, "+e.typeOf+"(min(start_time)) AS time, "+
				"sum(duration_ns) AS duration, sum(http_response_status_code) AS codes FROM blocks",
			fmt.Sprintf("SELECT "+e.extract, "span_attributes", "user.id")+" AS user, count(*) AS spans FROM blocks GROUP BY 1 ORDER BY 1 LIMIT 2",
			fmt.Sprintf("SELECT "+e.extract, "resource_attributes", "deployment.environment.name")+" AS env, count(*) AS spans FROM blocks GROUP BY 1",
			"SELECT count(*) AS spans FROM blocks WHERE start_time < "+fmt.Sprintf(e.instant, "2023-11-14 22:13:20.133456"),
			"SELECT name, count(*) AS spans FROM blocks WHERE scope_event_id = 'event-77777' GROUP BY 1",
			"SELECT count(*) AS spans FROM blocks WHERE otlp_span <> '' AND name > 'operation 4' AND error_type = 'timeout'",
			"SELECT count(DISTINCT trace_id) AS traces, count(DISTINCT scope_event_id) AS events, count(parent_span_id) AS parents FROM blocks",
		)
		t.Logf("%s: %v", e.name, got)
		require.Equal(t, []row{
			{"service_name": "service-0", "spans": "30001"},
			{"service_name": "service-1", "spans": "30000"},
			{"service_name": "service-2", "spans": "29999"},
		}, got[0])
		require.Equal(t, []row{
			{"status_code": "ERROR", "error_type": "timeout", "spans": "45000"},
			{"status_code": "UNSET", "error_type": nil, "spans": "45000"},
		}, got[1])
		require.Equal(t, []row{{
			"first": fmt.Sprint(firstStart), "last": fmt.Sprint(firstStart + 89_999*1000),
			"time": e.time, "duration": "45000000", "codes": "18000000",
		}}, got[2])
		require.Equal(t, []row{{"user": "user-0", "spans": "9000"}, {"user": "user-1", "spans": "9000"}}, got[3])
		require.Equal(t, []row{{"env": "test", "spans": "90000"}}, got[4])
		require.Equal(t, []row{{"spans": "10000"}}, got[5])
		require.Equal(t, []row{{"name": "operation 0", "spans": "1"}}, got[6])
		require.Equal(t, []row{{"spans": "12857"}}, got[7])
		require.Equal(t, []row{{"traces": "90000", "events": "90000", "parents": "0"}}, got[8])
	})
}

// TestEveryColumnHasItsType also reads every value of every column.
func TestEveryColumnHasItsType(t *testing.T) {
	dir := writeBlocks(t, shop(0, 100), strange())
	forEachEngine(t, func(t *testing.T, e engine) {
		got := e.query(t, dir, "DESCRIBE SELECT * FROM blocks", "SELECT * FROM blocks")
		require.Len(t, got[1], 100+strange().SpanCount())
		names := map[string]bool{}
		for _, c := range got[0] {
			name, typ := c["name"], c["type"] // ClickHouse's words
			if name == nil {
				name, typ = c["column_name"], c["column_type"]
			}
			want := e.text
			switch {
			case name == "start_time":
				want = e.time
			case integerColumns[name.(string)]:
				want = e.integer
			case bytesColumns[name.(string)]:
				want = e.bytes
			}
			require.Contains(t, []any{want, "Nullable(" + want + ")"}, typ, name)
			names[name.(string)] = true
		}
		require.Len(t, names, 40)
	})
}

// strange has one span with what clients get wrong.
func strange() ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "caf\xe9")
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetName("a\xffb")
	s.SetStartTimestamp(math.MaxUint64)
	s.SetEndTimestamp(1)
	s.SetKind(77)
	a := s.Attributes()
	a.PutStr("quote\"\n\x00\xfe", "\x80\\")
	a.PutDouble("nan", math.NaN())
	a.PutEmptyBytes("bytes").FromRaw([]byte{0xff, 0})
	a.PutEmptyMap("map").PutEmptySlice("list").AppendEmpty().SetInt(math.MinInt64)
	a.PutStr("http.response.status_code", "200")
	a.PutInt("http.route", 5)
	s.Events().AppendEmpty().SetName("it \xff happened")
	s.Links().AppendEmpty().Attributes().PutStr("k", "v")
	return td
}

func TestStrangeValues(t *testing.T) {
	dir := writeBlocks(t, strange())
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(strange())
	require.NoError(t, err)
	var raw []byte
	require.NoError(t, otlpwire.Walk(data, func(_ otlpwire.Origin, span []byte) error {
		raw = span
		return nil
	}))
	forEachEngine(t, func(t *testing.T, e engine) {
		got := e.query(t, dir, "SELECT *, hex(otlp_span) AS raw FROM blocks")
		require.Len(t, got[0], 1)
		r := got[0][0]
		t.Logf("%s: %v", e.name, r)
		require.Equal(t, "caf\uFFFD", r["service_name"])
		require.Equal(t, "a\uFFFDb", r["name"])
		require.Equal(t, "77", r["kind"])
		require.Equal(t, fmt.Sprint(math.MaxInt64), r["start_unix_nano"])
		require.Equal(t, fmt.Sprint(math.MinInt64+1), r["duration_ns"])
		require.Contains(t, r["start_time"], "2262-04-11 23:47:16.854775")
		require.Nil(t, r["http_response_status_code"])
		require.Nil(t, r["http_route"])
		require.Equal(t, fmt.Sprintf("%X", raw), r["raw"])
		require.JSONEq(t, `{"quote\"\n\u0000\ufffd": "\ufffd\\", "nan": "NaN", "bytes": "/wA=",
			"map": {"list": [-9223372036854775808]}, "http.response.status_code": "200", "http.route": 5}`, r["span_attributes"].(string))
		require.JSONEq(t, `[{"time_unix_nano": 0, "name": "it \ufffd happened", "attributes": {}}]`, r["events"].(string))
		require.JSONEq(t, `[{"trace_id": "00000000000000000000000000000000", "span_id": "0000000000000000", "attributes": {"k": "v"}}]`, r["links"].(string))
	})
}
