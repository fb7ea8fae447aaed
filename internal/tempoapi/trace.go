package tempoapi

import (
	"encoding/json"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"
)

// Complete makes a trace such that Grafana shows all of it: it passes over
// spans of a resource without attributes.
func Complete(td ptrace.Traces) {
	for _, rs := range td.ResourceSpans().All() {
		if attributes := rs.Resource().Attributes(); attributes.Len() == 0 {
			attributes.PutStr("service.name", "unknown_service")
		}
	}
}

// The fields of tempopb.TraceByIDResponse.
const (
	responseTrace   = 1
	responseStatus  = 3
	responseMessage = 4
	statusPartial   = 1
)

// TraceByID encodes a trace for /api/v2/traces/{id} as protobuf; encoded are
// its TracesData. A message, if it is not "", says what is missing.
func TraceByID(encoded []byte, message string) []byte {
	var b []byte
	b = protowire.AppendTag(b, responseTrace, protowire.BytesType)
	b = protowire.AppendBytes(b, encoded)
	if message != "" {
		b = protowire.AppendTag(b, responseStatus, protowire.VarintType)
		b = protowire.AppendVarint(b, statusPartial)
		b = protowire.AppendTag(b, responseMessage, protowire.BytesType)
		b = protowire.AppendString(b, message)
	}
	return b
}

// TraceResponse is the same as JSON. The trace is OTLP JSON.
type TraceResponse struct {
	Trace   json.RawMessage `json:"trace"`
	Status  string          `json:"status,omitempty"` // PARTIAL, or "" for complete
	Message string          `json:"message,omitempty"`
}

// NewTraceResponse returns a trace, which is OTLP JSON.
func NewTraceResponse(trace json.RawMessage, message string) TraceResponse {
	r := TraceResponse{Trace: trace, Message: message}
	if message != "" {
		r.Status = "PARTIAL"
	}
	return r
}
