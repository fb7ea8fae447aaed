package loadgen

import (
	"bytes"
	"encoding/json"
	"fmt"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// partial finds in an OTLP answer that spans were rejected. An empty answer,
// and an empty partial success, say that all were taken.
func partial(answer []byte) error {
	if len(answer) <= 2 {
		return nil
	}
	resp := ptraceotlp.NewExportResponse()
	if err := resp.UnmarshalProto(answer); err != nil {
		return fmt.Errorf("answer is no ExportTraceServiceResponse: %w", err)
	}
	if n := resp.PartialSuccess().RejectedSpans(); n > 0 {
		return &RejectedError{Reason: fmt.Sprintf("%d spans: %s", n, resp.PartialSuccess().ErrorMessage())}
	}
	return nil
}

// accepted finds in the answer to native events that some were rejected.
func accepted(answer []byte) error {
	if bytes.HasPrefix(answer, []byte(`{"accepted":`)) && !bytes.Contains(answer, []byte(`"index"`)) {
		return nil
	}
	var body struct {
		Accepted *int `json:"accepted"`
		Rejected []struct {
			Index int    `json:"index"`
			Error string `json:"error"`
		} `json:"rejected"`
	}
	if err := json.Unmarshal(answer, &body); err != nil || body.Accepted == nil {
		return fmt.Errorf("answer is no count of accepted events: %s", excerpt("200", answer))
	}
	if len(body.Rejected) > 0 {
		first := body.Rejected[0]
		return &RejectedError{Reason: fmt.Sprintf("%d events, the first (%d): %s", len(body.Rejected), first.Index, first.Error)}
	}
	return nil
}
