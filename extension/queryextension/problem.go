package queryextension

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/otelscope/otelscope/internal/query"
	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/traceql"
)

// problem is an answer that is a failure, as problem details (RFC 9457). The
// type about:blank says that the status tells the kind.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Parameter is the part of the request that is wrong, "" if none is.
	Parameter string `json:"parameter,omitempty"`
	// Column is where in the query, from 1, in characters; 0 for nowhere.
	Column int `json:"column,omitempty"`
	// Candidates are the places of which the request has to name one.
	Candidates []placeJSON `json:"candidates,omitempty"`

	retryAfter string // seconds, "" for none
}

// placeJSON is where a process or an entity lives.
type placeJSON struct {
	Service string `json:"service"`
	Node    string `json:"node"`
}

func (p *problem) Error() string { return p.Title + ": " + p.Detail }

func newProblem(status int, parameter, format string, args ...any) *problem {
	return &problem{
		Type:      "about:blank",
		Title:     http.StatusText(status),
		Status:    status,
		Detail:    fmt.Sprintf(format, args...),
		Parameter: parameter,
	}
}

// asProblem says what a handler's failure means to the client.
func (a *api) asProblem(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if u, ok := errors.AsType[*store.UnavailableError](err); ok {
		return newProblem(http.StatusServiceUnavailable, "", "%s", u.Error())
	}
	if p := a.asQueryProblem(err); p != nil {
		return p
	}
	switch {
	case errors.Is(err, store.ErrClosed):
		return newProblem(http.StatusServiceUnavailable, "", "the store is closed: the collector is stopping")
	case errors.Is(err, context.DeadlineExceeded):
		return newProblem(http.StatusGatewayTimeout, "",
			"the query did not end within %s (query::timeout of the extension)", a.cfg.Query.Timeout)
	case errors.Is(err, context.Canceled):
		return newProblem(http.StatusServiceUnavailable, "", "the request was given up: the client left or the collector is stopping")
	}
	return newProblem(http.StatusInternalServerError, "", "%s", err.Error())
}

// unsupportedType and unsupportedTitle are of problems with a query that asks
// for a part of TraceQL that Scope does not have.
const (
	unsupportedType  = "https://github.com/otelscope/otelscope/blob/main/docs/query.md#not-supported"
	unsupportedTitle = "Unsupported query"
)

// asQueryProblem says what a query's own failure means to the client, nil for
// others.
func (a *api) asQueryProblem(err error) *problem {
	unsupported := func(p *problem) *problem {
		p.Type, p.Title = unsupportedType, unsupportedTitle
		return p
	}
	if e, ok := errors.AsType[*traceql.Error](err); ok {
		p := newProblem(http.StatusBadRequest, "q", "%s", e.Error())
		p.Column = e.Column
		if e.Unsupported {
			return unsupported(p)
		}
		return p
	}
	if e, ok := errors.AsType[*query.UnsupportedError](err); ok {
		return unsupported(newProblem(http.StatusBadRequest, "q", "%s", e.Problem))
	}
	if e, ok := errors.AsType[*query.CursorError](err); ok {
		return newProblem(http.StatusBadRequest, "cursor", "%s", e.Problem)
	}
	if e, ok := errors.AsType[*query.BoundError](err); ok {
		return newProblem(http.StatusUnprocessableEntity, "", "%s", e.Problem)
	}
	if e, ok := errors.AsType[*query.SizeError](err); ok {
		return newProblem(http.StatusUnprocessableEntity, "", "%s: allowed are %s (query::max_bytes of the extension)", e.Error(), a.cfg.Query.MaxBytes)
	}
	if e, ok := errors.AsType[*query.AmbiguousError](err); ok {
		p := newProblem(http.StatusConflict, "service", "there are several of this id: name one of the candidates by service and node")
		for _, at := range e.Places {
			p.Candidates = append(p.Candidates, placeJSON{at.Service, at.Node})
		}
		return p
	}
	return nil
}

func writeProblem(w http.ResponseWriter, p *problem) {
	if p.retryAfter != "" {
		w.Header().Set("Retry-After", p.retryAfter)
	}
	writeJSON(w, "application/problem+json", p.Status, p)
}

// writeJSON encodes first, so that what fails to encode is still a clean 500.
func writeJSON(w http.ResponseWriter, contentType string, status int, body any) {
	encoded, err := encodeJSON(body)
	if err != nil {
		http.Error(w, "the answer cannot be encoded: "+err.Error(), http.StatusInternalServerError)
		return
	}
	writeBody(w, contentType, status, encoded)
}

// encodeJSON leaves process ids such as <0.83.0> readable: nosniff keeps
// browsers from taking JSON for HTML.
func encodeJSON(body any) ([]byte, error) {
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(body)
	return encoded.Bytes(), err
}

func writeBody(w http.ResponseWriter, contentType string, status int, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone, which is no concern of ours
}
