package queryextension

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/otelscope/otelscope/internal/store"
	"github.com/otelscope/otelscope/internal/tail"
)

const (
	// tailPause lies between two writes to one reader, so that many commits a
	// second are not as many writes.
	tailPause = 10 * time.Millisecond
	// keepAlive is how long a stream is silent at most, for the proxies' sake.
	keepAlive = 15 * time.Second
	// tailRetry is when a reader that lost its connection shall come back.
	tailRetry = "1000" // milliseconds
	// tailBuffer is what a stream keeps of its buffer for the next events.
	tailBuffer = 512 << 10
	// tailRetryAfter is when one that found no room may try again.
	tailRetryAfter = "5" // seconds
)

func newBroker(cfg TailConfig) *tail.Broker {
	return tail.NewBroker(tail.Options{
		Bytes:         int64(cfg.BufferBytes),
		Subscriptions: cfg.MaxSubscriptions,
		Encode:        encodeSpan,
	})
}

// tailing hands on what the follower is told of.
type tailing struct {
	broker *tail.Broker
	logger *zap.Logger
}

func (t tailing) committed(c *store.Commit, spans []store.Span) {
	if err := t.broker.Publish(c.Received, spans); err != nil {
		t.logger.Warn("Tails miss spans that cannot be read", zap.Error(err))
	}
}

// encodeSpan returns a span as the API's answers have it.
func encodeSpan(span store.Span) ([]byte, error) {
	traces, err := store.Traces([]store.Span{span})
	if err != nil {
		return nil, err
	}
	resource := traces.ResourceSpans().At(0)
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(newSpanJSON(resource.Resource(), resource.ScopeSpans().At(0).Spans().At(0))); err != nil {
		return nil, err
	}
	return bytes.Clone(bytes.TrimSuffix(encoded.Bytes(), []byte("\n"))), nil // kept, so without room to spare
}

// lagJSON says that spans are left out in front of what follows.
type lagJSON struct {
	Missed *int64 `json:"missed"` // spans that match; null where that is not known
	Since  string `json:"since"`  // the place up to which nothing is missing; "" for none
	Reason string `json:"reason,omitempty"`
}

// tailSpans streams each span that matches as it is committed, as Server-Sent
// Events, until the reader leaves, takes nothing for as long as a query may
// last, or the pipelines stop.
func (a *api) tailSpans(w http.ResponseWriter, req *http.Request) error {
	q, err := queryOf(req)
	if err != nil {
		return err
	}
	after, err := lastEventOf(req)
	if err != nil {
		return err
	}
	if err := req.Context().Err(); err != nil { // the pipelines do not run
		return err
	}
	sub, err := a.tail.Subscribe(q, after)
	if errors.Is(err, tail.ErrFull) {
		w.Header().Set("Retry-After", tailRetryAfter)
		return newProblem(http.StatusServiceUnavailable, "", "there are %d subscriptions, as many as there may be (query::tail::max_subscriptions of the extension)",
			a.cfg.Query.Tail.MaxSubscriptions)
	}
	if err != nil {
		return err
	}
	defer sub.Close()
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep it until it is much
	out := newLines(w, a.cfg.Query.Timeout)
	out.contentType = "text/event-stream"
	if req.Method == http.MethodHead {
		out.begin()
		return nil
	}
	if err := (&tailStream{lines: out, sub: sub}).run(req.Context()); err != nil {
		a.logger.Error("A tail failed", zap.Error(err))
	}
	return nil
}

// lastEventOf returns what a reader that comes back says it got last.
func lastEventOf(req *http.Request) (tail.ID, error) {
	text := req.Header.Get("Last-Event-ID")
	if text == "" {
		return tail.ID{}, nil
	}
	id, err := tail.ParseID(text)
	if err != nil {
		return id, newProblem(http.StatusBadRequest, "Last-Event-ID", "%s", err)
	}
	return id, nil
}

// tailStream writes what a subscription yields. The format is so little that
// it is written out here; a library would read the JSON again for line ends,
// which it has none of.
type tailStream struct {
	*lines
	sub    *tail.Subscription
	events []tail.Event
}

// run ends without an error when the reader is gone.
func (t *tailStream) run(ctx context.Context) error {
	t.field("retry", tailRetry)
	if t.place() != nil {
		return nil
	}
	silent := time.NewTicker(keepAlive)
	defer silent.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-silent.C:
			t.buffer.WriteString(": keep-alive\n")
			if t.place() != nil {
				return nil
			}
			continue
		case <-t.sub.Ready():
		}
		for more := true; more && ctx.Err() == nil; {
			var err error
			if t.events, more, err = t.sub.Take(t.events[:0]); err != nil {
				return err
			}
			if t.sendEvents() != nil {
				return nil
			}
		}
		pause.Reset(tailPause)
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
	}
}

// place tells the reader where it is, which is no event: what it would resume
// after is never older than the last word of it.
func (t *tailStream) place() error {
	t.field("id", t.sub.Position().String())
	t.end()
	return t.send()
}

// sendEvents sends what was taken.
func (t *tailStream) sendEvents() error {
	if len(t.events) == 0 {
		return nil
	}
	for i := range t.events {
		e := &t.events[i]
		if e.Span != nil {
			t.field("event", "span")
			t.field("id", e.ID.String())
			t.buffer.WriteString("data: ")
			t.buffer.Write(e.Span)
			t.end()
		} else {
			t.field("event", "lag")
			t.field("id", e.ID.String())
			t.buffer.WriteString("data: ")
			t.add(newLagJSON(e.Gap)) // and a line end
		}
		t.end()
	}
	clear(t.events) // what is slow to go out is not held twice
	err := t.send()
	if t.buffer.Cap() > tailBuffer {
		t.buffer = bytes.Buffer{}
	}
	return err
}

// field writes a field that has a value.
func (t *tailStream) field(name, value string) {
	if value != "" {
		t.buffer.WriteString(name + ": " + value)
		t.end()
	}
}

// end ends a line, or an event.
func (t *tailStream) end() { t.buffer.WriteByte('\n') }

func newLagJSON(gap tail.Gap) lagJSON {
	lag := lagJSON{Since: gap.Since.String(), Reason: gap.Reason}
	if gap.Missed >= 0 {
		lag.Missed = &gap.Missed
	}
	return lag
}
