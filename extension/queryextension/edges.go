package queryextension

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/causal"
	"github.com/otelscope/otelscope/internal/query"
)

// edgeJSON is a causal edge.
type edgeJSON struct {
	Type       causal.Type `json:"type"`
	Confidence float64     `json:"confidence"`
	Rule       string      `json:"rule"`
	Cause      endJSON     `json:"cause"`
	Effect     endJSON     `json:"effect"`
}

// endJSON names a span: with its event, or as missing.
type endJSON struct {
	TraceID string  `json:"trace_id"`
	SpanID  string  `json:"span_id"`
	EventID *string `json:"event_id,omitempty"` // "" for plain OTLP spans
	Missing bool    `json:"missing,omitempty"`
}

func newEndJSON(ref causal.SpanRef, event string, missing bool) endJSON {
	end := endJSON{TraceID: ref.TraceID.String(), SpanID: ref.SpanID.String(), Missing: missing}
	if !missing {
		end.EventID = &event
	}
	return end
}

func newEdgeJSON(e *query.Edge) edgeJSON {
	return edgeJSON{
		Type: e.Type, Confidence: e.Confidence, Rule: e.Rule,
		Cause:  newEndJSON(e.Cause.Ref, e.Cause.Event, e.Cause.Missing),
		Effect: newEndJSON(e.Effect.Ref, e.Effect.Event, e.Effect.Missing),
	}
}

func newEdgesJSON(edges []query.Edge) []edgeJSON {
	answer := make([]edgeJSON, 0, len(edges))
	for i := range edges {
		answer = append(answer, newEdgeJSON(&edges[i]))
	}
	return answer
}

func filterOf(req *http.Request) (query.Filter, error) {
	types, err := typesOf(req)
	if err != nil {
		return query.Filter{}, err
	}
	confidence, err := confidenceOf(req)
	return query.Filter{Types: types, MinConfidence: confidence}, err
}

func rangeOf(req *http.Request) (query.Range, error) {
	start, err := timeOf(req, "start")
	if err != nil {
		return query.Range{}, err
	}
	end, err := timeOf(req, "end")
	if err != nil {
		return query.Range{}, err
	}
	if req.URL.Query().Get("end") != "" && end <= start {
		return query.Range{}, newProblem(http.StatusBadRequest, "end", "the end %d is not after the start %d (nanoseconds since the epoch)", end, start)
	}
	return query.Range{Start: start, End: end}, nil
}

// edges streams every edge, a line each. What fails before the first line is
// a problem as everywhere; later it is the last line. A client that takes
// nothing for as long as a query may last is given up: the stream holds what
// the store cannot drop meanwhile.
func (a *api) edges(w http.ResponseWriter, req *http.Request) error {
	filter, err := filterOf(req)
	if err != nil {
		return err
	}
	within, err := rangeOf(req)
	if err != nil {
		return err
	}
	out := newLines(w, a.cfg.Query.Timeout)
	if req.Method == http.MethodHead {
		out.begin()
		return nil
	}
	for batch, err := range query.Edges(req.Context(), polite{a.store}, filter, within) {
		if err != nil {
			return a.endLines(out, err)
		}
		for i := range batch {
			out.add(newEdgeJSON(&batch[i]))
		}
		if out.send() != nil {
			return nil // the client is gone
		}
	}
	out.begin()
	return nil
}

// endLines ends an answer that failed.
func (a *api) endLines(out *lines, err error) error {
	if !out.begun {
		return err
	}
	p := a.asProblem(err)
	if p.Status == http.StatusInternalServerError {
		a.logger.Error("a stream failed", zap.Error(err))
	}
	out.add(map[string]*problem{"error": p})
	_ = out.send() // nobody else could be told
	return nil
}

// lines is an answer of JSON values, a line each, that is sent as it comes.
type lines struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration // of a write
	buffer   bytes.Buffer
	encoder  *json.Encoder
	begun    bool
	// contentType may be set before begin.
	contentType string
}

func newLines(w http.ResponseWriter, patience time.Duration) *lines {
	l := &lines{w: w, control: http.NewResponseController(w), patience: patience, contentType: "application/x-ndjson"}
	l.encoder = json.NewEncoder(&l.buffer)
	l.encoder.SetEscapeHTML(false)
	return l
}

func (l *lines) begin() {
	if l.begun {
		return
	}
	l.begun = true
	l.w.Header().Set("Content-Type", l.contentType)
	l.w.Header().Set("X-Content-Type-Options", "nosniff")
	l.w.WriteHeader(http.StatusOK)
}

// add adds a value, which must be one that JSON has.
func (l *lines) add(value any) { _ = l.encoder.Encode(value) }

// send sends what was added.
func (l *lines) send() error {
	l.begin()
	// Not every writer has a deadline or a flush; then there is none to mind.
	_ = l.control.SetWriteDeadline(time.Now().Add(l.patience))
	_, err := l.w.Write(l.buffer.Bytes())
	l.buffer.Reset()
	if err == nil {
		err = l.control.Flush()
	}
	_ = l.control.SetWriteDeadline(time.Time{})
	return err
}
