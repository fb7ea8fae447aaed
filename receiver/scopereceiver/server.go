package scopereceiver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"google.golang.org/grpc/codes"

	"github.com/otelscope/otelscope/internal/event"
)

const eventsPath = "/v1/events"

// eventsServer answers POST /v1/events. It is an http.Handler that confighttp
// wraps in limits, decompression and authentication.
type eventsServer struct {
	feed      *feed
	gate      *gate
	letters   *letters
	obsreport *receiverhelper.ObsReport
	counts    *counts
	maxBody   int64
	// reading are the bytes of bodies that are being read or decoded, of all
	// requests together; bounded by maxReading. The gate before it goes by what
	// a request says of its size, before decompression.
	reading    atomic.Int64
	maxReading int64
	assignID   func() string
}

// rejectedEvent names an invalid event in an answer.
type rejectedEvent struct {
	Index int    `json:"index"`
	ID    string `json:"id"`
	Error string `json:"error"`
}

// accepted is the answer to a body that could be split into events.
type accepted struct {
	Accepted int             `json:"accepted"`
	Rejected []rejectedEvent `json:"rejected"`
}

// problem is the answer to any other request.
type problem struct {
	Error  string `json:"error"`
	Offset *int   `json:"offset,omitempty"` // where a body is broken, in bytes

	status int
	after  time.Duration // Retry-After
}

func (s *eventsServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p := s.check(r); p != nil {
		p.write(w)
		return
	}
	format, err := event.FormatOf(r.Header.Get("Content-Type"))
	if err != nil {
		(&problem{status: http.StatusUnsupportedMediaType, Error: err.Error()}).write(w)
		return
	}
	declared := r
	r, place, err := s.gate.through(r)
	if err != nil {
		s.refusal(err).write(w)
		linger(w, declared)
		return
	}
	defer place.leave()
	ctx := s.obsreport.StartTracesOp(r.Context())
	answer, count, p := s.take(ctx, format, r.Body)
	if p != nil {
		s.obsreport.EndTracesOp(ctx, formatNames[format], count, errors.New(p.Error))
		p.write(w)
		place.leave()
		linger(w, r)
		return
	}
	s.obsreport.EndTracesOp(ctx, formatNames[format], count, nil)
	status := http.StatusOK
	if answer.Accepted == 0 && len(answer.Rejected) > 0 {
		status = http.StatusBadRequest
	}
	writeJSON(w, status, answer)
}

// formatNames are how own metrics call the wire forms.
var formatNames = map[event.Format]string{
	event.FormatNDJSON: "scope_ndjson",
	event.FormatJSON:   "scope_json",
	event.FormatProto:  "scope_protobuf",
}

func (s *eventsServer) check(r *http.Request) *problem {
	if r.URL.Path != eventsPath {
		return &problem{status: http.StatusNotFound, Error: fmt.Sprintf("no such path: events go to POST %s", eventsPath)}
	}
	if r.Method != http.MethodPost {
		return &problem{status: http.StatusMethodNotAllowed, Error: fmt.Sprintf("method %s is not allowed: events go to POST %s", r.Method, eventsPath)}
	}
	return nil
}

// take reads, decodes and feeds one body. count is how many events it was
// about, as far as that is known.
func (s *eventsServer) take(ctx context.Context, format event.Format, body io.Reader) (answer *accepted, count int, p *problem) {
	buffer := buffers.Get().(*bytes.Buffer)
	held, err := s.read(buffer, body)
	letGo := sync.OnceFunc(func() {
		release(buffer)
		s.reading.Add(-held)
	})
	defer letGo()
	if err != nil {
		return nil, 0, s.readProblem(err)
	}
	result, err := event.Decode(format, buffer.Bytes(), s.assignID)
	if err != nil {
		return nil, 0, decodeProblem(err)
	}
	count = len(result.Events)
	size := buffer.Len()
	if len(result.Rejected) == 0 { // which alias the body
		letGo() // the ring counts the events from now on
	}
	if err := s.feed.events(ctx, result.Events, size); err != nil {
		return nil, count, s.refusal(err)
	}
	s.counts.accepted(ctx, count)
	if err := s.reject(ctx, format, result.Rejected); err != nil {
		return nil, count, s.refusal(errors.Join(errLetters, err))
	}
	answer = &accepted{Accepted: count, Rejected: make([]rejectedEvent, len(result.Rejected))}
	for i, rejected := range result.Rejected {
		answer.Rejected[i] = rejectedEvent{rejected.Index, rejected.ID, rejected.Err.Error()}
	}
	return answer, count, nil
}

// reject keeps invalid events. It comes after the valid ones were taken, so
// that a request that is refused leaves no letters behind.
func (s *eventsServer) reject(ctx context.Context, format event.Format, rejected []event.Rejection) error {
	if len(rejected) == 0 {
		return nil
	}
	s.counts.rejected(ctx, len(rejected))
	return s.letters.reject(format, rejected)
}

// errBusy: too many bodies are being read at once.
var errBusy = errors.New("too much is being received at once")

// read fills buffer. held counts in s.reading, also with an error; the caller
// gives it back.
func (s *eventsServer) read(buffer *bytes.Buffer, body io.Reader) (held int64, err error) {
	const chunk = 64 << 10
	for {
		if s.reading.Add(chunk) > s.maxReading {
			return held + chunk, errBusy
		}
		held += chunk
		_, err := io.CopyN(buffer, body, chunk)
		if err == io.EOF {
			return held, nil
		}
		if err != nil {
			return held, err
		}
	}
}

func (s *eventsServer) readProblem(err error) *problem {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &problem{
			status: http.StatusRequestEntityTooLarge,
			Error:  fmt.Sprintf("the body exceeds max_request_body_size, %d bytes after decompression: send it in smaller pieces", s.maxBody),
		}
	case errors.Is(err, errBusy):
		s.counts.refused()
		return &problem{status: http.StatusTooManyRequests, Error: err.Error(), after: retryAfter(err)}
	default:
		return &problem{status: http.StatusBadRequest, Error: "the body cannot be read: " + err.Error()}
	}
}

func decodeProblem(err error) *problem {
	p := &problem{status: http.StatusBadRequest, Error: err.Error()}
	if errors.Is(err, event.ErrTooMuch) {
		p.status = http.StatusRequestEntityTooLarge
	}
	var broken *event.BodyError
	if errors.As(err, &broken) {
		p.Offset = &broken.Offset
	}
	return p
}

// refusal is the answer for events that could not be taken.
func (s *eventsServer) refusal(err error) *problem {
	s.counts.refused()
	r := refuse(err)
	p := &problem{Error: r.reason, after: r.after}
	switch r.code {
	case codes.ResourceExhausted:
		p.status = http.StatusTooManyRequests
	case codes.InvalidArgument:
		p.status = http.StatusRequestEntityTooLarge
	default:
		p.status = http.StatusServiceUnavailable
	}
	return p
}

func (p *problem) write(w http.ResponseWriter) {
	if p.after > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(p.after/time.Second), 10))
	}
	if p.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	}
	writeJSON(w, p.status, p)
}

// What the HTTP server reads of a body that its handler has not, before it
// closes the connection, and how long a client has to see the answer then.
const (
	readAnyway = 256 << 10
	lingerTime = 500 * time.Millisecond
)

// linger lets a client that is still sending a large body read the answer that
// it has: the connection is closed when the handler returns, and what the client
// sends into a closed connection takes the answer away from it.
func linger(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength >= 0 && r.ContentLength <= readAnyway || http.NewResponseController(w).Flush() != nil {
		return
	}
	select {
	case <-r.Context().Done():
	case <-time.After(lingerTime):
	}
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		status = http.StatusInternalServerError
	}
	body = append(body, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nobody to tell
}

// writeHTTPProblem answers what confighttp refuses by itself: encodings,
// authentication.
func writeHTTPProblem(w http.ResponseWriter, _ *http.Request, text string, status int) {
	(&problem{status: status, Error: text}).write(w)
}

// buffers are reused; large ones are left to the garbage collector.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const maxPooledBuffer = 4 << 20

func release(b *bytes.Buffer) {
	if b.Cap() <= maxPooledBuffer {
		b.Reset()
		buffers.Put(b)
	}
}

// idSource returns a function that gives unique ids to events without one.
func idSource() func() string {
	prefix := "assigned-" + uuid.NewString() + "-"
	var n atomic.Uint64
	return func() string { return prefix + strconv.FormatUint(n.Add(1), 36) }
}
