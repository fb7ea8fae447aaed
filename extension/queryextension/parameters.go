package queryextension

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelscope/otelscope/internal/causal"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
)

func traceIDOf(req *http.Request) (pcommon.TraceID, error) {
	return parseTraceID("trace_id", req.PathValue("trace_id"))
}

// parseTraceID reads the trace id that the parameter name has.
func parseTraceID(name, text string) (id pcommon.TraceID, err error) {
	if !parseID(id[:], text) {
		return id, newProblem(http.StatusBadRequest, name, "%q is no trace id: must be 32 hex digits, not all zero", text)
	}
	return id, nil
}

// parseSpanID reads the span id that the parameter name has.
func parseSpanID(name, text string) (id pcommon.SpanID, err error) {
	if !parseID(id[:], text) {
		return id, newProblem(http.StatusBadRequest, name, "%q is no span id: must be 16 hex digits, not all zero", text)
	}
	return id, nil
}

func parseID(id []byte, text string) bool {
	if len(text) != 2*len(id) {
		return false
	}
	_, err := hex.Decode(id, []byte(text))
	return err == nil && slices.ContainsFunc(id, func(b byte) bool { return b != 0 })
}

func limitOf(req *http.Request) (int, error) { return numberOf(req, "limit", defaultLimit) }

// numberOf returns a number from 1 to maxLimit, or what stands for none given.
func numberOf(req *http.Request, name string, none int) (int, error) {
	text := req.URL.Query().Get(name)
	if text == "" {
		return none, nil
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 || number > maxLimit {
		return 0, newProblem(http.StatusBadRequest, name, "%q is not allowed: must be a number from 1 to %d", text, maxLimit)
	}
	return number, nil
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

// choiceOf returns one of the choices; the first where none is given.
func choiceOf(req *http.Request, name string, choices ...string) (string, error) {
	text := req.URL.Query().Get(name)
	if text == "" {
		return choices[0], nil
	}
	if !slices.Contains(choices, text) {
		return "", newProblem(http.StatusBadRequest, name, "%q is not allowed: must be %s", text, orList(choices))
	}
	return text, nil
}

// orList is "a, b or c".
func orList(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// typesOf returns the types of edges that are asked for; none means all.
func typesOf(req *http.Request) ([]causal.Type, error) {
	text := req.URL.Query().Get("types")
	if text == "" {
		return nil, nil
	}
	var types []causal.Type
	for name := range strings.SplitSeq(text, ",") {
		t := causal.Type(name)
		if !t.Known() && t != causal.Other {
			return nil, newProblem(http.StatusBadRequest, "types", "%q is no type of edges: must be %s, several with commas between", name, orList(typeNames()))
		}
		if !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	return types, nil
}

func typeNames() []string {
	var names []string
	for _, t := range append(slices.Clone(causal.Types), causal.Other) {
		names = append(names, string(t))
	}
	return names
}

func confidenceOf(req *http.Request) (float64, error) {
	text := req.URL.Query().Get("min_confidence")
	if text == "" {
		return 0, nil
	}
	confidence, err := strconv.ParseFloat(text, 64)
	if err != nil || !(confidence >= 0 && confidence <= 1) {
		return 0, newProblem(http.StatusBadRequest, "min_confidence", "%q is not allowed: must be a number from 0 to 1", text)
	}
	return confidence, nil
}

// timeOf returns nanoseconds since the epoch, 0 where no time is given.
func timeOf(req *http.Request, name string) (uint64, error) {
	text := req.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Before(time.Unix(0, 0)) || t.Year() > lastYear {
		return 0, newProblem(http.StatusBadRequest, name,
			"%q is no time: must be as 2026-03-01T12:00:00Z (RFC 3339, with + as %%2B) or nanoseconds since the epoch", text)
	}
	return uint64(t.UnixNano()), nil
}

// lastYear is the last whole one that nanoseconds in 63 bits reach.
const lastYear = 2261
