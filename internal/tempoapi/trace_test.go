package tempoapi

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"
)

// fieldsOf returns the length-delimited fields of a message, by number, and
// the varints.
func fieldsOf(t *testing.T, b []byte) (messages map[protowire.Number][][]byte, numbers map[protowire.Number]uint64) {
	messages, numbers = map[protowire.Number][][]byte{}, map[protowire.Number]uint64{}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		require.Positive(t, n)
		b = b[n:]
		switch kind {
		case protowire.BytesType:
			value, n := protowire.ConsumeBytes(b)
			require.GreaterOrEqual(t, n, 0)
			messages[number] = append(messages[number], value)
			b = b[n:]
		case protowire.VarintType:
			value, n := protowire.ConsumeVarint(b)
			require.Positive(t, n)
			numbers[number] = value
			b = b[n:]
		default:
			n := protowire.ConsumeFieldValue(number, kind, b)
			require.Positive(t, n)
			b = b[n:]
		}
	}
	return messages, numbers
}

// TestTraceByID has the fields of tempopb.TraceByIDResponse (grafana/tempo
// pkg/tempopb/tempo.proto).
func TestTraceByID(t *testing.T) {
	messages, numbers := fieldsOf(t, TraceByID([]byte("trace"), ""))
	require.Equal(t, [][]byte{[]byte("trace")}, messages[1])
	require.Len(t, messages, 1)
	require.Empty(t, numbers)

	messages, numbers = fieldsOf(t, TraceByID([]byte("trace"), "more"))
	require.Equal(t, [][]byte{[]byte("trace")}, messages[1])
	require.EqualValues(t, 1, numbers[3], "PARTIAL")
	require.Equal(t, [][]byte{[]byte("more")}, messages[4])
}

func TestTraceResponse(t *testing.T) {
	encoded, err := json.Marshal(NewTraceResponse(json.RawMessage(`{}`), ""))
	require.NoError(t, err)
	require.JSONEq(t, `{"trace": {}}`, string(encoded))
	encoded, err = json.Marshal(NewTraceResponse(json.RawMessage(`{}`), "more"))
	require.NoError(t, err)
	require.JSONEq(t, `{"trace": {}, "status": "PARTIAL", "message": "more"}`, string(encoded))
}

// TestGrafanaShowsEverySpan has what grafana/grafana
// pkg/tsdb/tempo/trace_transform.go reads without asking whether it is there:
// resource, scope and status; and attributes, without which it passes over a
// resource.
func TestGrafanaShowsEverySpan(t *testing.T) {
	td := ptrace.NewTraces()
	td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	td.ResourceSpans().AppendEmpty().Resource().Attributes().PutStr("host", "h")
	Complete(td)
	name, ok := td.ResourceSpans().At(0).Resource().Attributes().Get("service.name")
	require.True(t, ok)
	require.Equal(t, "unknown_service", name.Str())
	require.Equal(t, 1, td.ResourceSpans().At(1).Resource().Attributes().Len())

	encoded, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	trace, _ := fieldsOf(t, encoded)
	resourceSpans, _ := fieldsOf(t, trace[1][0])
	require.Len(t, resourceSpans[1], 1, "resource")
	scopeSpans, _ := fieldsOf(t, resourceSpans[2][0])
	require.Len(t, scopeSpans[1], 1, "scope")
	span, _ := fieldsOf(t, scopeSpans[2][0])
	require.Len(t, span[15], 1, "status")
}
