package queryextension

import (
	"encoding/hex"
	"net/http"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

func traceIDOf(req *http.Request) (pcommon.TraceID, error) {
	text := req.PathValue("trace_id")
	var id pcommon.TraceID
	if len(text) != 2*len(id) {
		return id, badTraceID(text)
	}
	if _, err := hex.Decode(id[:], []byte(text)); err != nil || id.IsEmpty() {
		return id, badTraceID(text)
	}
	return id, nil
}

func badTraceID(text string) error {
	return newProblem(http.StatusBadRequest, "trace_id", "%q is no trace id: must be 32 hex digits, not all zero", text)
}

func limitOf(req *http.Request) (int, error) {
	text := req.URL.Query().Get("limit")
	if text == "" {
		return defaultLimit, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > maxLimit {
		return 0, newProblem(http.StatusBadRequest, "limit", "%q is not allowed: must be a number from 1 to %d", text, maxLimit)
	}
	return limit, nil
}

func flagOf(req *http.Request, name string) (bool, error) {
	switch text := req.URL.Query().Get(name); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, newProblem(http.StatusBadRequest, name, "%q is not allowed: must be true or false", text)
	}
}
